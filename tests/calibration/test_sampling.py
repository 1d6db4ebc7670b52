from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from calibration.sampling import luminance, sample
from quietcam.data.pairs import find_pairs
from quietcam.data.pictures import read_picture
from quietcam.errors import DataError, UsageError


def test_every_patch_can_be_cut_again_from_what_the_set_says(pictures: Path) -> None:
    chosen = sample(find_pairs(pictures).pairs, count=20, size=16, seed=1)
    assert chosen.patches.shape == (20, 16, 16, 3)
    for patch, source, (x0, y0, x1, y1) in zip(chosen.patches, chosen.source, chosen.box, strict=True):
        picture = read_picture(pictures / "noisy" / f"{source}.png")
        np.testing.assert_array_equal(picture[y0:y1, x0:x1], patch)
    assert len({(source, *box) for source, box in zip(chosen.source, chosen.box.tolist(), strict=True)}) == 20


def test_pictures_give_equal_shares(pictures: Path) -> None:
    chosen = sample(find_pairs(pictures).pairs, count=20, size=16)
    assert sorted(Counter(chosen.source).values()) == [3, 3, 3, 3, 4, 4]
    assert chosen.instance[0].startswith(chosen.source[0])


def test_with_fewer_patches_than_pictures_scenes_take_turns(pictures: Path) -> None:
    chosen = sample(find_pairs(pictures).pairs, count=4, size=16)
    assert Counter(name.split("_")[1] for name in chosen.instance) == {"001": 2, "002": 2}
    assert len(set(chosen.source)) == 4


def test_brightness_is_spread_evenly(pictures: Path) -> None:
    # The means of boxes on a ramp are spread evenly, so those of an even choice must be, too.
    means = np.sort(luminance(sample(find_pairs(pictures).pairs, count=48, size=16).patches))
    boxes_lie_between = (255 * 8 / 95, 255 * 87 / 95)
    expected = np.linspace(*boxes_lie_between, 48)
    assert np.abs(means - expected).max() < 40
    assert means[0] < 45
    assert means[-1] > 210


def test_the_seed_decides_and_nothing_else(pictures: Path) -> None:
    pairs = find_pairs(pictures).pairs
    once = sample(pairs, count=12, size=16, seed=5)
    assert sample(pairs[::-1], count=12, size=16, seed=5).digest == once.digest
    assert sample(pairs, count=12, size=16, seed=6).digest != once.digest


def test_a_broken_picture_is_replaced_by_others_and_said(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = pictures / "noisy" / "0002_001_S6_00300_00060_3200_N.png"
    broken.write_bytes(broken.read_bytes()[:200])
    for seed in range(4):  # wherever in the order it stands
        chosen = sample(find_pairs(pictures).pairs, count=5, size=16, seed=seed)
        assert len(chosen) == 5
        assert broken.stem not in chosen.source
    assert "0002_001" in capsys.readouterr().err


def test_pictures_that_are_too_small_for_a_patch_are_an_error_with_a_remedy(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"96x64 is smaller.*Remedy"):
        sample(find_pairs(pictures).pairs, count=5, size=65)


def test_no_patch_is_taken_twice_even_if_the_set_stays_smaller(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = sample(find_pairs(pictures).pairs, count=400, size=64)  # 17 places in each of 6 pictures
    assert len(chosen) == 6 * 17
    assert "102 of 400" in capsys.readouterr().err


def test_no_patches_at_all_is_wrong_usage(pictures: Path) -> None:
    with pytest.raises(UsageError, match="count must be at least 1"):
        sample(find_pairs(pictures).pairs, count=0, size=16)


def test_luminance_is_that_of_bt601() -> None:
    patches = np.zeros((3, 2, 2, 3), np.uint8)
    patches[0, ..., 0] = patches[1, ..., 1] = patches[2, ..., 2] = 200
    np.testing.assert_allclose(luminance(patches), [59.8, 117.4, 22.8])
    np.testing.assert_allclose(luminance(np.full((1, 2, 2, 1), 7, np.uint8)), [7])

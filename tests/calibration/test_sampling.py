from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from calibration.sampling import choose, sample
from calibration.survey import CONTENTS, judge_content, luminance, survey
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.data.sets.noisy_pictures import find_noisy
from quietcam.errors import DataError, UsageError
from quietcam.representative.set import RepresentativeSet


def chosen_from(folder: Path, count: int, size: int, seed: int = 0) -> RepresentativeSet:
    found = survey(find_noisy(folder).pictures, size=size, count=count, seed=seed)
    return sample(found, count=count, seed=seed)


def test_every_patch_can_be_cut_again_from_what_the_set_says(pictures: Path) -> None:
    chosen = chosen_from(pictures, 20, 16, 1)
    assert chosen.patches.shape == (20, 16, 16, 3)
    for patch, source, (x0, y0, x1, y1) in zip(chosen.patches, chosen.source, chosen.box, strict=True):
        picture = read_picture(pictures / "noisy" / f"{source}.png")
        np.testing.assert_array_equal(picture[y0:y1, x0:x1], patch)
    assert len({(source, *box) for source, box in zip(chosen.source, chosen.box.tolist(), strict=True)}) == 20


def test_pictures_give_equal_shares(pictures: Path) -> None:
    chosen = chosen_from(pictures, 20, 16)
    assert sorted(Counter(chosen.source).values()) == [3, 3, 3, 3, 4, 4]
    assert chosen.instance[0].startswith(chosen.source[0])


def test_with_fewer_patches_than_pictures_each_is_of_another_and_all_scenes_are_in(pictures: Path) -> None:
    chosen = chosen_from(pictures, 4, 16)
    assert {name.split("_")[1] for name in chosen.instance} == {"001", "002"}
    assert len(set(chosen.source)) == 4


def test_brightness_is_spread_evenly(pictures: Path) -> None:
    # The means of boxes on a ramp are spread evenly, so those of an even choice must be, too.
    means = np.sort(luminance(chosen_from(pictures, 48, 16).patches))
    boxes_lie_between = (255 * 8 / 95, 255 * 87 / 95)
    expected = np.linspace(*boxes_lie_between, 48)
    assert np.abs(means - expected).max() < 40
    assert means[0] < 45
    assert means[-1] > 210


def test_the_seed_decides_and_nothing_else(pictures: Path) -> None:
    listed = find_noisy(pictures).pictures
    once = chosen_from(pictures, 12, 16, 5)
    turned = sample(survey(listed[::-1], size=16, count=12, seed=5), count=12, seed=5)
    assert turned.digest == once.digest
    assert chosen_from(pictures, 12, 16, 6).digest != once.digest


def test_a_broken_picture_is_replaced_by_others_and_said(pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = pictures / "noisy" / "0002_001_S6_00300_00060_3200_N.png"
    broken.write_bytes(broken.read_bytes()[:200])
    for seed in range(4):  # wherever in the order it stands
        chosen = chosen_from(pictures, 5, 16, seed)
        assert len(chosen) == 5
        assert broken.stem not in chosen.source
    assert "0002_001" in caplog.text


def test_pictures_that_are_too_small_for_a_patch_are_an_error_with_a_remedy(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"96x64 is smaller.*Remedy"):
        chosen_from(pictures, 5, 65)


def test_no_patch_is_taken_twice_even_if_the_set_stays_smaller(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = chosen_from(pictures, 400, 64)  # 17 places in each of 6 pictures
    assert len(chosen) == 6 * 17
    assert "102 of 400" in caplog.text


def test_no_patches_at_all_is_wrong_usage(pictures: Path) -> None:
    with pytest.raises(UsageError, match="count must be at least 1"):
        chosen_from(pictures, 0, 16)


def test_luminance_is_that_of_bt601() -> None:
    patches = np.zeros((3, 2, 2, 3), np.uint8)
    patches[0, ..., 0] = patches[1, ..., 1] = patches[2, ..., 2] = 200
    np.testing.assert_allclose(luminance(patches), [59.8, 117.4, 22.8])
    np.testing.assert_allclose(luminance(np.full((1, 2, 2, 1), 7, np.uint8)), [7])


def test_every_kind_is_as_balanced_as_the_pictures_allow(tmp_path: Path) -> None:
    """Of 30 pictures one is by another phone at another ISO: it gives far more than a thirtieth."""
    rng = np.random.default_rng(0)
    for index in range(30):
        phone, iso = ("IP", "01600") if index == 0 else ("S6", "00100")
        name = f"{index:04d}_001_{phone}_{iso}_00060_3200_{'LNH'[index % 3]}.png"
        write_picture(tmp_path / "noisy" / name, rng.integers(0, 256, (96, 96, 3), np.uint8))
    chosen = chosen_from(tmp_path, 60, 32)
    phones = Counter(name.split("_")[2] for name in chosen.instance)
    assert phones["IP"] >= 4
    brightness = Counter(name[-1] for name in chosen.instance)
    assert max(brightness.values()) - min(brightness.values()) <= 4
    assert len(set(chosen.source)) >= 28


def test_every_prefix_of_a_set_is_the_smaller_set(pictures: Path) -> None:
    found = survey(find_noisy(pictures).pictures, size=16, count=40)
    longer, shorter = choose(found, 40), choose(found, 10)
    np.testing.assert_array_equal(longer[:10], shorter)


def test_the_set_reaches_as_far_as_the_data_does(tmp_path: Path) -> None:
    """One black and one white pixel among 20 pictures of middle gray: patches that hold them are in."""
    rng = np.random.default_rng(1)
    for index in range(20):
        picture = rng.integers(90, 160, (200, 300, 3), np.uint8)
        if index == 7:
            picture[133, 201] = 0
        if index == 11:
            picture[3, 298, 2] = 255
        write_picture(tmp_path / f"{index}.png", picture)
    patches = chosen_from(tmp_path, 16, 32).patches
    assert (patches.min(), patches.max()) == (0, 255)


def test_equal_pictures_are_taken_once(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for index in range(5):
        write_picture(tmp_path / f"{index}.png", picture)
    assert len(chosen_from(tmp_path, 20, 32)) == 1


def test_content_is_told_under_noise() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((64, 64), 120.0)
    edge = np.where(np.arange(64) < 30, 60.0, 180.0) * np.ones((64, 1))
    texture = np.kron(rng.uniform(40, 220, (16, 16)), np.ones((4, 4)))
    clean = np.stack([flat, edge, texture])[..., np.newaxis].repeat(3, axis=3)
    for sigma in (0.0, 5.0, 12.0):
        noisy = np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)
        told = judge_content(noisy, np.full(3, sigma))
        assert [CONTENTS[i] for i in told] == ["plain", "some detail", "much detail"], sigma

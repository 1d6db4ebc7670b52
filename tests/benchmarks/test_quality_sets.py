"""The sets that models are judged on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.network.quality.drawn import BANDS, DARK_SEED, FRAME_SEED, dark_flats, frames_of, kept, photographed
from benchmarks.network.quality.sets import CLASSES, bucket_order, fingerprint, noise_bucket, read_sets
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.benchmarks.judged_data import write_clip, write_data
from tests.tiny_network import noisy_pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_each_set_has_its_pictures_and_buckets(data: Path) -> None:
    sets = read_sets(data, data / "video")
    assert [*sets] == ["native", "squeezed", "machine", "pi"]
    (native,), (squeezed,) = sets["native"], sets["squeezed"]
    assert (native.bucket, squeezed.bucket) == ("ISO 401-1600", "noise 6 to 12")
    noisy, clean = noisy_pictures(2, 260, sigma=10.0)
    np.testing.assert_array_equal(native.noisy, noisy[0, 2:258, 2:258])
    np.testing.assert_array_equal(native.clean, clean[0, 2:258, 2:258])
    for kind, band in BANDS.items():
        assert len(sets[kind]) == 2 * 4
        for each in sets[kind]:
            assert each.noisy.shape == (256, 256, 3)
            assert band[0] <= psnr(each.noisy, each.clean) <= band[1]
            assert each.bucket.startswith(f"{kind}, noise ")


def test_the_same_pictures_are_drawn_again(data: Path) -> None:
    frames = partial(frames_of, data / "video")
    for (name, *pair), (again, *other) in zip(photographed(frames, "pi"), photographed(frames, "pi"), strict=True):
        assert name == again
        np.testing.assert_array_equal(pair, other)


def test_drawn_pictures_are_kept(tmp_path: Path) -> None:
    image, other = noisy_pictures(2, 32)[0]
    first = kept(tmp_path, "pi", [("pi-1", image, other), ("pi-2", other, image)])
    again = kept(tmp_path, "pi", iter([("pi-3", other, other)]))
    assert [name for name, *_ in first] == [name for name, *_ in again] == ["pi-1", "pi-2"]
    assert fingerprint(image for _, *pair in again for image in pair) == fingerprint([image, other, other, image])
    assert fingerprint([image, other, other, image]) != fingerprint([image, other, image, other])
    assert [path.name for path in tmp_path.iterdir()] == ["pi"]


def test_pictures_that_are_kept_need_no_videos(data: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    for kind in BANDS:
        kept(drawn, kind, [(f"{kind}-1", *(each[0] for each in noisy_pictures(1, 256)))])
    sets = read_sets(data, tmp_path / "missing", drawn)
    assert [[each.name for each in sets[kind]] for kind in BANDS] == [["machine-1"], ["pi-1"]]
    with pytest.raises(UsageError, match="folder with videos"):
        read_sets(data, tmp_path / "missing", tmp_path / "empty")


def test_a_stop_while_pictures_are_drawn_leaves_no_half_of_a_set(tmp_path: Path) -> None:
    image = noisy_pictures(1, 32)[0][0]

    def stopped() -> Iterator[tuple[str, Image, Image]]:
        yield "pi-1", image, image
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, "pi", stopped())
    assert len(kept(tmp_path, "pi", [("pi-1", image, image), ("pi-2", image, image)])) == 2


def test_no_config_generates_training_pictures_with_these_seeds() -> None:
    heads = "\n".join(path.read_text() for path in (ROOT / "train" / "configs").glob("*.toml"))
    seeds = [int(each) for each in re.findall(r"--seed (\d+)", heads)]
    assert len(seeds) > 5
    # 50,000 pictures, and as many cameras, are more than any command of a head draws.
    assert all(abs(seed - own) > 50_000 for seed in seeds for own in (FRAME_SEED, DARK_SEED))


def test_dark_scenes_are_plain_dark_and_noisy() -> None:
    found = [*dark_flats(3)]
    assert len({name for name, *_ in found}) == 3
    for name, noisy, clean in found:
        assert name.split("-")[0] in ("night", "pi")
        assert clean.mean() < 100
        assert clean.astype(float).std((0, 1)).max() < 3.0
        assert (noisy.astype(float) - clean).std() >= 6.0


@pytest.mark.parametrize(("step", "bucket"), [(5, 0), (6, 0), (7, 1), (12, 1), (13, 2)])
def test_noise_has_three_classes(step: int, bucket: int) -> None:
    clean = np.full((8, 8, 3), 100, np.uint8)
    assert noise_bucket(clean + np.uint8(step), clean) == CLASSES[bucket]


def test_buckets_ascend() -> None:
    ordered = ["ISO up to 100", "ISO 401-1600", "ISO above 6400", *(f"machine, {each}" for each in CLASSES)]
    ordered += [f"pi, {each}" for each in CLASSES]
    assert sorted({*ordered}, key=bucket_order) == ordered


@pytest.mark.parametrize("small", [False, True])
def test_clips_that_cannot_be_used_are_refused(tmp_path: Path, small: bool) -> None:
    if small:
        write_clip(tmp_path / "small.mp4", 300, 200)
    with pytest.raises(UsageError, match="300x200" if small else "folder with videos"):
        frames_of(tmp_path)

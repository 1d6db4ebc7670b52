"""Data sets with clips: what a video network takes of them, from folders and packed, and what a still one does."""

from dataclasses import replace

import numpy as np
import pytest

from quietcam.architecture import Architecture
from quietcam.data.clips.clip import load_clips
from quietcam.data.clips.mark import MARK
from quietcam.data.packed.pack import pack
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError
from quietcam.metrics import psnr
from train.config import RunConfig, TrainingConfig, VideoConfig
from train.patches.clips import ClipCrops, ClipSource, cut_clips
from train.patches.sets import load_training_data
from train.patches.sources import CropSource

SIZE, FRAMES = 32, 6


def config(history=1, **training):
    network = Architecture(widths=(8, 16), depths=(1, 1), history=history)
    return RunConfig(network, TrainingConfig(patch=16, crop=SIZE, batch=4, **training), video=VideoConfig(2, 1))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(3)
    for clip in range(10):
        clean = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        for frame in range(FRAMES):
            noisy = np.clip(clean + rng.normal(0, 10, clean.shape), 0, 255).astype(np.uint8)
            for side, picture in (("noisy", noisy), ("clean", clean)):
                write_picture(folder / f"clip{clip}" / side / f"{frame:04d}.png", picture)
        (folder / f"clip{clip}" / MARK).write_text("{}")
    return folder


def clips_of(data):
    return [source for source in data.training.sources if isinstance(source, ClipSource)]


def test_a_video_network_takes_clips_as_clips_and_pairs_as_pictures(clip_folder, pair_folder):
    with load_training_data([f"{clip_folder}@3", pair_folder], config()) as data:
        (clips,) = clips_of(data)
        assert set(clips.lengths) == {FRAMES}
        assert data.training.shares.tolist() == [0.75, 0.25]
        names = list(data.validation)
        assert names[0].endswith(clip_folder.name)
        held = data.validation[names[0]]
        assert isinstance(held, ClipCrops)
        values = [psnr(noisy, clean) for each in held.sequences for noisy, clean in each]
        assert data.origin["noisy_by_set"][names[0]] == pytest.approx(np.mean(values), abs=1e-3)
        assert data.origin["validation_crops"] == len(values) + len(data.validation[names[1]])


def test_for_a_still_network_frames_are_pictures(clip_folder):
    with load_training_data(clip_folder, config(history=0)) as data:
        (source,) = data.training.sources
        assert isinstance(source, CropSource)
        assert len(source) % FRAMES == 0


def test_a_folder_of_both_shares_its_weight_and_tells_both_numbers(clip_folder, pair_folder, tmp_path):
    for name in ("both", "held"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "moving").symlink_to(clip_folder)
        (tmp_path / name / "still").symlink_to(pair_folder)
    with load_training_data(tmp_path / "both", config(), tmp_path / "held") as data:
        stills, clips = data.training.sources
        assert (isinstance(stills, ClipSource), isinstance(clips, ClipSource)) == (False, True)
        assert data.training.shares.tolist() == pytest.approx(
            [len(stills) / len(data.training), 60 / len(data.training)]
        )
        first, second = data.validation
        assert second == f"{first} (clips)"


def test_a_packed_set_gives_the_same_clips(clip_folder, tmp_path):
    packed = tmp_path / "packed"
    pack(clip_folder, packed, patch=SIZE, split="all")
    with load_training_data(packed, config()) as data, load_training_data(clip_folder, config()) as loose:
        (ours,), (theirs,) = clips_of(data), clips_of(loose)
        places = np.arange(FRAMES)

        def content(source):
            return sorted(np.stack(source.patches(run, places)).tobytes() for run in range(len(source.lengths)))

        assert content(ours) == content(theirs)
        (held,), (also,) = data.validation.values(), loose.validation.values()
        assert {each.tobytes() for each in held.sequences} == {each.tobytes() for each in also.sequences}


def test_a_video_network_without_clips_is_refused(pair_folder):
    with pytest.raises(DataError, match=r"without a clip to train on. Remedy: add clips"):
        load_training_data(pair_folder, config())


def test_where_nothing_is_as_large_as_a_crop_whole_pictures_are_taken(clip_folder, pair_folder, caplog):
    """Clips of 32x32 and pairs of 64x64; the network's stride is 4."""
    large = config()
    large = replace(large, training=replace(large.training, crop=70))
    caplog.set_level("INFO")
    with load_training_data([clip_folder, pair_folder], large) as data:
        assert [source.side for source in data.training.sources] == [SIZE, 64]
        clips, pairs = data.validation.values()
        assert {each.shape[2:4] for each in clips.sequences} == {(SIZE, SIZE)}
        assert pairs.pairs.shape[2:4] == (64, 64)
    assert "no picture has room for crops of 70x70: they are cut to 32x32" in caplog.text


def test_clips_smaller_than_a_patch_are_refused(clip_folder):
    large = RunConfig(config().model, TrainingConfig(patch=48, crop=64), video=VideoConfig(2, 1))
    with pytest.raises(DataError, match=r"patches of 48x48 pixels. Received: .*32x32 is smaller"):
        load_training_data(clip_folder, large)


def test_only_as_many_frames_are_kept_as_fit(clip_folder):
    clips = load_clips(clip_folder).clips
    whole = cut_clips(clips, 16, frames=3, limit=1000, per_clip=2)
    assert [len(each) for each in whole.sequences] == [FRAMES] * 20
    fewer = cut_clips(clips, 16, frames=3, limit=40, per_clip=2)
    assert [len(each) for each in fewer.sequences] == [4] * 10
    fewest = cut_clips(clips, 16, frames=3, limit=12)
    assert [len(each) for each in fewest.sequences] == [3] * 4
    frames = clips[0].read()
    name, (x0, y0, x1, y1) = whole.source[0]
    assert name == clips[0].name
    np.testing.assert_array_equal(whole.sequences[0][:, 0], frames.noisy[:, y0:y1, x0:x1])


def test_a_clip_that_cannot_be_used_is_left_out_and_named(clip_folder, tmp_path):
    for frame, side in enumerate((SIZE, 2 * SIZE)):
        for name in ("noisy", "clean"):
            write_picture(tmp_path / "grows" / name / f"{frame}.png", np.zeros((side, side, 3), np.uint8))
    (tmp_path / "grows" / MARK).write_text("{}")
    clips = [load_clips(clip_folder)[0], load_clips(tmp_path)[0]]
    found = cut_clips(clips, 16, frames=2, limit=100)
    assert [name for name, _ in found.source] == ["clip0"]
    assert found.problems == ["grows: grows/1 has 64x64, and frames before it 32x32"]
    with pytest.raises(DataError, match="32x32 is smaller than a patch of 48x48"):
        cut_clips(clips[:1], 48, frames=2, limit=100)

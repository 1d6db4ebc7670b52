"""The closed loop by which int8 is judged against float, for networks whose loss is known."""

from __future__ import annotations

import numpy as np
import pytest

from convert.converter import prepare
from convert.orders import _judge
from convert.quantize.bias import add_shifts
from convert.quantize.loop import LOOP, as_pixels, clips_of, loop_runner, still_clip
from convert.quantize.loss import Estimated
from convert.quantize.scheme import Scheme
from quietcam.data.pictures.files import write_picture
from quietcam.data.samples import SampleSet
from quietcam.data.sets.pairs import find_pairs
from quietcam.image import to_float
from quietcam.metrics import psnr
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import tensor_runner
from tests.tiny_network import clip_of, noisy_pictures


def test_each_frame_is_given_what_the_last_one_remembered(video_conversions):
    content = video_conversions["float32"].content
    graph = read_graph(content)
    run = tensor_runner(content, [graph.denoised.index, graph.remembered.index])
    clip = to_float(clip_of(5, 64))
    history = clip[:1]
    for noisy, shown in zip(clip[1:], loop_runner(content)(clip), strict=True):
        (_, denoised), (_, fused) = run(np.concatenate([noisy[None], history]))
        history = np.rint(np.clip(fused, 0, 1) * 255).reshape(history.shape).astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(
            shown, np.rint(np.clip(denoised, 0, 1) * 255).reshape(64, 64, 3) / np.float32(255)
        )


def test_a_still_clip_has_the_frame_itself_first_and_then_the_same_scene_under_moved_noise():
    """For a network that knows the scene, every frame minus the scene is the noise, moved."""
    scene = np.full((32, 32, 3), 0.5, np.float32)
    rng = np.random.default_rng(0)
    noise = (rng.integers(-40, 40, scene.shape) / 255).astype(np.float32)
    clip = still_clip(as_pixels(np.stack([scene + noise, scene])), lambda given: np.stack([scene] * (len(given) - 1)))
    assert clip.shape == (1 + LOOP, 32, 32, 3)
    np.testing.assert_array_equal(clip[0], as_pixels(scene))
    for t in range(LOOP):
        moved = np.roll(noise, (7 * t, 13 * t), (0, 1))
        np.testing.assert_allclose(clip[1 + t], scene + moved, atol=0.51 / 255)


def test_the_estimate_runs_loops_and_says_of_how_many_frames(video_loaded, video_set):
    """A share that int8 gets wrong changes no frame without a past. The estimate sees it."""
    prepared = prepare(video_loaded, video_set)
    judge = Estimated(prepared)
    loss = judge.loss(Scheme())
    assert (loss.frames, loss.to_dict()["frames"], loss.is_measured) == (LOOP, LOOP, False)
    assert 0 < loss.drop < 2
    share = next(op.outputs[0].name for op in read_graph(prepared.content).ops if "share" in op.outputs[0].name)
    right = prepared.quantize
    prepared.quantize = lambda content, scheme: add_shifts(right(content, scheme), {share: np.full(192, 0.3)})
    assert judge.loss(Scheme()).drop > 2 * loss.drop


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "clip"
    (folder / "noisy").mkdir(parents=True)
    (folder / "clip.json").write_text("{}")
    clean = clip_of(4, 64, sigma=0)
    for index, (noisy, picture) in enumerate(zip(clip_of(4, 64), clean, strict=True)):
        write_picture(folder / "noisy" / f"{index:04}.png", noisy)
        write_picture(folder / "clean" / f"{index:04}.png", picture)
    return folder.parent


def test_pairs_of_a_clip_are_its_frames_in_order(clip_folder):
    ((_, noisy, clean),) = clips_of(SampleSet(find_pairs(clip_folder).pairs))
    np.testing.assert_array_equal(noisy, clip_of(4, 64))
    np.testing.assert_array_equal(clean, clip_of(4, 64, sigma=0))


def test_other_pairs_stand_still_under_moved_noise(pair_folder):
    clips = list(clips_of(SampleSet(find_pairs(pair_folder).pairs)))
    assert len(clips) == 5
    noisy, clean = (each[0] for each in noisy_pictures(5, 64, seed=3))
    _, frames, scenes = clips[0]
    np.testing.assert_array_equal(frames[0], noisy)
    assert len({frame.tobytes() for frame in frames}) == len(frames) == LOOP
    for scene in scenes:
        np.testing.assert_array_equal(scene, clean)


def test_the_loss_is_measured_on_clips_with_the_code_of_the_device(video_loaded, video_set, clip_folder):
    from convert.orders import Order
    from convert.recipes import get_recipe
    from quietcam.quality.gate import QualityGate

    order = Order([get_recipe("int8")], [(64, 64)], "video", is_coral=False, gate=QualityGate(0.1, 0.25), rescue=False)
    prepared = prepare(video_loaded, video_set)
    judge = _judge(video_loaded, order, prepared, video_set, find_pairs(clip_folder).pairs)
    loss = judge.loss(Scheme())
    assert (loss.frames, loss.is_measured) == (4, True)
    pairs = zip(clip_of(4, 64, sigma=0), clip_of(4, 64), strict=True)
    assert judge.noisy_psnr == pytest.approx(np.mean([psnr(clean, noisy) for clean, noisy in pairs]))
    assert abs(loss.drop) < 1

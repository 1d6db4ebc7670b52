"""A video network over several frames: its loss by hand, where gradients flow, and that it learns to remember."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.stopping import stopped_after
from train.config import VideoConfig
from train.evaluation.validation import inference, validate
from train.losses import moving_error, relative_error
from train.model import build, unclipped
from train.patches.clips import ClipCrops, ClipCropSource
from train.patches.extra_noise import ExtraNoise
from train.patches.sources import CropSource, Mixture
from train.schedule import Budget
from train.step import Teacher
from train.trainer import Loop
from train.unrolled import Unrolled, remembered

SHORT = VideoConfig(unroll=2, lead=1, without_history=0.0, fused_weight=0.5)


@pytest.fixture(scope="session")
def video(tiny):
    return replace(tiny, history=1)


@pytest.fixture(scope="session")
def still_scenes(crops):
    """Clips in which nothing moves, with fresh noise in every frame."""
    rng = np.random.default_rng(1)
    sequences = []
    for clean in crops.clean:
        frames = np.empty((10, 2, *clean.shape), np.uint8)
        frames[:, 1] = clean
        noise = rng.normal(0, 20, (10, *clean.shape))
        frames[:, 0] = np.clip(np.rint(clean + noise), 0, 255)
        sequences.append(frames)
    return ClipCrops(sequences, [("made", (0, 0, 64, 64))] * len(sequences))


def batch_of(clips, count=4, frames=3, remembers=(True, True, False, True)):
    noisy = np.stack([each[:frames, 0, :32, :32] for each in clips.sequences[:count]])
    clean = np.stack([each[frames - 2 : frames, 1, :32, :32] for each in clips.sequences[:count]])
    return tuple(map(tf.constant, (noisy, clean, np.array(remembers))))


def loop_of(model, **more):
    return Loop("train", model, more.pop("budget", Budget(1, 99)), 3e-3, **({"video": SHORT} | more))


def by_hand(model, noisy, remembers):
    """Denoised and fused of the last two of three frames, one network call after the other."""
    noisy = noisy.numpy().astype(np.float32) / 255
    history, found = noisy[:, 0], []
    for index in range(3):
        frame = noisy[:, index]
        given = np.where(remembers.numpy()[:, None, None, None], history, frame)
        _, fused = model([frame, given])
        history = np.rint(np.asarray(fused) * 255) / np.float32(255)
        found.append((np.asarray(model([history, history])[0]), history))
    return (np.stack([each[side] for each in found[1:]], axis=1) for side in (0, 1))


def test_the_loss_by_hand(video, still_scenes):
    noisy, clean, remembers = batch_of(still_scenes)
    keras.utils.set_random_seed(3)
    model, teacher = build(video), build(video)
    denoised, fused = by_hand(model, noisy, remembers)
    shown, _ = by_hand(teacher, noisy, remembers)
    true = clean.numpy() / 255.0

    def distance(a, b):
        return np.mean(np.sqrt((a.astype(np.float64) - b) ** 2 + 1e-4))

    before = ((noisy.numpy()[:, 1:] / 255.0 - true) ** 2).mean((2, 3, 4))
    after = ((fused - true) ** 2).mean((2, 3, 4))
    beside = 0.5 * np.mean(np.log(1 + after / (before + 2e-4)) * remembers.numpy()[:, None])
    for taught_by, main in (
        (None, distance(denoised, true)),
        (Teacher(teacher, 0.3), 0.7 * distance(denoised, true) + 0.3 * distance(denoised, shown)),
    ):
        take = loop_of(model, teacher=taught_by, average=0.0)._step_function()
        loss, _ = take._gradients(noisy, clean, remembers)
        assert float(loss) == pytest.approx(main + beside, rel=1e-4)


def test_a_clean_frame_with_a_ghost_does_not_drown_the_others():
    """By hand. Half of a frame without noise shows what moved: the error alone would count 625 times."""
    clean = tf.zeros((2, 1, 8, 8, 3))
    ghost = np.zeros((2, 1, 8, 8, 3), np.float32)
    ghost[0, :, :4], ghost[1] = 0.5, 0.05  # the other frame has noise, and a fourth of it is left
    noisy = np.stack([np.zeros_like(ghost[0]), np.full_like(ghost[1], 0.1)])
    fused = tf.constant(ghost)
    with tf.GradientTape() as tape:
        tape.watch(fused)
        errors = relative_error(clean, fused, noisy)
    np.testing.assert_allclose(errors[:, 0], [np.log(1 + 0.125 / 2e-4), np.log(1 + 0.0025 / 0.0102)], rtol=1e-5)
    pulls = np.abs(tape.gradient(errors, fused).numpy()).sum((1, 2, 3, 4))
    assert 0.1 < pulls[0] / pulls[1] < 1
    worst = relative_error(clean, tf.ones_like(fused), clean)
    assert float(tf.reduce_max(worst)) == pytest.approx(8.52, abs=0.01)


def test_gradients_flow_through_the_window_and_not_before_it(video, still_scenes):
    noisy, _, remembers = batch_of(still_scenes)
    keras.utils.set_random_seed(3)
    network = Unrolled(build(video), 2)
    frames = tf.cast(noisy, tf.float32) / 255.0
    with tf.GradientTape() as tape:
        tape.watch(frames)
        _, fused = network(frames, remembers)
        last = tf.reduce_sum(fused[:, -1])
    reach = np.abs(tape.gradient(last, frames).numpy()).sum((2, 3, 4))
    assert (reach[:, 0] == 0).all()
    assert (reach[[0, 1, 3], 1] > 0).all()
    assert reach[2, 1] == 0  # this one has no history
    assert (reach[:, 2] > 0).all()


def test_what_is_remembered_has_whole_steps_and_the_frames_gradient():
    values = tf.constant([0.1001, 0.5, 0.9])
    with tf.GradientTape() as tape:
        tape.watch(values)
        kept = remembered(values)
    np.testing.assert_allclose(kept.numpy() * 255, np.rint(values.numpy() * 255), atol=1e-4)
    np.testing.assert_array_equal(tape.gradient(kept, values).numpy(), 1.0)


@pytest.mark.parametrize(("bias", "wanted"), [(2.0, "lower"), (-1.0, "higher")])
def test_a_share_outside_of_its_clip_still_learns_to_come_back(video, still_scenes, bias, wanted):
    model = build(video)
    share = model.get_layer("share")
    share.kernel.assign(tf.zeros_like(share.kernel))
    share.bias.assign([bias] * share.bias.shape[0])
    learner = unclipped(model)
    noisy = tf.cast(still_scenes.sequences[0][:1, 0], tf.float32) / 255.0
    with tf.GradientTape() as tape:
        fused = learner([noisy, tf.zeros_like(noisy)])[1]
        # Where all history is taken the frame is black, and brighter is better; where none is, darker is.
        loss = -tf.reduce_sum(fused) if bias > 1 else tf.reduce_sum(fused)
    gradient = tape.gradient(loss, share.bias).numpy()
    assert (gradient > 0).mean() > 0.9 if wanted == "lower" else (gradient < 0).mean() > 0.9


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 1e-2)])
def test_xla_computes_the_same(video, still_scenes, precision, tolerance):
    losses = []
    for xla in (False, True):
        keras.utils.set_random_seed(2)
        take = loop_of(build(video, precision=precision), xla=xla)._step_function()
        losses.append([take(*batch_of(still_scenes)) for _ in range(3)])
    assert len(set(losses[0])) == 3  # it learns
    np.testing.assert_allclose(*losses, rtol=tolerance)


def test_it_learns_to_remember_and_keeps_stills_as_they_are(crops, video, still_scenes, tmp_path):
    keras.utils.set_random_seed(1)
    model = build(video)
    mixture = Mixture([(ClipCropSource(still_scenes), 3.0), (CropSource(crops), 1.0)])
    sets = {"clips": still_scenes, "pairs": crops}
    how = {"video": replace(SHORT, lead=3), "budget": Budget(60, 99), "run": tmp_path}
    rows = loop_of(model, **how).fit(mixture, sets, patch=32, batch=4)
    denoise = inference(model)
    alone = ClipCrops([each[:1] for each in still_scenes.sequences], still_scenes.source)
    assert validate(denoise, still_scenes) > validate(denoise, alone) + 3.0
    assert rows[-1].by_set.startswith("clips ")
    assert "; pairs " in rows[-1].by_set


def test_resumed_equals_uninterrupted_bit_for_bit(crops, video, still_scenes, tmp_path, monkeypatch):
    mixture = Mixture([(ClipCropSource(still_scenes), 1.0), (CropSource(crops), 1.0)])
    settings = VideoConfig(unroll=2, lead=2, without_history=0.5)

    def loop(run):
        keras.utils.set_random_seed(7)
        return loop_of(build(video), video=settings, budget=Budget(16, 99), seed=7, run=run, average=0.9)

    few = ClipCrops(still_scenes.sequences[:1], still_scenes.source[:1])
    fit = {
        "training": mixture,
        "validation": {"own": few},
        "patch": 32,
        "batch": 4,
        "extra": ExtraNoise(0.3, 0.2, 0.1, 0.2),
    }
    whole = loop(tmp_path / "whole")
    whole.fit(**fit)
    with stopped_after(5, monkeypatch):
        loop(tmp_path / "stopped").fit(**fit)
    resumed = loop(tmp_path / "stopped")
    resumed.fit(**fit, resume=True)
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_error_where_something_moves_by_hand():
    clean = np.full((2, 3, 16, 16, 3), 0.5, np.float32)
    clean[0, 1:, :8] = 0.6  # moves in frame 1 only; nothing moves in the second sequence
    denoised = clean + np.float32(0.5)  # still pixels do not count
    denoised[0, 1, :8] = clean[0, 1, :8] + 0.03
    found = moving_error(tf.constant(clean), tf.constant(denoised)).numpy()
    assert found[0] == pytest.approx(np.log1p(0.03**2 * 128 / (128 + 64) * 1e4), rel=1e-4)
    assert found[1] == 0.0

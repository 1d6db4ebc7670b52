"""Whether a frame shows what the one before showed: on made-up scenes whose noise and movement are known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edge.network.past.scene import LEAST, SceneTest
from quietcam.image import Image
from quietcam.sensor.scenes import generate_scene

HEIGHT, WIDTH = 120, 160
SHAPE = HEIGHT, WIDTH, 3


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Image:
    return generate_scene(height, width, seed)


def noisy(clean: Image, sigma: float, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    return np.clip(clean + rng.normal(0.0, sigma, clean.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [3.0, 10.0, 20.0])
@pytest.mark.parametrize("known", [True, False])
def test_noise_is_explained_and_a_cut_is_not(sigma: float, known: bool) -> None:
    test, told = SceneTest(SHAPE), sigma if known else None
    found = [test.explained(noisy(scene(index // 6), sigma, index), told) for index in range(18)]
    cuts = {6, 12}
    assert found[0] == 1.0
    assert all(found[index] < LEAST for index in cuts), found
    assert min(part for index, part in enumerate(found) if index not in cuts) > 0.8, found


def test_a_pan_of_a_twentieth_of_the_picture_a_frame_is_no_cut() -> None:
    wide, test = scene(3, width=4 * WIDTH), SceneTest(SHAPE)
    found = [test.explained(noisy(wide[:, 8 * t : 8 * t + WIDTH], 10.0, t), 10.0) for t in range(40)]
    assert min(found) > LEAST


def test_light_that_fades_is_no_cut() -> None:
    clean, test = scene(3), SceneTest(SHAPE)
    found = [test.explained(noisy((clean * (1.0 - 0.02 * t)).astype(np.uint8), 10.0, t), 10.0) for t in range(40)]
    assert min(found) > LEAST


def test_a_thing_that_passes_is_no_cut() -> None:
    clean, test = scene(3), SceneTest(SHAPE)
    found = []
    for t in range(20):
        frame = clean.copy()
        frame[30:90, 6 * t : 6 * t + 40] = 255 - frame[30:90, 6 * t : 6 * t + 40]
        found.append(test.explained(noisy(frame, 10.0, t), 10.0))
    assert min(found) > LEAST


def test_the_part_is_that_of_the_blocks_that_changed() -> None:
    clean = np.full(SHAPE, 60, np.uint8)
    half = clean.copy()
    half[:, : WIDTH // 2] = 160
    test = SceneTest(SHAPE)
    test.explained(clean, 5.0)
    assert test.explained(half, 5.0) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(7, 200, 3), (200, 7, 1)])
def test_frames_that_are_too_small_to_tell_are_explained(shape: tuple[int, int, int]) -> None:
    test = SceneTest(shape)
    assert test.explained(np.zeros(shape, np.uint8)) == 1.0
    assert test.explained(np.full(shape, 255, np.uint8)) == 1.0


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 64, 3), (64, 9, 3)])
def test_the_smallest_frames_that_can_tell(shape: tuple[int, int, int]) -> None:
    test = SceneTest(shape)
    test.explained(np.zeros(shape, np.uint8))
    assert test.explained(np.full(shape, 255, np.uint8)) == 0.0


def test_a_frame_whose_rows_are_padded_in_memory_is_not_copied() -> None:
    """Some drivers give such frames."""
    padded = [np.zeros((480, 704, 3), np.uint8) for _ in range(3)]
    test, same = SceneTest((480, 640, 3)), SceneTest((480, 640, 3))
    for seed, memory in enumerate(padded):
        frame = noisy(scene(seed, 480, 640), 10.0, seed)
        memory[:, :640] = frame
        tracemalloc.start()
        found = test.explained(memory[:, :640], 10.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == same.explained(frame, 10.0)
        assert peak < 30_000

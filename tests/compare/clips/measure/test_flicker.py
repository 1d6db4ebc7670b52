"""Flicker: a known wobble in a still scene, and what does not count as still."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare.clips.clip import Shot
from compare.clips.measure.flicker import Flicker
from tests.compare.clips.fakes import flat


def still(clean: np.ndarray) -> Shot:
    return Shot(clean, clean, np.zeros(clean.shape[:2], bool))


def test_a_known_wobble_is_its_standard_deviation() -> None:
    flicker = Flicker(40)
    for number in range(40):
        flicker.add(still(flat(100)), {"wobbles": flat(105 if number % 2 else 95), "calm": flat(90)})
    assert flicker.result("wobbles") == pytest.approx(5.0 * math.sqrt(20 / 19))  # two stretches of 20 frames
    assert flicker.result("calm") == 0.0


def test_it_is_what_numpy_computes_for_noise() -> None:
    frames = np.random.default_rng(0).integers(80, 120, (33, 16, 16, 3), np.uint8)
    flicker = Flicker(33)
    for frame in frames:
        flicker.add(still(flat(100)), {"noise": frame})
    stretches = [frames[:16], frames[16:32]]  # the last frame is left over
    deviations = [each.astype(float).std(axis=0, ddof=1) for each in stretches]
    assert flicker.result("noise") == pytest.approx(np.mean(deviations))


def test_a_pixel_that_moves_counts_in_no_stretch_in_which_it_moves() -> None:
    flicker = Flicker(40)
    for number in range(40):
        moving = np.zeros((16, 16), bool)
        moving[:8] = number == 5
        picture = flat(100)
        picture[:8] += np.uint8(50 * (number == 5) + (number >= 20) * (number % 2))
        flicker.add(Shot(picture, flat(100), moving), {"one": picture})
    # The upper half counts in the second stretch alone, where it wobbles by 1; the lower half never wobbles.
    assert flicker.result("one") == pytest.approx(0.5 * math.sqrt(20 / 19) / 3)


def test_a_slow_pan_is_not_still() -> None:
    flicker = Flicker(20)
    for number in range(20):
        flicker.add(still(flat(100 + number)), {"follows": flat(100 + number)})
    assert flicker.result("follows") is None


def test_two_frames_are_enough() -> None:
    flicker = Flicker(2)
    for value in (100, 104):
        flicker.add(still(flat(100)), {"one": flat(value)})
    assert flicker.result("one") == pytest.approx(math.sqrt(8.0))

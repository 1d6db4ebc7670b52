"""Sums over samples: their memory stays the same, and the samples that are listed are an even choice."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from compare.tally import Tally
from compare.worst import WorstPatches, patch_errors
from quietcam.data.sets.pairs import Pair
from quietcam.data.sets.sidd import Instance
from tests.tiny_network import noisy_pictures


def least_growth(rounds, count=60):
    """Bytes that stay after each further round of ``count`` samples, in the round that left least; and what was fed.

    What something else in the process keeps for itself, once, is in one round; what grows with the samples is in each.
    """
    noisy, clean = (each[0] for each in noisy_pictures(1, 16))
    instance = Instance.parse("0001_001_S6_00100_00060_3200_L")
    tally, worst = Tally({"m": "noisy"}), WorstPatches()
    held = []
    tracemalloc.start()
    try:
        for _ in range(rounds):
            for index in range(count):
                name = f"sample {tally.samples} {index}"
                tally.add(name, Pair(name, None, None, instance), clean, {"noisy": noisy, "m": clean})
                worst.offer(name, patch_errors(clean, noisy), clean, {"m": noisy}, "m", None)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return int(np.diff(held).min()), tally, worst


def test_memory_does_not_grow_with_the_pairs(monkeypatch):
    kept, _, _ = least_growth(3)  # fewer than are listed: the scores of every sample stay
    monkeypatch.setattr("compare.tally.KEPT_PAIRS", 8)
    growth, tally, worst = least_growth(5)
    assert tally.samples == 300
    assert len(tally.pairs) == 8
    assert len(worst.patches()) == 10
    assert growth < kept / 4
    assert tally.quality("m", "noisy")["groups"]["iso"]["up to 100"].pictures == 300


def test_the_samples_that_are_listed_are_an_even_choice(monkeypatch):
    monkeypatch.setattr("compare.tally.KEPT_PAIRS", 50)
    tally = Tally({})
    picture = np.zeros((8, 8, 3), np.uint8)
    for index in range(500):
        tally.add(str(index), Pair(str(index), None, None), picture, {"noisy": picture})
    numbers = [int(pair.name) for pair in tally.pairs]
    assert numbers == sorted(numbers)
    assert np.mean(numbers) == pytest.approx(249.5, abs=60)  # three standard deviations
    assert len({number // 100 for number in numbers}) == 5

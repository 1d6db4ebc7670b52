"""A network that makes pictures worse: which data sets are named, and by how much."""

from __future__ import annotations

from quietcam.quality.worse import worse_in_validation, worse_than_noisy


def test_only_data_sets_that_get_worse_are_named_with_the_difference():
    assert worse_than_noisy({"a": (30.0, 25.0), "b": (25.0, 25.0)}) == []
    first, last = worse_than_noisy({"a": (24.13, 25.0), "b": (30.0, 25.0), "c": (20.0, 20.5)})
    assert first == "the network is 0.87 dB worse than the noisy picture on a: 24.13 dB denoised, 25.00 dB noisy"
    assert last.startswith(
        "the network is 0.50 dB worse than the noisy picture on c: 20.00 dB denoised, 20.50 dB noisy"
    )
    assert "Remedy: " in last


def test_validation_is_read_as_a_whole_or_set_by_set():
    assert worse_in_validation(None) == worse_in_validation({}) == worse_in_validation({"psnr": 31.0}) == []
    (found,) = worse_in_validation({"psnr": 24.0, "noisy_psnr": 25.0})
    assert "1.00 dB worse than the noisy picture on its validation crops" in found
    by_set = {"one": {"psnr": 20.0, "noisy_psnr": 22.0}, "two": {"psnr": 40.0, "noisy_psnr": 25.0}}
    (found,) = worse_in_validation({"psnr": 30.0, "noisy_psnr": 23.5, "by_set": by_set})
    assert "2.00 dB worse than the noisy picture on one" in found

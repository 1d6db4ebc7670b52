"""The architecture: costs worked out by hand, rules, conversion to a dictionary and back."""

import pytest

from quietcam.architecture import Architecture
from quietcam.errors import UsageError


def test_costs_of_a_tiny_network_are_as_worked_out_by_hand():
    # stem 2 on RGB: 12 channels at half size. down0_0: 3x3, 12 -> 8. residual: 3x3, 8 -> 12. Nothing else.
    network = Architecture(stem=2, widths=(8,), depths=(1,))
    assert network.parameters == (9 * 12 + 1) * 8 + (9 * 8 + 1) * 12
    assert network.gmacs(64, 32) == pytest.approx((9 * 12 * 8 + 9 * 8 * 12) * 32 * 16 / 1e9)
    assert network.stride == 2


def test_a_network_of_two_levels_is_as_worked_out_by_hand():
    network = Architecture(channels=1, stem=2, widths=(8, 16), depths=(1, 1))
    expected = {
        "down0_0": (9 * 4 * 8, 2),
        "down1_0": (9 * 8 * 16, 4),
        "rise0": (16 * 8, 4),
        "up0_0": (9 * 8 * 8, 2),
        "residual": (9 * 8 * 4, 2),
    }
    found = {c.name: (c.kernel**2 * c.inputs * c.outputs, c.scale) for c in network.convolutions()}
    assert found == expected
    assert network.stride == 4
    assert network.gmacs(16, 16) == pytest.approx(sum(n * (16 // s) ** 2 for n, s in expected.values()) / 1e9)


def test_the_fusion_of_a_video_network_is_as_worked_out_by_hand():
    # In cells of 8x8 RGB values: 192 -> 32, 3x3 on 32, 32 -> 192; nothing else differs from the still network.
    still, video = (Architecture(widths=(16, 32), depths=(1, 1), history=history) for history in (0, 1))
    fused = (192 + 1) * 32 + (9 * 32 + 1) * 32 + (32 + 1) * 192
    assert video.parameters - still.parameters == fused
    assert video.gmacs(64, 64) - still.gmacs(64, 64) == pytest.approx(64 * (192 * 32 * 2 + 9 * 32 * 32) / 1e9)
    assert (still.stride, video.stride) == (4, 8)
    assert video.receptive_field > still.receptive_field


def test_a_dictionary_gives_the_architecture_back():
    network = Architecture(channels=1, stem=4, widths=(32, 48), depths=(2, 3), history=1)
    assert Architecture.from_dict(network.to_dict()) == network


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"widths": [20, 32, 64, 96]}, "multiple of 8"),
        ({"channels": 4}, "channels"),
        ({"stem": 3}, "stem"),
        ({"widths": [16], "depths": [1, 1]}, "same length"),
        ({"depths": [0, 1, 1, 1]}, "at least 1"),
        ({"last_kernel": 2}, "3 or 1"),
        ({"history": 2}, "history must be"),
        ({"border": 3}, "0 to 16 pixels, and a multiple of stem.*border = 16 or less"),
        ({"border": -2}, "border must be 0"),
        ({"border": 18}, "border must be 0"),
        ({"stem": 4, "border": 6}, "border=6, stem=4"),
        ({"widths": [8, 8], "depths": [1, 1], "border": 6}, "0 to 4 pixels.*border=6.*border = 4 or less"),
        ({"breadth": 3}, "Unknown keys"),
        ({"widths": "wide"}, "whole numbers"),
        ({"widths": 16}, "list of whole numbers"),
        ({"widths": [16.5, 32], "depths": [1, 1]}, "list of whole numbers"),
        ({"widths": ["16"], "depths": [1]}, "list of whole numbers"),
        ({"widths": [16], "depths": [True]}, "list of whole numbers"),
        ({"channels": [3]}, "a whole number"),
        ({"channels": 3.0}, "a whole number"),
        ({"widths": [4096] * 5, "depths": [64] * 5}, "million weights"),
        ({"widths": [10**30], "depths": [1]}, "multiple of 8"),
        ([], "a table"),
        ([{}], "a table"),
        (None, "a table"),
    ],
)
def test_impossible_architectures_are_refused(values, said):
    with pytest.raises(UsageError, match=said):
        Architecture.from_dict(values)

"""Memory and time by hand: every figure is computed here a second way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.coral.check import check_content
from convert.coral.memory import BUSES, CHIP, MIB, PARAMETERS_MOST, Memory, assumptions, estimate, largest_tile, measure
from quietcam.tflite.graph import read_graph

from .graphs import SIDE, graph


def test_the_peak_of_a_chain_is_its_widest_neighbors():
    """conv 3 -> 8 -> 8 channels at 16x16: alive are at most the two ends of one operator."""
    memory = measure(read_graph(graph("good")).ops)
    area = SIDE * SIDE
    assert memory.activations == max(3 + 8, 8 + 8) * area
    assert memory.widest == 1
    weights = 3 * 3 * 3 * 8 + 3 * 3 * 8 * 8
    assert memory.parameters == weights + 4 * (8 + 8)


def test_a_skip_is_alive_until_it_is_used():
    """concat of 8 and 16 channels: while the second is made from the input, the first waits."""
    memory = measure(read_graph(graph("concat")).ops)
    area = SIDE * SIDE
    assert memory.activations == (8 + 16 + 24) * area


def test_nothing_takes_nothing():
    assert measure([]) == Memory(0, 0, None)


def test_parameters_stay_on_the_chip_as_far_as_there_is_room():
    assert Memory(1 * MIB, 1 * MIB, 0).streamed == 0
    assert Memory(9 * MIB, 1 * MIB, 0).cached == 7 * MIB
    assert Memory(9 * MIB, 0, 0).cached == PARAMETERS_MOST
    assert Memory(1 * MIB, 9 * MIB, 0).streamed == 1 * MIB
    assert not Memory(0, 9 * MIB, 0).fits
    assert Memory(2 * MIB, 2 * MIB, 0).is_far_from_the_cliff
    assert not Memory(2 * MIB, 2 * MIB + 1, 0).is_far_from_the_cliff


@settings(deadline=None)
@given(
    parameters=st.integers(0, 3 * MIB),
    for_one_pixel=st.integers(1, 64),
    stride=st.sampled_from([1, 2, 8, 16]),
)
def test_the_largest_tile_stays_far_from_the_cliff_and_the_next_does_not(parameters, for_one_pixel, stride):
    side = largest_tile(Memory(parameters, for_one_pixel * 64 * 64, 0), 64, 64, stride)
    assert side % stride == 0
    assert Memory(parameters, for_one_pixel * side * side, 0).is_far_from_the_cliff
    wider = side + stride
    assert parameters + for_one_pixel * wider * wider > CHIP / 2


def test_the_estimate_is_the_sum_that_it_says():
    by_bus = {each.bus: each for each in estimate(sent=640_000, streamed=0, macs=600_000_000)}
    usb3 = by_bus["USB 3"]
    assert usb3.compute == pytest.approx(1.0)
    assert usb3.transfer == pytest.approx(0.7 + 2.0)
    assert usb3.least == pytest.approx(2.0 + 0.3)
    assert by_bus["USB 2"].transfer > usb3.transfer > by_bus["PCIe"].transfer


def test_streamed_parameters_cost_their_way():
    plain, streamed = (estimate(0, size, 0)[0].transfer for size in (0, 32_000_000))
    assert streamed - plain == pytest.approx(100.0)


def test_published_times_are_met_within_a_third():
    """Coral's own table, USB 3: MobileNet v1 (0.57 GMACs) 2.4 ms, Inception v1 (1.5 GMACs) 3.4 ms, both 224x224x3."""
    for macs, published in ((0.57e9, 2.4), (1.5e9, 3.4)):
        usb3 = estimate(224 * 224 * 3 + 1000, 0, int(macs))[0]
        assert usb3.total == pytest.approx(published, rel=1 / 3)
        assert usb3.least < published


def test_every_assumption_is_printed():
    text = " ".join(assumptions())
    for bus in BUSES:
        assert bus.name in text
        assert f"{bus.rate / 1e6:.0f} MB/s" in text
    assert "nothing was measured" in text


def test_the_report_s_estimate_counts_both_ends():
    report = check_content(graph("good"), "good")
    sent = SIDE * SIDE * (3 + 8)
    macs = SIDE * SIDE * 9 * (3 * 8 + 8 * 8)
    assert list(report.estimates) == estimate(sent, 0, macs)

"""The tile chosen from a network's description, compared with the graph that TensorFlow makes from that network."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.converter import convert_model
from convert.coral.memory import CHIP, measure
from convert.coral.tile import LARGEST_DOUBLED, activation_bytes, coral_tile
from convert.recipes import get_recipe
from edge.models import shipped_models
from quietcam.architecture import Architecture
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import read_manifest
from tests.tiny_network import SIZE, VIDEO


@st.composite
def architectures(draw):
    levels = draw(st.integers(1, 4))
    widths = tuple(8 * draw(st.integers(1, 12)) for _ in range(levels))
    depths = tuple(draw(st.integers(1, 3)) for _ in range(levels))
    stem, history = draw(st.sampled_from([2, 4])), draw(st.sampled_from([0, 1]))
    return Architecture(draw(st.sampled_from([1, 3])), stem, widths, depths, history=history)


def test_the_count_from_the_description_is_that_of_the_shipped_graphs():
    """Up to the operator before depth-to-space, where a graph for the Coral ends."""
    seen = 0
    for path in shipped_models():
        manifest = read_manifest(path)
        graph = read_graph(path.read_bytes())
        if manifest.recipe != "int8" or manifest.architecture is None:
            continue
        ops = graph.ops[:-1] if graph.ops[-1].kind == "DEPTH_TO_SPACE" else graph.ops
        architecture = Architecture.from_dict(manifest.architecture)
        least, most = (
            activation_bytes(architecture) * (manifest.width + extra) * (manifest.height + extra)
            for extra in (0, 2 * architecture.border)
        )  # a border is there from the stem to the residual
        assert least <= measure(ops).activations <= most, path.name
        seen += 1
    assert seen


def test_the_count_from_the_description_is_that_of_a_small_converted_graph(conversions, loaded):
    graph = conversions["int8"].graph
    described = activation_bytes(loaded.architecture)
    _, height, width, _ = graph.inputs[0].shape
    ops = graph.ops[:-1] if graph.ops[-1].kind == "DEPTH_TO_SPACE" else graph.ops
    assert measure(ops).activations == described * height * width


def test_the_count_from_the_description_is_that_of_a_converted_video_network(video_loaded, video_set):
    """At the size where the fusion is the widest part, and for the body alone."""
    made = convert_model(
        video_loaded, get_recipe("int8"), width=SIZE, height=SIZE, representative=video_set, is_coral=True
    )
    assert measure(made.graph.ops).activations == activation_bytes(VIDEO) * SIZE * SIZE
    assert measure(made.graph.ops).widest == next(
        number for number, op in enumerate(made.graph.ops) if op.kind == "SPLIT"
    )


def test_a_fusion_by_hand():
    """Noisy frame, difference, share and its rows are alive together: 3 bytes a pixel each."""
    assert activation_bytes(Architecture(3, 2, (16,), (1,), history=1)) == 12
    assert activation_bytes(Architecture(1, 2, (8,), (1,), history=1)) == 4
    wide = Architecture(3, 2, (64,), (1,))
    assert activation_bytes(replace(wide, history=1)) == activation_bytes(wide) == (12 + 64 + 12) / 4  # the body


def test_the_smallest_network_by_hand():
    """One level of 16 at stem 2: every tensor has a quarter of the pixels."""
    # stem, down0_0 (16), residual (12), blocks (12): widest is either 12 + 16 + 12 or 12 + 12 + 12, over 4.
    assert activation_bytes(Architecture(3, 2, (16,), (1,))) == (12 + 16 + 12) / 4


def test_a_doubling_limits_the_tile():
    assert coral_tile(Architecture(3, 2, (16, 32), (1, 1))) == 2 * LARGEST_DOUBLED
    assert coral_tile(Architecture(3, 4, (16, 32), (1, 1))) == 4 * LARGEST_DOUBLED
    assert coral_tile(Architecture(3, 2, (16,), (1,))) > 2 * LARGEST_DOUBLED  # nothing is doubled


@settings(max_examples=50, deadline=None)
@given(architectures())
def test_the_tile_is_whole_steps_and_far_from_the_cliff(architecture):
    tile = coral_tile(architecture)
    assert tile % architecture.stride == 0
    assert tile >= architecture.stride
    if architecture.levels > 1:
        assert tile // architecture.stem <= LARGEST_DOUBLED
    if architecture.parameters < CHIP // 4:
        assert activation_bytes(architecture) * tile * tile + architecture.parameters <= CHIP / 2


def test_a_network_that_fills_the_chip_still_gets_a_tile():
    tile = coral_tile(Architecture(3, 2, (256, 512), (2, 3)))
    assert 32 <= tile <= 256


@pytest.mark.parametrize("stem", [2, 4])
def test_wider_networks_get_no_larger_tiles(stem):
    sides = [coral_tile(Architecture(3, stem, (width, 2 * width), (1, 1))) for width in (32, 64, 128, 256)]
    assert sides == sorted(sides, reverse=True)

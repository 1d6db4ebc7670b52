"""The outline of a model file against what the interpreter says."""

from __future__ import annotations

from pathlib import Path

import pytest

from quietcam.tflite.outline import end_names, read_outline

NAMES = (
    "small_32x32_int8",
    "small_80x64_int8",
    "small_32x32_float32",
    "gray_32x32_int8",
    "bad_dynamic",
    "small_32x32_uint8",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_outline_is_what_the_interpreter_says(models: Path, name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    path = models / f"{name}.tflite"
    interpreter = litert.Interpreter(str(path))
    outline = read_outline(path.read_bytes(), name)
    assert outline.subgraphs == 1
    for ends, details in (
        (outline.inputs, interpreter.get_input_details()),
        (outline.outputs, interpreter.get_output_details()),
    ):
        for end, detail in zip(ends, details, strict=True):
            assert end.name == detail["name"]
            assert end.shape == tuple(detail["shape_signature"])
            assert end.dtype == detail["dtype"].__name__
            scale, zero_point = detail["quantization"]
            if end.quantization is None:
                assert scale == 0 or zero_point > 127 or end.dtype == "uint8"
            else:
                assert (end.quantization.scale, end.quantization.zero_point) == (scale, zero_point)


def test_inputs_and_outputs_are_counted(models: Path) -> None:
    assert len(read_outline((models / "bad_inputs.tflite").read_bytes(), "two").inputs) == 2
    assert len(read_outline((models / "bad_outputs.tflite").read_bytes(), "two").outputs) == 2


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_80x64_int8", "gray_32x32_int8"])
def test_the_arena_is_what_lives_at_once(models: Path, name: str) -> None:
    """The widest place is the ADD: two tensors go in and one comes out, each of the picture's bytes."""
    height, width, channels = (64, 80, 3) if "80" in name else (32, 32, 1 if "gray" in name else 3)
    picture = height * width * channels
    assert read_outline((models / f"{name}.tflite").read_bytes(), name).arena == 3 * picture


@pytest.mark.parametrize(
    ("told", "tensors", "names"),
    [
        ((), ("anything",), ("noisy",)),
        ((), ("serving_default_history:0", "serving_default_noisy:0"), ("history", "noisy")),
        ((), ("noisy", "history"), ("noisy", "history")),
        ((), ("input_1", "input_2"), None),
        ((), ("noisy", "noisy:0"), None),
        ((), ("noisy", "history", "input_3"), None),
        (("noisy", "history"), ("history", "noisy"), ("noisy", "history")),
        (("noisy", "history"), ("noisy",), None),
        (("noisy",), ("noisy", "history"), None),
        ((), (), None),
    ],
)
def test_names_of_inputs_are_those_of_the_manifest_or_of_the_tensors(
    told: tuple[str, ...], tensors: tuple[str, ...], names: tuple[str, ...] | None
) -> None:
    assert end_names(told, tensors, "noisy") == names


def test_names_of_outputs_follow_the_same_rule() -> None:
    assert end_names((), ("history_out", "denoised"), "denoised") == ("history", "denoised")
    assert end_names((), ("StatefulPartitionedCall:0", "StatefulPartitionedCall:1"), "denoised") is None
    assert end_names(("denoised", "history"), ("a", "b"), "denoised") == ("denoised", "history")

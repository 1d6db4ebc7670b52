"""A model file as a device uses it: read once, checked against the contract, with its manifest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.errors import ModelError
from quietcam.tflite.content import read_content
from quietcam.tflite.manifest import Manifest, read_manifest
from quietcam.tflite.outline import End, Outline, read_outline
from quietcam.tflite.quantization import Quantization

__all__ = ["ModelFile", "load_model"]

_STRIDE = 8  # of a model without a manifest, if its size allows it
_OVERLAP = 32
_MOST_ARENA, _LEAST_ARENA, _ARENA_OF_A_PIXEL = 1 << 30, 64 << 20, 4 << 10  # bytes; `base` in float32 takes 108 a pixel
_COMPILED = "edgetpu-custom-op"
"""The operator by which the Edge TPU's compiler replaces all operators that it mapped."""


@dataclass(frozen=True)
class ModelFile:
    """A model that keeps the contract: one input and one output, ``(1, height, width, channels)`` on both.

    Attributes:
        content: the bytes that were checked. The runtime loads these, and not the file again.
        ends: type of input and output: ``int8`` with the pixel identity, ``uint8`` for unchanged pixels, or
            ``float32`` in [0, 1].
        manifest: None if the file has none.
        block: side in pixels of the blocks that the graph leaves for depth-to-space; 0 if it gives the picture itself.
        is_compiled: the model was compiled for the Edge TPU and runs on nothing else.
        arena: least number of bytes that its intermediate tensors need. The runtime takes several times as many.
    """

    path: Path
    content: bytes
    height: int
    width: int
    channels: int
    ends: str
    manifest: Manifest | None
    block: int = 0
    is_compiled: bool = False
    arena: int = 0

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_int8(self) -> bool:
        """Whether input and output are int8."""
        return self.ends == "int8"

    @property
    def stride(self) -> int:
        """The total stride in pixels. Frames are cut into tiles at multiples of it."""
        return self.manifest.stride if self.manifest else math.gcd(_STRIDE, self.height, self.width)

    @property
    def reach(self) -> int | None:
        """How far from a pixel the network looks at most, in pixels; None if that is not known.

        It is more than half of the receptive field, since a pixel may lie at the edge of its cell of the stride.
        """
        field = self.manifest.receptive_field if self.manifest else None
        return None if field is None else (field + self.stride) // 2

    @property
    def overlap(self) -> int:
        """Pixels that neighboring tiles share: twice the reach, up to a quarter of a tile."""
        side = min(self.height, self.width)
        wanted = _OVERLAP if self.reach is None else 2 * self.reach
        return min(wanted, side // 4, side - self.stride)

    def about(self) -> dict[str, Any]:
        """Plain values for JSON, by which a child process rebuilds the model: all but its bytes and its manifest."""
        return {
            "path": str(self.path),
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "ends": self.ends,
            "block": self.block,
            "is_compiled": self.is_compiled,
        }

    @classmethod
    def rebuilt(cls, about: dict[str, Any], content: bytes, manifest: Manifest | None = None) -> ModelFile:
        """The model of which another process gave ``about``. It was checked there."""
        return cls(content=content, manifest=manifest, **about | {"path": Path(about["path"])})


def load_model(path: Path | str) -> ModelFile:
    """Read and check a model file.

    Raises:
        UsageError: there is no such file.
        ModelError: it cannot be read, is damaged or no TensorFlow Lite model, does not keep the contract, or its
            manifest is damaged or belongs to another model.
    """
    path = Path(path)
    content = read_content(path)
    outline = read_outline(content, str(path))
    manifest = read_manifest(path, content)
    block = _block(manifest, path)
    end = _check(outline, path, block)
    _, height, width, channels = end.shape
    if outline.arena > (most := min(_MOST_ARENA, _LEAST_ARENA + height * width * _ARENA_OF_A_PIXEL)):
        raise _refused(
            path,
            f"tensors that fit into {most >> 20} MiB at its size",
            f"{outline.arena >> 20} MiB for {width}x{height}",
        )
    if manifest is not None:
        _check_manifest(manifest, path, (width, height, channels))
        _check_ends(manifest, path, outline)
    compiled = _COMPILED in outline.custom
    return ModelFile(path, content, height, width, channels, end.dtype, manifest, block, compiled, outline.arena)


def _block(manifest: Manifest | None, path: Path) -> int:
    """Side of the blocks that the graph leaves to the host; 0 if it leaves nothing."""
    if manifest is None or manifest.tail is None:
        return 0
    if manifest.tail != "depth_to_space" or manifest.block not in (2, 4):
        raise ModelError(
            "What a graph leaves to the host is depth_to_space with a block of 2 or 4. "
            f"Received: {path}: tail={manifest.tail}, block={manifest.block}. "
            "Remedy: install a newer quietcam, or convert the model again with `quietcam convert`."
        )
    return manifest.block


def _check_manifest(manifest: Manifest, path: Path, size: tuple[int, int, int]) -> None:
    """A manifest may say more than the graph, but must not contradict it."""
    told, stride = (manifest.width, manifest.height, manifest.channels), manifest.stride
    if told != size or size[0] % stride or size[1] % stride:
        raise ModelError(
            "The size in a manifest must be that of its graph, and a multiple of its stride. Received: "
            f"{path}: {told[0]}x{told[1]}x{told[2]} with stride {stride}, for a graph of "
            f"{size[0]}x{size[1]}x{size[2]}. "
            "Remedy: convert the model again with `quietcam convert`."
        )


def _check_ends(manifest: Manifest, path: Path, outline: Outline) -> None:
    for word, told, end in (
        ("input", manifest.input, outline.inputs[0]),
        ("output", manifest.output, outline.outputs[0]),
    ):
        found = end.quantization if end.dtype != "float32" else None
        known = found and (found.scale, found.zero_point)
        if told is not None and (
            told.dtype != end.dtype or (known and known != (float(np.float32(told.scale)), told.zero_point))
        ):
            raise ModelError(
                f"Type and scale in a manifest must be those of its graph. Received: {path}: {word} {told.dtype} of "
                f"scale {told.scale:.8g} and zero point {told.zero_point}, for a graph with {end.dtype}"
                + (f" of scale {known[0]:.8g} and zero point {known[1]}. " if known else ". ")
                + "Remedy: convert the model again with `quietcam convert`."
            )


def _check(outline: Outline, path: Path, block: int) -> End:
    """Check an outline against the contract. Gives its input."""
    if outline.subgraphs != 1 or len(outline.inputs) != 1 or len(outline.outputs) != 1:
        raise _refused(
            path,
            "one subgraph with one input and one output",
            f"subgraphs={outline.subgraphs}, inputs={len(outline.inputs)}, outputs={len(outline.outputs)}",
        )
    source, target = outline.inputs[0], outline.outputs[0]
    received = f"input {source.dtype} {list(source.shape)}, output {target.dtype} {list(target.shape)}"
    if any(side < 1 for side in (*source.shape, *target.shape)):
        raise _refused(path, "a fixed size, not a dynamic one", received)
    if len(source.shape) != 4 or source.shape[0] != 1 or source.shape[3] not in (1, 3):
        raise _refused(path, "a batch of 1 and 1 or 3 channels, [1, height, width, channels]", received)
    if block:
        _, height, width, channels = source.shape
        if (
            height % block
            or width % block
            or target.shape
            != (
                1,
                height // block,
                width // block,
                channels * block**2,
            )
        ):
            raise _refused(path, f"the same picture at both ends, in blocks of {block} at the output", received)
    elif source.shape != target.shape:
        raise _refused(path, "the same size at both ends", received)
    if source.dtype != target.dtype or source.dtype not in ("int8", "uint8", "float32"):
        raise _refused(path, "int8 at both ends, or uint8, or float32", received)
    for word, end in (("input", source), ("output", target)):
        found = end.quantization
        if end.dtype == "int8" and not (found and found.is_pixel_identity):
            rule = "int8 ends of scale 1/255 and zero point -128 (the pixel identity)"
            raise _refused(path, rule, f"{word} {_told(found)}")
        if end.dtype == "uint8" and not (found and found.is_pixel):
            rule = "uint8 ends of scale 1/255 and zero point 0 (the pixels themselves)"
            raise _refused(path, rule, f"{word} {_told(found)}")
    return source


def _told(found: Quantization | None) -> str:
    return f"scale {found.scale:.8g} and zero point {found.zero_point}" if found else "without one scale for all of it"


def _refused(path: Path, rule: str, received: str) -> ModelError:
    return ModelError(
        f"A model that runs on frames has {rule}. Received: {path}: {received}. "
        "Remedy: convert the Keras model that it was made from with `quietcam convert`."
    )

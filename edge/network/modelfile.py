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
from quietcam.tflite.outline import End, Outline, end_names, read_outline
from quietcam.tflite.quantization import Quantization

__all__ = ["ModelFile", "load_model"]

_STRIDE = 8  # of a model without a manifest, if its size allows it
_OVERLAP = 32
_MOST_ARENA, _LEAST_ARENA, _ARENA_OF_A_PIXEL = 1 << 30, 64 << 20, 4 << 10  # bytes; `base` in float32 takes 108 a pixel
_COMPILED = "edgetpu-custom-op"
"""The operator by which the Edge TPU's compiler replaces all operators that it mapped."""


@dataclass(frozen=True)
class ModelFile:
    """A model that keeps the contract: ``(1, height, width, channels)`` at every input and output.

    Attributes:
        content: the bytes that were checked. The runtime loads these, and not the file again.
        ends: type of every input and output: ``int8`` with the pixel identity, ``uint8`` for unchanged pixels, or
            ``float32`` in [0, 1].
        manifest: None if the file has none.
        block: side in pixels of the blocks that the graph leaves for depth-to-space; 0 if it gives the picture itself.
        is_compiled: the model was compiled for the Edge TPU and runs on nothing else.
        arena: least number of bytes that its intermediate tensors need. The runtime takes several times as many.
        inputs: what the inputs hold, in the graph's order: ``noisy``, and ``history`` for a video network.
        outputs: what the outputs hold, in the graph's order: ``denoised``, and maybe ``history``.
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
    inputs: tuple[str, ...] = ("noisy",)
    outputs: tuple[str, ...] = ("denoised",)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_int8(self) -> bool:
        """Whether input and output are int8."""
        return self.ends == "int8"

    @property
    def remembers(self) -> bool:
        """Whether it is a video network: it takes a history beside the noisy frame."""
        return "history" in self.inputs

    @property
    def remembered(self) -> str:
        """The output that a video network takes as history with the next frame: ``history``, or else ``denoised``."""
        return "history" if "history" in self.outputs else "denoised"

    def shape_of(self, end: str) -> tuple[int, int, int, int]:
        """The shape of an input or output, with a batch of 1. Only ``denoised`` may be in blocks."""
        block = (self.block or 1) if end == "denoised" else 1
        return 1, self.height // block, self.width // block, self.channels * block**2

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
            "inputs": self.inputs,
            "outputs": self.outputs,
        }

    @classmethod
    def rebuilt(cls, about: dict[str, Any], content: bytes, manifest: Manifest | None = None) -> ModelFile:
        """The model of which another process gave ``about``. It was checked there."""
        known = {"path": Path(about["path"]), "inputs": tuple(about["inputs"]), "outputs": tuple(about["outputs"])}
        return cls(content=content, manifest=manifest, **about | known)


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
    inputs, outputs = _names(outline, manifest, path)
    noisy, denoised = _check(outline, path, block, inputs, outputs)
    _, height, width, channels = noisy.shape
    if outline.arena > (most := min(_MOST_ARENA, _LEAST_ARENA + height * width * _ARENA_OF_A_PIXEL)):
        raise _refused(
            path,
            f"tensors that fit into {most >> 20} MiB at its size",
            f"{outline.arena >> 20} MiB for {width}x{height}",
        )
    if manifest is not None:
        _check_manifest(manifest, path, (width, height, channels))
        _check_ends(manifest, path, noisy, denoised)
    return ModelFile(
        path,
        content,
        height,
        width,
        channels,
        noisy.dtype,
        manifest,
        block,
        is_compiled=_COMPILED in outline.custom,
        arena=outline.arena,
        inputs=inputs,
        outputs=outputs,
    )


def _names(outline: Outline, manifest: Manifest | None, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the inputs and the outputs hold, by the manifest or else by the names of the tensors."""
    sides = len(outline.inputs), len(outline.outputs)
    if outline.subgraphs != 1 or sides not in ((1, 1), (2, 1), (2, 2)):
        raise _refused(
            path,
            "one subgraph with one input and one output, or, as a video network, with the inputs noisy and history and "
            "the outputs denoised and maybe history",
            f"subgraphs={outline.subgraphs}, inputs={sides[0]}, outputs={sides[1]}",
        )
    found = []
    for word, told, ends, first in (
        ("inputs", manifest.inputs if manifest else (), outline.inputs, "noisy"),
        ("outputs", manifest.outputs if manifest else (), outline.outputs, "denoised"),
    ):
        tensors = [end.name for end in ends]
        names = end_names(told, tensors, first)
        if names is None:
            raise ModelError(
                f"A video network's {word} are {first} and history, by name: `{word}` in the manifest, or the names of "
                f"the tensors. Received: {path}: {', '.join(told or tensors)}, for a graph of {len(ends)} {word}. "
                "Remedy: convert the Keras model that it was made from with `quietcam convert`."
            )
        found.append(names)
    return found[0], found[1]


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


def _check_ends(manifest: Manifest, path: Path, noisy: End, denoised: End) -> None:
    for word, told, end in (("input", manifest.input, noisy), ("output", manifest.output, denoised)):
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


def _check(
    outline: Outline, path: Path, block: int, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> tuple[End, End]:
    """Check the ends of a graph against the contract. Gives ``noisy`` and ``denoised``."""
    ends = {
        f"{word} {name}" if name == "history" else word: end
        for word, names, found in (("input", inputs, outline.inputs), ("output", outputs, outline.outputs))
        for name, end in zip(names, found, strict=True)
    }
    noisy, denoised = ends["input"], ends["output"]
    received = ", ".join(f"{word} {end.dtype} {list(end.shape)}" for word, end in ends.items())
    if any(side < 1 for end in ends.values() for side in end.shape):
        raise _refused(path, "a fixed size, not a dynamic one", received)
    if len(noisy.shape) != 4 or noisy.shape[0] != 1 or noisy.shape[3] not in (1, 3):
        raise _refused(path, "a batch of 1 and 1 or 3 channels, [1, height, width, channels]", received)
    if block:
        _, height, width, channels = noisy.shape
        blocks = 1, height // block, width // block, channels * block**2
        if height % block or width % block or denoised.shape != blocks:
            raise _refused(path, f"the same picture at both ends, in blocks of {block} at the output", received)
    if any(end.shape != noisy.shape for end in ends.values() if not block or end is not denoised):
        raise _refused(path, "the same size at both ends", received)
    if noisy.dtype not in ("int8", "uint8", "float32") or any(end.dtype != noisy.dtype for end in ends.values()):
        raise _refused(path, "int8 at both ends, or uint8, or float32", received)
    for word, end in ends.items():
        found = end.quantization
        if end.dtype == "int8" and not (found and found.is_pixel_identity):
            rule = "int8 ends of scale 1/255 and zero point -128 (the pixel identity)"
            raise _refused(path, rule, f"{word} {_told(found)}")
        if end.dtype == "uint8" and not (found and found.is_pixel):
            rule = "uint8 ends of scale 1/255 and zero point 0 (the pixels themselves)"
            raise _refused(path, rule, f"{word} {_told(found)}")
    return noisy, denoised


def _told(found: Quantization | None) -> str:
    return f"scale {found.scale:.8g} and zero point {found.zero_point}" if found else "without one scale for all of it"


def _refused(path: Path, rule: str, received: str) -> ModelError:
    return ModelError(
        f"A model that runs on frames has {rule}. Received: {path}: {received}. "
        "Remedy: convert the Keras model that it was made from with `quietcam convert`."
    )

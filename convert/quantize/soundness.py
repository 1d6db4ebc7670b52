"""Checks that a float network outputs pictures, before the loss of int8 compared with it is measured.

If a network's output is white everywhere, int8 loses nothing to it, although the network is useless. So the float
output
is checked on the representative set first: is it finite, does it change with the picture, and does it resemble the
picture apart from noise?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.image import to_float
from quietcam.sensor.scenes import make_pair
from quietcam.tflite.graph import Tensor, read_graph
from quietcam.tflite.measurement import tensor_runner

__all__ = ["Fault", "find_fault", "some_frames"]

_Frame = NDArray[np.float32]

_FRAMES = 8
_CELL = 8
"""Side in pixels of a square over which noise averages out and the picture does not."""
_FAR = 0.15
"""Distance on the scale [0, 1]. The models that ship are off by at most 0.04 on SIDD at ISO 3200 and 6400, 0.05 at 15
to 18 dB, 0.06 where every other pixel is salt or pepper. The clean pictures themselves are off by 0.04, 0.06 and 0.12,
because clipping the noise shifts its mean."""
_CONTRAST = 8 / 255
"""Pictures with less are uniform, as from a covered lens; for them a network may rightly output one value."""
_SATURATED = 0.5
_NEAR_END = 0.1
"""Margin on the scale [0, 1]: darker pixels may become black and brighter ones white, as in night scenes and lamps."""
_NEAR = 3.0  # if other pixels bring the output this many times nearer to the input, the network was built for them
_OTHER_PIXELS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "0 to 255": (lambda x: x * 255, lambda y: y / 255, "Rescaling(255) in front and Rescaling(1/255) behind it"),
    "-1 to 1": (
        lambda x: x * 2 - 1,
        lambda y: (y + 1) / 2,
        "Rescaling(2, -1) in front and Rescaling(0.5, 0.5) behind it",
    ),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a float network. ``kind`` is ``not finite``, ``constant``, ``saturated`` or ``far``."""

    kind: str
    words: str

    def __str__(self) -> str:
        return self.words


def find_fault(content: bytes, frames: Iterable[_Frame]) -> Fault | None:
    """What is wrong with the outputs of the float model ``content`` on the first of ``frames``; None if nothing is.

    Args:
        frames: float32 ``[1, H, W, C]`` in [0, 1], of the model's size; for a video network ``[2, H, W, C]``, a noisy
            frame, then its history.
    """
    graph = read_graph(content)
    given = [frame for frame, _ in zip(frames, range(_FRAMES), strict=False)]
    found = _find(content, graph.denoised, given, "output")
    if found is None and graph.remembered is not None and graph.remembered.index != graph.denoised.index:
        found = _find(content, graph.remembered, given, "history")
    return found


def _find(content: bytes, out: Tensor, frames: Sequence[_Frame], word: str) -> Fault | None:
    """What is wrong with the output ``out``, which messages call ``word``."""
    run = _runner(content, out)
    outputs = [run(frame) for frame in frames]
    given = [frame[:1] for frame in frames]
    if any(a.shape != b.shape for a, b in zip(given, outputs, strict=True)):
        return None  # the output has another size: the contract check refuses it with a better message
    wrong = sum(int(np.sum(~np.isfinite(each))) for each in outputs)
    if wrong:
        total = sum(each.size for each in outputs)
        return Fault(
            "not finite",
            f"{100 * wrong / total:.3g} % of the float network's {word} is not a number (NaN or infinite). Remedy: "
            "train it again, with a lower learning rate",
        )
    found = _look(given, outputs, word)
    if found is None:
        return None
    kind, words, distance = found
    for pixels, (there, back, layers) in _OTHER_PIXELS.items():
        if _distance(given, [back(run(there(frame).astype(np.float32))) for frame in frames]) < distance / _NEAR:
            return Fault(
                kind,
                f"{words}. It was built for pixels of {pixels}, not for 0 to 1: with those pixels its {word} "
                f"resembles the picture. Remedy: put {layers}, and save it again",
            )
    return Fault(kind, f"{words}. Remedy: check that it is trained, takes pixels of 0 to 1, and outputs the picture")


def some_frames(height: int, width: int, channels: int, *, remembers: bool = False) -> list[_Frame]:
    """Generated noisy pictures, for use without a representative set.

    Args:
        remembers: for a video network: each clean picture is the history of its noisy one.
    """
    side = max(height, width, 32)
    pairs = (make_pair(seed, side, channels=channels) for seed in range(2))
    return [to_float(np.stack(pair[: 1 + remembers])[:, :height, :width]) for pair in pairs]


def _runner(content: bytes, out: Tensor) -> Callable[[_Frame], _Frame]:
    run = tensor_runner(content, [out.index])

    def denoise(frame: _Frame) -> _Frame:
        ((_, values),) = run(frame)
        return np.array(values, np.float32).reshape(out.shape)

    return denoise


def _look(given: Sequence[_Frame], outputs: Sequence[_Frame], word: str) -> tuple[str, str, float] | None:
    """The kind of fault, its description, and the distance between output and input; None if there is no fault."""
    distance = _distance(given, outputs)
    shown = [np.clip(each, 0, 1) for each in outputs]
    least, most = min(float(each.min()) for each in shown), max(float(each.max()) for each in shown)
    cells = [_cells(each) for each in given]
    contrast = max(float(each.max()) for each in cells) - min(float(each.min()) for each in cells)
    if most - least < 1 / 255 and contrast > _CONTRAST:
        level = round(255 * (least + most) / 2)
        color = {0: ", black all over", 255: ", white all over"}.get(level, "")
        return "constant", f"the float network's {word} is {level} of 255 whatever the picture is{color}", distance
    ends = np.mean(
        [
            np.mean(((b <= 0) & (a > _NEAR_END)) | ((b >= 1) & (a < 1 - _NEAR_END)))
            for a, b in zip(given, shown, strict=True)
        ]
    )
    if ends > _SATURATED:
        return (
            "saturated",
            f"{100 * ends:.0f} % of the float network's {word} is black or white where its input is neither",
            distance,
        )
    if distance > _FAR:
        words = f"the float network's {word} is far from its input: squares of {_CELL} pixels are off by "
        return "far", f"{words}{255 * distance:.0f} steps of 255", distance
    return None


def _distance(given: Sequence[_Frame], outputs: Sequence[_Frame]) -> float:
    """Root mean square difference between cells of the input and of the output, as displayed."""
    squares = [np.square(_cells(np.clip(b, 0, 1)) - _cells(a)).mean() for a, b in zip(given, outputs, strict=True)]
    return float(np.sqrt(np.mean(squares)))


def _cells(picture: _Frame) -> NDArray[np.float32]:
    _, height, width, channels = picture.shape
    rows, columns = max(1, height // _CELL), max(1, width // _CELL)
    cell_height, cell_width = height // rows, width // columns
    cut = picture[0, : rows * cell_height, : columns * cell_width]
    cells: NDArray[np.float32] = cut.reshape(rows, cell_height, columns, cell_width, channels).mean((1, 3))
    return cells

"""Runs a video network in a closed loop: each frame is denoised with what the network remembered of the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.data.clips.clip import group_clips
from quietcam.data.samples import SampleSet
from quietcam.image import Image
from quietcam.quality.gate import iso_of
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import tensor_runner

__all__ = ["LOOP", "as_pixels", "clips_of", "loop_runner", "still_clip"]

_Floats = NDArray[np.float32]

LOOP = 8
"""Frames of a clip that ``still_clip`` makes."""

_CLIPS, _LONGEST = 8, 32
_SHIFT = (7, 13)  # rows and columns by which the noise moves from one frame to the next


def loop_runner(content: bytes) -> Callable[[_Floats], _Floats]:
    """A function that denoises a clip with a video network, float or int8.

    It takes float32 ``[1 + T, H, W, C]`` in [0, 1]: the history of the first frame, then the T frames. It returns the T
    denoised frames, float32, multiples of 1/255. What is remembered is rounded to whole pixels, as on the device.
    """
    graph = read_graph(content)
    assert graph.remembered is not None
    shape = graph.noisy.shape
    run = tensor_runner(content, [graph.denoised.index, graph.remembered.index])

    def denoise(clip: _Floats) -> _Floats:
        history, shown = clip[:1], []
        for noisy in clip[1:]:
            values = [as_pixels(each).reshape(shape) for _, each in run(np.concatenate([noisy[None], history]))]
            history = values[1]
            shown.append(values[0])
        return np.concatenate(shown)

    return denoise


def still_clip(frame: _Floats, run: Callable[[_Floats], _Floats]) -> _Floats:
    """A clip of a scene that stands still, from one frame and its history: float32 ``[1 + LOOP, H, W, C]``.

    What the float network takes for noise is moved to other places in every frame, so that the noise is new and the
    scene is not.

    Args:
        frame: ``[2, H, W, C]``: the noisy frame, then its history.
        run: ``loop_runner`` of the float network.
    """
    noisy, history = frame
    scene = run(np.stack([history, noisy]))[0]
    noise = noisy - scene
    shifts = ((t * _SHIFT[0], t * _SHIFT[1]) for t in range(LOOP))
    clip = [scene + np.roll(noise, shift, (0, 1)) for shift in shifts]
    return as_pixels(np.stack([history, *clip]))


def clips_of(samples: SampleSet) -> Iterator[tuple[str | None, Image, Image]]:
    """ISO bucket, noisy frames and clean frames, both uint8 ``(T, H, W, C)``, of the clips that the pairs belong to.

    At most 8 clips, of which 32 frames each are used. Pairs that belong to no clip give one each: the scene stands
    still, and the noise of the pair is moved to other places in every frame.

    Raises:
        DataError: a frame cannot be read, or not one pair can be.
    """
    found, _ = group_clips(samples.pairs)
    for clip in found[:: max(1, len(found) // _CLIPS)]:
        frames = clip.read(0, _LONGEST)
        yield iso_of(clip.pairs[0]), frames.noisy, frames.clean
    if found:
        return
    for each in samples:
        noise = each.noisy.astype(np.int16) - each.clean
        moved = [np.roll(noise, (t * _SHIFT[0], t * _SHIFT[1]), (0, 1)) for t in range(LOOP)]
        noisy = np.clip(each.clean + np.stack(moved), 0, 255).astype(np.uint8)
        yield iso_of(each.pair), noisy, np.broadcast_to(each.clean, noisy.shape)


def as_pixels(values: NDArray[Any]) -> _Floats:
    """Float values or int8 codes as pixels: float32, multiples of 1/255, in [0, 1]."""
    steps = values.astype(np.float32) + 128 if values.dtype == np.int8 else np.clip(np.rint(values * 255), 0, 255)
    pixels: _Floats = steps / np.float32(255)
    return pixels

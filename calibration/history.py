"""Makes the history of a representative set: the float network is run over the frames before each sample.

A network is run on windows of its own size, at places that depend only on the sizes of frame, window and patch. So a
sample's source and box decide its history, and a set can be made again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.clips import STRETCH
from calibration.network import VideoNetwork
from quietcam.data.clips.noisy import NoisyClip
from quietcam.data.pictures.files import read_picture
from quietcam.data.sets.noisy_pictures import NoisyPicture
from quietcam.errors import DataError, UsageError
from quietcam.image import Image, as_channels
from quietcam.representative.set import RepresentativeSet, patch_sha256
from quietcam.terminal.progress import progress

__all__ = ["check_network", "with_history", "without_past"]


def check_network(network: VideoNetwork, size: int, channels: int) -> None:
    """
    Raises:
        UsageError: patches of that size and number of channels cannot have history by that network.
    """
    if channels != network.channels:
        remedy = "leave `gray` out" if network.channels == 3 else "set `gray`"
        raise UsageError(
            f"Patches have as many channels as the network. Received: {channels}, and {network.name} with "
            f"{network.channels}. Remedy: {remedy}."
        )
    if size > min(network.size):
        height, width = network.size
        raise UsageError(
            f"A patch must fit into a frame of the network. Received: `size={size}`, and {network.name} of "
            f"{width}x{height}. Remedy: `size={min(network.size)}`, or a network of larger frames."
        )


def with_history(chosen: RepresentativeSet, clips: Sequence[NoisyClip], network: VideoNetwork) -> RepresentativeSet:
    """The set with the history of each sample: what the network remembered after all frames before it.

    Of the first frame of a clip, or of a stretch of a long one, the noisy patch itself is the history.

    Raises:
        DataError: a frame before a sample cannot be read, or a sample is no frame of the clips.
        ModelError: the network cannot be run.
    """
    places = {frame.name: (clip, number) for clip in clips for number, frame in enumerate(clip.frames)}
    history = chosen.patches.copy()
    jobs: defaultdict[tuple[str, int, _Window], list[tuple[int, int]]] = defaultdict(list)
    frames: dict[str, NoisyClip] = {}
    shapes: dict[str, tuple[int, int]] = {}
    for index, (source, box) in enumerate(zip(chosen.source, chosen.box.tolist(), strict=True)):
        if source not in places:
            raise DataError(
                f"A sample with history must be a frame of a clip. Received: {source}, which is in no clip of the "
                "data. Remedy: give the data that the set was cut from."
            )
        clip, number = places[source]
        if number % STRETCH:
            if clip.name not in shapes:
                shapes[clip.name] = read_picture(clip.frames[0].place).shape[:2]
            window = _window(shapes[clip.name], network.size, box)
            jobs[clip.name, number - number % STRETCH, window].append((number, index))
            frames[clip.name] = clip
    with progress("Remembering", len(jobs)) as bar:
        for (name, first, window), samples in jobs.items():
            last = max(number for number, _ in samples)
            run = _run(frames[name].frames[first:last], window, network, chosen.channels)
            for number, remembered in enumerate(run, start=first + 1):
                for wanted, index in samples:
                    if wanted == number:
                        history[index] = window.cut(remembered, chosen.box[index].tolist())
            bar.advance()
    return _holding(chosen, history, {"model": network.name, "sha256": network.sha256, "remembers": network.remembers})


def without_past(chosen: RepresentativeSet, network: VideoNetwork) -> RepresentativeSet:
    """The set with each patch as its own history, as of a first frame: all that stills can give a video network."""
    told = {"model": network.name, "sha256": network.sha256, "remembers": network.remembers}
    return _holding(chosen, chosen.patches.copy(), told)


def _holding(chosen: RepresentativeSet, history: Image, told: dict[str, str]) -> RepresentativeSet:
    hashes = tuple(patch_sha256(each) for each in history)
    return replace(chosen, history=history, history_sha256=hashes, origin={**chosen.origin, "history": told})


@dataclass(frozen=True)
class _Window:
    """A part of every frame of a clip: where it begins, its size, and the network's size that it is filled up to."""

    y: int
    x: int
    height: int
    width: int
    size: tuple[int, int]

    def view(self, frame: Image) -> Image:
        part = frame[self.y : self.y + self.height, self.x : self.x + self.width]
        missing = [(0, full - had) for full, had in zip(self.size, part.shape[:2], strict=True)]
        return np.pad(part, [*missing, (0, 0)], mode="symmetric") if np.any(missing) else part

    def cut(self, remembered: Image, box: list[int]) -> Image:
        x0, y0, x1, y1 = box
        return remembered[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x]


def _window(frame: tuple[int, int], size: tuple[int, int], box: list[int]) -> _Window:
    """The window that holds a box; windows begin half a window apart where a frame is larger."""
    x0, y0, x1, y1 = box
    (y, height), (x, width) = (
        _along(length, window, first, last)
        for length, window, first, last in zip(frame, size, (y0, x0), (y1, x1), strict=True)
    )
    return _Window(y, x, height, width, size)


def _along(length: int, window: int, first: int, last: int) -> tuple[int, int]:
    """Where the window begins, and its length, along one axis: it holds ``first`` to ``last``."""
    if length <= window:
        return 0, length
    step = max(1, min(window // 2, window - (last - first)))
    return min(first // step * step, length - window), window


def _run(frames: Sequence[NoisyPicture], window: _Window, network: VideoNetwork, channels: int) -> Iterator[Image]:
    """What the network remembers after each of the frames; it begins without a past."""
    history: Image | None = None
    for frame in frames:
        noisy = window.view(as_channels(read_picture(frame.place), channels))
        if noisy.shape[:2] != window.size:
            raise DataError(
                f"The frames of a clip must have one size. Received: another one in {frame.name}. "
                "Remedy: crop them to one size, or make two clips."
            )
        history = network.remember(noisy, noisy if history is None else history)
        yield history

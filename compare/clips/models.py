"""Models on clips: run by the device's own code, as a stream, with history and without."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from compare.clips.contender import ClipContender
from compare.contenders import Contender
from edge.network.denoiser import Denoiser
from quietcam.image import Image, to_rgb

__all__ = ["ModelContender"]


class ModelContender(ClipContender):
    """A model that denoises the frames of a stream, with the do-no-harm gate off.

    Args:
        model: a still network or a video network.
        name: unique among all that take part.
        history: whether a video network remembers.
    """

    kind = "model"

    def __init__(self, model: Contender, name: str, *, history: bool = True) -> None:
        self.name = self.title = name
        self.model, self.history = model, history
        self._streaming: Denoiser | None = None
        self._timed: Denoiser | None = None

    def denoise(self, frames: Iterator[Image]) -> Iterator[Image]:
        """Denoise one clip from its first frame on."""
        if self.model.file is None:
            yield from self._by_keras(frames)
            return
        if self._streaming is None:
            self._streaming = self._open(None)
        self._streaming.resume()
        for frame in frames:
            yield to_rgb(self._streaming.treat(frame).image)

    def time(self, frames: Sequence[Image], threads: int) -> list[float]:
        """Seconds of each frame, with all that the runtime does for it; nothing for a ``.keras``."""
        if self.model.file is None:
            return []
        out = np.empty_like(frames[0])
        if self._timed is None:
            self._timed = self._open(threads)
            self._timed.treat(frames[0], out)  # memory is allocated at the first frame
        taken = []
        for frame in frames:
            start = time.perf_counter()
            self._timed.treat(frame, out)
            taken.append(time.perf_counter() - start)
        return taken

    def close(self) -> None:
        """Free the networks. May be called twice."""
        for each in (self._streaming, self._timed):
            if each is not None:
                each.close()
        self._streaming = self._timed = None

    def _by_keras(self, frames: Iterator[Image]) -> Iterator[Image]:
        keras, past = self.model.open_keras(), None
        for frame in frames:
            denoised, remembered = keras.follow(frame, past)
            past = remembered if self.history else None
            yield to_rgb(denoised)

    def _open(self, threads: int | None) -> Denoiser:
        assert self.model.file is not None
        return Denoiser(self.model.file, threads, stream=True, history=self.history)

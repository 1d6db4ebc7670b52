"""TunedFilter: a classical filter that takes part in a comparison on clips, at the best strength for each clip."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from compare.classic import Setting, search
from compare.clips.clip import ComparedClip
from compare.clips.contender import ClipContender
from compare.clips.filters.classic import CLIP_FILTERS, ClipFilter
from compare.clips.filters.ffmpeg import find_ffmpeg
from edge.network.interpreter import default_threads
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.metrics import finite_psnr

__all__ = ["Excerpts", "TunedFilter", "open_filters"]

_FRAMES = 24
"""Frames of an excerpt, from the middle of the clip."""

_SIZE = (640, 480)  # the most that is used of a frame's width and height
_TIMED = 3  # frames at least, of which the first does not count


@dataclass(frozen=True, eq=False)
class _Excerpt:
    noisy: list[Image]
    clean: list[Image]


class Excerpts:
    """A few frames of the clip that comes next, read once for all filters. They are all that is kept."""

    def __init__(self) -> None:
        self._clip: ComparedClip | None = None
        self._excerpt = _Excerpt([], [])

    def of(self, clip: ComparedClip) -> _Excerpt:
        """Up to 24 frames from the middle of ``clip``; of large frames, 640x480 pixels in the middle."""
        if self._clip is not clip:
            first = max(0, (clip.length - _FRAMES) // 2)
            self._excerpt = _Excerpt([], [])
            for shot in islice(clip.shots(), first, first + _FRAMES):
                self._excerpt.noisy.append(_middle(shot.noisy))
                self._excerpt.clean.append(_middle(shot.clean))
            self._clip = clip
        return self._excerpt


class TunedFilter(ClipContender):
    """A filter that finds its best strength for a clip by comparing with the clean frames, which no device has.

    The search walks through the grid of strengths: along one axis to the nearest maximum of PSNR, then along the next,
    until no axis gives more. It uses the last frames of an excerpt.

    Args:
        excerpts: shared by all filters of a comparison.
    """

    kind = "classic"

    def __init__(self, filter_: ClipFilter, excerpts: Excerpts | None = None) -> None:
        self.filter = filter_
        self.name, self.title = filter_.name, filter_.title
        self.setting = filter_.start
        self._excerpts = excerpts or Excerpts()

    def prepare(self, clip: ComparedClip) -> str:
        """Choose the setting for ``clip``; ``setting`` is it from now on."""
        tried: dict[Setting, float] = {}
        excerpt = self._excerpts.of(clip)
        count = self.filter.settle + self.filter.judged
        noisy, clean = excerpt.noisy[-count:], excerpt.clean[-count:]

        def quality(setting: Setting) -> float:
            if setting not in tried:
                tried[setting] = self._quality(noisy, clean, setting)
            return tried[setting]

        self.setting = search(self.filter.axes, self.filter.start, quality)
        return self.filter.describe(self.setting)

    def denoise(self, frames: Iterator[Image]) -> Iterator[Image]:
        """Filter one clip with ``setting``, with as many threads as may run here: more give the same pictures."""
        return self.filter.run(frames, self.setting, default_threads())

    def time(self, frames: Sequence[Image], threads: int) -> list[float]:
        """Seconds of a frame with ``setting``, the mean of all but the first, in whose time a program starts.

        For ffmpeg this includes the way through its pipes, and to the form of pixels that the filter takes and back.
        """
        given = frames[: max(_TIMED, self.filter.judged)]
        running = self.filter.run(iter(given), self.setting, threads)
        next(running)
        start = time.perf_counter()
        rest = sum(1 for _ in running)
        return [(time.perf_counter() - start) / rest] if rest else []

    def _quality(self, noisy: Sequence[Image], clean: Sequence[Image], setting: Setting) -> float:
        """Mean PSNR of the frames by which the filter is judged."""
        judged = len(noisy) - self.filter.judged  # from this frame on
        pairs = zip(clean, self.filter.run(iter(noisy), setting, default_threads()), strict=True)
        return statistics.fmean(finite_psnr(*pair) for number, pair in enumerate(pairs) if number >= judged)


def open_filters(names: Sequence[str]) -> list[ClipContender]:
    """The filters of these names (``CLIP_FILTERS``), each once.

    Raises:
        UsageError: a name is not known.
        MissingExtraError: one is of ffmpeg, which is not installed.
    """
    if unknown := [name for name in names if name not in CLIP_FILTERS]:
        raise UsageError(f"`classic` names filters: {', '.join(CLIP_FILTERS)}. Received: {', '.join(unknown)}.")
    if any(CLIP_FILTERS[name].needs_ffmpeg for name in names):
        find_ffmpeg()  # now, and not after hours
    excerpts = Excerpts()
    return [TunedFilter(CLIP_FILTERS[name], excerpts) for name in dict.fromkeys(names)]


def _middle(frame: Image) -> Image:
    """A copy of at most 640x480 pixels in the middle of a frame."""
    width, height = _SIZE
    y, x = max(0, frame.shape[0] - height) // 2, max(0, frame.shape[1] - width) // 2
    return frame[y : y + height, x : x + width].copy()

"""Classical filters for clips: what each does, and the strengths that are tried."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice

from compare.classic import FILTERS, Axes, Filter, Setting
from compare.clips.filters.ffmpeg import run_ffmpeg
from compare.clips.filters.nlm import denoise_over_frames
from quietcam.image import Image

__all__ = ["CLIP_FILTERS", "ClipFilter"]


@dataclass(frozen=True)
class ClipFilter:
    """A filter for clips.

    Attributes:
        axes: the strengths to try, ascending, by the name of what they set. The search begins at ``start``.
        run: ``run(frames, setting, threads)`` gives a clip filtered: uint8 ``(H, W, 3)``, as many, in their order.
        needs_ffmpeg: whether ``run`` starts that program.
        settle: frames that it takes until it is as good as it gets.
        judged: frames, after these, that the search judges it by.
    """

    name: str
    title: str
    axes: Axes
    start: Setting
    run: Callable[[Iterator[Image], Setting, int], Iterator[Image]]
    needs_ffmpeg: bool
    settle: int
    judged: int

    def describe(self, setting: Setting) -> str:
        """A setting as people read it."""
        words = [f"{name} {value:g}" for name, value in zip(self.axes, setting, strict=True)]
        first = next(iter(self.axes.values()))
        return ", ".join(words) + (" (the strongest that was tried)" if setting[0] == first[-1] else "")


def _hqdn3d(frames: Iterator[Image], setting: Setting, threads: int) -> Iterator[Image]:
    """Recursive averaging in space and time. 16 bits a value: RGB comes back exactly, and averages are not rounded."""
    spatial, temporal, color = setting
    strengths = f"{spatial:g}:{color * spatial:g}:{temporal:g}:{color * temporal:g}"
    return run_ffmpeg(frames, f"format=yuv444p16,hqdn3d={strengths}", threads)


def _atadenoise(frames: Iterator[Image], setting: Setting, threads: int) -> Iterator[Image]:
    """Averages a pixel over the frames before and after, as long as it changes little.

    In YUV: with RGB it is up to 4 dB worse at the same threshold, and 0.1 to 0.3 dB at the best one (measured). 16 bits
    a value, as for hqdn3d.
    """
    threshold, count = setting
    ahead = [*islice(frames, int(count) // 2)]
    if len(ahead) < 2:
        yield from ahead  # nothing to average with
        return
    count = min(count, 2 * len(ahead) + 1)  # if fewer frames come than it looks ahead, ffmpeg 5.1 never ends
    thresholds = ":".join(f"{plane}a={threshold:g}:{plane}b={2 * threshold:g}" for plane in range(3))
    source = _Mirrored(chain(ahead, frames), int(count) // 2)
    filters = f"format=yuv444p16,atadenoise={thresholds}:s={count:g}"
    with closing(run_ffmpeg(iter(source), filters, threads)) as filtered:
        for number, frame in enumerate(filtered):
            if number == source.length:
                return
            yield frame


class _Mirrored:
    """Frames, and after the last one the ``more`` before it in reverse order, so that averages go on to the end.

    ffmpeg would repeat the last frame and its noise: up to 5 dB less in the last frames (measured).

    Attributes:
        length: how many frames there were, without the mirrored ones; known at their end.
    """

    def __init__(self, frames: Iterator[Image], more: int) -> None:
        self._frames, self._more = frames, more
        self.length = 0

    def __iter__(self) -> Iterator[Image]:
        last: deque[Image] = deque(maxlen=self._more + 1)
        for frame in self._frames:
            last.append(frame)
            self.length += 1
            yield frame
        yield from [*last][-2::-1]


def _nlmeans(frames: Iterator[Image], setting: Setting, threads: int) -> Iterator[Image]:
    """Non-local means within each frame. The filter knows no more than 8 bits.

    YUV of full range is the best of them: 0.3 dB above limited range where the noise is weak, 0.2 to 0.3 dB above RGB
    (measured at gains 8 and 24).
    """
    return run_ffmpeg(frames, f"scale=out_range=full,format=yuv444p,nlmeans=s={setting[0]:g}", threads)


def _nlm_multi(frames: Iterator[Image], setting: Setting, threads: int) -> Iterator[Image]:
    return _with_threads(denoise_over_frames(frames, setting[0]), threads)


def _with_threads(frames: Iterator[Image], threads: int) -> Iterator[Image]:
    """The frames, each made while OpenCV has that many threads."""
    import cv2

    while True:
        before = cv2.getNumThreads()
        cv2.setNumThreads(threads)
        try:
            frame = next(frames, None)
        finally:
            cv2.setNumThreads(before)
        if frame is None:
            return
        yield frame


def _frame_by_frame(each: Filter) -> ClipFilter:
    def run(frames: Iterator[Image], setting: Setting, threads: int) -> Iterator[Image]:
        return _with_threads((each.apply(frame, *setting) for frame in frames), threads)

    return ClipFilter(each.name, each.title, each.axes, each.start(5.0), run, needs_ffmpeg=False, settle=0, judged=1)


CLIP_FILTERS = {
    each.name: each
    for each in (
        ClipFilter(
            "hqdn3d",
            "hqdn3d of ffmpeg",
            {
                "spatial": (0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0),
                "temporal": (0.5, 1.5, 3.0, 6.0, 12.0, 18.0, 24.0, 36.0, 48.0, 72.0),
                "color": (0.75, 1.5, 2.5),
            },
            (8.0, 12.0, 1.5),
            _hqdn3d,
            needs_ffmpeg=True,
            settle=12,
            judged=12,
        ),
        ClipFilter(
            "atadenoise",
            "atadenoise of ffmpeg",
            {"threshold": (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3), "frames": (5.0, 9.0, 17.0)},
            (0.1, 9.0),
            _atadenoise,
            needs_ffmpeg=True,
            settle=16,
            judged=8,
        ),
        ClipFilter(
            "nlmeans",
            "nlmeans of ffmpeg",
            {"strength": (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 22.0, 30.0)},
            (6.0,),
            _nlmeans,
            needs_ffmpeg=True,
            settle=0,
            judged=1,
        ),
        ClipFilter(
            "nlm_multi",
            "Non-local means over 3 frames",
            FILTERS["nlm"].axes,
            (5.0,),
            _nlm_multi,
            needs_ffmpeg=False,
            settle=1,
            judged=1,
        ),
        *map(_frame_by_frame, FILTERS.values()),
    )
}
"""Every filter by its name."""

"""Several contenders over one clip in step: what each made of a frame is there at the same time."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack

from compare.clips.clip import ComparedClip, Shot
from compare.clips.contender import ClipContender
from quietcam.errors import ModelError
from quietcam.image import Image

__all__ = ["in_step"]


def in_step(clip: ComparedClip, contenders: Sequence[ClipContender]) -> Iterator[tuple[Shot, Mapping[str, Image]]]:
    """Each frame of the clip, and by the contender's name what it made of that frame.

    Frames are read once. So many are in memory as the contender that looks ahead farthest takes in advance.

    Raises:
        ModelError: a contender gives fewer frames than it took, or frames of another shape.
    """
    waiting: deque[Shot] = deque()

    def noted() -> Iterator[Image]:
        for shot in clip.shots():
            waiting.append(shot)
            yield shot.noisy

    branches = itertools.tee(noted(), len(contenders))
    with ExitStack() as stack:
        running = []
        for each, branch in zip(contenders, branches, strict=True):
            frames = each.denoise(branch)
            if isinstance(frames, Generator):
                stack.callback(frames.close)  # now, and not when it is collected: it may hold a network
            running.append(frames)
        for number in range(clip.length):
            pictures = {each.name: next(frames, None) for each, frames in zip(contenders, running, strict=True)}
            shot = waiting.popleft()
            yield shot, {name: _checked(name, number, picture, shot) for name, picture in pictures.items()}


def _checked(name: str, number: int, picture: Image | None, shot: Shot) -> Image:
    if picture is None or picture.shape != shot.noisy.shape:
        got = "none" if picture is None else f"one of shape {picture.shape}"
        raise ModelError(
            f"Each frame of a clip must come back, in its own shape {shot.noisy.shape}. Received: {got} from {name} "
            f"for frame {number}. Remedy: leave {name} out."
        )
    return picture

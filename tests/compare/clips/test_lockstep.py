"""Contenders in step: what each made of a frame is there at the same time, even if it looks ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest

from compare.clips.lockstep import in_step
from quietcam.errors import ModelError
from quietcam.image import Image
from tests.compare.clips.fakes import FakeContender, clip_of, flat


def ahead(frames: Iterator[Image]) -> Iterator[Image]:
    """Each frame, given when the third one after it is there."""
    held: deque[Image] = deque()
    for frame in frames:
        held.append(frame)
        if len(held) > 3:
            yield held.popleft()
    yield from held


def test_a_contender_that_looks_ahead_is_in_step_with_the_others() -> None:
    clip = clip_of([flat(value) for value in range(60, 160, 10)])
    contenders = [FakeContender("plain", lambda frames: frames), FakeContender("ahead", ahead)]
    seen = list(in_step(clip, contenders))
    assert len(seen) == 10
    for shot, pictures in seen:
        assert np.array_equal(pictures["plain"], shot.noisy)
        assert np.array_equal(pictures["ahead"], shot.noisy)


def test_a_contender_that_loses_a_frame_is_named() -> None:
    def loses(frames: Iterator[Image]) -> Iterator[Image]:
        next(frames)
        return frames

    with pytest.raises(ModelError, match=r"Received: none from lossy for frame 2"):
        list(in_step(clip_of([flat(100)] * 3), [FakeContender("lossy", loses)]))


def test_a_contender_that_changes_the_size_is_named() -> None:
    cropped = FakeContender("cropped", lambda frames: (frame[1:] for frame in frames))
    with pytest.raises(ModelError, match=r"own shape \(16, 16, 3\). Received: one of shape \(15, 16, 3\) from cropped"):
        list(in_step(clip_of([flat(100)] * 3), [cropped]))


def test_what_a_contender_holds_is_freed_when_the_clip_ends() -> None:
    freed = []

    def holds(frames: Iterator[Image]) -> Iterator[Image]:
        try:
            yield from frames
        finally:
            freed.append(True)

    clip = clip_of([flat(100)] * 3)
    for _ in in_step(clip, [FakeContender("holds", holds)]):
        assert not freed
    assert freed

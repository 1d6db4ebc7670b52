"""When a video network remembers, and when it forgets: the rules by themselves."""

from __future__ import annotations

import numpy as np

from edge.network.past.past import LONGEST, Forgot, Past
from quietcam.image import Image

RNG = np.random.default_rng(0)


def frame(level: int = 100, height: int = 64, width: int = 64) -> Image:
    return np.clip(RNG.normal(level, 10.0, (height, width, 3)), 0, 255).astype(np.uint8)


def saw(past: Past, image: Image | None = None, taken: float | None = None, half: bool = False) -> int:
    """Show a frame to a network that runs; gives how many frames it remembered."""
    if taken is not None:
        past.coming(taken)
    explained = past.explains(frame() if image is None else image, half, 10.0)
    remembered = past.frames
    assert explained == (remembered > 0)
    past.ran()
    return remembered


def test_the_first_frame_has_no_past_and_each_next_one_a_longer_one() -> None:
    past = Past()
    assert [saw(past) for _ in range(4)] == [0, 1, 2, 3]
    assert not past.forgotten, "at the first frame there is nothing to forget"


def test_a_cut_is_found_on_its_frame_only() -> None:
    past = Past()
    assert [saw(past, frame(60 if t < 5 else 180)) for t in range(9)] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert past.forgotten == {Forgot.SCENE: 1}


def test_a_gap_is_forgotten_when_it_is_longer_than_a_second() -> None:
    past = Past()
    times = [0.0, 0.04, 0.04 + LONGEST, 0.05 + 2 * LONGEST, 10.0, 10.04]
    assert [saw(past, taken=taken) for taken in times] == [0, 1, 2, 0, 0, 1]
    assert past.forgotten == {Forgot.GAP: 2}


def test_time_that_goes_back_is_a_gap() -> None:
    past = Past()
    assert [saw(past, taken=taken) for taken in (5.0, 5.1, 0.0, 0.1)] == [0, 1, 0, 1]


def test_frames_that_do_not_reach_the_network_make_the_past_older() -> None:
    past = Past()
    saw(past, taken=0.0)
    past.coming(0.6)  # the gate is closed
    assert saw(past, taken=LONGEST) == 1
    past.coming(1.9)
    assert saw(past, taken=0.1 + 2 * LONGEST) == 0


def test_what_changed_while_nobody_looked_is_another_scene() -> None:
    past = Past()
    saw(past, frame(60), taken=0.0)
    past.coming(0.1)
    assert saw(past, frame(180), taken=0.2) == 0
    assert past.forgotten == {Forgot.SCENE: 1}


def test_another_size_and_half_the_size_are_forgotten() -> None:
    past = Past()
    kinds = [(64, False), (64, False), (64, True), (64, True), (64, False), (80, False), (80, False)]
    assert [saw(past, frame(width=width), half=half) for width, half in kinds] == [0, 1, 0, 1, 0, 0, 1]
    assert past.forgotten == {Forgot.SIZE: 3}


def test_a_camera_that_came_back_is_forgotten_once() -> None:
    past = Past()
    found = []
    for t, opened in enumerate((0, 0, 1, 1, 2)):
        past.coming(t / 25, opened)
        found.append(saw(past))
    assert found == [0, 1, 0, 1, 0]
    assert past.forgotten == {Forgot.CAMERA: 2}


def test_the_other_models_past_is_not_this_ones_and_the_counts_go_on() -> None:
    first, second = Past(), Past()
    saw(first)
    saw(first)
    second.follow(first)
    assert saw(second) == 0
    first.follow(second)
    assert saw(first) == 0
    assert first.forgotten == second.forgotten == {Forgot.MODEL: 2}

"""What is worse than before, by figures worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from edge.update.slots.figures import Figures, figures_between, worse

BEFORE = Figures(seconds=600, frames=6000, dropped=60, lessened=30)  # 1 %, 5 %


def report(frames: int, seconds: float, dropped: int = 0, **parts: Any) -> dict[str, Any]:
    return {"frames": frames, "seconds": seconds, "dropped": dropped, **parts}


def test_a_second_of_a_run() -> None:
    figures = figures_between(report(100, 10.0, 3), report(125, 11.5, 8))
    assert figures == Figures(1.5, 25, 5, 0.0)
    assert figures + figures == Figures(3.0, 50, 10, 0.0)


@pytest.mark.parametrize(
    "part",
    [{"ladder": {"step": "fewer pixels"}}, {"device": {"used": "cpu", "wanted": "usb", "reason": "it was unplugged"}}],
)
def test_less_than_full_treatment_is_counted(part: dict[str, Any]) -> None:
    assert figures_between(report(0, 0.0), report(10, 1.0, **part)).lessened == 1.0


def test_nothing_is_counted_while_no_frame_comes() -> None:
    assert figures_between(report(100, 10.0), report(100, 11.0)) == Figures()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (BEFORE, None),
        (Figures(600, 6000, 660), None),  # 9.9 %
        (Figures(600, 6000, 1000), "14% of frames are dropped, 1% before"),
        (Figures(600, 6000, 0, 89), None),  # 14.8 %
        (Figures(600, 6000, 0, 120), "20% of the time frames get less than full treatment, 5% before"),
    ],
)
def test_worse(now: Figures, expected: str | None) -> None:
    assert worse(now, BEFORE) == expected


@pytest.mark.parametrize("before", [None, Figures(seconds=29)])
def test_little_or_nothing_to_compare_with_is_no_fault(before: Figures | None) -> None:
    assert worse(Figures(600, 10, 9999, 600), before) is None

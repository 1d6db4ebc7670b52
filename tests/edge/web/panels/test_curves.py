"""The curves of the last hour: means and gaps against values by hand, bounded memory, and what the page draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.web.panels.curves import EVERY, POINTS, Curves
from quietcam.files.strict_json import parse_json
from tests.edge.web.conftest import serving

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844, "mobile": True}


class Time:
    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def report(frames: int, noise: float | None = None, temperature: float | None = None) -> dict[str, Any]:
    return {"frames": frames, "noise_sigma": noise, "temperature_c": temperature}


def test_a_point_is_the_mean_of_ten_seconds_and_a_gap_where_nothing_was_measured(time: Time) -> None:
    curves = Curves(time)
    for second in range(30):
        curves.add(report(second, 5.0 + second if second < 10 or second >= 20 else None, 40.0))
        time.now += 1
    time.now -= 1
    told = curves.report()
    assert (told["every"], len(told["noise"])) == (EVERY, POINTS)
    assert told["noise"][-3:] == [9.5, None, 29.5]
    assert told["temperature"][-3:] == [40.0, 40.0, 40.0]
    assert set(told["noise"][:-3]) == {None}
    time.now += 2 * EVERY  # nothing is measured any more: the curve moves on, and ends
    assert curves.report()["noise"][-5:] == [9.5, None, 29.5, None, None]


def test_a_lost_camera_leaves_a_gap_in_the_noise_and_not_in_the_temperature(time: Time) -> None:
    curves = Curves(time)
    for frames in (1, 2, 2, 2):  # the report keeps the noise of the last frame
        curves.add(report(frames, 7.0, 50.0))
        time.now += EVERY
    told = curves.report()
    assert told["noise"][-5:] == [7.0, 7.0, None, None, None]
    assert told["temperature"][-5:] == [50.0, 50.0, 50.0, 50.0, None]


@given(st.lists(st.tuples(st.floats(0, 4000), st.one_of(st.none(), st.floats(0, 99))), max_size=60))
def test_it_holds_what_an_hour_gave_and_no_more(steps: list[tuple[float, float | None]]) -> None:
    time = Time()
    curves = Curves(time)
    truth: dict[int, list[float]] = {}
    for frames, (pause, noise) in enumerate(steps):
        time.now += pause
        curves.add(report(frames, noise))
        if noise is not None:
            truth.setdefault(int(time.now // EVERY), []).append(noise)
    last = int(time.now // EVERY)
    expected = [truth.get(number) for number in range(last - POINTS + 1, last + 1)]
    for mean, values in zip(curves.report()["noise"], expected, strict=True):
        assert mean == (None if values is None else pytest.approx(np.mean(values), abs=0.006))
    assert all(len(ring._points) == POINTS for ring in curves._rings.values())


def test_the_page_answers_with_them_behind_its_token() -> None:
    token = "correct horse battery"
    with serving(token) as served:
        served.feed()
        served.report()
        assert served.get("/curves.json")[0] == 401
        status, _, body = served.get("/curves.json", Authorization=f"Bearer {token}")
        assert status == 200
        told = parse_json(body.decode())
        assert {name for name, values in told.items() if name != "every" and any(values)} == {"noise", "temperature"}


@pytest.mark.parametrize("window", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_draws_a_line_where_there_are_values_and_none_where_there_are_not(
    browser: Any, window: dict[str, Any], time: Time
) -> None:
    with serving() as served:
        served.sink.curves._clock = time
        for number in range(POINTS):
            served.sink.curves.add(report(number, 5.0 + number / 100 if number < 90 or number >= 180 else None, None))
            time.now += EVERY
        time.now -= EVERY
        page = browser.open(served.sink.address, **window)
        page.wait("document.getElementById('curves') !== null")
        page.evaluate("document.getElementById('curves').open = true")
        page.wait("document.getElementById('curve-noise-words').textContent === 'noise: 5.0 to 8.6'")
        page.wait(
            "document.getElementById('curve-temperature-words').textContent === 'temperature: nothing was measured'"
        )
        colored = """(() => {
            const canvas = document.getElementById('curve-noise'), size = [canvas.width, canvas.height];
            const data = canvas.getContext('2d').getImageData(0, 0, ...size).data, columns = [];
            for (let x = 0; x < size[0]; x++) {
              let found = false;
              for (let y = 0; y < size[1]; y++) {
                const at = 4 * (y * size[0] + x);
                found ||= data[at + 3] > 100 && data[at + 1] > 150;
              }
              columns.push(found);
            }
            return columns;
        })()"""
        columns = np.array(page.evaluate(colored))
        quarters = [part.mean() for part in np.array_split(columns, 4)]
        assert quarters[0] > 0.95
        assert quarters[1] < 0.05
        assert min(quarters[2:]) > 0.95
        assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
        assert page.problems == []
        browser.open("about:blank?", until="true")

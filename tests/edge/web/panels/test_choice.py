"""The model that a person chooses on the page: who may, among what, and what becomes of one that fails."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge.models import choices, resolve_model, shipped_models
from quietcam.files.strict_json import parse_json
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served
from tests.waiting import until

TOKEN = "correct horse battery"
JSON = {"Content_Type": "application/json"}
NAMES = ["demo_640x480_int8", "small_640x480_int8"]


def test_a_model_of_the_list_is_chosen_and_nothing_else(served: Served, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    shutil.copy(resolve_model(), model)
    assert served.get("/control", "POST", '{"model": "demo_640x480_int8"}', **JSON)[0] == 409
    served.controls.models = NAMES
    for body in (
        f'{{"model": "{model}"}}', '{"model": "../demo_640x480_int8"}', '{"model": "demo"}', '{"model": 1}',
        '{"model": null}', '{"model": ["demo_640x480_int8"]}', '{"model": "demo_640x480_int8", "strength": 1}', "{}",
    ):  # fmt: skip
        assert served.get("/control", "POST", body, **JSON)[0] == 400, body
    assert served.controls.chosen is None
    status, _, answer = served.get("/control", "POST", '{"model": "small_640x480_int8"}', **JSON)
    assert (status, parse_json(answer.decode())) == (202, {"model": "small_640x480_int8"})
    assert served.controls.chosen == "small_640x480_int8"
    told = parse_json(served.get("/status.json")[2].decode())
    assert (told["models"], told["loading"]) == (NAMES, True)


def test_strangers_and_other_sites_choose_nothing() -> None:
    with serving(TOKEN) as served:
        served.controls.models = NAMES
        body, known = '{"model": "small_640x480_int8"}', {"Authorization": f"Bearer {TOKEN}", **JSON}
        assert served.get("/control", "POST", body, **JSON)[0] == 401
        for other in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            assert served.get("/control", "POST", body, **known, **other)[0] == 403
        plain = {**known, "Content_Type": "text/plain"}  # what a form of another site could send
        assert served.get("/control", "POST", body, **plain)[0] == 415
        assert served.controls.chosen is None
        assert served.get("/control", "POST", body, **known)[0] == 202


def test_the_list_has_each_model_that_ships_once_in_the_size_of_the_frames() -> None:
    found = choices((640, 480))
    assert {name.split("_")[0] for name in found} == {
        path.stem.split("_")[0] for path in shipped_models() if path.stem.endswith("_int8")
    }
    assert len({name.split("_")[0] for name in found}) == len(found)
    assert found["small_640x480_int8"] == resolve_model("small", (640, 480))


@pytest.mark.parametrize("window", [(1280, 900, False), (390, 844, True)], ids=["desk", "phone"])
def test_a_person_chooses_on_the_page(browser: Any, served: Served, window: tuple[int, int, bool]) -> None:
    served.controls.models = NAMES
    served.feed()
    served.report()
    page = browser.open(served.sink.address, width=window[0], height=window[1], mobile=window[2])
    page.wait("document.getElementById('choice') && document.getElementById('choice').value === 'demo_640x480_int8'")
    page.evaluate(
        "(() => { const c = document.getElementById('choice'); c.value = 'small_640x480_int8';"
        " c.dispatchEvent(new Event('change')); })()"
    )
    until(lambda: served.controls.chosen == "small_640x480_int8")
    page.wait("document.getElementById('loading').textContent === 'is being tried …'")
    assert page.evaluate("document.getElementById('choice').value") == "small_640x480_int8"
    served.controls.loading = False  # it was refused: the one that runs is shown again, and why
    served.report(reload={"count": 0, "error": "it is broken"})
    page.wait("document.getElementById('choice').value === 'demo_640x480_int8'")
    page.wait("document.getElementById('notice').textContent.includes('reload failed: it is broken')")
    assert page.evaluate("document.getElementById('loading').textContent") == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= window[0]
    assert page.problems == []
    browser.open("about:blank?", until="true")

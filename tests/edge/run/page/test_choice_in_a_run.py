"""A model that is chosen on the page of a real run: a broken one is refused and frames go on, a good one takes over."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import quietcam
from quietcam.files.strict_json import dump_json, parse_json
from tests.small_models import with_manifest
from tests.waiting import WAIT, ended, until

SOURCE = "synthetic:size=64x48,fps=30,rendered=2"


class Asking:
    """The page of a session, asked over HTTP."""

    def __init__(self, session: quietcam.Session) -> None:
        self._address = session.sinks[0].address.removeprefix("http://").rstrip("/")  # type: ignore[attr-defined]

    def status(self) -> Any:
        return self._ask("GET", "/status.json")[1]

    def choose(self, name: str) -> tuple[int, Any]:
        return self._ask("POST", "/control", dump_json({"model": name}))

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        with contextlib.closing(http.client.HTTPConnection(self._address, timeout=WAIT)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, parse_json(text) if answer.status < 400 else text


@contextlib.contextmanager
def running(model: Path | str) -> Iterator[Asking]:
    """The page of a run that denoises."""
    options = quietcam.RunOptions(SOURCE, ["web", "null"], model=model, ladder=False, listen="127.0.0.1:0")
    with quietcam.open_session(options) as session:
        thread = threading.Thread(target=session.run)
        thread.start()
        try:
            until(lambda: session.report()["frames"] > 0)
            yield Asking(session)
        finally:
            session.stop()
            ended(thread)


@pytest.mark.usefixtures("nothing_is_stale", "no_thread_is_left")
def test_a_broken_model_is_refused_and_the_run_goes_on(models: Path, tmp_path: Path) -> None:
    model = with_manifest(models, tmp_path, "small_32x32_int8", receptive_field=6, stride=2)
    good = model.read_bytes()
    with running(model) as page:
        assert model.stem in page.status()["models"]
        model.write_bytes(good[: len(good) // 2])
        assert page.choose(model.stem)[0] == 202
        until(lambda: page.status()["reload"]["error"])
        told = page.status()
        assert (told["reload"]["count"], told["loading"], told["model"]["name"]) == (0, False, model.stem)
        until(lambda: page.status()["frames"] > told["frames"])
        assert page.status()["work"]["model"] == model.stem, "the old network still treats the frames"
        model.write_bytes(good)
        assert page.choose(model.stem)[0] == 202
        until(lambda: page.status()["reload"] == {"count": 1, "error": None})


@pytest.mark.usefixtures("nothing_is_stale", "no_thread_is_left")
def test_where_signed_updates_bring_the_model_nobody_chooses_another(tmp_path: Path) -> None:
    """No bundle is installed yet, so a model that ships runs."""
    with running(f"slot:{tmp_path}") as page:
        assert page.status()["models"] == []
        status, text = page.choose("small_640x480_int8")
        assert (status, text) == (409, "The model cannot be changed here.\n")
        assert page.status()["reload"] == {"count": 0, "error": None}

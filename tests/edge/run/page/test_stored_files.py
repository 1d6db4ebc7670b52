"""What the sinks of a run store can be fetched from its page."""

from __future__ import annotations

import contextlib
import http.client
from pathlib import Path
from typing import Any

import quietcam
from quietcam.extras import has_av
from quietcam.files.strict_json import parse_json
from tests.waiting import WAIT


def test_a_run_shows_what_its_sinks_store(tmp_path: Path) -> None:
    sinks = ["web", f"spool:{tmp_path}/spool,every=0.001", f"{tmp_path}/pictures/"]
    if has_av():
        sinks.append(f"record:{tmp_path}/clips")
    options = quietcam.RunOptions("synthetic:size=64x48,frames=9,fps=max", sinks, listen="127.0.0.1:0")
    answers: list[Any] = []
    with quietcam.open_session(options) as session:

        def ask(_: object) -> None:
            if not answers:
                address = session.sinks[0].address.removeprefix("http://").rstrip("/")  # type: ignore[attr-defined]
                with contextlib.closing(http.client.HTTPConnection(address, timeout=WAIT)) as connection:
                    connection.request("GET", "/stored.json")
                    answers.append(parse_json(connection.getresponse().read().decode()))

        session.run(ask)
    stored = [each.split(",")[0] for each in sinks if each.partition(":")[0] in ("spool", "record")]
    assert answers == [{"sinks": stored}]

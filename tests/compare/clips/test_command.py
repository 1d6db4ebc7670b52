"""quietcam compare on clips as a user types it: tables, the report, the gate, and bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quietcam.app.cli import run
from quietcam.data.clips.make import write_clips

ROOT = Path(__file__).parents[3]
DATA = {"clips", "tools"}  # where keys are names


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    write_clips(folder, count=2, frames=6, size=64, seed=3)
    return folder


def keys(value: Any, inside: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from keys(each, inside)
    elif isinstance(value, dict) and inside != "manifest":
        for key, each in value.items():
            if inside not in DATA:
                yield key
            yield from keys(each, "" if inside == "clips" else key)


def test_it_shows_writes_and_describes_every_key(models, data_set, tmp_path, capsys) -> None:
    report = tmp_path / "new" / "c.json"
    model = str(models / "video_64x64_int8.tflite")
    assert run(["compare", model, "--clips", str(data_set), "--json", str(report)]) == 0
    shown = capsys.readouterr().out
    for word in ("flicker", "without history", "ghost", "2 clips of set", "clip_000003", "without the first 2 of each"):
        assert word in " ".join(shown.split()), word
    found = json.loads(report.read_text())
    assert [len(found["rows"]), found["format"], found["baseline"]] == [3, 1, None]
    page = (ROOT / "docs" / "reference" / "comparison-on-clips.md").read_text(encoding="utf-8")
    assert set(keys(found)) - set(re.findall(r"`([a-z_0-9]+)`", page)) == set()


def test_still_models_are_compared_frame_by_frame_and_gated(model_files, data_set, capsys) -> None:
    names = [str(model_files["float32"]), str(model_files["int8"])]
    command = ["compare", *names, "--clips", str(data_set), "--json", "-"]
    assert run([*command, "--max-drop", "20"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert "holds   tiny_64x64_int8, all (8 frames)" in captured.err
    assert (found["about"], found["baseline"]) == ("tiny_64x64_int8", "tiny_64x64_int8")
    drop = next(row["drop"] for row in found["rows"] if row["name"] == "tiny_64x64_int8")
    assert all(row["history"] is row["ghost"] is None for row in found["rows"])
    if drop > 0:
        assert run([*command, "--max-drop", str(drop / 2)]) == 3
        assert "tiny_64x64_int8 loses" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["MODEL"], 2, "Received: neither"),
        (["MODEL", "--clips", "SET", "--data", "SET"], 2, "Received: both"),
        (["MODEL", "--clips", "absent"], 2, "absent, which does not exist"),
        (["MODEL", "--clips", "empty"], 1, "no clip.json"),
        (["MODEL", "--clips", "SET", "--sensor", "imx219"], 2, "--sensor is for clean videos"),
        (["MODEL", "--clips", "SET", "--max-drop-iso", "1"], 2, "--max-drop-iso is for pairs"),
        (["MODEL", "--clips", "SET", "--max-drop", "1"], 2, "float twin"),
        (["MODEL", "--data", "SET", "--frames", "5"], 2, "--frames is for clips"),
        (["MODEL", "--clips", "SET", "--frames", "1"], 2, "--frames"),
        (["MODEL", "--clips", "text.mp4", "--sensor", "imx219"], 1, "text.mp4"),
        (["MODEL", "--clips", "text.mp4"], 2, "A clean video needs --sensor"),
        (["MODEL", "--clips", "ONE"], 1, "must have two frames or more"),
    ],
)
def test_mistakes_get_one_line(models, data_set, tmp_path, monkeypatch, capsys, arguments, code, words) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    named = {"MODEL": str(models / "video_64x64_int8.tflite"), "SET": str(data_set)}
    if "ONE" in arguments:
        one = tmp_path / "ones" / "one"
        for side in ("noisy", "clean"):
            (one / side).mkdir(parents=True)
            (one / side / "0000.png").write_bytes((data_set / "clip_000003" / side / "0000.png").read_bytes())
        (one / "clip.json").write_text("{}")
        named["ONE"] = str(one.parent)
    assert run(["compare", *(named.get(each, each) for each in arguments)]) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert words in line
    assert "Remedy" in line

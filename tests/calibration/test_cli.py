from __future__ import annotations

import json
from pathlib import Path

import pytest

from quietcam.cli import run
from quietcam.representative import load_set


def test_calibrate_writes_the_set_and_says_what_is_in_it(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rep.npz"
    arguments = ["calibrate", "--data", str(pictures), "--out", str(out), "--count", "12", "--size", "16"]
    assert run([*arguments, "--json", str(tmp_path / "rep.json")]) == 0
    chosen = load_set(out)
    assert len(chosen) == 12
    shown = capsys.readouterr().out
    assert "12 of 16x16, from 6 pictures" in shown
    assert "001 8  002 4" in shown
    assert "at least 16 different patches" in shown  # the finding
    report = json.loads((tmp_path / "rep.json").read_text())
    assert report["sha256"] == chosen.digest
    assert report["isos"] == {"100": 2, "200": 2, "300": 2, "400": 2, "500": 2, "600": 2}
    first = out.read_bytes()
    assert run([*arguments, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["patches"] == 12
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--data", "absent", "--out", "rep.npz"], 2, "absent"),
        (["--data", "pairs", "--out", "rep.tflite"], 2, "rep.npz"),
        (["--data", "pairs", "--out", "rep.npz", "--size", "128"], 1, "smaller --size"),
        (["--data", "pairs", "--out", "rep.npz", "--split", "train"], 1, "3 scenes"),
        (["--data", "pairs", "--out", "file/rep.npz", "--size", "16"], 1, "Cannot write"),
    ],
)
def test_mistakes_get_one_line_and_the_contracts_code(
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("file").touch()
    assert run(["calibrate", *arguments]) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert words in line

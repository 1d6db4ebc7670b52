"""Reports: a target that cannot be written is refused before the work, and no report contains a secret."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quietcam.app.cli import run
from quietcam.terminal.report import write_report

NAMES = [
    "a" * 256,
    "new/" + "a" * 256 + "/x.json",
    "a/" * 2100 + "x",
    "",
    ".",
    "folder",
    "file/x.json",
    "pipe",
    "/dev/null",
    "dangling/x.json",
]
COMMANDS = [
    ["run", "--source", "nowhere", "--sink", "null", "--json"],
    ["bench", "--model", "nowhere", "--json"],
    ["data", "index", "nowhere", "--json"],
    ["lint", "nowhere", "--json"],
    ["evaluate", "nowhere", "--data", "nowhere", "--json"],
    ["convert", "nowhere", "--json"],
    ["compare", "nowhere", "--data", "nowhere", "--json"],
    ["compare", "nowhere", "--data", "nowhere", "--html"],
    ["calibrate", "--data", "nowhere", "--out", "rep.npz", "--html"],
    ["calibrate", "--data", "nowhere", "--out"],
]


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("gone")
    return tmp_path


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in COMMANDS:
        assert run([*words, name]) == (2 if len(name) > 255 else 1)
        said = capfd.readouterr().err
        assert "Cannot write" in said, said
        assert "nowhere" not in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_this_user_may_not_write_to(at: Path) -> None:
    (at / "folder").chmod(0o500)
    assert run([*COMMANDS[0], "folder/x.json"]) == 1


@pytest.mark.parametrize("name", ["x.json", "new/folder/x.json", "file", "a" * 255, "-"])
def test_a_report_that_can_be_written_is_not_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[2], name]) != 0
    assert "nowhere" in capfd.readouterr().err


def test_no_report_contains_a_secret(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = {
        "source": Path("rtsp:/user:secret@camera/live"),
        "names": ("rtsp://user:secret@camera",),
        "token": "secret",
    }
    write_report("x.json", report)
    write_report("-", report)
    for told in ((at / "x.json").read_text(), capsys.readouterr().out):
        assert json.loads(told)["token"] == "***"
        assert "secret" not in told

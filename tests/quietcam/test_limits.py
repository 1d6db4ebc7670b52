"""Bounds of numbers and names: on every way in, with our own message and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from quietcam.app.cli import run

pytest.importorskip("cv2")

LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--source", "synthetic", "--sink", "null", "--threads", "99999999"],
        ["run", "--source", "synthetic", "--sink", "null", "--fps", "1e-9"],
        ["run", "--source", "synthetic", "--sink", "null", "--deadline", "inf"],
        ["run", "--source", "synthetic:fps=1e-9", "--sink", "null"],
        ["run", "--source", "synthetic:rendered=99999999", "--sink", "null"],
        ["run", "--source", "synthetic:size=8000x5000", "--sink", "null"],
        ["run", "--source", "synthetic:size=640x480,gain=nan", "--sink", "null"],
        ["run", "--source", "synthetic:seed=" + 5000 * "9", "--sink", "null"],
        ["run", "--source", "/dev/video" + 5000 * "9", "--sink", "null"],
        ["run", "--source", "synthetic", "--sink", "null", "--device", "usb:" + 5000 * "9"],
        ["run", "--source", "synthetic", "--sink", "spool:s,every=1e-300"],
        ["run", "--source", "synthetic", "--sink", "web", "--listen", "h:" + 5000 * "9"],
        ["run", "--source", "synthetic", "--sink", "web", "--listen", "a b:80"],
        ["run", "--source", "synthetic", "--sink", "web", "--listen", LONG],
        ["run", "--source", "synthetic", "--sink", "web", "--host-name", "a b"],
        ["run", "--source", LONG, "--sink", "null"],
        ["run", "--source", "synthetic:size=64x48,frames=1", "--sink", LONG],
        ["run", "--config", LONG],
        ["capture", "--source", "synthetic", "--out", LONG],
        ["capture", "--source", "synthetic", "--out", "c", "--every", "inf"],
        ["bench", "--frames", "1e99"],
        ["data", "generate", "--out", "g", "--seed", 30 * "9"],
        ["data", "generate", "--out", "g", "--band", "nan:inf"],
        ["data", "generate", "--out", "g", "--sensor", "imx219", "--gain", "99"],
        ["data", "generate", "--out", LONG],
        ["data", "index", LONG],
        ["lint", LONG],
        ["calibrate", "--data", "x", "--out", "r.npz", "--count", "99999", "--size", "4096"],
        ["coral", "check", LONG],
        ["coral", "compile", "nano", "--timeout", "nan"],
        ["compare", LONG, "--data", "x"],
        ["demo", "--minutes", "nan"],
    ],
)
def test_a_number_or_a_name_out_of_its_bounds_is_wrong_usage(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    said = capsys.readouterr().err
    assert "unexpected" not in said
    assert "Received" in said or "Cannot write" in said
    assert "Remedy" in said
    assert len(said) < 1500


@pytest.mark.parametrize(("key", "value"), [("fps", "1e-9"), ("strength", "nan"), ("threads", "99999999")])
@pytest.mark.parametrize("door", ["line", "environment", "file"])
def test_bounds_hold_on_the_command_line_in_files_and_in_the_environment(
    key: str,
    value: str,
    door: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run", "--source", "synthetic", "--sink", "null"]
    if door == "line":
        words += [f"--{key}", value]
    elif door == "environment":
        monkeypatch.setenv(f"QUIETCAM_RUN_{key.upper()}", value)
    else:
        (tmp_path / "q.toml").write_text(f"{key} = {value}\n")
        words += ["--config", str(tmp_path / "q.toml")]
    assert run(words) == 2
    assert f"--{key} is " in capsys.readouterr().err

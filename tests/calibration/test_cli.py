from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from quietcam.app.cli import run
from quietcam.data.pictures.files import write_picture
from quietcam.representative.set import load_set


def calibrate(*words: object) -> int:
    return run(["calibrate", *map(str, words)])


def test_calibrate_writes_the_set_and_says_what_is_in_it(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rep.npz"
    words = ["--data", pictures, "--out", out, "--count", "12", "--size", "16"]
    assert calibrate(*words, "--json", tmp_path / "rep.json") == 0
    chosen = load_set(out)
    assert len(chosen) == 12
    shown = capsys.readouterr().out
    assert "12 of 16x16, from 6 of 6 pictures" in shown
    assert "100 2  200 2  300 2  400 2  500 2  600 2" in shown
    assert "at least 16 different patches" in shown  # the finding
    report = json.loads((tmp_path / "rep.json").read_text())
    assert report["format"] == 1
    assert report["sha256"] == chosen.digest
    assert {iso: group["patches"] for iso, group in report["groups"]["iso"].items()} == {
        "100": 2, "200": 2, "300": 2, "400": 2, "500": 2, "600": 2,
    }  # fmt: skip
    assert [sample["sha256"] for sample in report["samples"]] == list(chosen.sha256)
    assert report["luminance"]["overlap"] > 0.7
    assert sum(report["luminance"]["set"]) == pytest.approx(1, abs=1e-3)
    first = out.read_bytes()
    assert calibrate(*words, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["patches"] == 12
    assert out.read_bytes() == first


def test_what_is_missing_is_named(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", pictures, "--out", tmp_path / "rep.npz", "--count", "3", "--size", "16", "--json", "-"]
    assert calibrate(*words) == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert len([each for each in report["missing"] if each.startswith("iso ")]) == 3
    assert "in the data, but not in the set: iso " in shown.err


@pytest.mark.parametrize("of", ["set", "report"])
def test_a_set_is_rebuilt_byte_for_byte(pictures: Path, tmp_path: Path, of: str) -> None:
    out, report, again = tmp_path / "rep.npz", tmp_path / "rep.json", tmp_path / "again.npz"
    words = ["--data", pictures, "--count", "20", "--size", "16", "--seed", "3"]
    assert calibrate(*words, "--out", out, "--json", report) == 0
    source = out if of == "set" else report
    assert calibrate("--data", pictures, "--rebuild", source, "--out", again) == 0
    assert again.read_bytes() == out.read_bytes()


def test_a_set_is_not_rebuilt_from_other_data(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "rep.npz", tmp_path / "again.npz"
    assert calibrate("--data", pictures, "--out", out, "--count", "20", "--size", "16") == 0
    source = load_set(out).source[0]
    other = np.random.default_rng(9).integers(0, 256, (64, 96, 3), np.uint8)
    write_picture(pictures / "noisy" / f"{source}.png", other)
    assert calibrate("--data", pictures, "--rebuild", out, "--out", again) == 1
    assert source in capsys.readouterr().err
    assert not again.exists()


def test_noisy_pictures_without_clean_twins_will_do(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    shutil.copytree(pictures / "noisy", folder)
    (folder / "capture.json").write_text('{"source": "camera", "isp_denoise": false, "quietcam": "0.1.0"}')
    out = tmp_path / "rep.npz"
    assert calibrate("--data", folder, "--out", out, "--count", "12", "--size", "16", "--gray") == 0
    chosen = load_set(out)
    assert chosen.channels == 1
    assert chosen.origin["capture"] == {"source": "camera", "isp_denoise": False, "quietcam": "0.1.0"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--data", "absent", "--out", "rep.npz"], 2, "absent"),
        (["--data", "pairs", "--out", "rep.tflite"], 2, "rep.npz"),
        (["--data", "pairs", "--out", "rep.npz", "--size", "128"], 1, "smaller --size"),
        (["--data", "pairs", "--out", "rep.npz", "--split", "train"], 1, "3 scenes"),
        (["--data", "pairs", "--out", "file/rep.npz", "--size", "16"], 1, "Cannot write"),
        (["--data", "pairs/clean", "--out", "rep.npz"], 1, "folder above"),
        (["--data", "pairs/noisy", "--out", "rep.npz", "--split", "train"], 2, "leave --split out"),
        (["--data", "empty", "--out", "rep.npz"], 1, "at least one"),
        (["--data", "strange", "--out", "rep.npz"], 1, "capture again"),
        (["--data", "pairs", "--out", "rep.npz", "--rebuild", "absent.npz"], 2, "absent.npz"),
        (["--data", "pairs", "--out", "rep.npz", "--rebuild", "absent.json"], 2, "absent.json"),
        (["--data", "pairs", "--out", "rep.npz", "--rebuild", "strange/capture.json"], 1, "give the .npz"),
        (["--data", "pairs", "--out", "rep.npz", "--rebuild", "foreign.npz"], 1, "source, instance, box and sha256"),
    ],
)
def test_mistakes_get_one_line_and_the_contracts_code(
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("file").touch()
    Path("empty").mkdir()
    Path("strange").mkdir()
    Path("strange/capture.json").write_text("[1]")
    shutil.copy(next((pictures / "noisy").iterdir()), "strange")
    np.savez("foreign.npz", images=np.zeros((2, 8, 8, 3)))
    assert calibrate(*words) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert said in line
    assert not Path("rep.npz").exists()

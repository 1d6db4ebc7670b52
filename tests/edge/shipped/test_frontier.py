"""The models that ship, timed on this machine, and which of them are on the frontier."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import edge.models
from edge.models.frontier import measure_models, score, shared_sets, shipped_names
from edge.network.interpreter import Interpreter
from edge.turns import take_turns
from quietcam.app.cli import run
from quietcam.errors import UsageError
from tests.small_models import with_manifest

TALL = {"phones": {"psnr": 34.0, "noisy_psnr": 24.0}, "cameras": {"psnr": 38.0, "noisy_psnr": 30.0}}
LOW = {"phones": {"psnr": 32.0, "noisy_psnr": 24.0}, "cameras": {"psnr": 33.0, "noisy_psnr": 30.0}}
OTHER = {"scenes": {"psnr": 33.0, "noisy_psnr": 20.0}}
CLIPS = {"phones": LOW["phones"], "clips": {"psnr": 37.0, "noisy_psnr": 25.0, "without_history": 35.5}}


@pytest.fixture
def ships(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nano and small, demo that was measured elsewhere, and a video network; all of them tiny."""
    folder = tmp_path / "ships"
    folder.mkdir()
    for name, stem, sets in (
        ("nano", "small_32x32_int8", LOW),
        ("small", "small_80x64_int8", TALL),
        ("demo", "small_80x64_int8", OTHER),
        ("small-video", "video_64x64_int8", CLIPS),
    ):
        metrics = {"psnr": 30.0, "by_set": sets}
        path = with_manifest(models, tmp_path, stem, metrics=metrics, stride=8)
        shutil.move(path, folder / f"{name}_{stem.split('_', 1)[1]}.tflite")
    shutil.copy(models / "small_32x32_float32.tflite", folder / "nano_32x32_float32.tflite")
    monkeypatch.setattr(edge.models, "_HERE", folder)
    return folder


def slowed(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Let each run take so long, by the model's first word and by our clock."""
    now = 0.0

    def invoke(self: Interpreter) -> None:
        nonlocal now
        now += seconds[self.model.name.split("_")[0].replace("-", "_")]

    monkeypatch.setattr(Interpreter, "invoke", invoke)
    defaults = take_turns.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", lambda: now)


@pytest.mark.usefixtures("ships")
def test_it_names_the_int8_models() -> None:
    assert shipped_names() == ["demo", "nano", "small", "small-video"]


@pytest.mark.usefixtures("ships")
def test_time_and_gain_decide_what_is_on_the_frontier(monkeypatch: pytest.MonkeyPatch) -> None:
    slowed(monkeypatch, nano=0.004, small=0.002, demo=0.001, small_video=0.003)
    report = measure_models((80, 64), 1, runs=4)
    rows = {each["model"]: each for each in report["models"]}
    assert report["sets"] == {"still": ["cameras", "phones"], "video": ["clips"]}
    assert (report["width"], report["height"], report["threads"]) == (80, 64, 1)
    assert rows["small"]["ms"] == pytest.approx(2.0)
    assert rows["small"]["fps"] == pytest.approx(500)
    assert rows["small"]["denoised_psnr"] == pytest.approx((34 + 38) / 2)
    assert rows["small"]["gain"] == pytest.approx(((34 - 24) + (38 - 30)) / 2)
    often = rows["nano"]["invokes_per_frame"]
    assert often > 4  # tiles of 32x32
    assert rows["nano"]["ms"] == pytest.approx(4.0 * often)
    judged = {name: (each["frontier"], each["beaten_by"]) for name, each in rows.items()}
    assert judged == {
        "small": (True, None),
        "nano": (False, "small"),
        "demo": (None, None),
        "small-video": (True, None),
    }
    assert rows["demo"]["gain"] is None
    assert rows["small-video"]["gain"] == pytest.approx(12.0)
    assert rows["small-video"]["still"] == "small"
    video = rows["small-video"]
    assert video["times_of_still"] == pytest.approx(3 * video["invokes_per_frame"] / 2)
    assert all(each["runs"] == 4 for each in rows.values())


@pytest.mark.usefixtures("ships")
def test_a_slow_machine_ends_after_one_run_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    slowed(monkeypatch, nano=900.0, small=900.0, demo=900.0, small_video=900.0)
    shares: list[float] = []
    report = measure_models((80, 64), 1, on_run=shares.append)
    assert [each["runs"] for each in report["models"]] == [1] * 4
    assert sum(shares) == pytest.approx(len(shipped_names()))


@pytest.mark.usefixtures("ships")
def test_the_command_shows_a_table_and_a_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slowed(monkeypatch, nano=0.0001, small=0.02, demo=0.01, small_video=0.03)
    target = tmp_path / "models.json"
    assert run(["models", "--measure", "--size", "80x64", "--threads", "1", "--json", str(target)]) == 0
    shown = capsys.readouterr().out
    plain = " ".join(shown.split())
    assert "mean over cameras, phones" in plain
    assert "not compared, since measured on other pictures or not at all: demo." in plain
    assert "37.00 dB on clips, 35.50 without history" in plain
    assert "times the time of small" in plain
    assert "* nano" in shown
    assert "\x1b" not in shown
    names = [line.split()[1] for line in shown.splitlines() if line.startswith("│")]
    assert names == ["nano", "demo", "small", "small-video"], "by time, and a video network after its still one"
    report = json.loads(target.read_text())
    assert [each["model"] for each in report["models"]] == shipped_names()
    assert report["models"][1]["by_set"] == LOW


@pytest.mark.usefixtures("ships")
def test_table_and_plot_fit_into_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert run(["models", "--measure", "--size", "80x64", "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    axis = next(index for index, line in enumerate(shown.splitlines()) if line.startswith(" " * 7 + "+"))
    assert shown.splitlines()[axis] == " " * 7 + "+" + "-" * 70, "no line of the plot is broken into two"
    assert all(line[7] == "|" for line in shown.splitlines()[axis - 12 : axis])
    assert "small-video │   video │" in shown


@pytest.mark.usefixtures("ships")
def test_models_are_loaded_and_run_for_real(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--measure", "--size", "48x40", "--threads", "1", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["width"] == 48
    assert all(each["ms"] > 0 for each in report["models"])


@pytest.mark.parametrize("option", [["--size", "640x480"], ["--threads", "2"]])
def test_what_is_for_measuring_alone_is_refused_without_it(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", *option]) == 2
    assert f"{option[0]} needs --measure" in capsys.readouterr().err


def test_without_models_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge.models, "_HERE", tmp_path)
    assert run(["models", "--measure"]) == 2
    assert "no model ships" in capsys.readouterr().err


@pytest.mark.usefixtures("ships")
def test_threads_have_a_limit() -> None:
    with pytest.raises(UsageError, match="threads=0"):
        measure_models((80, 64), 0)


def test_of_several_sets_those_that_most_models_know_are_shared() -> None:
    one: dict[str, float] = {"psnr": 30.0, "noisy_psnr": 20.0}
    assert shared_sets({"a": {"x": one, "y": one}, "b": {"x": one}, "c": {"z": one}}) == ("x",)
    assert shared_sets({"a": {"x": one, "y": one}, "b": {"z": one}}) == ("x", "y"), "more sets, where models are equal"
    assert shared_sets({"a": {}, "b": {}}) == ()
    assert shared_sets({}) == ()


def test_a_model_that_lacks_a_set_has_no_score() -> None:
    assert score(TALL, ("phones",)) == (34.0, 10.0)
    assert score(TALL, ("phones", "scenes")) is None
    assert score(TALL, ()) is None

"""The demo: its promises by hand, and the whole way on a small SIDD-like tree."""

import json
import subprocess
import sys

import pytest

from quietcam import demo
from quietcam.data.generated import write_pairs
from quietcam.errors import GateError, StoppedError


def report(noisy, classic, floating, quantized):
    rows = [
        {"name": "noisy", "kind": "noisy", "psnr": noisy},
        {"name": "gaussian blur", "kind": "classic", "psnr": classic},
        {"name": "nlm", "kind": "classic", "psnr": classic - 1},
        {"name": "demo_256x256_float32", "kind": "model", "psnr": floating},
        {"name": "demo_256x256_int8", "kind": "model", "psnr": quantized},
    ]
    return {"rows": rows}


def test_promises_by_hand():
    found = demo.judge(report(23.0, 28.0, 29.5, 29.25))
    assert [promise.value for promise in found] == pytest.approx([6.25, 1.25, 0.25])
    assert all(promise.holds for promise in found)


@pytest.mark.parametrize(
    ("figures", "missed"),
    [((23.5, 28.0, 29.5, 29.25), 0), ((23.0, 28.5, 29.5, 29.25), 1), ((23.0, 28.0, 29.6, 29.25), 2)],
)
def test_a_missed_promise_is_seen(figures, missed):
    assert [promise.holds for promise in demo.judge(report(*figures))].index(False) == missed


def small_world(monkeypatch, comparison, tmp_path):
    """The demo with its steps replaced by the report that they would leave."""
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    monkeypatch.setattr(demo, "write_pairs", lambda *_, **__: None)
    monkeypatch.setattr(demo._Steps, "run", lambda *_: None)


def test_default_run_fails_by_a_missed_promise(monkeypatch, tmp_path):
    small_world(monkeypatch, report(23.0, 28.0, 29.6, 29.25), tmp_path)
    with pytest.raises(GateError, match="lost from float to int8"):
        demo.run_demo(None, tmp_path, None)
    assert json.loads((tmp_path / "demo.json").read_text())["promises"][2]["holds"] is False


def test_a_shorter_run_only_prints_it(monkeypatch, tmp_path, capsys):
    small_world(monkeypatch, report(23.0, 28.0, 29.6, 29.25), tmp_path)
    demo.run_demo(None, tmp_path, 1.0)
    assert "MISSED  lost from float to int8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "error", "exit_code"),
    [(1, demo.StepFailedError, 1), (3, demo.StepFailedError, 3), (130, StoppedError, 130)],
)
def test_a_step_that_ends_early_is_named(monkeypatch, tmp_path, code, error, exit_code):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(demo.sys, "executable", str(program))
    with pytest.raises(error, match="'prune'") as caught:
        demo._Steps(1).run("prune", "prune")
    assert caught.value.exit_code == exit_code


@pytest.mark.slow
def test_the_whole_way_on_a_sidd_tree(tmp_path):
    """Real training, pruning, conversion, comparison and edge run, short."""
    pytest.importorskip("tensorflow", reason="needs the extra 'train'")
    write_pairs(tmp_path / "pairs", count=8, size=256, band=(21.0, 25.0))
    tree = tmp_path / "SIDD_Small_sRGB_Only" / "Data"
    for number, clean in enumerate(sorted((tmp_path / "pairs" / "clean").iterdir()), start=1):
        instance = tree / f"{number:04d}_{number % 4 + 1:03d}_GP_00800_00350_5500_N"
        instance.mkdir(parents=True)
        clean.rename(instance / "GT_SRGB_010.PNG")
        (tmp_path / "pairs" / "noisy" / clean.name).rename(instance / "NOISY_SRGB_010.PNG")
    done = subprocess.run(
        [sys.executable, "-m", "quietcam", "demo", "--data", tree.parent, "--out", "out", "--minutes", "0.2"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    rows = {row["name"]: row for row in json.loads((out / "comparison.json").read_text())["rows"]}
    assert {"demo_256x256_float32", "demo_256x256_int8"} <= rows.keys()
    assert rows["demo_256x256_int8"]["sparsity"] == pytest.approx(0.5, abs=0.02)
    assert rows["demo_256x256_int8"]["bytes"] < rows["demo_256x256_float32"]["bytes"] / 2
    page = (out / "report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert (out / "live" / "before_after.webm").stat().st_size > 1000
    assert json.loads((out / "live" / "latency.json").read_text())
    assert "int8 over the noisy frames" in done.stderr
    assert not list(out.rglob(".*.*"))

"""The demo: its promises, worked out by hand, and all steps on a small tree like that of SIDD."""

import json
import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from quietcam.app import demo
from quietcam.app.cli import run
from quietcam.app.promises import check_promises
from quietcam.architecture import Architecture
from quietcam.data.generated import write_pairs
from quietcam.data.pictures.files import read_picture
from quietcam.errors import DataError, GateError, StoppedError
from quietcam.evaluation import read_evaluation
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import read_manifest, strip_manifest
from tests.waiting import until
from train.config import load_config


def report(noisy, classic, floating, quantized):
    rows = [
        {"name": "noisy", "kind": "noisy", "psnr": noisy},
        {"name": "gaussian blur", "kind": "classic", "psnr": classic},
        {"name": "nlm", "kind": "classic", "psnr": classic - 1},
        {"name": "demo_256x256_float32", "kind": "model", "psnr": floating},
        {"name": "demo_256x256_int8", "kind": "model", "psnr": quantized},
    ]
    return {"rows": rows}


def test_promises_have_the_values_worked_out_by_hand():
    found = check_promises(report(23.0, 28.0, 29.5, 29.25))
    assert [promise.value for promise in found] == pytest.approx([6.25, 1.25, 0.25])
    assert all(promise.holds for promise in found)


@pytest.mark.parametrize(
    ("figures", "missed"),
    [((23.5, 28.0, 29.5, 29.25), 0), ((23.0, 28.5, 29.5, 29.25), 1), ((23.0, 28.0, 29.6, 29.25), 2)],
)
def test_a_missed_promise_does_not_hold(figures, missed):
    assert [promise.holds for promise in check_promises(report(*figures))].index(False) == missed


def small_world(monkeypatch, comparison, tmp_path):
    """Replace the steps of the demo by the report that they would write; returns the arguments of each step."""
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    monkeypatch.setattr(demo, "write_pairs", lambda *_, **__: None)
    monkeypatch.setattr(demo, "_check_extra", lambda: None)
    words = {}
    monkeypatch.setattr(demo._Steps, "run", lambda _, __, verb, *rest: words.setdefault(verb, []).extend(rest))
    return words


def option(words, name):
    return words[words.index(name) + 1]


def test_the_default_demo_fails_if_it_misses_a_promise(monkeypatch, tmp_path):
    small_world(monkeypatch, report(23.0, 28.0, 29.6, 29.25), tmp_path)
    with pytest.raises(GateError, match="lost from float to int8"):
        demo.run_demo(None, tmp_path, None)
    assert json.loads((tmp_path / "demo.json").read_text())["promises"][2]["holds"] is False


def test_promises_are_enforced_however_short_the_training_is(monkeypatch, tmp_path):
    small_world(monkeypatch, report(23.0, 28.0, 29.6, 29.25), tmp_path)
    with pytest.raises(GateError, match="lost from float to int8"):
        demo.run_demo(None, tmp_path, 0.1)


@pytest.mark.parametrize("given", [{"data": "pairs"}, {"from_scratch": True}])
def test_with_own_pairs_or_from_scratch_promises_are_only_printed(monkeypatch, tmp_path, capsys, given):
    small_world(monkeypatch, report(23.0, 28.0, 29.6, 29.25), tmp_path)
    demo.run_demo(out=tmp_path, minutes=1.0, **({"data": None} | given))
    assert "MISSED  lost from float to int8" in capsys.readouterr().err


def test_it_begins_with_the_weights_of_small_and_ends_after_its_steps(monkeypatch, tmp_path):
    words = small_world(monkeypatch, report(23.0, 28.0, 29.5, 29.25), tmp_path)
    demo.run_demo(None, tmp_path, None)
    small = Path(str(option(words["train"], "--weights")))
    manifest = json.loads(small.with_suffix(".json").read_text())
    assert (small.name, manifest["recipe"]) == ("small_256x256_float32.tflite", "float32")
    # A border changes no weights, so the demo's network, which has none, can begin with those of one that has.
    assert replace(Architecture.from_dict(manifest["architecture"]), border=0) == load_config("demo").model
    steps = [option(words[verb], "--steps") for verb in ("train", "prune")]
    assert steps == list(demo.ADAPTING.steps)


@pytest.mark.parametrize(
    ("minutes", "expected"), [(None, [3.0, 1.5]), (9.0, [6.0, 3.0]), (0.3, [0.2, 0.1]), (0.1, [0.067, 0.05])]
)
def test_minutes_limit_training_and_pruning_together(monkeypatch, tmp_path, minutes, expected):
    words = small_world(monkeypatch, report(23.0, 28.0, 29.5, 29.25), tmp_path)
    demo.run_demo(None, tmp_path, minutes)
    assert [option(words[verb], "--minutes") for verb in ("train", "prune")] == expected
    assert [option(words[verb], "--steps") for verb in ("train", "prune")] == [150, 60]


def test_training_from_scratch_takes_all_of_its_minutes(monkeypatch, tmp_path, capsys):
    words = small_world(monkeypatch, report(23.0, 28.0, 29.5, 29.25), tmp_path)
    demo.run_demo(None, tmp_path, None, from_scratch=True)
    assert [option(words[verb], "--minutes") for verb in ("train", "prune")] == [4.55, 1.95]
    assert not {"--weights", "--steps", "--learning-rate"} & set(words["train"] + words["prune"])
    said = capsys.readouterr().err
    assert "takes hours" in said
    assert "docs/how-to/train-from-nothing.md" in said


def test_scenes_of_an_earlier_demo_are_used_or_generated_again(tmp_path, capsys):
    folder = tmp_path / "data"
    demo._generate(folder, count=1, size=32, band=(20.0, 26.0))
    first = (folder / "noisy" / "scene_000000.png").stat().st_mtime_ns
    demo._generate(folder, count=1, size=32, band=(20.0, 26.0))
    assert (folder / "noisy" / "scene_000000.png").stat().st_mtime_ns == first
    capsys.readouterr()
    demo._generate(folder, count=1, size=48, band=(20.0, 26.0))
    assert read_picture(folder / "noisy" / "scene_000000.png").shape == (48, 48, 3)
    assert "generated again" in capsys.readouterr().err


def test_pairs_that_are_not_from_a_demo_are_kept(tmp_path):
    for side in ("noisy", "clean"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "mine.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="mine"):
        demo._generate(tmp_path, count=1, size=32)
    assert (tmp_path / "noisy" / "mine.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("code", "error", "exit_code"),
    [(1, demo.StepFailedError, 1), (3, demo.StepFailedError, 3), (130, StoppedError, 130)],
)
def test_a_step_that_fails_is_named(monkeypatch, tmp_path, code, error, exit_code):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(demo.sys, "executable", str(program))
    with pytest.raises(error, match="'prune'") as caught:
        demo._Steps(1).run("prune", "prune")
    assert caught.value.exit_code == exit_code


def test_a_step_that_gets_no_interrupt_ends_with_the_demo(monkeypatch, tmp_path):
    """As after SIGTERM to the demo alone: the demo ends the step, and waits for it, before it ends itself."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\ntrap 'exit 130' TERM\ntouch begun\nwhile :; do sleep 0.05; done\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo.sys, "executable", str(program))
    monkeypatch.setattr(demo, "_PATIENCE", 0.1)
    wait = subprocess.Popen.wait

    def interrupted(process, timeout=None):
        if timeout is None and not interrupts:
            interrupts.append(process)
            until((tmp_path / "begun").exists)
            raise KeyboardInterrupt
        return wait(process, timeout)

    interrupts = []
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(StoppedError, match="'prune'"):
        demo._Steps(1).run("prune", "prune")
    assert interrupts[0].poll() is not None


def test_a_step_is_a_command_line_in_a_process_of_its_own(capfd):
    demo._Steps(1).run("hear of the version", "--version")
    assert version("quietcam") in capfd.readouterr().out
    with pytest.raises(demo.StepFailedError, match="'nothing'") as caught:
        demo._Steps(1).run("nothing", "no-such-verb")
    assert caught.value.exit_code == 2


def zeros_of(path):
    """Which weights of each convolution of a model are zero, by its name in the architecture."""
    content = strip_manifest(path.read_bytes())
    names = [each.name for each in read_manifest(path).network.convolutions()]
    weights = [op.weights.data for op in read_graph(content).ops if op.kind == "CONV_2D"]
    return {name: each == 0 for name, each in zip(names, weights, strict=True)}


@pytest.mark.slow
def test_all_steps_on_a_tree_like_that_of_sidd(tmp_path, monkeypatch, capfd):
    """Real training, pruning, conversion, comparison and edge run: its verbs in this process, which has TensorFlow
    already, and with less to do."""
    pytest.importorskip("tensorflow", reason="needs the extra 'train'")
    write_pairs(tmp_path / "pairs", count=8, size=256, band=(21.0, 25.0))
    tree = tmp_path / "SIDD_Small_sRGB_Only" / "Data"
    for number, clean in enumerate(sorted((tmp_path / "pairs" / "clean").iterdir()), start=1):
        instance = tree / f"{number:04d}_{number % 4 + 1:03d}_GP_00800_00350_5500_N"
        instance.mkdir(parents=True)
        clean.rename(instance / "GT_SRGB_010.PNG")
        (tmp_path / "pairs" / "noisy" / clean.name).rename(instance / "NOISY_SRGB_010.PNG")
    monkeypatch.chdir(tmp_path)
    less = {"train": ("--steps", 4), "prune": ("--steps", 10), "calibrate": ("--count", 8), "run": ("--frames", 8)}
    monkeypatch.setattr(demo, "_run", lambda words: run([str(word) for word in (*words, *less.get(words[0], ()))]))
    code = run(["demo", "--data", str(tree.parent), "--out", "out"])
    said = capfd.readouterr().err
    assert code == 0, said
    out = tmp_path / "out"
    rows = {row["name"]: row for row in json.loads((out / "comparison.json").read_text())["rows"]}
    assert {"demo_256x256_float32", "demo_256x256_int8"} <= rows.keys()
    exact, rounded = (zeros_of(next(out.rglob(f"demo_256x256_{recipe}.tflite"))) for recipe in ("float32", "int8"))
    pruning = read_evaluation(out / "pruned").treatments.magnitude_pruning
    asked = [pruning.shares[name] * len(zeros) for name, zeros in exact.items()]
    assert sum(asked) == pytest.approx(0.5 * sum(map(len, exact.values())))
    for most, (name, zeros) in zip(asked, exact.items(), strict=True):
        # What is not pruned keeps some of the zeros that the weights of `small` have.
        assert zeros.sum() == pytest.approx(most, abs=0.51) or most == 0
        assert rounded[name][zeros].all(), "zeros stay; rounding makes others"
    assert rows["demo_256x256_int8"]["bytes"] < rows["demo_256x256_float32"]["bytes"] / 2
    page = (out / "report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert (out / "live" / "before_after.mp4").stat().st_size > 1000
    assert json.loads((out / "live" / "latency.json").read_text())
    assert "int8 over the noisy frames" in said
    assert not list(out.rglob(".*.*"))

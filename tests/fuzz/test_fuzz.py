"""The runner of fuzz targets, and each target for a few trials of a fixed seed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz
from fuzz import __main__ as runner
from fuzz.mutate import mutate_bytes, mutate_json, odd_value, spelled
from fuzz.trials import Trials

_FEW = 12


@pytest.mark.parametrize("name", runner.names())
def test_a_target_finds_nothing_in_a_few_trials(name: str, tmp_path: Path) -> None:
    trials = Trials(name, 1, tmp_path, most=_FEW)
    runner.run_here(trials)
    assert trials.done == _FEW


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A target named ``made`` with the given body, which this process and its children can import."""

    def make(body: str) -> None:
        folder = tmp_path / "targets"
        folder.mkdir()
        (folder / "made.py").write_text(
            f"import os, time\ndef run(trials):\n    for trial in trials:\n        {body}\n"
        )
        (folder / "sitecustomize.py").write_text(
            f"import fuzz.targets\nfuzz.targets.__path__.append({str(folder)!r})\n"
        )
        root = Path(fuzz.__file__).parents[1]
        monkeypatch.setenv("PYTHONPATH", f"{folder}:{root}")
        monkeypatch.setattr("fuzz.targets.__path__", [*fuzz.targets.__path__, str(folder)])

    yield make
    sys.modules.pop("fuzz.targets.made", None)


def _main(tmp_path: Path, *words: str) -> int:
    return runner.main(["made", "--seed", "5", "--keep", str(tmp_path / "kept"), *words])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("assert trial.number < 3, trial.keep('input', str(trial.random.random()))", "an error"),
        (
            "trial.keep('input', str(trial.random.random())); trial.number == 3 and os.abort()",
            f"signal {signal.SIGABRT:d}",
        ),
        ("trial.keep('input', str(trial.random.random())); trial.number == 3 and time.sleep(600)", "no end within 2 s"),
    ],
    ids=["error", "crash", "hang"],
)
def test_what_is_found_is_kept_with_the_words_that_bring_it_back(
    target, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    target(body)
    monkeypatch.setattr(runner, "_STALL", 2.0)
    monkeypatch.setattr(runner, "_LOOK", 0.1)
    assert _main(tmp_path, "--trials", "100") == 1
    out, err = capfd.readouterr()
    assert "made: seed 5" in out
    assert f"made: {reason} at trial 3 of seed 5" in err
    kept = (tmp_path / "kept/made/input").read_text()
    again = err[err.index("Again: python ") :].splitlines()[0].split()[2:]
    if reason == "an error":
        monkeypatch.chdir(tmp_path)
        done = subprocess.run([sys.executable, *again], capture_output=True, text=True, timeout=120, check=False)
        assert "AssertionError" in done.stderr
        assert (tmp_path / "runs/fuzz-again/made/input").read_text() == kept


def test_nothing_found_leaves_nothing(target, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target("trial.keep('input', b'x')")
    assert _main(tmp_path, "--trials", "4") == 0
    assert "made: seed 5: 4 trials" in capfd.readouterr().out
    assert not (tmp_path / "kept/made").exists()
    assert _main(tmp_path, "--seconds", "0") == 0
    assert "0 trials" in capfd.readouterr().out


def test_a_target_may_work_in_another_folder(
    target, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target("trial.keep('input', b'x'); os.chdir('/')")
    monkeypatch.chdir(tmp_path)
    assert runner.main(["made", "--trials", "3"]) == 0
    assert "3 trials" in capfd.readouterr().out
    assert list((tmp_path / "runs/fuzz").iterdir()) == []


def test_an_unknown_target_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["nonsense"])
    assert "no target named nonsense; there are" in capsys.readouterr().err


def test_a_seed_and_a_number_give_the_same_input_again(tmp_path: Path) -> None:
    def made(first: int, most: int) -> list[object]:
        trials = Trials("x", 3, tmp_path, most=most, first=first)
        return [
            (
                spelled(each.random, mutate_json(each.random, {"a": [1, "two", {"b": 3.0}]})),
                mutate_bytes(each.random, b"abc"),
            )
            for each in trials
        ]

    whole = made(0, 50)
    assert made(20, 5) == whole[20:25]
    assert len(set(map(str, whole))) > 40


def test_mutations_reach_every_place_and_leave_the_original(tmp_path: Path) -> None:
    value = {"a": [1, "two"], "b": {"c": 3.0}}
    before = json.dumps(value)
    kinds = set()
    for each in Trials("x", 1, tmp_path, most=400):
        changed = mutate_json(each.random, value)
        kinds.add(tuple(key for key in ("a", "b") if isinstance(changed, dict) and changed.get(key) != value[key]))
        odd_value(each.random)
    assert json.dumps(value) == before
    assert kinds >= {("a",), ("b",), ("a", "b"), ()}

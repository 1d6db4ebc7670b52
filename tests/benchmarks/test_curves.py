"""Learning curves from made-up histories."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs the extra 'train'")
curves = pytest.importorskip("benchmarks.training.curves", reason="benchmarks are in the repository alone")

HEAD = "phase,step,seconds,learning_rate,loss,validation_psnr,by_set"
FLOAT = (
    "train,10,1800,0.001,0.02,34.5,/home/me/sidd/valid 35.000; clips 34.000\n"
    "train,20,3600,0.001,0.02,34.6,/home/me/sidd/valid 35.200; clips 34.000\n"
)
PRUNE = "prune,5,900.5,0.001,0.02,34.0,/home/me/sidd/valid 34.000\n"


def run_of(folder: Path, history: str, remembers: int | None = 0) -> Path:
    folder.mkdir()
    told = "" if remembers is None else f"history = {remembers}\n"
    (folder / "config.toml").write_text(f"[model]\nchannels = 3\n{told}")
    (folder / "history.csv").write_text(f"{HEAD}\n{history}")
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["curves", *map(str, words)])
    code: int = curves.main()
    return code


def table(path: Path) -> list[tuple[str, ...]]:
    with path.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def test_hours_go_on_from_run_to_run_and_what_was_taken_over_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_of(tmp_path / "float", FLOAT, remembers=None)
    second = run_of(tmp_path / "pruned", FLOAT + PRUNE)
    third = run_of(tmp_path / "fusion", "train,7,720,0.001,0.02,36,\n", remembers=1)
    where = ("--results", tmp_path, "--picture", tmp_path / "l.png")
    assert call(monkeypatch, first, second, third, "--name", "small", *where) == 0
    found = table(tmp_path / "learning_small.csv")
    assert found == [
        ("part", "phase", "step", "hours", "set", "psnr"),
        ("1", "float", "10", "0.5000", "sidd/valid", "35.000"),
        ("1", "float", "10", "0.5000", "clips", "34.000"),
        ("1", "float", "20", "1.0000", "sidd/valid", "35.200"),
        ("1", "float", "20", "1.0000", "clips", "34.000"),
        ("2", "pruning", "5", "1.2501", "sidd/valid", "34.000"),
        ("3", "fusion", "7", "1.4501", "all sets", "36.000"),
    ]
    assert "/home" not in (tmp_path / "learning_small.csv").read_text()


def test_the_picture_is_drawn_again_from_the_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run", FLOAT)
    where = ("--results", tmp_path, "--picture", tmp_path / "l.png")
    for name in ("nano", "base"):
        assert call(monkeypatch, run, "--name", name, *where) == 0
    drawn = (tmp_path / "l.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    (tmp_path / "l.png").unlink()
    assert call(monkeypatch, "--draw", *where) == 0
    assert (tmp_path / "l.png").read_bytes() == drawn


def test_panels_stand_in_the_order_of_sizes(tmp_path: Path) -> None:
    for name in ("other", "base", "nano", "small"):
        (tmp_path / f"learning_{name}.csv").write_text("part,phase,step,hours,set,psnr\n1,float,1,0.1,a,30\n")
    (tmp_path / "learning_empty.csv").write_text("part,phase,step,hours,set,psnr\n")
    assert list(curves.read(tmp_path)) == ["nano", "small", "base", "other"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["{}/nowhere", "--name", "small"], 1),
        (["--draw"], 1),  # nothing there to draw
        (["{}/nowhere"], 2),
        (["--name", "small"], 2),
        ([], 2),
        (["{}/nowhere", "--name", "../small"], 2),
        (["{}/nowhere", "--name", "small", "--draw"], 2),
    ],
)
def test_a_mistake_is_told(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(tmp_path) for word in words]
    try:
        found = call(monkeypatch, *given, "--results", tmp_path, "--picture", tmp_path / "l.png")
    except SystemExit as end:
        found = int(end.code or 0)
    assert found == code
    assert capsys.readouterr().err
    assert not list(tmp_path.glob("*.csv"))

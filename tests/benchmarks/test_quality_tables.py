"""Figures become tables and lines of a CSV file."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.network.card_figures import Found
from benchmarks.network.quality import judge
from benchmarks.network.quality.candidates import Candidate
from benchmarks.network.quality.judge import add_over_small, drops
from benchmarks.network.quality.sets import Picture
from benchmarks.network.quality.tables import append_lines, missed, tables
from benchmarks.network.quality.targets import Line
from edge.network.modelfile import load_model
from edge.network.runtime.instructions import Instructions
from tests.tiny_network import noisy_pictures

LINES = {
    "noisy": [Line("PSNR, dB", "native", 22.95)],
    "nano": [
        Line("PSNR, dB", "native", 33.117, must=33.0, goal=34.0),
        Line("PSNR, dB", "pi", 30.0, must=30.5),
        Line("GMACs", "", 0.1184, must=0.13, at_most=True, digits=3),
    ],
}


def test_a_table_has_a_row_for_each_model_and_a_column_for_each_set() -> None:
    assert tables(LINES).splitlines() == [
        "PSNR, dB  native                          pi",
        "noisy     22.95",
        "nano      33.12 met, goal missed by 0.88  30.00 missed by 0.50",
        "",
        "      GMACs",
        "nano  0.118 met",
    ]


def test_a_table_as_markdown() -> None:
    assert tables(LINES, markdown=True).splitlines()[:4] == [
        "| PSNR, dB | native | pi |",
        "| --- | --- | --- |",
        "| noisy | 22.95 |  |",
        "| nano | 33.12 met, goal missed by 0.88 | 30.00 **missed** by 0.50 |",
    ]


def test_what_is_missed_is_listed() -> None:
    assert missed(LINES) == ["nano: PSNR, dB, pi: 30.00, missed by 0.50"]


def test_every_figure_becomes_a_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    for _ in range(2):
        append_lines(path, LINES, {}, "0123abcd")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 2 * 4
    told = {"model": "nano", "figure": "PSNR, dB", "on": "pi", "value": "30.00", "must": "30.5", "pictures": "0123abcd"}
    assert rows[2] | told | {"verdict": "missed by 0.50"} == rows[2]
    assert rows[2]["machine"]
    assert rows[2]["commit"]


def found(own: float, twin: float) -> Found:
    return Found("", 20.0, {"own": own, "twin": twin}, 40.0, 50.0, 10.0, 8.0, 8.0)


def test_what_int8_loses_is_a_mean_of_each_set_and_of_each_bucket_of_three() -> None:
    image = noisy_pictures(1, 16)[0][0]
    lost = {"native": (0.1, 0.3), "pi": (0.0, 0.2, 0.4, 0.6)}
    buckets = {"native": ("ISO 101-400",) * 2, "pi": ("pi, noise to 6",) * 3 + ("pi, noise over 12",)}
    sets = {name: [Picture("", image, image, each) for each in buckets[name]] for name in lost}
    lines = drops({name: [found(30.0, 30.0 + each) for each in lost[name]] for name in lost}, sets)
    assert {line.on: pytest.approx(line.value) for line in lines} == {"native": 0.2, "pi": 0.3, "pi, noise to 6": 0.2}
    assert [line.holds for line in lines] == [False, False, False]


def test_the_worst_clean_side_counts_with_the_gate_and_without() -> None:
    worse = replace(found(30.0, 30.0), clean_bare=39.9, clean_gated=42.5)
    gated, bare = judge._kept({"pi": [found(30.0, 30.0), worse]}, 43.0, 40.0)
    assert (gated.figure, gated.value, gated.verdict) == (
        "clean keeps at least, with the gate, dB",
        42.5,
        "missed by 0.50",
    )
    assert (bare.figure, bare.value, bare.verdict) == ("clean keeps at least, without, dB", 39.9, "missed by 0.10")


def test_base_is_compared_with_the_best_small(models: Path) -> None:
    file = load_model(models / "small_32x32_int8.tflite")
    sizes = {"small": "small", "better": "small", "large": "base", "tiny": "nano"}
    scores = {"small": 30.0, "better": 30.5, "large": 30.8, "tiny": 40.0}
    lines = {name: [Line("PSNR, dB", "pi", score)] for name, score in scores.items()}
    add_over_small(lines, [Candidate(name, size, file, None) for name, size in sizes.items()])
    (line,) = lines["large"][1:]
    assert (line.figure, line.on, line.verdict) == ("over small, dB", "pi", "missed by 0.20")
    assert all(len(each) == 1 for name, each in lines.items() if name != "large")


@pytest.mark.parametrize(
    ("kind", "threads", "verdict"),
    [("AVX512 with VNNI", 2, "missed by 2.0"), ("AVX2 without VNNI", 2, "met"), ("AVX512 with VNNI", 1, "")],
)
def test_the_speed_is_a_ratio_of_one_run(
    models: Path, monkeypatch: pytest.MonkeyPatch, kind: str, threads: int, verdict: str
) -> None:
    def measured(files: dict[str, object], *_: object, size: tuple[int, int]) -> dict[str, float]:
        assert [*files] == ["peer", "mine"]
        assert size == (32, 32)
        return {"peer": 50.0, "mine": 2.5}

    monkeypatch.setattr(judge, "measure_times", measured)
    monkeypatch.setattr(judge, "instructions_here", lambda: Instructions(kind, None))
    file = load_model(models / "small_32x32_int8.tflite")
    image = noisy_pictures(1, 32)[0][0]
    lines = judge.speed_lines([Candidate("mine", "small", file, None)], file, Picture("", image, image, ""), threads)
    ms, faster = lines["mine"]
    assert (ms.shown, faster.shown, faster.verdict) == ("2.50", "20.0", verdict)
    assert faster.on == f"{kind}, threads: {threads}"
    assert [line.shown for line in lines["peer"]] == ["50.00"]

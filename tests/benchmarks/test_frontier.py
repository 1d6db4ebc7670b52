"""Quality against time, with the smallest models and made-up pictures."""

from __future__ import annotations

import csv
import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model
from quietcam.image import Image
from tests.tiny_network import noisy_pictures

pytest.importorskip("matplotlib", reason="needs the extra 'train'")
frontier = pytest.importorskip("benchmarks.network.frontier", reason="benchmarks are in the repository alone")
drawing = pytest.importorskip("benchmarks.drawing", reason="benchmarks are in the repository alone")


class Picture(NamedTuple):
    """A pair."""

    noisy: Image
    clean: Image


def pictures(count: int = 2, sigma: float = 20.0) -> list[Picture]:
    return [Picture(*both) for both in zip(*noisy_pictures(count, 32, sigma=sigma), strict=True)]


def test_a_row_for_each_set_contender_and_number_of_threads(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "SIDE", 32)
    files = {
        f"small {recipe}": load_model(models / f"small_32x32_{recipe}.tflite") for recipe in ("int8", "float32")
    } | {"peer": load_model(models / "small_32x32_float32.tflite")}
    sets = {"dim/valid": pictures(sigma=5), "loud/valid": pictures()}
    rows = frontier.measure(files, sets)
    assert len(rows) == 2 * (3 + 4) * 2
    assert {(row["name"], row["kind"]) for row in rows} == {
        ("small int8", "int8"),
        ("small float32", "float32"),
        ("peer", "peer"),
        *((name, "filter") for name in ("blur", "median", "bilateral", "nlm")),
    }
    assert all(row["ms"] > 0 for row in rows)
    assert all(bool(row["strength"]) is (row["kind"] == "filter") for row in rows)
    found = {(row["set"], row["name"]): row["psnr"] for row in rows}
    with Interpreter(files["small int8"], threads=1) as interpreter:
        expected = []
        for noisy, clean in sets["loud/valid"]:
            interpreter.run(noisy, out := np.empty_like(noisy))
            expected.append(peak_signal_noise_ratio(clean, out))
    assert found["loud/valid", "small int8"] == pytest.approx(np.mean(expected), abs=0.001)
    assert found["loud/valid", "peer"] == found["loud/valid", "small float32"]
    per_set = {row["name"]: row["ms"] for row in rows if row["set"] == "dim/valid" and row["threads"] == 1}
    assert per_set["small int8"] == next(
        row["ms"] for row in rows if (row["set"], row["name"], row["threads"]) == ("loud/valid", "small int8", 1)
    )


@pytest.mark.parametrize("name", ["blur", "median", "bilateral"])
def test_a_filter_has_the_best_strength_for_the_whole_set(name: str) -> None:
    shown, kind = pictures(3), frontier.FILTERS[name]
    tried = [
        np.mean([peak_signal_noise_ratio(clean, kind.apply(noisy, *setting)) for noisy, clean in shown])
        for setting in itertools.product(*kind.axes.values())
    ]
    found, setting = frontier.best(kind, shown)
    assert found == pytest.approx(max(tried))
    again = [peak_signal_noise_ratio(clean, kind.apply(noisy, *setting)) for noisy, clean in shown]
    assert found == pytest.approx(np.mean(again))


ROW = "{set},3,25.0,{name},{kind},,{psnr},{threads},{ms},2026-01-01,a machine,abc"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A CSV in which the median is worse than the noisy pictures."""
    lines = [
        ROW.format(set=of_set, name=name, kind=kind, psnr=psnr, threads=threads, ms=ms / threads)
        for of_set in ("phones", "cameras", "others")
        for name, kind, psnr, ms in (
            ("nano int8", "int8", 30, 1.0),
            ("nano float32", "float32", 30.1, 4.0),
            ("peer", "peer", 28.6, 280.0),
            ("median", "filter", 24, 0.1),
            ("NLM", "filter", 28.5, 300.0),
        )
        for threads in (1, 2)
    ]
    path = tmp_path / "frontier.csv"
    path.write_text(
        "\n".join(["set,pictures,noisy_psnr,name,kind,strength,psnr,threads,ms,date,machine,commit", *lines])
    )
    return path


def test_the_picture_is_drawn_from_the_file_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "measure", None)
    for name in ("a.png", "b.png"):
        monkeypatch.setattr(
            sys, "argv", ["frontier", "--draw", "--csv", str(results), "--picture", f"{tmp_path}/{name}"]
        )
        assert frontier.main() == 0
    drawn = (tmp_path / "a.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert drawn == (tmp_path / "b.png").read_bytes(), "nothing in it depends on the time"


def test_names_cover_neither_each_other_nor_a_point(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], list[bool]]] = []
    label = drawing.label_points

    def check(axis, points, others) -> None:
        label(axis, points, others)
        boxes = [text.get_window_extent() for text in axis.texts]
        places = [axis.transData.transform(point) for point in (*points.values(), *others)]
        clash = [one.overlaps(two) for index, one in enumerate(boxes) for two in boxes[:index]]
        seen.append((set(points), clash + [box.contains(*place) for box in boxes for place in places]))

    monkeypatch.setattr(frontier, "label_points", check)
    with results.open(newline="") as file:
        frontier.draw(tmp_path / "f.png", [*csv.DictReader(file)])
    assert [names for names, _ in seen] == [{"nano", "peer", "NLM"}] * 3, (
        "without what is worse than the noisy pictures"
    )
    assert not any(any(clash) for _, clash in seen)


def test_without_pictures_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "video").mkdir()
    monkeypatch.setattr(sys, "argv", ["frontier", "--data", str(tmp_path), "--csv", f"{tmp_path}/f.csv"])
    assert frontier.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("frontier: ")
    assert "Remedy" in said
    assert not (tmp_path / "f.csv").exists()


def test_without_names_it_is_about_the_still_models_that_ship_and_their_float_twins() -> None:
    files = frontier.load_models(())
    assert files
    for name, file in files.items():
        assert not file.remembers
        assert name.split(" ")[1] == file.ends
    int8 = {name.split(" ")[0] for name in files if name.endswith(" int8")}
    assert int8 == {name.split(" ")[0] for name in files if name.endswith(" float32")}

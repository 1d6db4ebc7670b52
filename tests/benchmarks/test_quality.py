"""The command from end to end, with a network that changes nothing: all that it must give is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.network.quality import __main__ as quality
from benchmarks.network.quality.drawn import dark_flats
from tests.benchmarks.judged_data import write_data
from tests.tiny_network import noisy_pictures

tf = pytest.importorskip("tensorflow", reason="needs the extra 'train'")


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network of 256x256 whose picture is the noisy one."""
    image = tf.TensorSpec([1, 256, 256, 3], tf.float32)
    function = tf.function(lambda x: tf.minimum(tf.nn.relu(x), 1.0)).get_concrete_function(image)
    path = tmp_path_factory.mktemp("models") / "unchanged.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    return path


@pytest.fixture(scope="module")
def rows(unchanged: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], dict[str, str]]:
    """What it writes of this network, with the same as its peer; by model, figure and place."""
    folder = tmp_path_factory.mktemp("judged")
    words = ["--model", unchanged, "--peer", unchanged, "--data", write_data(folder), "--csv", folder / "q.csv"]
    words += ["--drawn", folder / "drawn"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "dark_flats", lambda: dark_flats(2))
        assert quality.main([*map(str, words), "--quick"]) == 3
    with (folder / "q.csv").open(newline="", encoding="utf-8") as file:
        return {(row["model"], row["figure"], row["on"]): row for row in csv.DictReader(file)}


def test_it_scores_as_the_noisy_side(rows: dict[tuple[str, str, str], dict[str, str]]) -> None:
    noisy, clean = (each[:, 2:258, 2:258].astype(np.float64) for each in noisy_pictures(2, 260, sigma=10.0))
    for index, name in enumerate(("native", "squeezed")):
        expected = 10 * np.log10(255**2 / np.mean((noisy[index] - clean[index]) ** 2))
        for model in ("noisy", "peer", "unchanged"):
            assert rows[model, "PSNR, dB", name]["value"] == f"{expected:.2f}"
    for name in ("machine", "pi"):
        values = {rows[model, "PSNR, dB", name]["value"] for model in ("noisy", "peer", "unchanged")}
        assert len(values) == 1


def test_it_is_compared_with_the_peer(rows: dict[tuple[str, str, str], dict[str, str]]) -> None:
    """It has no arithmetic, so that its targets are those of nano."""
    phone, machine = (rows["unchanged", "over the peer, dB", name] for name in ("native", "machine"))
    assert (phone["value"], phone["must"], phone["goal"]) == ("0.00", "0", "0.7")
    assert phone["verdict"] == "met, goal missed by 0.70"
    assert (machine["must"], machine["verdict"]) == ("-0.3", "met, goal missed by 0.30")


def test_it_keeps_what_is_clean_and_gains_nothing(rows: dict[tuple[str, str, str], dict[str, str]]) -> None:
    for name in ("native", "squeezed", "machine", "pi"):
        for figure in ("with the gate", "without"):
            assert rows["unchanged", f"clean keeps at least, {figure}, dB", name]["value"] == "80.00"
        gained = rows["unchanged", "gained under Gaussian 25, dB", name]
        assert gained["value"] == "0.00"
        assert gained["verdict"] == ("" if name == "squeezed" else "missed by 10.00")


def test_it_leaves_no_pattern_of_its_own(rows: dict[tuple[str, str, str], dict[str, str]]) -> None:
    figure = "error by phase of 2x2, steps of 255"
    assert float(rows["unchanged", figure, "largest"]["value"]) < 0.02, "that of the noise is several times as large"
    assert rows["unchanged", figure, "largest"]["verdict"] == "met"
    assert ("noisy", figure, "largest") not in rows, "what cameras leave is not asked for"


def test_what_only_int8_must_be_is_not_asked_of_a_float_network(
    rows: dict[tuple[str, str, str], dict[str, str]],
) -> None:
    figures = {figure for model, figure, _ in rows if model == "unchanged"}
    assert "GMACs" in figures
    assert not figures & {"int8 share of operators", "pixel identity", "lost to the float twin, dB", "ms for 256x256"}


def test_a_model_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["--model", "no-such-model"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("quality: ")
    assert len(said.splitlines()) == 1

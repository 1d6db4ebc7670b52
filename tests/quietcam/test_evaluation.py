"""``evaluation.json``: written files read back the same; versionless files are read, damaged and later ones refused."""

import json
from dataclasses import replace

import pytest

from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.evaluation import (
    VERSION,
    ChannelPruning,
    Distillation,
    Evaluation,
    MagnitudePruning,
    QuantizationAwareTraining,
    SetScore,
    SmallerNetwork,
    StartingWeights,
    Treatments,
    Validation,
    read_evaluation,
    write_evaluation,
)

EVERYTHING = Evaluation(
    architecture=Architecture(widths=(16, 32), depths=(1, 2)),
    gmacs_256=0.3,
    parameters=1234,
    sparsity=0.5,
    validation=Validation(31.5, 25.0, 4, {"cam/pairs": SetScore(31.5, 25.0)}),
    data={"data": "pairs", "licence": "MIT", "scenes": {"train": ["001"], "test": []}, "earlier": [{"data": "old"}]},
    extra_noise={"gaussian": 0.04},
    tools={"quietcam": "0.1"},
    treatments=Treatments(
        weights=StartingWeights("small.tflite", "ab" * 32, 29.5),
        distillation=Distillation("runs/base", 0.5, 1.15, "cd" * 32),
        channel_pruning=ChannelPruning(
            "l1", 31.0, {"l1": (SmallerNetwork((16, 32), 0.3, 31.0), SmallerNetwork((8, 32), 0.2, 20.0))}
        ),
        magnitude_pruning=MagnitudePruning(0.5, {"down0_0": {"0.3": 30.9}}, {"down0_0": 0.0}),
        quantization_aware_training=QuantizationAwareTraining({"denoise": (0.0, 1.0)}, 31.4),
    ),
)


def test_what_is_written_comes_back(tmp_path):
    write_evaluation(tmp_path, EVERYTHING)
    assert read_evaluation(tmp_path) == EVERYTHING
    bare = replace(EVERYTHING, treatments=Treatments(), extra_noise={}, validation=Validation(31.5, 25.0, 4))
    write_evaluation(tmp_path, bare)
    assert read_evaluation(tmp_path) == bare
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["version"] == VERSION
    assert "weights" not in content
    assert content["validation"] == {"psnr": 31.5, "noisy_psnr": 25.0, "crops": 4}


def test_a_file_of_the_first_quietcam_is_read(tmp_path):
    (tmp_path / "evaluation.json").write_text(
        '{"architecture": {"channels": 3, "stem": 2, "widths": [8, 16], "depths": [1, 1]}, "gmacs_256": 0.1, '
        '"parameters": 99, "sparsity": 0, "validation": {"psnr": 31.5, "noisy_psnr": 25.0, "crops": 4}, '
        '"data": {"data": "pairs"}, "tools": {"quietcam": "0.0"}}'
    )
    found = read_evaluation(tmp_path)
    assert found.architecture == Architecture(widths=(8, 16), depths=(1, 1))
    assert found.validation == Validation(31.5, 25.0, 4)
    assert found.treatments == Treatments()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": VERSION + 1}, "version 2, where this quietcam reads up to 1"),
        ({"version": "1"}, "version must be a whole number"),
        ({"version": 0}, "version must be 1 or later"),
        ({"data": None}, "data must be an object"),
        ({"validation": {"psnr": "good", "noisy_psnr": 1.0, "crops": 4}}, "psnr must be a number"),
        ({"validation": {"psnr": 30.0, "noisy_psnr": 1.0}}, "crops is missing"),
        ({"parameters": True}, "parameters must be a whole number"),
        ({"architecture": {"widths": [7]}}, "widths"),
        ({"channel_pruning": {"importance": "l1", "before": 1.0, "paths": {"l1": {}}}}, "l1 must be a list"),
        ({"quantization_aware_training": {"ranges": {"denoise": [0.0]}, "before": 1.0}}, "denoise must have two ends"),
    ],
)
def test_a_file_that_is_not_an_evaluation_is_refused(tmp_path, change, said):
    write_evaluation(tmp_path, EVERYTHING)
    content = json.loads((tmp_path / "evaluation.json").read_text()) | change
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="must be the file that training wrote") as error:
        read_evaluation(tmp_path)
    assert said in str(error.value)
    assert "Remedy: " in str(error.value)


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    write_evaluation(tmp_path, EVERYTHING)
    text = (tmp_path / "evaluation.json").read_text()
    (tmp_path / "evaluation.json").write_text(text[:100])
    with pytest.raises(ModelError, match="must be the file that training wrote"):
        read_evaluation(tmp_path)


def test_a_run_without_one_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="A run directory must contain"):
        read_evaluation(tmp_path)


def test_the_brief_form_names_what_was_done_and_leaves_the_long_tables_out():
    brief = EVERYTHING.treatments.brief()
    assert brief["distillation"] == {"teacher": "base", "weight": 0.5, "gmacs_256": 1.15, "sha256": "cd" * 32}
    assert brief["channel_pruning"] == {"importance": "l1", "before": 31.0}
    whole = EVERYTHING.treatments.to_dict()
    assert brief.keys() == whole.keys()
    assert len(json.dumps(brief)) < 600
    assert Treatments().brief() == {}

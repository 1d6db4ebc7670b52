"""``convert`` as a function: what it writes, what it returns, and that the command is its wording."""

from __future__ import annotations

import doctest

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

import convert.api
from convert.api import convert as convert_model
from edge.network.modelfile import load_model
from quietcam.errors import UsageError


def test_its_example_is_true():
    done = doctest.testmod(convert.api)
    assert (done.attempted > 4, done.failed) == (True, 0)


def test_the_models_are_a_sequence_with_paths_and_what_is_known_of_them(run_folder, representative, tmp_path):
    made = convert_model(run_folder, ["float32", "int8"], (64, 64), representative, tmp_path, name="mine")
    assert [(each.path, each.recipe, each.size) for each in made] == [
        (tmp_path / "mine_64x64_float32.tflite", "float32", (64, 64)),
        (tmp_path / "mine_64x64_int8.tflite", "int8", (64, 64)),
    ]
    assert len(made) == 2
    assert load_model(made[1].path).manifest.metrics["findings"] == [str(made.fault)]
    assert made.loss is None  # of a network that gives no pictures
    assert made.missed is None


def test_a_loss_beyond_the_limit_is_told_and_raises_nothing(representative, pair_folder, tmp_path):
    made = convert_model("nano", "int8", "64x64", representative, tmp_path, data=pair_folder, max_drop=0.0)
    assert made.loss.is_measured
    assert not made.holds
    assert "the limits are 0 dB, 0.25 in the worst ISO bucket" in made.missed
    assert load_model(made[0].path).manifest.metrics["int8"] == made.loss.to_dict()


@pytest.mark.parametrize("size", ["64x32", (64, 32), ["64x32"], [(64, 32)]])
def test_a_finished_model_takes_one_size_or_several_in_words_or_numbers(size, tmp_path):
    [model] = convert_model("nano", recipe="int8", size=size, out=tmp_path)
    assert model.path == tmp_path / "nano_64x32_int8.tflite"


def test_models_for_a_coral_are_int8_and_lie_in_a_folder_of_their_own(tmp_path):
    [model] = convert_model("nano", size="64x64", out=tmp_path, target="coral")
    assert model.path == tmp_path / "coral" / "nano_64x64_int8.tflite"
    with pytest.raises(UsageError, match=r"must be int8.*Received: float32"):
        convert_model("nano", recipe="float32", out=tmp_path, target="coral")


def test_a_limit_where_no_loss_can_be_told_is_refused(tmp_path):
    with pytest.raises(UsageError, match="`max_drop` compares int8 with the float network"):
        convert_model("nano", out=tmp_path, max_drop=0.1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [64, (64, 64, 3), (64,), (0, 64), (64, "wide"), [(64, 64), 32]])
def test_what_is_no_size_is_refused(size, tmp_path):
    with pytest.raises(UsageError, match="`size` is WIDTHxHEIGHT"):
        convert_model("nano", "int8", size, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_target_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"`target` is cpu or coral\. Received: gpu"):
        convert_model("nano", "int8", "64x64", out=tmp_path, target="gpu")


def test_what_comes_back_is_short_to_look_at(tmp_path):
    assert len(repr(convert_model("nano", "int8", "64x64", out=tmp_path))) < 1000

"""The comparison as a library: names of models and a folder in, plain values out, and nothing on the terminal."""

from __future__ import annotations

import doctest
import json

import pytest

import compare.api
from compare.api import compare as compare_models
from quietcam.errors import UsageError
from quietcam.tflite.manifest import strip_manifest


def test_its_example_is_true() -> None:
    done = doctest.testmod(compare.api)
    assert (done.attempted > 4, done.failed) == (True, 0)


def test_a_folder_and_files_give_plain_values_and_a_page(model_files, pair_folder, tmp_path, capsys) -> None:
    page = tmp_path / "report.html"
    found = compare_models(
        list(map(str, model_files.values())), str(pair_folder), limit=2, classic=["blur"], max_drop=0.0, html=page
    )
    assert [row.name for row in found.rows] == ["noisy", "blur", "tiny_64x64_float32", "tiny_64x64_int8"]
    assert (found.data, found.pictures, found.about) == (pair_folder.name, 2, "tiny_64x64_int8")
    assert [check.where for check in found.gate] == ["all"]  # a missed limit raises nothing
    assert found.blame[0].layers
    assert json.loads(json.dumps(found.to_dict()))["pictures"] == 2
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert capsys.readouterr().out == ""


def test_a_twin_is_named_as_the_model_was_given(model_files, pair_folder, tmp_path) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(strip_manifest(model_files["int8"].read_bytes()))
    floating = str(model_files["float32"])
    for name in (str(bare), "bare.tflite", "bare"):
        found = compare_models(bare, pair_folder, limit=1, twins={name: floating}, blame=False)
        assert found.reference == "tiny_64x64_float32"
    with pytest.raises(UsageError, match=r"`twins` must name one of the models that are compared. Received: other"):
        compare_models(bare, pair_folder, twins={"other": floating})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classic": ["box"]}, r"`classic` names filters of pictures: blur, median, bilateral, nlm. Received: box"),
        ({"classic": ["hqdn3d"]}, r"Received: hqdn3d\. Remedy: compare on clips: `clips`\."),
        ({"max_drop_iso": 0.1}, r"`max_drop_iso` needs `max_drop`"),
        ({"split": "half"}, r"half"),
        ({"threads": 0}, r"at least 1 thread"),
    ],
)
def test_options_that_make_no_sense_are_refused(model_files, pair_folder, options, words) -> None:
    with pytest.raises(UsageError, match=words):
        compare_models(model_files["int8"], pair_folder, **options)

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.architecture import Architecture
from quietcam.errors import ModelError
from quietcam.tflite.manifest import (
    FORMAT,
    MEMBER,
    Manifest,
    Quant,
    attach_manifest,
    extract_manifest,
    model_sha256,
    read_manifest,
    sidecar_path,
    strip_manifest,
    write_sidecar,
)
from quietcam.tflite.manifest_fields import FIELDS

MODEL = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 4


def manifest_of(model: bytes = MODEL) -> Manifest:
    return Manifest(
        name="tiny",
        recipe="int8",
        width=64,
        height=32,
        channels=3,
        sha256=hashlib.sha256(model).hexdigest(),
        gmacs=0.01,
        gmacs_256=0.32,
        architecture={"stem": 2},
        receptive_field=46,
        stride=4,
        input=Quant("int8", 1 / 255, -128),
        output=Quant("int8", 1 / 255, -128),
        sparsity=0.5,
        training={"data": "pictures", "licence": "ours"},
        metrics={"psnr": 30.25},
        tools={"quietcam": "0.1.0"},
    )


@given(st.binary(max_size=400))
def test_a_manifest_goes_on_and_comes_off_any_bytes(model: bytes) -> None:
    manifest = manifest_of(model)
    joined = attach_manifest(model, manifest)
    assert joined.startswith(model)
    assert strip_manifest(joined) == model
    assert extract_manifest(joined) == manifest
    assert model_sha256(joined) == model_sha256(model) == manifest.sha256


def test_the_appended_copy_is_a_plain_zip_that_other_tools_read() -> None:
    with zipfile.ZipFile(io.BytesIO(attach_manifest(MODEL, manifest_of()))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["quietcam.json"]
        assert archive.getinfo(MEMBER).date_time == (1980, 1, 1, 0, 0, 0)
        values = json.loads(archive.read(MEMBER))
    assert values["sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert values["input"] == {"dtype": "int8", "scale": 1 / 255, "zero_point": -128}
    assert "created" not in values


def test_the_same_inputs_give_the_same_bytes_and_a_second_one_replaces_the_first() -> None:
    once = attach_manifest(MODEL, manifest_of())
    assert attach_manifest(MODEL, manifest_of()) == once
    assert attach_manifest(once, manifest_of()) == once


def test_a_foreign_zip_behind_a_model_belongs_to_the_model() -> None:
    file = io.BytesIO(MODEL)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.txt", "noise")
    model = file.getvalue()
    assert strip_manifest(model) == model
    assert extract_manifest(model) is None
    assert strip_manifest(attach_manifest(model, manifest_of(model))) == model


def test_the_appended_copy_comes_before_the_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "tiny_64x32_int8.tflite"
    path.write_bytes(MODEL)
    assert read_manifest(path) is None
    beside = write_sidecar(path, manifest_of(), created="2020-02-02T20:20:20+00:00")
    assert beside == sidecar_path(path) == tmp_path / "tiny_64x32_int8.json"
    assert json.loads(beside.read_text())["created"].startswith("2020")
    assert read_manifest(path) == manifest_of()
    path.write_bytes(attach_manifest(MODEL, dataclasses.replace(manifest_of(), name="inside")))
    found = read_manifest(path)
    assert found is not None
    assert found.name == "inside"


@pytest.mark.parametrize("appended", [True, False])
def test_a_changed_model_is_refused(tmp_path: Path, appended: bool) -> None:
    path = tmp_path / "m.tflite"
    whole = attach_manifest(MODEL, manifest_of()) if appended else MODEL
    path.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    write_sidecar(path, manifest_of())
    with pytest.raises(ModelError, match=r"SHA-256.*Received.*Remedy"):
        read_manifest(path)


def test_a_manifest_is_not_attached_to_another_model() -> None:
    with pytest.raises(ModelError, match="SHA-256"):
        attach_manifest(MODEL + b"more", manifest_of())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": FORMAT + 1}, "newer quietcam"),
        ({"format": "one"}, "format number"),
        ({"format": True}, "format number"),
        ({"format": 0}, "format number"),
        ({"name": "../../boot"}, "name must be letters"),
        ({"name": "m" * 201}, "name must be letters"),
        ({"recipe": "int8\n"}, "recipe must be the name"),
        ({"width": "64"}, "width must be a whole number"),
        ({"width": True}, "width must be a whole number"),
        ({"width": 64.0}, "width must be a whole number"),
        ({"height": 10**9}, "height must be a whole number of pixels, 1 to 32768"),
        ({"channels": 2}, "channels must be 1 or 3"),
        ({"sha256": "ab"}, "sha256 must be 64"),
        ({"stride": 0}, "stride must be a whole number"),
        ({"receptive_field": -100}, "receptive_field must be a whole number"),
        ({"gmacs": None}, "gmacs must be a number"),
        ({"gmacs": float("nan")}, "gmacs must be a number"),
        ({"gmacs_256": -1}, "gmacs_256 must be a number"),
        ({"gmacs_256": 10**400}, "gmacs_256 must be a number"),
        ({"sparsity": 1.5}, "sparsity must be a share"),
        ({"sparsity": float("inf")}, "sparsity must be a share"),
        ({"input": {"scale": 1}}, "input must be an object of dtype, scale and zero_point"),
        ({"input": "int8"}, "input must be an object of dtype, scale and zero_point"),
        ({"output": {"dtype": "int8", "scale": 1.0, "zero_point": float("inf")}}, "output must be"),
        ({"output": {"dtype": "int8", "scale": "1", "zero_point": 0}}, "output must be"),
        ({"tools": []}, "tools must be an object"),
        ({"tools": {"quietcam": 1}}, "tools must be an object of texts"),
        ({"training": None}, "training must be an object"),
        ({"training": {"licence": ["MIT"]}}, "licence and sha256 are texts"),
        ({"training": {"ranges": []}}, "ranges is an object"),
        ({"training": {"runs": {}}}, "runs a list of objects"),
        ({"training": {"runs": ["train"]}}, "runs a list of objects"),
        ({"metrics": {"psnr": "high"}}, "psnr is a number"),
        ({"metrics": {"findings": "one"}}, "findings is a list of texts"),
        ({"metrics": {"by_set": []}}, "by_set holds psnr and noisy_psnr by name"),
        ({"metrics": {"by_set": {"a": {"psnr": 30.0}}}}, "by_set holds"),
        ({"metrics": {"by_set": {"a": {"psnr": 30.0, "noisy_psnr": "low"}}}}, "by_set holds"),
        ({"metrics": {"by_set": {"a": {"psnr": 30.0, "noisy_psnr": 20, "without_history": "?"}}}}, "by_set holds"),
        ({"golden": {"shape": [2, 2, 3]}}, "golden must be"),
        ({"golden": {"shape": [1, 1, 3], "noisy": "AAAA", "denoised": "AAA", "tolerance": 8}}, "golden must be"),
        ({"golden": {"shape": [1, 1, 3.0], "noisy": "AAAA", "denoised": "AAAA", "tolerance": 8}}, "golden must be"),
        ({"golden": {"shape": [1, 1, 3], "noisy": "AAAA", "denoised": "AAAA", "tolerance": 1e9}}, "golden must be"),
        ({"tail": "depth to space"}, "tail must be"),
        ({"block": 2.0}, "block must be"),
        ({"gate": {"low": 4.0, "high": 2.5}}, "gate must be"),
        ({"gate": {"low": -1.0}}, "gate must be"),
        ({"weights_sha256": "AB" * 32}, "weights_sha256 must be"),
        ({"made_from": {"model": 1}}, "made_from must be"),
        ({"inputs": None}, "inputs must be noisy, or noisy and history"),
        ({"inputs": ["history"]}, "inputs must be"),
        ({"inputs": ["noisy", "noisy"]}, "inputs must be"),
        ({"inputs": {"noisy": 0}}, "inputs must be"),
        ({"outputs": ["noisy"]}, "outputs must be denoised, or denoised and history"),
        ({"outputs": "denoised"}, "outputs must be"),
        ({"training": {"data": "pictures\x1b[2J"}}, "not contain control characters"),
        ({"metrics": {"notes": [{"a\x07": 1}]}}, "not contain control characters"),
    ],
)
def test_wrong_values_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Manifest.from_dict(manifest_of().to_dict() | change)


_ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, "int8"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from([*FIELDS, "format", "created", "else"])


@given(st.dictionaries(_KEYS, _ODD, min_size=1, max_size=3), st.lists(_KEYS, max_size=1))
def test_a_manifest_is_taken_whole_or_refused_in_plain_words(change: dict[str, object], lacking: list[str]) -> None:
    values = manifest_of().to_dict() | change
    for key in lacking:
        values.pop(key, None)
    said = "Remedy"
    try:
        manifest = Manifest.from_dict(values)
    except ModelError as error:
        manifest, said = manifest_of(), str(error)
    assert "Remedy" in said
    assert len(said) < 400
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict(), allow_nan=False))) == manifest


def test_a_missing_key_is_named() -> None:
    values = manifest_of().to_dict()
    del values["recipe"]
    with pytest.raises(ModelError, match="without recipe"):
        Manifest.from_dict(values)


def test_keys_of_a_later_minor_version_are_passed_over() -> None:
    assert Manifest.from_dict(manifest_of().to_dict() | {"color": "blue"}) == manifest_of()


@pytest.mark.parametrize("text", ["{", "[]", "3", "\x00"])
def test_a_damaged_sidecar_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(MODEL)
    sidecar_path(path).write_text(text)
    with pytest.raises(ModelError, match="must be"):
        read_manifest(path)


def test_a_damaged_appended_copy_is_refused() -> None:
    joined = bytearray(attach_manifest(MODEL, manifest_of()))
    joined[joined.index(b'"recipe"') + 2] ^= 1  # the zip's own checksum notices
    with pytest.raises(ModelError, match="must be whole"):
        extract_manifest(bytes(joined))


def test_a_model_that_cannot_be_read_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must be readable"):
        read_manifest(tmp_path / "absent.tflite")


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"widths": [4096] * 5, "depths": [64] * 5}, "million weights"),
        ({"widths": 16}, "list of whole numbers"),
        ({"a": {}}, "Unknown keys"),
    ],
)
def test_a_network_that_cannot_be_is_no_reason_to_take_memory_for_it(told: dict[str, object], says: str) -> None:
    assert (
        dataclasses.replace(manifest_of(), architecture=None).network
        is dataclasses.replace(manifest_of(), architecture={}).network
        is None
    )
    assert dataclasses.replace(manifest_of(), architecture={"widths": [16], "depths": [1]}).network == Architecture(
        widths=(16,), depths=(1,)
    )
    with pytest.raises(ModelError, match=rf"The manifest of \S+ must describe a possible network.*{says}"):
        _ = dataclasses.replace(manifest_of(), architecture=told).network


def test_what_only_some_models_have_is_left_out_of_the_others() -> None:
    values = manifest_of().to_dict()
    assert not {"tail", "block", "gate"} & values.keys()
    split = dataclasses.replace(manifest_of(), tail="depth_to_space", block=2, gate={"low": 1.0, "high": 2.0})
    assert split.to_dict().items() > values.items()
    assert Manifest.from_dict(split.to_dict()) == split
    for wrong in ({"tail": 2}, {"block": "2"}, {"gate": [1, 2]}):
        with pytest.raises(ModelError, match="The manifest's"):
            Manifest.from_dict(values | wrong)


def test_a_video_model_names_its_ends_in_the_order_of_its_graph() -> None:
    still = manifest_of()
    assert not {"inputs", "outputs"} & still.to_dict().keys()
    video = dataclasses.replace(still, inputs=("history", "noisy"), outputs=("denoised", "history"))
    values = json.loads(json.dumps(video.to_dict()))
    assert (values["inputs"], values["outputs"]) == (["history", "noisy"], ["denoised", "history"])
    assert Manifest.from_dict(values) == video
    assert Manifest.from_dict(values | {"inputs": [], "outputs": []}) == still

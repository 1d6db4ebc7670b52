from __future__ import annotations

import dataclasses

import pytest

from convert.converter import describe
from convert.files import check_name, read_size, write_model
from quietcam.errors import ModelError, UsageError
from quietcam.tflite.manifest import model_sha256, sidecar_path


@pytest.mark.parametrize(("text", "size"), [("256x256", (256, 256)), ("640X480", (640, 480))])
def test_sizes_are_width_by_height(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "256", "256x", "x256", "0x8", "-1x8", "256x256x3", "1e3x8", "a x b"])
def test_other_texts_are_no_size(text):
    with pytest.raises(UsageError, match="WIDTHxHEIGHT"):
        read_size(text)


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "a b", "-x"])
def test_a_name_cannot_lead_elsewhere(name):
    with pytest.raises(UsageError, match="name"):
        check_name(name)


def test_what_the_device_would_refuse_gets_no_name(conversions, loaded, representative, tmp_path):
    """Half a model under a manifest that fits it: the writer must look for itself."""
    half = conversions["int8"].content[:2000]
    manifest = dataclasses.replace(
        describe(conversions["int8"], loaded, "half", representative), sha256=model_sha256(half)
    )
    with pytest.raises(ModelError):
        write_model(tmp_path, half, manifest)
    assert list(tmp_path.iterdir()) == []


def test_only_the_sidecar_is_dated(conversions, loaded, representative, tmp_path):
    manifest = describe(conversions["int8"], loaded, "tiny", representative)
    contents = []
    for created in ("2001-01-01", "2002-02-02"):
        path = write_model(tmp_path, conversions["int8"].content, manifest, created)
        assert created in sidecar_path(path).read_text()
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert b"2002-02-02" not in contents[1]

"""Manifests: whatever one contains, beside a model or appended to it, the model is accepted or refused in our words."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
import zipfile
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from edge import models
from edge.models import describe
from edge.network.denoiser import Denoiser
from edge.network.modelfile import load_model
from fuzz.commands import run_command
from fuzz.mutate import mutate_bytes, mutate_json, odd_value, spelled
from fuzz.trials import Trials
from quietcam.errors import ModelError
from quietcam.files.strict_json import dump_json, parse_json
from quietcam.tflite.manifest import MEMBER, Manifest, attach_manifest, extract_manifest, read_manifest, sidecar_path

__all__ = ["run"]

_SHIPPED = Path(models.__file__).parent / "nano_256x256_int8.tflite"
_LISTS_EVERY = 4
_COMMANDS_EVERY = 40  # a whole command takes as long as this many trials


def run(trials: Trials) -> None:
    content, whole = _model()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small_256x256_int8.tflite"
        for trial in trials:
            random = trial.random
            for leftover in Path(folder).iterdir():
                leftover.unlink()
            if random.random() < 0.5:
                path.write_bytes(content)
                sidecar_path(path).write_bytes(trial.keep("m.json", _text(random, whole)))
            else:
                path.write_bytes(trial.keep("m.tflite", _appended(random, content, whole)))
            taken = _load(path)
            if trial.number % (_LISTS_EVERY if taken else _COMMANDS_EVERY) == 0:
                _command(path, "models", "--json", "-")
            if trial.number % _COMMANDS_EVERY == 0:
                _command(path, "run", "--source", "synthetic:size=64x48", "--frames", "1", "--model", str(path))


def _model() -> tuple[bytes, dict[str, Any]]:
    """A model without manifest, and the values of a manifest for it that has every field."""
    manifest = read_manifest(_SHIPPED)
    assert manifest is not None
    joined = _SHIPPED.read_bytes()
    with zipfile.ZipFile(io.BytesIO(joined)) as archive:
        content = joined[: archive.infolist()[0].header_offset]
    more = {
        "gate": {"low": 2.5, "high": 4.0},
        "tail": None,
        "block": None,
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
        "made_from": {"model": "nano", "sha256": manifest.sha256, "tools": {"quietcam": "0.1.0"}},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return content, manifest.to_dict() | more


def _text(random: Random, whole: dict[str, Any]) -> bytes:
    """A manifest's text: damaged as a value, as a text, or both; sometimes a different text."""
    if random.random() < 0.05:
        return spelled(random, odd_value(random)).encode("utf-8", "surrogatepass")
    values = mutate_json(random, whole) if random.random() < 0.8 else whole
    text = spelled(random, values).encode("utf-8", "surrogatepass")
    return mutate_bytes(random, text) if random.random() < 0.3 else text


def _appended(random: Random, content: bytes, whole: dict[str, Any]) -> bytes:
    """A model with a manifest in an appended zip: damaged inside, or as bytes, or cut short."""
    file = io.BytesIO()
    file.write(content)
    text = _text(random, whole) if random.random() < 0.7 else json.dumps(whole).encode()
    kind = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr(MEMBER, text)
        if random.random() < 0.1:
            archive.writestr("é" if random.random() < 0.5 else "other", b"")
    joined = file.getvalue()
    if random.random() < 0.5:
        start = len(content)
        tail = mutate_bytes(random, joined[start:])
        return content + (tail[: random.randrange(len(tail) + 1)] if random.random() < 0.3 else tail)
    return joined


def _load(path: Path) -> bool:
    """Whether the model is accepted. An accepted model can be described, written again, and denoised with."""
    said = ""
    try:
        model = load_model(path)
    except ModelError as error:
        said = str(error)
    assert said.isprintable(), said
    if said:
        return False
    parse_json(dump_json(describe(model)))
    assert model.overlap >= 0
    if model.manifest is not None:
        again = Manifest.from_dict(parse_json(dump_json(model.manifest.to_dict())))
        assert again == model.manifest
        assert extract_manifest(attach_manifest(model.content, again)) == again
    with contextlib.suppress(ModelError), Denoiser(path, threads=1, gate=True) as denoiser:
        denoiser.denoise(np.zeros((48, 64, model.channels), np.uint8))
    return True


def _command(path: Path, *words: str) -> None:
    """Run a command with this model as the only one that ships; it must succeed, or end with one line of ours."""
    with mock.patch.object(models, "_HERE", path.parent):
        told = run_command(words)
    assert told.code in (0, 1), (told.code, told.said)
    assert told.code == 0 or told.said.count("\n") == 1, told.said
    if told.code == 0 and words[-1] == "-":
        parse_json(told.out)

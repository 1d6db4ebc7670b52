"""The manifest: what a model file is and what made it. Stored next to the ``.tflite`` and in a zip appended to it.

A ``.tflite`` is a flatbuffer, which is read from its start; a zip is read from its end. So one file can be both, and
the interpreter never sees the appended manifest. The appended copy has no date, and constant times in the zip, so the
same model and manifest give the same bytes. The hash inside is that of the model without the zip.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from quietcam.architecture import Architecture
from quietcam.errors import JsonError, ModelError, UsageError
from quietcam.files.atomic import write_json
from quietcam.files.regular import read_regular
from quietcam.files.strict_json import MOST_BYTES, dump_json, parse_json, read_json
from quietcam.tflite.content import MOST_OF_A_MODEL
from quietcam.tflite.manifest_fields import check_fields

__all__ = [
    "FORMAT",
    "MEMBER",
    "Manifest",
    "Quant",
    "attach_manifest",
    "extract_manifest",
    "model_sha256",
    "read_manifest",
    "sidecar_path",
    "strip_manifest",
    "write_sidecar",
]

FORMAT = 1
"""The format version that this code writes, and the newest that it reads. Unknown keys are ignored."""

MEMBER = "quietcam.json"
"""The manifest's name inside the appended zip."""

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can store


@dataclass(frozen=True)
class Quant:
    """One end of a model: real = scale * (stored - zero_point). A float end has scale 0 and zero point 0."""

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Manifest:
    """The description of a model file. Sizes in pixels; ``gmacs`` at the model's own size, ``gmacs_256`` at 256x256.

    ``tail`` names the step that the host still has to do: ``depth_to_space`` with blocks of ``block`` x ``block``
    pixels if the graph ends before it; None if the graph outputs the picture. ``gate`` may contain the noise levels
    ``low`` and ``high`` (sigma in steps of 255) between which the do-no-harm gate fades this model in; None for the
    default levels. ``golden`` is a small noisy picture and its denoised version from the conversion
    (``edge.network.golden``). ``weights_sha256`` is the hash of the float weights that the model was made from: models
    of the same weights are twins, regardless of their names. None for models from before this was recorded.
    ``made_from`` describes the finished model that this one was converted from, as ``model`` (its name), ``sha256``
    and ``tools``; None if it was converted from a run. ``inputs`` and ``outputs`` name the ends of a video network in
    the order of its graph: ``noisy`` and ``history``, and ``denoised``, with ``history`` where the graph gives it; both
    are empty for a still network.
    """

    name: str
    recipe: str
    width: int
    height: int
    channels: int
    sha256: str
    gmacs: float
    gmacs_256: float
    format: int = FORMAT
    architecture: dict[str, Any] | None = None
    receptive_field: int | None = None
    stride: int = 1
    input: Quant | None = None
    output: Quant | None = None
    sparsity: float | None = None
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    golden: dict[str, Any] | None = None
    tail: str | None = None
    block: int | None = None
    gate: dict[str, Any] | None = None
    weights_sha256: str | None = None
    made_from: dict[str, Any] | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the format version first. Optional keys are left out if they have no value."""
        values = asdict(self) | {"inputs": list(self.inputs), "outputs": list(self.outputs)}
        return {"format": self.format} | {k: v for k, v in values.items() if v not in (None, []) or k not in _RARE}

    @property
    def network(self) -> Architecture | None:
        """The network that ``architecture`` describes; None without a description.

        Raises:
            ModelError: it describes an impossible network.
        """
        if not self.architecture:
            return None
        try:
            return Architecture.from_dict(self.architecture)
        except UsageError as error:
            raise ModelError(f"The manifest of {self.name} must describe a possible network. {error}") from error

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Manifest:
        """The inverse of ``to_dict``.

        Raises:
            ModelError: a key is missing, a value has the wrong type, or the format is newer than this code.
        """
        version = values.get("format") if isinstance(values, dict) else None
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ModelError(f"A manifest must be a JSON object with a format number. {_REMEDY}")
        if version > FORMAT:
            raise ModelError(
                f"The manifest's format must be at most {FORMAT}. Received: format={str(version)[:24]}. "
                "Remedy: install a newer quietcam."
            )
        if missing := sorted(key for key in _REQUIRED if key not in values):
            raise ModelError(
                f"A manifest must have {', '.join(_REQUIRED)}. Received: one without {', '.join(missing)}. {_REMEDY}"
            )
        if (wrong := check_fields(values)) is not None:
            raise ModelError(f"{wrong} {_REMEDY}")
        known = {each.name for each in fields(cls)}
        chosen = {key: value for key, value in values.items() if key in known}
        for end in ("input", "output"):
            if (told := chosen.get(end)) is not None:
                chosen[end] = Quant(told["dtype"], float(told["scale"]), told["zero_point"])
        for ends in ("inputs", "outputs"):
            chosen[ends] = tuple(chosen.get(ends, ()))
        return cls(**chosen)


_REMEDY = "Remedy: convert the model again with `quietcam convert`."
_REQUIRED = ("name", "recipe", "width", "height", "channels", "sha256", "gmacs", "gmacs_256")
_RARE = frozenset({"tail", "block", "gate", "weights_sha256", "made_from", "inputs", "outputs"})


def model_sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal of a model file's content without the appended manifest."""
    return hashlib.sha256(strip_manifest(content)).hexdigest()


def attach_manifest(content: bytes, manifest: Manifest) -> bytes:
    """The model with ``manifest`` appended; it replaces an earlier one. Deterministic.

    Raises:
        ModelError: ``manifest`` belongs to another model (by its hash), or has values that readers would refuse.
    """
    model = strip_manifest(content)
    _check_hash(model, manifest, "the model to attach it to")
    text = dump_json(manifest.to_dict(), indent=1)
    _parse(text.encode(), "A manifest to attach")
    file = io.BytesIO()
    file.write(model)
    # Mode "w" starts the archive at the current position and counts offsets from the file's start. Nothing is
    # compressed, because the output of deflate depends on the installed zlib.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        member = zipfile.ZipInfo(MEMBER, _ZIP_TIME)
        member.create_system = 3
        member.external_attr = 0o644 << 16
        archive.writestr(member, text)
    return file.getvalue()


def strip_manifest(content: bytes) -> bytes:
    """The model without its appended manifest. A zip that quietcam did not write stays."""
    found = _find(content)
    return content if found is None else content[: found[0]]


def extract_manifest(content: bytes) -> Manifest | None:
    """The manifest appended to a model file's content; None if there is none.

    Raises:
        ModelError: it is damaged, has a newer format, or belongs to another model (by its hash).
    """
    found = _find(content)
    if found is None:
        return None
    start, text = found
    manifest = _parse(text, f"The appended {MEMBER}")
    _check_hash(content[:start], manifest, "the model it is appended to")
    return manifest


def read_manifest(model_path: Path, content: bytes | None = None) -> Manifest | None:
    """The manifest of the model at ``model_path``: the appended one, or that of the sidecar, or None.

    Args:
        content: the model file's content if it was already read, since the file may have changed since then.

    Raises:
        ModelError: the file cannot be read, or the manifest is damaged or belongs to another model (by its hash).
    """
    model_path = Path(model_path)
    sidecar = sidecar_path(model_path)
    try:
        content = read_regular(model_path, MOST_OF_A_MODEL) if content is None else content
        manifest = extract_manifest(content)
        if manifest is not None or not sidecar.is_file():
            return manifest
        manifest = _parse(sidecar, str(sidecar))
    except OSError as error:
        raise ModelError(f"A model file must be readable. Received: {error.filename}: {error.strerror}.") from error
    _check_hash(content, manifest, str(model_path))
    return manifest


def sidecar_path(model_path: Path) -> Path:
    """The path of a model's sidecar: the model's path with the suffix ``.json``."""
    return Path(model_path).with_suffix(".json")


def write_sidecar(model_path: Path, manifest: Manifest, created: str | None = None) -> Path:
    """Write ``manifest`` to the sidecar of its model; return its path. Only sidecars have a date, ``created``."""
    path = sidecar_path(model_path)
    write_json(path, manifest.to_dict() | ({"created": created} if created else {}))
    return path


def _find(content: bytes) -> tuple[int, bytes] | None:
    """The offset of the appended zip, and the manifest's text. None if there is no zip with a manifest."""
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            return None
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if MEMBER not in {each.filename for each in members}:
                return None
            member, start = archive.getinfo(MEMBER), min(each.header_offset for each in members)
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or start < 0:
                raise zipfile.BadZipFile("a zip that quietcam did not write")
            if member.file_size > MOST_BYTES:
                raise ModelError(f"An appended {MEMBER} must be smaller than {MOST_BYTES >> 20} MiB. {_REMEDY}")
            return start, archive.read(member)
    except _BROKEN as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The manifest appended to a model must be whole. Received: {error}. {_REMEDY}") from error


_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""The errors of zipfile on a damaged zip: for example, a name that is not UTF-8 is a ValueError."""


def _parse(source: bytes | Path, where: str) -> Manifest:
    try:
        values = read_json(source) if isinstance(source, Path) else parse_json(source)
    except JsonError as error:
        raise ModelError(f"{where} must be JSON. Received: {error}. {_REMEDY}") from error
    return Manifest.from_dict(values)


def _check_hash(model: bytes, manifest: Manifest, where: str) -> None:
    actual = hashlib.sha256(model).hexdigest()
    if actual != manifest.sha256:
        raise ModelError(
            f"A manifest must contain the SHA-256 of its model. Received: sha256={manifest.sha256[:12]}…, but "
            f"{actual[:12]}… for {where}: the model was changed, or the manifest belongs to another model. {_REMEDY}"
        )

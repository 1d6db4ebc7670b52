"""The manifest: what a model file is and what made it, beside the ``.tflite`` and zip-appended to it.

A ``.tflite`` is a flatbuffer, read from its front; a zip is read from its back. So one file can be both, and
the interpreter never sees the manifest that travels with the model. The appended copy holds no date and fixed
zip times: the same model and manifest give the same bytes. The hash inside is of the model before the zip.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from quietcam.atomic import write_json
from quietcam.errors import ModelError

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
"""The format version that this code writes, and the newest it reads. Unknown keys are passed over."""

MEMBER = "quietcam.json"
"""The manifest's name inside the appended zip."""

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_LARGEST_MANIFEST = 16 << 20


@dataclass(frozen=True)
class Quant:
    """One end of a model: real = scale * (stored - zero_point). A float end has scale 0 and zero point 0."""

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Manifest:
    """What a model file is. Sizes in pixels; ``gmacs`` at the model's own size, ``gmacs_256`` at 256x256.

    ``tail`` names what the host still has to do: ``depth_to_space`` with blocks of ``block`` x ``block`` pixels, of a
    graph that ends before it; None for a graph that gives the picture. ``gate`` may hold the noise levels ``low`` and
    ``high`` (sigma in steps of 255) between which the runtime lets this model in; None for the runtime's own.
    ``golden`` is a small noisy picture and what the model made of it where it was made (``edge.golden``).
    ``weights_sha256`` is of the float weights that the model was made of: models of the same weights are twins,
    whatever they are called. None of models from before that was recorded. ``made_from`` is the finished model that
    this one was converted from: ``model``, its name, ``sha256`` and ``tools``; None of what was converted from a run.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the format version first. A key that only some models have is left out of others."""
        values = asdict(self)
        return {"format": self.format} | {k: v for k, v in values.items() if v is not None or k not in _RARE}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Manifest:
        """The reverse of ``to_dict``.

        Raises:
            ModelError: a key is missing, a value has the wrong type, or the format is newer than this code.
        """
        version = values.get("format") if isinstance(values, dict) else None
        if not isinstance(version, int):
            raise ModelError(f"A manifest must be a JSON object with a format number. Received: {_short(values)}.")
        if version > FORMAT:
            raise ModelError(
                f"The manifest's format must be at most {FORMAT}. Received: format={version}. "
                "Remedy: install a newer quietcam."
            )
        known = {each.name for each in fields(cls)}
        chosen = {key: value for key, value in values.items() if key in known}
        for end in ("input", "output"):
            if chosen.get(end) is not None:
                chosen[end] = _quant(chosen[end], end)
        for key, accepted in _ACCEPTED.items():
            if key in chosen and not (isinstance(chosen[key], accepted) and not isinstance(chosen[key], bool)):
                raise ModelError(
                    f"The manifest's {key} must be {_names(accepted)}. Received: {key}={_short(chosen[key])}. {_REMEDY}"
                )
        for key in ("width", "height", "channels", "stride"):
            if chosen.get(key, 1) < 1:
                raise ModelError(f"The manifest's {key} must be at least 1. Received: {key}={chosen[key]}. {_REMEDY}")
        try:
            return cls(**chosen)
        except TypeError:
            missing = sorted(key for key in _REQUIRED if key not in chosen)
            raise ModelError(
                f"A manifest must hold {', '.join(_REQUIRED)}. Received: one without {', '.join(missing)}. {_REMEDY}"
            ) from None


_REMEDY = "Remedy: convert the model again with `quietcam convert`."
_REQUIRED = ("name", "recipe", "width", "height", "channels", "sha256", "gmacs", "gmacs_256")
_RARE = frozenset({"tail", "block", "gate", "weights_sha256", "made_from"})
_NONE = type(None)
_ACCEPTED: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "recipe", "sha256"), (str,)),
    **dict.fromkeys(("width", "height", "channels", "stride"), (int,)),
    **dict.fromkeys(("gmacs", "gmacs_256"), (int, float)),
    **dict.fromkeys(("training", "metrics", "tools"), (dict,)),
    **dict.fromkeys(("architecture", "golden", "gate", "made_from"), (dict, _NONE)),
    **dict.fromkeys(("receptive_field", "block"), (int, _NONE)),
    **dict.fromkeys(("tail", "weights_sha256"), (str, _NONE)),
    "sparsity": (int, float, _NONE),
}


def model_sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal of a model file's content, an appended manifest left out."""
    return hashlib.sha256(strip_manifest(content)).hexdigest()


def attach_manifest(content: bytes, manifest: Manifest) -> bytes:
    """The model with ``manifest`` appended, in the place of one that was there. Deterministic.

    Raises:
        ModelError: ``manifest`` is of another model (its hash).
    """
    model = strip_manifest(content)
    _check_hash(model, manifest, "the model to attach it to")
    file = io.BytesIO()
    file.write(model)
    # Mode "w" starts the archive where the file stands and counts offsets from the file's front. Nothing is
    # compressed: deflate's bytes depend on the zlib at hand.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        member = zipfile.ZipInfo(MEMBER, _ZIP_TIME)
        member.create_system = 3
        member.external_attr = 0o644 << 16
        archive.writestr(member, json.dumps(manifest.to_dict(), indent=1, allow_nan=False))
    return file.getvalue()


def strip_manifest(content: bytes) -> bytes:
    """The model alone, without an appended manifest. A zip that is not quietcam's is left where it is."""
    found = _find(content)
    return content if found is None else content[: found[0]]


def extract_manifest(content: bytes) -> Manifest | None:
    """The manifest appended to a model file's content; None where there is none.

    Raises:
        ModelError: it is damaged, of a newer format, or of another model (its hash).
    """
    found = _find(content)
    if found is None:
        return None
    start, text = found
    manifest = _parse(text, f"The appended {MEMBER}")
    _check_hash(content[:start], manifest, "the model it is appended to")
    return manifest


def read_manifest(model_path: Path) -> Manifest | None:
    """The manifest of the model at ``model_path``: the appended one, else the one beside it, else None.

    Raises:
        ModelError: the file cannot be read, or the manifest is damaged or of another model (its hash).
    """
    model_path = Path(model_path)
    sidecar = sidecar_path(model_path)
    try:
        content = model_path.read_bytes()
        manifest = extract_manifest(content)
        if manifest is not None or not sidecar.is_file():
            return manifest
        manifest = _parse(sidecar.read_bytes(), str(sidecar))
    except OSError as error:
        raise ModelError(f"A model file must be readable. Received: {error.filename}: {error.strerror}.") from error
    _check_hash(content, manifest, str(model_path))
    return manifest


def sidecar_path(model_path: Path) -> Path:
    """Where the manifest beside a model lies: the model's name with ``.json``."""
    return Path(model_path).with_suffix(".json")


def write_sidecar(model_path: Path, manifest: Manifest, created: str | None = None) -> Path:
    """Write ``manifest`` beside its model; return the path. Only here is a date, ``created``."""
    path = sidecar_path(model_path)
    write_json(path, manifest.to_dict() | ({"created": created} if created else {}))
    return path


def _find(content: bytes) -> tuple[int, bytes] | None:
    """Where the appended zip starts, and the manifest's text. None where there is no zip with a manifest."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if MEMBER not in {each.filename for each in members}:
                return None
            if archive.getinfo(MEMBER).file_size > _LARGEST_MANIFEST:
                raise ModelError(f"An appended {MEMBER} must be smaller than {_LARGEST_MANIFEST >> 20} MiB. {_REMEDY}")
            return min(each.header_offset for each in members), archive.read(MEMBER)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"The manifest appended to a model must be whole. Received: {error}. {_REMEDY}") from error


def _parse(text: bytes, where: str) -> Manifest:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{where} must be JSON. Received: {error}. {_REMEDY}") from error
    return Manifest.from_dict(values)


def _check_hash(model: bytes, manifest: Manifest, where: str) -> None:
    actual = hashlib.sha256(model).hexdigest()
    if actual != manifest.sha256:
        raise ModelError(
            f"A manifest must carry the SHA-256 of its model. Received: sha256={manifest.sha256[:12]}…, but "
            f"{actual[:12]}… for {where}: the model was changed, or the manifest is another's. {_REMEDY}"
        )


def _quant(values: Any, end: str) -> Quant:
    try:
        return Quant(str(values["dtype"]), float(values["scale"]), int(values["zero_point"]))
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"The manifest's {end} must have dtype, scale and zero_point. Received: {_short(values)}. {_REMEDY}"
        ) from None


def _names(types: tuple[type, ...]) -> str:
    words = {str: "text", int: "a whole number", float: "a number", dict: "an object", _NONE: "null"}
    return " or ".join(words[each] for each in types)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

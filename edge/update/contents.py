"""``bundle.json``: what a bundle holds, with the SHA-256 of each of its files, and what a device must reach with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quietcam.errors import JsonError, UpdateError
from quietcam.files.json_fields import number, table, text, whole
from quietcam.files.strict_json import dump_json, parse_object

__all__ = [
    "CONTENTS",
    "FORMAT",
    "SETTINGS",
    "TARGETS",
    "Bounds",
    "BundleModel",
    "Contents",
    "FileEntry",
    "Golden",
    "parse_contents",
]

CONTENTS = "bundle.json"
SETTINGS = "settings.toml"
FORMAT = 1
TARGETS = ("cpu", "coral")
"""What a model runs on."""

MOST_FILES = 200
_LARGEST = 1 << 31  # bytes of one file
_MOST_FRAMES, _MOST_SIDE = 64, 4096  # of golden frames
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_VERSION = re.compile(r"[a-z0-9][a-z0-9._]{0,19}")  # without a hyphen, so that NAME-VERSION has one meaning
_PATH = re.compile(r"(?:models|golden)/[A-Za-z0-9_][A-Za-z0-9._-]{0,79}|settings\.toml")
_HASH = re.compile(r"[0-9a-f]{64}")
_REMEDY = "Remedy: ask whoever publishes the release to make the bundle again, or to install a newer quietcam here."


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 in hexadecimal of one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class BundleModel:
    """A model of a bundle.

    Attributes:
        path: of its ``.tflite`` file within the bundle. Its manifest has the same name and ends with ``.json``.
        target: ``cpu``, or ``coral`` for a model that was compiled for the Edge TPU.
    """

    path: str
    target: str = "cpu"

    @property
    def manifest(self) -> str:
        return self.path.removesuffix(".tflite") + ".json"


@dataclass(frozen=True)
class Golden:
    """Noisy frames, and what a model made of them on the desktop.

    The two files hold nothing but pixels: uint8 ``(frames, height, width, channels)`` in RGB order.

    Attributes:
        model: path of the model within the bundle.
        noisy, denoised: paths of the two files within the bundle.
        shape: frames, height, width, channels. One frame is a still; more are a clip, which starts without history.
    """

    model: str
    noisy: str
    denoised: str
    shape: tuple[int, int, int, int]

    @property
    def is_clip(self) -> bool:
        return self.shape[0] > 1

    @property
    def size(self) -> int:
        """Bytes of each of the two files."""
        frames, height, width, channels = self.shape
        return frames * height * width * channels


@dataclass(frozen=True)
class Bounds:
    """What a device must reach on the golden frames before it takes the bundle over.

    Attributes:
        least_db: PSNR in dB between a model's output here and its output on the desktop.
        most_noisy_db: PSNR in dB between the noisy frames and the model's output; above it the model did nothing.
        most_ms: median time in ms of one run of the network at its own size. None: no bound.
        most_mib: memory in MiB of the process that runs it. None: no bound.
    """

    least_db: float = 55.0
    most_noisy_db: float = 30.0
    most_ms: float | None = None
    most_mib: float | None = None


@dataclass(frozen=True)
class Contents:
    """``bundle.json`` as a value. It holds no date: the same files give the same bytes.

    Attributes:
        name, version: together they name the bundle, see ``id``.
        models: the first one for a target is the one that runs there.
        has_settings: whether the bundle holds ``settings.toml``.
        made_with: versions of the tools by their names.
        files: each file of the bundle but ``bundle.json``, by its path.
    """

    name: str
    version: str
    models: tuple[BundleModel, ...]
    golden: tuple[Golden, ...]
    files: Mapping[str, FileEntry]
    bounds: Bounds = Bounds()
    has_settings: bool = False
    made_with: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def id(self) -> str:
        """``NAME-VERSION``."""
        return f"{self.name}-{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files but ``bundle.json``."""
        return sum(each.size for each in self.files.values())

    def to_bytes(self) -> bytes:
        """The content of ``bundle.json``. Deterministic."""
        values: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "models": [{"path": each.path, "target": each.target} for each in self.models],
            "golden": [
                {"model": each.model, "noisy": each.noisy, "denoised": each.denoised, "shape": each.shape}
                for each in self.golden
            ],
            "bounds": {key: value for key, value in vars(self.bounds).items() if value is not None},
            "settings": SETTINGS if self.has_settings else None,
            "made_with": dict(sorted(self.made_with.items())),
            "files": {path: vars(entry) for path, entry in sorted(self.files.items())},
        }
        return (dump_json(values, indent=1) + "\n").encode()


def parse_contents(content: bytes) -> Contents:
    """The inverse of ``Contents.to_bytes``, for bytes that somebody else wrote.

    Raises:
        UpdateError: it is no such JSON, has a newer format, or describes an impossible bundle.
    """
    try:
        values = parse_object(content)
        if (version := whole(values, "format")) != FORMAT:
            raise ValueError(f"format must be {FORMAT}, and is {version}")
        settings = values.get("settings")
        if settings not in (None, SETTINGS):
            raise ValueError(f"settings must be null or {SETTINGS}")
        return Contents(
            name=text(values, "name"),
            version=text(values, "version"),
            models=tuple(_model(each) for each in _list(values, "models")),
            golden=tuple(_golden(each) for each in _list(values, "golden")),
            bounds=_bounds(table(values, "bounds")),
            has_settings=settings is not None,
            made_with={key: text(table(values, "made_with"), key) for key in table(values, "made_with")},
            files={path: _entry(table(table(values, "files"), path)) for path in table(values, "files")},
        )
    except (ValueError, JsonError) as error:
        raise UpdateError(
            f"A bundle needs a {CONTENTS} that describes all of its files. Received: {error}. {_REMEDY}"
        ) from None


def _list(values: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = values.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{key} must be a list of objects")
    return found


def _model(values: dict[str, Any]) -> BundleModel:
    return BundleModel(text(values, "path"), text(values, "target"))


def _golden(values: dict[str, Any]) -> Golden:
    shape = values.get("shape")
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(each) is int for each in shape):
        raise ValueError("the shape of golden frames must be four whole numbers")
    frames, height, width, channels = shape
    shaped = (frames, height, width, channels)
    return Golden(text(values, "model"), text(values, "noisy"), text(values, "denoised"), shaped)


def _bounds(values: dict[str, Any]) -> Bounds:
    known = vars(Bounds()).keys()
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"bounds has an unknown key {unknown[0]!a}")  # a device that ignored it would pass wrongly
    return Bounds(**{key: number(values, key) for key in values})


def _entry(values: dict[str, Any]) -> FileEntry:
    return FileEntry(whole(values, "size"), text(values, "sha256"))


def _check(contents: Contents) -> None:
    """Check that the parts fit together: every file is named by a part, and every part has its files.

    Raises:
        ValueError: they do not.
    """
    if not _NAME.fullmatch(contents.name) or not _VERSION.fullmatch(contents.version):
        raise ValueError(
            "a bundle's name is up to 40 of a-z 0-9 . _ - and its version up to 20 of a-z 0-9 . _, and they are "
            f"{contents.name[:60]!a} and {contents.version[:40]!a}"
        )
    if not contents.models:
        raise ValueError("a bundle holds at least one model")
    for model in contents.models:
        if model.target not in TARGETS or not model.path.startswith("models/") or not model.path.endswith(".tflite"):
            raise ValueError("a model is models/NAME.tflite for cpu or coral")
    models = [each.path for each in contents.models]
    needed = [*models, *(each.manifest for each in contents.models)]
    for golden in contents.golden:
        _check_golden(golden, models, contents.files)
        needed += [golden.noisy, golden.denoised]
    if without := sorted({*models} - {each.model for each in contents.golden}):
        raise ValueError(f"each model needs a golden frame, and {without[0]} has none")
    if contents.has_settings:
        needed.append(SETTINGS)
    _check_files(contents.files, {*needed})
    if len({*models}) < len(models):
        raise ValueError("a model is there twice")
    if min(contents.bounds.least_db, contents.bounds.most_noisy_db) < 0:
        raise ValueError("a bound is never negative")
    for bound in (contents.bounds.most_ms, contents.bounds.most_mib):
        if bound is not None and bound <= 0:
            raise ValueError("a bound is a number above 0")


def _check_golden(golden: Golden, models: list[str], files: Mapping[str, FileEntry]) -> None:
    frames, height, width, channels = golden.shape
    if not (1 <= frames <= _MOST_FRAMES and 1 <= min(height, width) <= max(height, width) <= _MOST_SIDE):
        raise ValueError(
            f"golden frames are 1 to {_MOST_FRAMES} of at most {_MOST_SIDE} pixels a side, and are {golden.shape}"
        )
    if channels not in (1, 3):
        raise ValueError("golden frames have 1 or 3 channels")
    if golden.model not in models or not golden.noisy.startswith("golden/") or golden.noisy == golden.denoised:
        raise ValueError("golden frames belong to a model of the bundle, and are two files in golden/")
    if not golden.denoised.startswith("golden/"):
        raise ValueError("golden frames are in golden/")
    for path in (golden.noisy, golden.denoised):
        if path in files and files[path].size != golden.size:
            raise ValueError(f"{path} must have {golden.size} bytes for the shape {golden.shape}")


def _check_files(files: Mapping[str, FileEntry], needed: set[str]) -> None:
    if len(files) > MOST_FILES:
        raise ValueError(f"a bundle has at most {MOST_FILES} files, and this has {len(files)}")
    for path, entry in files.items():
        if not _PATH.fullmatch(path):
            raise ValueError(f"a file is models/NAME, golden/NAME or {SETTINGS}, and one is {path[:100]!a}")
        if not 0 <= entry.size <= _LARGEST or not _HASH.fullmatch(entry.sha256):
            raise ValueError(f"{path} needs a size of at most {_LARGEST} bytes and a SHA-256")
    if files.keys() != needed:
        odd = sorted(files.keys() ^ needed)[0]
        raise ValueError(f"{odd[:100]!a} is {'not in use' if odd in files else 'missing'}")
    if len({path.lower() for path in files}) < len(files):  # a memory card may not tell them apart
        raise ValueError("two files differ by upper and lower case alone")

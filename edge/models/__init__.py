"""Finds and describes the models that ship, which are in this folder."""

from __future__ import annotations

import hashlib
import math
import shlex
import stat
from pathlib import Path
from typing import Any

from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import UsageError
from quietcam.files.paths import is_file

__all__ = ["choices", "default_model", "describe", "resize_command", "resolve_model", "shipped_models", "smaller_model"]

_BEST_FIRST = ("small-video", "small", "demo")
_HERE = Path(__file__).parent
_SUFFIX = ".tflite"
_SPARE = 32  # pixels of a side: 1080 rows go into a model of 1088


def shipped_models() -> list[Path]:
    """The model files that ship, sorted by name."""
    return sorted(_HERE.glob(f"*{_SUFFIX}"))


def choices(size: tuple[int, int] | None = None) -> dict[str, Path]:
    """Each int8 model that ships by the stem of its file: of several sizes the one for frames of ``size``."""
    names = dict.fromkeys(path.stem.split("_")[0] for path in shipped_models() if path.stem.endswith("_int8"))
    return {path.stem: path for path in (resolve_model(name, size) for name in names)}


def default_model() -> str:
    """Name of the best model that ships, such as ``small``."""
    ships = {model.stem.split("_")[0] for model in shipped_models()}
    return next((name for name in _BEST_FIRST if name in ships), _BEST_FIRST[0])


def resolve_model(name: str | None = None, size: tuple[int, int] | None = None) -> Path:
    """The model file that a user means.

    Args:
        name: a path, the stem of a file that ships (``demo_256x256_int8``), or its first word (``demo``), which means
            the int8 model: of several sizes the one that takes frames of ``size`` whole, or else the smallest.
            Defaults to the best model that ships.
        size: ``(width, height)`` of the frames, if it is known.

    Raises:
        UsageError: there is no such model. The message lists what ships.
    """
    wanted = default_model() if name is None else name
    if is_file(Path(wanted)):
        return Path(wanted)
    models = shipped_models()
    exact = [model for model in models if wanted in (model.stem, model.name)]
    int8 = [model for model in models if model.stem.split("_")[0] == wanted and model.stem.endswith("_int8")]
    if exact or int8:
        whole = [model for model in int8 if size is not None and _takes_whole(model.stem, size)]
        return exact[0] if exact else min(whole or int8, key=lambda model: math.prod(_size(model.stem)))
    ships = ", ".join(model.stem for model in models) or "none in this installation"
    raise UsageError(
        f"A model is the path of a file, or the name of one that ships ({ships}). "
        f"Received: {wanted}{_lacking(wanted)}. Remedy: `quietcam models` describes them."
    )


def _lacking(wanted: str) -> str:
    """Why a path is not a model file; empty for a text that does not look like a path."""
    path = Path(wanted)
    try:
        return ": it is a folder" if stat.S_ISDIR(path.stat().st_mode) else ": it is not a regular file"
    except OSError as error:
        return f": {error.strerror}" if len(path.parts) > 1 or path.suffix == _SUFFIX else ""
    except ValueError:  # no file has such a name
        return ""


def smaller_model(path: Path) -> Path | None:
    """The shipped model that replaces ``path`` with clearly fewer operations.

    It is the largest one of the same frame size and kind that needs at most two thirds of the operations. A video
    network may be replaced by a still one, but not the other way. None if there is none, or if the manifest of ``path``
    does not give its operations.
    """
    model = describe(path)
    if model["gmacs_256"] is None:
        return None
    same = ("width", "height", "channels", "recipe")
    costs: list[tuple[float, Path]] = []
    for each in shipped_models():
        other = describe(each)
        cost = other["gmacs_256"]
        if cost is None or other["history"] > model["history"]:
            continue
        if cost <= model["gmacs_256"] * 2 / 3 and all(other[key] == model[key] for key in same):
            costs.append((cost, each))
    return max(costs)[1] if costs else None


def describe(model: ModelFile | Path) -> dict[str, Any]:
    """A description of a model file, for JSON. Values that its manifest lacks are None.

    ``sha256`` is that of the file, as sha256sum(1) prints it.
    ``history``: whether it is a video network, which remembers. ``psnr`` in dB is the mean over the validation sets;
    ``by_set`` holds, by the name of each set, ``psnr``, ``noisy_psnr`` and, of clips, ``without_history``.
    """
    if isinstance(model, Path):
        model = load_model(model)
    manifest = model.manifest
    return {
        "name": model.name,
        "width": model.width,
        "height": model.height,
        "channels": model.channels,
        "history": model.remembers,
        "bytes": len(model.content),
        "sha256": hashlib.sha256(model.content).hexdigest(),
        "recipe": manifest.recipe if manifest else None,
        "sparsity": manifest.sparsity if manifest else None,
        "gmacs_256": manifest.gmacs_256 if manifest else None,
        "psnr": manifest.metrics.get("psnr") if manifest else None,
        "by_set": manifest.metrics.get("by_set") if manifest else None,
        "data": manifest.training.get("data") if manifest else None,
        "licence": manifest.training.get("licence") if manifest else None,
        "findings": _findings(manifest.metrics.get("findings")) if manifest else None,
    }


def _findings(told: object) -> list[str] | None:
    """The fault of the network that ``quietcam convert`` found; None if it found none."""
    return [str(each) for each in told] if isinstance(told, list) and told else None


def resize_command(model: ModelFile, width: int, height: int) -> str | None:
    """The command that converts ``model`` for frames of another size.

    None if no command can: the model has no manifest or another recipe, or it was made for a Coral, where frames go
    through in tiles.
    """
    recipe = model.manifest.recipe if model.manifest else None
    if recipe not in ("float32", "int8") or model.block or model.is_compiled:
        return None
    ships = model.path.absolute().parent == _HERE
    words = ["quietcam", "convert", model.name.split("_")[0] if ships else str(model.path)]
    words += ["--size", f"{width}x{height}"] + ["--recipe", recipe] * (recipe != "int8")
    return shlex.join(words)


def _takes_whole(stem: str, size: tuple[int, int]) -> bool:
    """Whether a frame fits into the model, and leaves less than 32 pixels of each side unused."""
    return all(0 <= model - frame < _SPARE for model, frame in zip(_size(stem), size, strict=True))


def _size(stem: str) -> tuple[int, int]:
    """``(width, height)`` of ``NAME_WxH_RECIPE``; zeros if the name has no size."""
    for part in stem.split("_")[1:]:
        width, cross, height = part.partition("x")
        if cross and width.isdigit() and height.isdigit():
            return int(width), int(height)
    return 0, 0

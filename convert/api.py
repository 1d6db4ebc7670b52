"""``quietcam.convert``: from a trained network, or a finished model, to model files.

The command of that name words its parameters as options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from convert.converter import check_ranges
from convert.files import check_name, check_size
from convert.orders import Order, carry_out
from convert.outcome import Outcome
from convert.recipes import Recipe, get_recipe
from convert.sources.finished import find_source, load_finished
from convert.sources.loaded_model import LoadedModel
from quietcam.data.sets.pairs import Pair
from quietcam.errors import UsageError
from quietcam.quality.gate import QualityGate
from quietcam.representative.set import RepresentativeSet, load_set

__all__ = ["MAX_DROP", "MAX_DROP_ISO", "convert"]

MAX_DROP = 0.1
"""dB that int8 may lose to its float twin without a warning."""

MAX_DROP_ISO = 0.25
"""The same for the worst ISO bucket."""

_SIDE = 256  # width and height in pixels, when no size is given
_CORAL_SIDE = 128  # the same for an Edge TPU, when quietcam did not build the network

Size = str | tuple[int, int]
"""``"640x480"`` or ``(640, 480)``: width and height in pixels."""


def convert(
    run_or_model: str | Path,
    recipe: str | Sequence[str] | None = None,
    size: Size | Sequence[Size] | None = None,
    representative: str | Path | RepresentativeSet | None = None,
    out: str | Path = "models",
    *,
    target: Literal["cpu", "coral"] = "cpu",
    data: str | Path | Sequence[Pair] | None = None,
    split: str = "all",
    max_drop: float | None = None,
    max_drop_iso: float = MAX_DROP_ISO,
    rescue: bool = False,
    name: str | None = None,
    body: str | Path | None = None,
) -> Outcome:
    """Convert a trained network, or a finished model, to TFLite: ``NAME_WxH_RECIPE.tflite`` and its manifest.

    Args:
        run_or_model: a run directory, a ``.keras`` or ``.h5`` file, a SavedModel folder, the name of a model that
            ships, or a float32 or int8 ``.tflite`` that was converted before.
        recipe: ``float32``, ``float16``, ``dynamic_int8``, ``int8`` or ``int8x16``, or several of them. Defaults to
            float32 and int8; for a ``.tflite`` or a Coral, to int8.
        size: size of the frames, or several sizes. Defaults to the size that the file was built for, or to 256x256 if
        it was built for any size.
        representative: the representative set that int8 ranges are measured on, or its file. A ``.tflite`` already has
            ranges; those that this set exceeds are widened. For a video network, the set holds the history of each
            sample.
        out: the folder for the models; those for a Coral go into its subfolder ``coral``.
        target: ``coral`` makes a model that is int8 throughout, ends before depth-to-space, and has a tile size chosen
        by memory.
        data: pairs, or their folder, on which the loss of int8 is measured. Without them the loss is estimated.
        split: which side of the split by scene to use, such as ``validation``. Applies when ``data`` is a folder.
        max_drop: how many dB int8 may lose to its float twin. Defaults to 0.1. If it is given, a network whose loss
            cannot be measured or estimated is refused.
        max_drop_iso: the same for the worst ISO bucket of at least 3 pictures.
        rescue: if int8 loses more, try remedies.
        name: what the files' names begin with. Defaults to the run's name.
        body: for a video network of which only the fusion was trained: the finished int8 file of the still network that
            it was trained on, or the name of a model that ships. The body keeps its ranges, weights and biases.

    Returns:
        The models that were written, as a sequence, and what was measured. ``outcome.holds`` is true if the loss of
        int8 is within the limits.

    Raises:
        UsageError: a parameter is wrong, or two parameters exclude each other.
        ModelError: the network cannot be converted, or the result breaks the contract of model files.
        DataError: the representative set or the pairs cannot be used.
        StorageError: a model cannot be written.
        MissingExtraError: TensorFlow is not installed, and this conversion needs it.

    Example:
        >>> import tempfile
        >>> import quietcam
        >>> folder = tempfile.TemporaryDirectory()
        >>> [model] = quietcam.convert("nano", recipe="int8", size="64x64", out=folder.name)
        >>> model.path.name, model.recipe, model.size
        ('nano_64x64_int8.tflite', 'int8', (64, 64))
        >>> folder.cleanup()
    """
    # Check all parameters before importing TensorFlow, which takes seconds.
    if target not in ("cpu", "coral"):
        raise UsageError(f"`target` is cpu or coral. Received: {target}. Remedy: choose one.")
    is_coral = target == "coral"
    source = find_source(Path(run_or_model))
    recipes = _recipes(recipe, is_coral, source.suffix == ".tflite")
    sizes = [check_size(each) for each in _several(size)]
    if name is not None:
        check_name(name)
    chosen = load_set(Path(representative)) if isinstance(representative, str | Path) else representative
    pairs = _pairs(data, split)
    loaded = _load(source)
    if body is not None:
        loaded = _with_body(loaded, Path(body), chosen, recipes)
    for each in recipes:
        check_ranges(loaded, each, chosen)
    if max_drop is not None:
        _check_gated(loaded, recipes, chosen)
    order = Order(
        recipes,
        list(dict.fromkeys(sizes or [_default_size(loaded, is_coral)])),
        check_name(name or loaded.name),
        is_coral=is_coral,
        gate=QualityGate(MAX_DROP if max_drop is None else max_drop, max_drop_iso),
        rescue=rescue,
    )
    folder = Path(out)
    return carry_out(loaded, order, folder / "coral" if is_coral else folder, chosen, pairs)


def _several(size: Size | Sequence[Size] | None) -> list[object]:
    if size is None:
        return []
    is_one = isinstance(size, str) or not isinstance(size, Sequence) or any(isinstance(each, int) for each in size)
    return [size] if is_one else list(size)


def _recipes(names: str | Sequence[str] | None, is_coral: bool, is_finished: bool) -> list[Recipe]:
    usual = ["int8"] if is_coral or is_finished else ["float32", "int8"]
    recipes = [get_recipe(each) for each in dict.fromkeys([names] if isinstance(names, str) else names or usual)]
    if is_coral and any(not each.is_full_int8 for each in recipes):
        raise UsageError(
            "A model for a Coral must be int8: nothing else maps to an Edge TPU. Received: "
            f"{', '.join(each.name for each in recipes)}. Remedy: `recipe=int8`, or `target=cpu` for the others."
        )
    return recipes


def _pairs(data: str | Path | Sequence[Pair] | None, split: str) -> Sequence[Pair] | None:
    if not isinstance(data, str | Path):
        return data
    from quietcam.data.load import load_pairs

    return load_pairs(data, split=split).pairs


def _load(source: Path) -> LoadedModel:
    if source.suffix == ".tflite":
        return load_finished(source)
    from convert.sources.keras_model import load_keras

    return load_keras(source)


def _with_body(
    loaded: LoadedModel, body: Path, chosen: RepresentativeSet | None, recipes: Sequence[Recipe]
) -> LoadedModel:
    """``loaded`` with the finished int8 file of its body."""
    wrong = {
        "a still network": not loaded.remembers,
        "a network that already has its ranges": loaded.carries_ranges,
        "no `representative`": chosen is None,
        "no `recipe=int8`": not any(each.is_full_int8 for each in recipes),
    }
    if received := next((words for words, is_so in wrong.items() if is_so), None):
        raise UsageError(
            "`body` gives the body of a video network its int8, while the ranges of the fusion are measured on a "
            f"representative set. Received: {received}. Remedy: leave `body` out, or convert a float video network "
            "with `recipe=int8` and `representative`."
        )
    source = find_source(body)
    finished = load_finished(source).finished.get("int8") if source.suffix == ".tflite" else None
    if finished is None:
        raise UsageError(
            f"`body` is an int8 .tflite that `quietcam convert` wrote, or a model that ships. Received: {body}. "
            "Remedy: give the int8 file of the still network that the video network was trained on."
        )
    return replace(loaded, body=finished)


def _check_gated(loaded: LoadedModel, recipes: Sequence[Recipe], chosen: RepresentativeSet | None) -> None:
    """Refuse a limit if no int8 model is made from ranges: then there is no loss to compare with the limit."""
    has_ranges = loaded.carries_ranges or (bool(loaded.finished) and chosen is None)
    if has_ranges or not any(each.is_full_int8 for each in recipes):
        raise UsageError(
            "`max_drop` compares int8 with the float network that it is made from. Received: "
            + ("a network that already has its ranges." if has_ranges else "no `recipe=int8`.")
            + " Remedy: quietcam compare FLOAT.tflite INT8.tflite --data DIR --max-drop DB"
        )


def _default_size(loaded: LoadedModel, is_coral: bool) -> tuple[int, int]:
    finished = next(iter(loaded.finished.values()), None)
    if finished is not None and not is_coral:
        return finished.manifest.width, finished.manifest.height
    if not is_coral or all(loaded.fixed):
        return loaded.fit(_SIDE, _SIDE)
    from convert.coral.tile import coral_tile

    if loaded.architecture is None:
        return loaded.fit(_CORAL_SIDE, _CORAL_SIDE)
    side = coral_tile(loaded.architecture)
    return side, side

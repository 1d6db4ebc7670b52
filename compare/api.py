"""The comparison as one call: models and a folder of pairs go in, plain values and a report come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from compare.classic import FILTERS
from compare.comparison import Compared, compare_pairs
from compare.page.report import write_html
from compare.scores import Comparison
from edge.models import resolve_model
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.split import pairs_of_side
from quietcam.errors import UsageError

__all__ = ["compare", "compare_folder"]


def compare(
    models: str | Path | Sequence[str | Path],
    data: str | Path,
    *,
    split: str = "all",
    limit: int | None = None,
    classic: Sequence[str] = (),
    twins: Mapping[str, str] | None = None,
    max_drop: float | None = None,
    max_drop_iso: float | None = None,
    threads: int = 1,
    blame: bool = True,
    html: str | Path | None = None,
) -> Comparison:
    """Compare models on pairs of noisy and clean pictures: quality, size, time, and what int8 loses.

    Args:
        models: ``.tflite`` files of one frame size, ``.keras`` files, run directories, or names of models that ship
            (``"small_256x256_int8"``). The result is about the first one; if that is a float model, about the model
            that was quantized from it.
        data: a folder of pairs: SIDD as downloaded, or ``noisy/`` and ``clean/`` with the same names inside.
        split: ``"all"`` pairs, or a side of the split that training uses: ``"train"``, ``"validation"``, ``"test"``.
        limit: the most pairs to use, evenly spread. Defaults to all.
        classic: filters: ``"blur"``, ``"nlm"`` or both. Each picture gets the strength that suits it best.
        twins: the float twin by the name of the quantized model, as written in ``models``. Needed only if the
            manifests do not name it.
        max_drop: dB that a quantized model may lose to its float twin. The checks are in ``Comparison.gate``; a missed
            limit raises nothing. Defaults to no checks.
        max_drop_iso: the same in each ISO bucket of at least 3 pictures. Defaults to ``max_drop``.
        threads: how many threads the timed runs use.
        blame: find the layer that int8 hurts most, if the float twin is among ``models``.
        html: write a report with pictures to this file.

    Returns:
        Plain values. PSNR, gains and drops are in dB on uint8 RGB, times in milliseconds, sizes in bytes;
        ``to_dict()`` gives them all for JSON.

    Raises:
        UsageError: a model or the folder does not exist, frame sizes differ, a name or a split is not known, or a
            quantized model has no float twin although ``max_drop`` is given.
        ModelError: a file is not a model, or breaks the contract.
        DataError: no pair can be used.
        StorageError: the report cannot be written.
        MissingExtraError: a ``.keras`` file is given, and the extra ``train`` is not installed.

    Example:
        >>> import quietcam
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from quietcam.data.generated import write_pairs
        >>> with TemporaryDirectory() as folder:
        ...     write_pairs(Path(folder), count=2, size=256, band=(20, 25))
        ...     found = quietcam.compare(["demo_256x256_float32", "demo_256x256_int8"], folder, blame=False)
        >>> [row.name for row in found.models], found.pictures
        (['demo_256x256_float32', 'demo_256x256_int8'], 2)
        >>> found.subject.name, found.subject.gain > 2.0
        ('demo_256x256_int8', True)
    """
    compared, pairs = compare_folder(
        [models] if isinstance(models, (str, Path)) else models,
        data,
        split=split,
        limit=limit,
        classic=classic,
        twins=twins,
        max_drop=max_drop,
        max_drop_iso=max_drop_iso,
        threads=threads,
        blame=blame,
    )
    if html is not None:
        write_html(Path(html), compared, pairs)
    return compared.scores


def compare_folder(
    models: Sequence[str | Path],
    data: str | Path,
    *,
    split: str = "all",
    limit: int | None = None,
    classic: Sequence[str] = (),
    twins: Mapping[str, str] | None = None,
    max_drop: float | None = None,
    max_drop_iso: float | None = None,
    threads: int = 1,
    blame: bool = True,
) -> tuple[Compared, list[Pair]]:
    """As ``compare``; also returns the pixels of the worst patches and the pairs that were compared.

    Raises:
        As ``compare``.
    """
    if max_drop_iso is not None and max_drop is None:
        raise UsageError("`max_drop_iso` needs `max_drop`. Received: `max_drop_iso` alone. Remedy: add `max_drop=DB`.")
    if unknown := [name for name in classic if name not in FILTERS]:
        raise UsageError(f"`classic` names filters: {', '.join(FILTERS)}. Received: {', '.join(unknown)}.")
    paths = [_path(each) for each in models]
    named = _twins(twins or {}, dict(zip(map(str, models), paths, strict=True)))
    folder = Path(data)
    pairs = pairs_of_side(find_pairs(folder).pairs, split)
    name = folder.resolve().name
    compared = compare_pairs(
        paths,
        pairs,
        data=name if split == "all" else f"{name} ({split} scenes)",
        twins=named,
        classic=list(dict.fromkeys(classic)),
        limit=limit,
        max_drop=max_drop,
        max_drop_iso=max_drop_iso,
        threads=threads,
        with_blame=blame,
    )
    return compared, pairs


def _path(model: str | Path) -> Path:
    """The file or folder; for a name, the model that ships."""
    path = Path(model)
    return path if path.exists() else resolve_model(str(model))


def _twins(told: Mapping[str, str], models: Mapping[str, Path]) -> dict[Path, Path]:
    """Float twins by the path of the quantized model, which may be named as given, or by its file's name or stem."""
    found = {}
    for name, floating in told.items():
        fits = {path for given, path in models.items() if name in (given, str(path), path.name, path.stem)}
        if len(fits) != 1:
            raise UsageError(
                f"`twins` must name one of the models that are compared. Received: {name}, which is the name of "
                f"{len(fits) or 'none'} of {', '.join(models)}. Remedy: write the model as in the list of "
                "models."
            )
        found[fits.pop()] = _path(floating)
    return found

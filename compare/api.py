"""The comparison as one call: models and pairs, or clips, go in; plain values and a report come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload

from compare.classic import FILTERS
from compare.clips.comparison import compare_clips
from compare.clips.filters.classic import CLIP_FILTERS
from compare.clips.filters.tuned import open_filters
from compare.clips.scores import ClipComparison
from compare.clips.sources import open_clips
from compare.comparison import Compared, compare_pairs
from compare.page.clip_report import write_clips_html
from compare.page.reels import ReelTaker
from compare.page.report import write_html
from compare.scores import Comparison
from edge.models import resolve_model
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.split import pairs_of_side
from quietcam.errors import UsageError

__all__ = ["check_choice", "compare", "compare_folder", "compare_on_clips"]


@overload
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
) -> Comparison: ...


@overload
def compare(
    models: str | Path | Sequence[str | Path],
    data: None = None,
    *,
    clips: str | Path,
    split: str = "all",
    limit: int | None = None,
    frames: int | None = None,
    start: float | None = None,
    sensor: str | None = None,
    gain: float | None = None,
    seed: int = 0,
    classic: Sequence[str] = (),
    twins: Mapping[str, str] | None = None,
    max_drop: float | None = None,
    threads: int = 1,
    html: str | Path | None = None,
) -> ClipComparison: ...


def compare(
    models: str | Path | Sequence[str | Path],
    data: str | Path | None = None,
    *,
    clips: str | Path | None = None,
    split: str = "all",
    limit: int | None = None,
    frames: int | None = None,
    start: float | None = None,
    sensor: str | None = None,
    gain: float | None = None,
    seed: int = 0,
    classic: Sequence[str] = (),
    twins: Mapping[str, str] | None = None,
    max_drop: float | None = None,
    max_drop_iso: float | None = None,
    threads: int = 1,
    blame: bool = True,
    html: str | Path | None = None,
) -> Comparison | ClipComparison:
    """Compare models on pairs of noisy and clean pictures, or on clips: quality, size, time, and what int8 loses.

    Args:
        models: ``.tflite`` files of one frame size, ``.keras`` files, run directories, or names of models that ship
            (``"small_256x256_int8"``). The result is about the first one; if that is a float model, about the model
            that was quantized from it.
        data: a folder of pairs: SIDD as downloaded, or ``noisy/`` and ``clean/`` with the same names inside.
        clips: instead of ``data``: a data set of clips, a clean video, or a folder of clean videos. Frames are denoised
            in order, as of a camera, and video networks also run without history.
        split: ``"all"`` pairs or clips, or a side of the split that training uses: ``"train"``, ``"validation"``,
            ``"test"``.
        limit: the most pairs or clips to use, evenly spread. Defaults to all.
        frames: the most frames of each clip, 2 or more. Defaults to all of a data set's clip, and 60 of a video.
        start: seconds of each video that are left out. Defaults to 0.
        sensor: the camera whose noise clean videos get: ``"imx219"``, ``"imx477"``, ``"imx708"`` or ``"ov5647"``.
        gain: its analog gain, 1 to 64. Defaults to 1.
        seed: decides the noise of the first video. Each further video takes the next number.
        classic: filters: ``"blur"``, ``"median"``, ``"bilateral"`` and ``"nlm"``; of clips also ``"nlm_multi"``, and of
            the program ffmpeg ``"hqdn3d"``, ``"atadenoise"`` and ``"nlmeans"``. Each picture, or clip, gets the
            strength that suits it best.
        twins: the float twin by the name of the quantized model, as written in ``models``. Needed only if the
            manifests do not name it.
        max_drop: dB that a quantized model may lose to its float twin. The checks are in ``Comparison.gate``; a missed
            limit raises nothing. Defaults to no checks.
        max_drop_iso: of pairs, the same in each ISO bucket of at least 3 pictures. Defaults to ``max_drop``.
        threads: how many threads the timed runs use.
        blame: of pairs, find the layer that int8 hurts most, if the float twin is among ``models``.
        html: write a report with pictures to this file; clips play in it.

    Returns:
        Plain values: a ``Comparison`` of pairs, a ``ClipComparison`` of clips. PSNR, gains and drops are in dB on uint8
        RGB, times in milliseconds, sizes in bytes; ``to_dict()`` gives them all for JSON.

    Raises:
        UsageError: a model, the folder or the clips do not exist, frame sizes differ, a name or a split is not known, a
            quantized model has no float twin although ``max_drop`` is given, or options do not go together.
        ModelError: a file is not a model, or breaks the contract.
        DataError: no pair, or no clip, can be used.
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
    several = [models] if isinstance(models, (str, Path)) else models
    check_choice(data, clips, max_drop_iso, {"frames": frames, "start": start, "sensor": sensor, "gain": gain})
    if clips is not None:
        return compare_on_clips(
            several,
            clips,
            split=split,
            limit=limit,
            frames=frames,
            start=start,
            sensor=sensor,
            gain=gain,
            seed=seed,
            classic=classic,
            twins=twins,
            max_drop=max_drop,
            threads=threads,
            html=html,
        )
    assert data is not None
    compared, pairs = compare_folder(
        several,
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


def check_choice(
    data: object | None, clips: object | None, max_drop_iso: float | None, of_clips: Mapping[str, object | None]
) -> None:
    """Refuse pairs and clips together, and options of the one for the other. ``of_clips``: options that clips take.

    Raises:
        UsageError: the options do not go together.
    """
    if (data is None) == (clips is None):
        received = "neither" if data is None else "both"
        raise UsageError(
            f"A comparison needs pairs, `data`, or clips, `clips`. Received: {received}. Remedy: give one of the two."
        )
    if clips is not None and max_drop_iso is not None:
        raise UsageError("`max_drop_iso` is for pairs. Received: `clips`, too. Remedy: leave `max_drop_iso` out.")
    given = [name for name, value in of_clips.items() if value is not None]
    if clips is None and given:
        raise UsageError(f"`{given[0]}` is for clips. Received: `data`. Remedy: leave it out, or give `clips`.")


def compare_on_clips(
    models: Sequence[str | Path],
    clips: str | Path,
    *,
    split: str = "all",
    limit: int | None = None,
    frames: int | None = None,
    start: float | None = None,
    sensor: str | None = None,
    gain: float | None = None,
    seed: int = 0,
    classic: Sequence[str] = (),
    twins: Mapping[str, str] | None = None,
    max_drop: float | None = None,
    threads: int = 1,
    html: str | Path | None = None,
) -> ClipComparison:
    """As ``compare`` on clips.

    Raises:
        As ``compare``.
    """
    filters = open_filters(classic)
    paths = [_path(each) for each in models]
    found = open_clips(
        Path(clips), split=split, limit=limit, frames=frames, start=start, sensor=sensor, gain=gain, seed=seed
    )
    named = _twins(twins or {}, dict(zip(map(str, models), paths, strict=True)))
    reels = ReelTaker() if html is not None else None
    compared = compare_clips(
        paths, found, twins=named, classic=filters, max_drop=max_drop, threads=threads, watcher=reels
    )
    if html is not None and reels is not None:
        write_clips_html(Path(html), compared, reels.reels)
    return compared


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
        raise UsageError(
            f"`classic` names filters of pictures: {', '.join(FILTERS)}. Received: {', '.join(unknown)}."
            + (" Remedy: compare on clips: `clips`." if set(unknown) <= set(CLIP_FILTERS) else "")
        )
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

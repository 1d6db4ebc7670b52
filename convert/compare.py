"""Compares models, and classical filters, on the same pairs: quality, size, cost."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convert.classic import FILTERS, Tuned, tune
from convert.costs import measure_times, read_costs, runtime_of
from convert.samples import SampleSet
from edge.denoiser import Denoiser
from edge.modelfile import ModelFile, load_model
from quietcam.data.pairs import Pair, say_problems
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.metrics import psnr, ssim
from quietcam.progress import progress, say

__all__ = ["Comparison", "Difference", "ModelScore", "PairScore", "compare"]

NOISY = "noisy"
_MOST_DB = 100.0  # stands for the infinite PSNR of equal pictures, which no mean and no JSON can hold


@dataclass(frozen=True)
class Difference:
    """How the pixels of a model differ from the reference's, over all samples: shares 0 to 1, and steps of 255."""

    equal: float
    within_1: float
    within_2: float
    largest: int


@dataclass(frozen=True)
class ModelScore:
    """One row: the noisy pictures themselves, a filter, or a model.

    Attributes:
        kind: ``noisy``, ``classic`` or ``model``.
        psnr: mean over samples, dB, on uint8 RGB. ssim: likewise, at most 1.
        gain: PSNR above the noisy pictures', dB.
        drop: PSNR below the reference's, dB, of a quantized model; None for everything else.
        ms: median of the bare network on one thread, for a frame of the models' size; a filter's likewise.
        strength: of a filter, the best over the set. strengths: mean PSNR of each one tried.
        psnr_each: mean PSNR with the best strength for each picture, which nobody knows beforehand.
        path: of a model.
    """

    name: str
    title: str
    kind: str
    psnr: float
    ssim: float
    gain: float
    drop: float | None = None
    is_quantized: bool = False
    ms: float | None = None
    recipe: str | None = None
    bytes: int | None = None
    bytes_gzipped: int | None = None
    parameters: int | None = None
    sparsity: float | None = None
    gmacs_256: float | None = None
    int8_share: float | None = None
    strength: float | None = None
    psnr_each: float | None = None
    strengths: dict[str, float] | None = None
    difference: Difference | None = None
    path: str | None = None
    manifest: dict[str, Any] | None = None


@dataclass(frozen=True)
class PairScore:
    """One sample: PSNR in dB and SSIM by row name."""

    name: str
    scene: str
    psnr: dict[str, float]
    ssim: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """What came out. Plain values throughout; ``to_dict`` is the JSON report.

    Attributes:
        data: the data set's name.
        rows: noisy first, then filters, then models in the order they were given.
        reference: name of the first float model, which quantized ones are measured against; None without one.
        width, height: the models' frame size, which the times are for.
        problems: pairs that were left out.
    """

    data: str
    rows: list[ModelScore]
    pairs: list[PairScore]
    reference: str | None
    width: int
    height: int
    problems: list[str] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> ModelScore:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def models(self) -> list[ModelScore]:
        """The rows that are models."""
        return [row for row in self.rows if row.kind == "model"]

    @property
    def subject(self) -> ModelScore:
        """What the comparison is about: the last quantized model, else the last one."""
        return ([row for row in self.models if row.is_quantized] or self.models)[-1]

    def drops_above(self, limit: float) -> list[ModelScore]:
        """The quantized models that lose more than ``limit`` dB to the reference."""
        return [row for row in self.models if row.drop is not None and row.drop > limit]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``format`` is the version of this layout."""
        return {"format": 1} | asdict(self)


def compare(
    models: Sequence[Path],
    pairs: Sequence[Pair],
    *,
    data: str = "",
    classic: Sequence[str] = (),
    limit: int | None = None,
    needs_reference: bool = False,
) -> Comparison:
    """Run everything over the pairs, one picture at a time in memory.

    Args:
        models: ``.tflite`` files of one frame size. The first float one is the reference of the quantized ones; other
            float ones, such as peers, stand for themselves.
        data: the data set's name, for the report.
        classic: names of filters (``convert.classic.FILTERS``); each runs at its best strength over the set.
        limit: at most so many pairs, evenly spread.
        needs_reference: refuse to start without a float model.

    Raises:
        UsageError: frame sizes that differ, no float model where one is needed, or a missing file.
        ModelError: a file that is no model, or breaks the contract.
        DataError: no pair can be used.
    """
    files = [load_model(path) for path in models]
    _check_one_size(files)
    names = _unique_names(files)
    quantized = {name for name, file in zip(names, files, strict=True) if _is_quantized(file)}
    reference = next((name for name in names if name not in quantized), None)
    if needs_reference and reference is None:
        raise UsageError(
            f"A drop is measured against a float model. Received: {', '.join(names)}. "
            "Remedy: give the float32 model as well."
        )
    samples = SampleSet(pairs, limit)
    tuned = _tune(classic, samples)
    methods: dict[str, Callable[[Image], Image]] = {NOISY: lambda noisy: noisy}
    methods |= {each.filter.name: each for each in tuned}
    with ExitStack() as stack:
        for name, file in zip(names, files, strict=True):
            methods[name] = stack.enter_context(Denoiser(file)).denoise
        scores, differences = _score(methods, samples, reference, sorted(quantized) if reference else [])
    say_problems(samples.problems, "while comparing")
    filters = {each.filter.name: each for each in tuned}
    times = measure_times(dict(zip(names, files, strict=True)), filters, next(iter(samples)).noisy)
    rows = [ModelScore(NOISY, "Noisy", "noisy", **_quality(scores, NOISY))]
    rows += [
        ModelScore(
            each.filter.name,
            f"{each.filter.title}, {each.filter.unit} {each.strength:g}",
            "classic",
            **_quality(scores, each.filter.name),
            ms=times[each.filter.name],
            strength=each.strength,
            psnr_each=round(each.psnr_each, 4),
            strengths={f"{strength:g}": value for strength, value in each.grid.items()},
        )
        for each in tuned
    ]
    for name, file in zip(names, files, strict=True):
        rows.append(
            ModelScore(
                name,
                name,
                "model",
                **_quality(scores, name, reference if name in quantized else None),
                is_quantized=name in quantized,
                **read_costs(file),
                ms=times[name],
                difference=differences.get(name),
            )
        )
    return Comparison(
        data,
        rows,
        scores,
        reference,
        files[0].width,
        files[0].height,
        samples.problems,
        tools={"quietcam": version("quietcam"), "runtime": runtime_of(files[0]), "numpy": np.__version__},
        machine={"cpu": platform.machine(), "cores": len(os.sched_getaffinity(0)), "timed_threads": 1},
    )


def _check_one_size(files: Sequence[ModelFile]) -> None:
    sizes = {f"{file.width}x{file.height}x{file.channels}": file.path.name for file in files}
    if len(sizes) > 1:
        raise UsageError(
            "Models that are compared must have one frame size, or they see different pictures. Received: "
            + ", ".join(f"{name} {size}" for size, name in sizes.items())
            + ". Remedy: `quietcam convert --size` makes them of one size."
        )


def _is_quantized(file: ModelFile) -> bool:
    """By its ends, or by its recipe: dynamic range, for one, keeps float ends."""
    return file.is_int8 or (file.manifest is not None and file.manifest.recipe != "float32")


def _unique_names(files: Sequence[ModelFile]) -> list[str]:
    """Stems; with the folder in front, or a number behind, where two are alike."""
    names: list[str] = []
    for file in files:
        alike = sum(other.name == file.name for other in files) > 1
        name = f"{file.path.parent.name}/{file.name}" if alike else file.name
        count = sum(each == name or each.startswith(f"{name} #") for each in names)
        names.append(f"{name} #{count + 1}" if count else name)
    return names


def _tune(classic: Sequence[str], samples: SampleSet) -> list[Tuned]:
    if not classic:
        return []
    with progress("Tuning filters", len(samples)) as bar:

        def pictures() -> Any:
            for sample in samples:
                yield sample.noisy, sample.clean
                bar.advance(note=sample.name)

        tuned = tune([FILTERS[name] for name in classic], pictures())
    for each in tuned:
        if each.at_edge:
            say(f"{each.filter.title}: the best strength, {each.strength:g}, is the last one tried on that side.")
    return tuned


def _score(
    methods: dict[str, Callable[[Image], Image]], samples: SampleSet, reference: str | None, compared: Sequence[str]
) -> tuple[list[PairScore], dict[str, Difference]]:
    """Quality of every method on every sample, and how those of ``compared`` differ from the reference."""
    scores: list[PairScore] = []
    counts = {name: np.zeros(256, np.int64) for name in methods}
    with progress("Comparing", len(samples)) as bar:
        for sample in samples:
            pictures = {name: denoise(sample.noisy) for name, denoise in methods.items()}
            scores.append(
                PairScore(
                    sample.name,
                    sample.pair.scene,
                    {name: round(min(_MOST_DB, psnr(sample.clean, picture)), 4) for name, picture in pictures.items()},
                    {name: round(ssim(sample.clean, picture), 5) for name, picture in pictures.items()},
                )
            )
            for name in compared:
                steps = np.abs(pictures[name].astype(np.int16) - pictures[str(reference)])
                counts[name] += np.bincount(steps.ravel(), minlength=256)
            bar.advance(note=sample.name)
    return scores, {name: _difference(counts[name]) for name in compared}


def _difference(counts: np.ndarray[Any, np.dtype[np.int64]]) -> Difference:
    total = int(counts.sum())
    return Difference(
        equal=round(int(counts[0]) / total, 6),
        within_1=round(int(counts[:2].sum()) / total, 6),
        within_2=round(int(counts[:3].sum()) / total, 6),
        largest=int(np.flatnonzero(counts)[-1]),
    )


def _quality(scores: Sequence[PairScore], name: str, reference: str | None = None) -> dict[str, Any]:
    def mean(row: str) -> float:
        return statistics.fmean(score.psnr[row] for score in scores)

    return {
        "psnr": round(mean(name), 4),
        "ssim": round(statistics.fmean(score.ssim[name] for score in scores), 5),
        "gain": round(mean(name) - mean(NOISY), 4),
        "drop": None if reference is None else round(mean(reference) - mean(name), 4),
    }

"""Compares models and classical filters on the same pairs: quality, size, cost, and the layer that int8 hurts most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from compare.blame.blame import blame
from compare.blame.values import Blame
from compare.classic import FILTERS, Tuned
from compare.contenders import Contender, load_contenders, notes_without_twin, subject_of
from compare.costs import measure_times
from compare.gate import check_drops
from compare.provenance import machine, tools
from compare.scores import Comparison, ModelScore
from compare.tally import Tally
from compare.worst import Patch, WorstPatches, patch_errors
from quietcam.data.samples import Sample, SampleSet
from quietcam.data.sets.pairs import Pair
from quietcam.data.sets.problems import log_problems
from quietcam.errors import MissingExtraError, ModelError, UsageError
from quietcam.image import Image, to_rgb
from quietcam.quality.gate import QualityGate
from quietcam.terminal.log import log
from quietcam.terminal.progress import progress
from quietcam.tflite.manifest import strip_manifest

__all__ = ["NOISY", "Compared", "compare_pairs"]

NOISY = "noisy"
"""The name of the row of the noisy pictures."""


@dataclass(frozen=True)
class Compared:
    """The values of a comparison, and the pixels of its patches in the order of ``scores.worst`` and ``.costliest``."""

    scores: Comparison
    worst: list[Patch]
    costliest: list[Patch]


def compare_pairs(
    models: Sequence[Path],
    pairs: Sequence[Pair],
    *,
    data: str = "",
    twins: Mapping[Path, Path] | None = None,
    classic: Sequence[str] = (),
    limit: int | None = None,
    max_drop: float | None = None,
    max_drop_iso: float | None = None,
    threads: int = 1,
    with_blame: bool = True,
) -> Compared:
    """Run everything over the pairs. One picture at a time is in memory, and only sums are kept.

    Args:
        models: ``.tflite`` files of one frame size, and ``.keras`` files or run directories. The report is about the
            first one; if that is a float model, about the model that was quantized from it.
        data: name of the data set, for the report.
        twins: the float twin by the path of the quantized model, if the manifests do not name it.
        classic: names of filters (``compare.classic.FILTERS``); each picture gets the strength that suits it best.
        limit: the most pairs to use, evenly spread.
        max_drop: dB that a quantized model may lose to its float twin, over all pictures. Defaults to no gate.
        max_drop_iso: the same in each ISO bucket of at least 3 pictures. Defaults to ``max_drop``.
        threads: how many threads the timed runs use.
        with_blame: measure each layer of each quantized model whose float twin is among the models.

    Raises:
        UsageError: frame sizes differ, a file is missing, or a quantized model has no float twin although there is a
            gate.
        ModelError: a file is not a model, or breaks the contract.
        DataError: no pair can be used.
        MissingExtraError: a ``.keras`` file is given, and TensorFlow is not installed.
    """
    if threads < 1:
        raise UsageError(
            f"Times are measured with at least 1 thread. Received: threads={threads}. Remedy: give `threads` 1 or more."
        )
    contenders = load_contenders(models, twins=twins, needs_twins=max_drop is not None)
    subject = subject_of(contenders)
    samples = SampleSet(pairs, limit)
    tuned = {name: Tuned(FILTERS[name]) for name in classic}
    references = _references(contenders)
    tally = Tally(references)
    worst, costliest = WorstPatches(), WorstPatches()
    with ExitStack() as stack:
        denoise: dict[str, Callable[[Image], Image]] = {
            each.name: stack.enter_context(each.open()).denoise for each in contenders
        }
        with progress("Comparing", len(samples)) as bar:
            for sample in samples:
                pictures = {NOISY: sample.noisy}
                pictures |= {name: each.denoise(sample.noisy, sample.clean) for name, each in tuned.items()}
                pictures |= {name: to_rgb(run(sample.noisy)) for name, run in denoise.items()}
                tally.add(sample.name, sample.pair, sample.clean, pictures)
                _offer(worst, costliest, sample, pictures, subject)
                bar.advance(note=sample.name)
    log_problems(samples.problems, "while comparing")
    for known in tuned.values():
        if known.at_end:
            name, most = known.strongest
            log.info(
                f"{known.filter.title}: {known.at_end} pictures were best at the strongest setting that was tried, "
                f"{name} {most:g}; a stronger one may be better."
            )
    first = next(iter(samples)).noisy
    files = {each.name: each.file for each in contenders if each.file is not None}
    times = measure_times(files, tuned, first, threads, size=(subject.width, subject.height))
    rows = [ModelScore(NOISY, "Noisy", "noisy", **tally.quality(NOISY, None))]
    rows += [_filter_row(name, each, tally, times) for name, each in tuned.items()]
    for each in contenders:
        rows.append(
            ModelScore(
                each.name,
                each.name,
                "model",
                **tally.quality(each.name, each.reference),
                reference=each.reference,
                is_quantized=each.is_quantized,
                **each.costs(),
                ms=times.get(each.name),
                difference=tally.difference(each.name),
            )
        )
    notes = notes_without_twin(contenders) + _notes_on_history(contenders)
    blames = _blame_all(contenders, samples, notes) if with_blame else []
    kept = worst.patches(), costliest.patches()
    scores = Comparison(
        data,
        tally.samples,
        rows,
        tally.pairs,
        subject.name,
        subject.reference,
        subject.width,
        subject.height,
        clean_banding=tally.clean_banding,
        worst=[patch.score for patch in kept[0]],
        costliest=[patch.score for patch in kept[1]],
        blame=blames,
        gate=[] if max_drop is None else check_drops(rows, tally.samples, QualityGate(max_drop, max_drop_iso)),
        problems=samples.problems,
        notes=notes,
        tools=tools(contenders),
        machine=machine(threads),
    )
    return Compared(scores, *kept)


def _notes_on_history(contenders: Sequence[Contender]) -> list[str]:
    """A note for each video network: pairs are single pictures."""
    notes = [
        f"{each.name} is a video network and ran without history: pairs are single pictures. Remedy: to see what "
        "history gives, compare on clips, `clips`."
        for each in contenders
        if each.remembers
    ]
    for note in notes:
        log.info(note)
    return notes


def _references(contenders: Sequence[Contender]) -> dict[str, str]:
    """For each model, the one that it is compared with: its float twin, else the first float model, else the first."""
    first = next((each.name for each in contenders if not each.is_quantized), contenders[0].name)
    return {each.name: each.reference or first for each in contenders if each.name != (each.reference or first)}


def _offer(
    worst: WorstPatches, costliest: WorstPatches, sample: Sample, pictures: dict[str, Image], subject: Contender
) -> None:
    shown = [NOISY, *([subject.reference] if subject.reference else []), subject.name]
    kept = {name: pictures[name] for name in shown}
    errors = patch_errors(sample.clean, pictures[subject.name])
    worst.offer(sample.name, errors, sample.clean, kept, subject.name, subject.reference)
    if subject.reference:
        errors = errors - patch_errors(sample.clean, pictures[subject.reference])
        costliest.offer(sample.name, errors, sample.clean, kept, subject.name, subject.reference)


def _filter_row(name: str, tuned: Tuned, tally: Tally, times: dict[str, float]) -> ModelScore:
    return ModelScore(
        name,
        f"{tuned.filter.title}, best {' and '.join(tuned.filter.axes)} each",
        "classic",
        **tally.quality(name, None),
        ms=times.get(name),
        strength=tuned.setting[0],
        strengths={", ".join(f"{value:g}" for value in each): tuned.chosen[each] for each in sorted(tuned.chosen)},
    )


def _blame_all(contenders: Sequence[Contender], samples: SampleSet, notes: list[str]) -> list[Blame]:
    """The layers of every quantized ``.tflite`` that has a float twin, and a note if they cannot be compared."""
    by_name = {each.name: each for each in contenders}
    found = []
    for each in contenders:
        if each.reference is None or each.file is None:
            continue
        try:
            floating = by_name[each.reference].float_content()
            if floating is None:
                continue
            pictures = ((sample.noisy, sample.clean) for sample in samples.spread())
            content = strip_manifest(each.file.content)
            found.append(blame(floating, content, pictures, model=each.name, reference=each.reference))
        except (ModelError, MissingExtraError) as error:
            notes.append(f"The layers of {each.name} were not compared: {error}")
            log.warning(notes[-1])
    return found

"""Compares models and filters on the same clips, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from compare.clips.clip import ComparedClip, Watcher
from compare.clips.contender import ClipContender, NoisyContender
from compare.clips.lockstep import in_step
from compare.clips.measure.ghosts import GhostSums
from compare.clips.measure.meter import ClipMeter
from compare.clips.measure.scoring import mean_scores, score_clip
from compare.clips.measure.times import TIMED_FRAMES, measure_times
from compare.clips.models import ModelContender
from compare.clips.scores import ClipComparison, ClipFacts, ClipRow, ClipScores, RowTime
from compare.clips.sources import ClipSet
from compare.contenders import Contender, load_contenders, notes_without_twin, subject_of
from compare.provenance import machine, tools
from compare.scores import GateCheck
from quietcam.data.sets.problems import list_problems, log_problems
from quietcam.errors import DataError
from quietcam.quality.gate import QualityGate
from quietcam.terminal.progress import progress

__all__ = ["compare_clips"]

WITHOUT = "without history"


@dataclass
class _Place:
    """One contender's place in the comparison: the names of those that it is measured against, and its clips so far."""

    runner: ClipContender
    model: Contender | None = None
    without_history: str | None = None
    partner: str | None = None
    reference: str | None = None
    clips: dict[str, ClipScores] = field(default_factory=dict)
    ghosts: list[GhostSums] = field(default_factory=list)


def compare_clips(
    models: Sequence[Path],
    clips: ClipSet,
    *,
    twins: Mapping[Path, Path] | None = None,
    classic: Sequence[ClipContender] = (),
    max_drop: float | None = None,
    threads: int = 1,
    watcher: Watcher | None = None,
) -> ClipComparison:
    """Run everything over the clips. A few frames at a time are in memory, and only sums are kept.

    A video network also runs without history, so that it is known what history gives.

    Args:
        models: ``.tflite`` files of one frame size, and ``.keras`` files or run directories.
        twins: the float twin by the path of the quantized model, if the manifests do not name it.
        classic: filters.
        max_drop: dB that a quantized model may lose to its float twin, over all clips. Defaults to no gate.
        threads: how many threads the timed runs use.
        watcher: sees every frame and what was made of it.

    Raises:
        UsageError: frame sizes differ, a file is missing, or a quantized model has no float twin although there is a
            gate.
        ModelError: a file is not a model, or breaks the contract.
        DataError: no clip can be used.
        MissingExtraError: a ``.keras`` file is given, and TensorFlow is not installed.
    """
    contenders = load_contenders(models, twins=twins, needs_twins=max_drop is not None)
    subject = subject_of(contenders)
    baseline = _baseline(contenders, subject)
    places = [
        _Place(NoisyContender()),
        *map(_Place, classic),
        *(each for model in contenders for each in _enter(model)),
    ]
    problems = list(clips.problems)
    facts = []
    with ExitStack() as stack:
        for place in places:
            stack.callback(place.runner.close)
        with progress("Comparing", sum(clip.length for clip in clips.clips)) as bar:
            for clip in clips.clips:
                try:
                    facts.append(_run(clip, places, baseline, watcher, bar.advance))
                except DataError as error:
                    problems.append(f"{clip.name}: {error}")
        if not facts:
            raise DataError(f"At least one clip must be usable. Received: {list_problems(problems)}.")
        log_problems(problems[len(clips.problems) :], "while comparing")
        used = next(clip for clip in clips.clips if clip.name == facts[0].name)
        frames = [shot.noisy for shot in islice(used.shots(), TIMED_FRAMES)]
        times = measure_times([place.runner for place in places], frames, threads)
    rows = [_row(place, times.get(place.runner.name)) for place in places]
    counted = sum(each.frames - each.burn_in for each in facts)
    return ClipComparison(
        clips.data,
        clips.noise,
        facts,
        rows,
        subject.name,
        baseline,
        gate=[] if max_drop is None else _gate(rows, counted, max_drop),
        problems=problems,
        notes=notes_without_twin(contenders),
        tools=tools(contenders),
        machine=machine(threads),
    )


def _baseline(contenders: Sequence[Contender], subject: Contender) -> str | None:
    """The first still model, if possible one that is quantized as the subject is."""
    still = [each for each in contenders if not each.remembers]
    alike = [each for each in still if each.is_quantized == subject.is_quantized]
    return next((each.name for each in (*alike, *still)), None)


def _enter(model: Contender) -> list[_Place]:
    """A model's place, and for a video network one more without history."""
    place = _Place(ModelContender(model, model.name), model, reference=model.reference)
    if not model.remembers:
        return [place]
    place.without_history = f"{model.name} {WITHOUT}"
    alone = ModelContender(model, place.without_history, history=False)
    return [place, _Place(alone, model, partner=model.name)]


def _run(
    clip: ComparedClip,
    places: Sequence[_Place],
    baseline: str | None,
    watcher: Watcher | None,
    advance: Callable[[], None],
) -> ClipFacts:
    """Run everything over one clip and note the scores.

    Raises:
        DataError: a frame of the clip cannot be used; nothing is noted then.
    """
    runners = [place.runner for place in places]
    pairs = {place.runner.name: place.without_history for place in places if place.without_history}
    settings = {each.name: each.prepare(clip) for each in runners}
    size = (0, 0)
    with ClipMeter(clip.length, pairs) as meter:
        for number, (shot, pictures) in enumerate(in_step(clip, runners)):
            meter.add(shot, pictures)
            if watcher is not None:
                watcher(clip, number, shot, pictures)
            size = shot.clean.shape[:2]
            advance()
        for place in places:
            name = place.runner.name
            place.clips[clip.name] = score_clip(
                meter,
                name,
                noisy=runners[0].name,
                baseline=baseline,
                partner=place.without_history,
                reference=place.reference,
                setting=settings[name],
            )
            if name in meter.ghosts:
                place.ghosts.append(meter.ghosts[name])
    height, width = size
    return ClipFacts(
        name=clip.name,
        frames=clip.length,
        width=width,
        height=height,
        burn_in=meter.burn_in,
        cuts=meter.cuts,
        moving=round(meter.moving, 6),
        flicker=meter.clean_flicker,
    )


def _row(place: _Place, time: RowTime | None) -> ClipRow:
    clips = place.clips

    def gained(name: str) -> float:
        over = clips[name].baseline
        return clips[name].gain if over is None else over.psnr

    file = place.model.file if place.model else None
    manifest = file.manifest if file else None
    return ClipRow(
        name=place.runner.name,
        title=place.runner.title,
        kind=place.runner.kind,
        worst_clip=min(clips, key=gained),
        clips=clips,
        **mean_scores([*clips.values()], place.ghosts),
        time=time,
        without_history=place.without_history,
        partner=place.partner,
        reference=place.reference,
        is_quantized=place.model is not None and place.model.is_quantized,
        path=str(place.model.path) if place.model else None,
        recipe=manifest.recipe if manifest else None,
        manifest=manifest.to_dict() if manifest else None,
    )


def _gate(rows: Sequence[ClipRow], frames: int, max_drop: float) -> list[GateCheck]:
    """One check for each row with a float twin, over all ``frames``."""
    return [
        GateCheck(row.name, row.reference, each.where, each.pictures, each.drop, each.limit, each.holds)
        for row in rows
        if row.drop is not None and row.reference is not None
        for each in QualityGate(max_drop).checks(row.drop, frames, {})
    ]

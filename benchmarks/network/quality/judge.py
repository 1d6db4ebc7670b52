"""Measures models and makes a line of each figure, with what it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from benchmarks.network.card_figures import Found, measure
from benchmarks.network.quality.candidates import Candidate, graph_of
from benchmarks.network.quality.drawn import Drawn
from benchmarks.network.quality.patterns import Denoise, border_of, denoiser_of, phase_error
from benchmarks.network.quality.sets import PHONES, Picture, bucket_order
from benchmarks.network.quality.targets import (
    BUCKET_DROP,
    DROP,
    GAUSSIAN,
    KEPT,
    KEPT_GATED,
    OVER_SMALL,
    PHASE,
    TARGETS,
    ZEROS,
    Line,
    Targets,
    faster_than_peer,
)
from compare.costs import measure_times
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from edge.network.runtime.instructions import instructions_here
from quietcam.quality.gate import mean_drops
from quietcam.terminal.progress import progress

__all__ = ["NOISY", "PEER", "add_over_small", "drops", "judge", "reference_lines", "speed_lines"]

Sets = Mapping[str, Sequence[Picture]]
Scored = Mapping[str, Sequence[Found]]

NOISY, PEER = "noisy", "peer"
PSNR = "PSNR, dB"


def judge(candidate: Candidate, sets: Sets, flats: Sequence[Drawn], peer: Sequence[Line]) -> list[Line]:
    """All figures of one model but its speed. ``peer`` are the lines of the peer."""
    targets = TARGETS.get(candidate.size or "")
    files = {"own": candidate.file} | ({"twin": candidate.twin} if candidate.twin else {})
    found = _measured(candidate.name, files, sets)
    lines = [*_scores(found), *_over_peer(found, _values(peer, PSNR), targets)]
    if candidate.twin:
        lines += drops(found, sets)
    lines += [*_kept(found, KEPT_GATED, KEPT), *_gained(found, GAUSSIAN, targets.salt if targets else None)]
    with Interpreter(candidate.file, 2) as interpreter:
        denoise = denoiser_of(interpreter)
        lines += [*_pattern(denoise, flats, PHASE), *_border(denoise, sets)]
    if candidate.twin:
        with Interpreter(candidate.twin, 2) as interpreter:
            lines += _pattern(denoiser_of(interpreter), flats, PHASE, " of the float twin")
    return lines + _properties(candidate.file, targets)


def reference_lines(sets: Sets, flats: Sequence[Drawn], peer: ModelFile) -> dict[str, list[Line]]:
    """Figures of the noisy side and of the peer, by these two names. They have no limits."""
    found = _measured(PEER, {"own": peer}, sets)
    noisy = [Line(PSNR, name, _mean(row.noisy for row in rows)) for name, rows in found.items()]
    with Interpreter(peer, 2) as interpreter:
        denoise = denoiser_of(interpreter)
        shown = [*_pattern(denoise, flats), *_border(denoise, sets)]
    return {
        NOISY: noisy,
        PEER: [*_scores(found), *_kept(found), *_gained(found), *shown],
    }


def add_over_small(lines: Mapping[str, list[Line]], candidates: Iterable[Candidate]) -> None:
    """Add to the lines of each ``base`` how much it is over the best ``small`` on each set, where both are judged."""
    sizes = {each.name: each.size for each in candidates}
    small = [_values(lines[name], PSNR) for name, size in sizes.items() if size == "small"]
    for name in (each for each, size in sizes.items() if size == "base" and small):
        lines[name].extend(
            Line("over small, dB", on, value - max(each[on] for each in small), OVER_SMALL)
            for on, value in _values(lines[name], PSNR).items()
        )


def speed_lines(
    candidates: Sequence[Candidate], peer: ModelFile, picture: Picture, threads: int
) -> dict[str, list[Line]]:
    """Milliseconds for 256x256, and how many times as fast as the peer: all take turns in this call."""
    files = {PEER: peer} | {each.name: each.file for each in candidates}
    taken = measure_times(files, {}, picture.noisy, threads, size=(peer.width, peer.height))
    kind = instructions_here().name
    where = f"{kind}, threads: {threads}"
    lines = {name: [Line("ms for 256x256", where, ms)] for name, ms in taken.items()}
    for each in candidates:
        targets = TARGETS.get(each.size or "")
        must = faster_than_peer(targets, kind, threads) if targets else None
        faster = taken[PEER] / taken[each.name]
        lines[each.name].append(Line("times as fast as the peer", where, faster, must, digits=1))
    return lines


def _measured(name: str, files: dict[str, ModelFile], sets: Sets) -> dict[str, list[Found]]:
    found = {}
    with progress(f"Judging {name}", len(sets)) as bar:
        for each, pictures in sets.items():
            found[each] = measure(files, [(picture.name, picture.noisy, picture.clean) for picture in pictures])
            bar.advance()
    return found


def _scores(found: Scored) -> Iterator[Line]:
    for model, figure in (("own", PSNR), ("twin", "PSNR of the float twin, dB")):
        for name, rows in found.items():
            if model in rows[0].by_model:
                yield Line(figure, name, _mean(row.by_model[model] for row in rows))


def _over_peer(found: Scored, peer: Mapping[str, float], targets: Targets | None) -> Iterator[Line]:
    for name, rows in found.items():
        must, goal = (targets.phones if name in PHONES else targets.others) if targets else (None, None)
        yield Line("over the peer, dB", name, _mean(row.by_model["own"] for row in rows) - peer[name], must, goal)


def drops(found: Scored, sets: Sets) -> list[Line]:
    """What a model loses to its float twin on each set, and in each bucket of three pictures or more."""
    lost = {name: [row.by_model["twin"] - row.by_model["own"] for row in rows] for name, rows in found.items()}
    lines = [Line("lost to the float twin, dB", name, _mean(each), *DROP, at_most=True) for name, each in lost.items()]
    buckets = [(each.bucket, drop) for name in sets for each, drop in zip(sets[name], lost[name], strict=True)]
    groups = mean_drops(buckets)
    return lines + [
        Line("lost in a bucket, dB", name, groups[name].drop, BUCKET_DROP, at_most=True)
        for name in sorted(groups, key=bucket_order)
        if groups[name].counts
    ]


def _kept(found: Scored, gated: float | None = None, bare: float | None = None) -> Iterator[Line]:
    """What the worst clean side keeps, with the limits of both figures."""
    for name, rows in found.items():
        yield Line("clean keeps at least, with the gate, dB", name, min(row.clean_gated for row in rows), gated)
    for name, rows in found.items():
        yield Line("clean keeps at least, without, dB", name, min(row.clean_bare for row in rows), bare)


def _gained(found: Scored, gaussian: float | None = None, salt: float | None = None) -> Iterator[Line]:
    """What is gained under plain noise on clean sides, with the least of each.

    Nothing is asked on the squeezed pictures: they were squeezed without a filter, so that their clean sides are full
    of what looks like grain. No network gains much there, the peer neither.
    """
    figures: tuple[tuple[str, Callable[[Found], float], float | None], ...] = (
        ("gained under Gaussian 25, dB", lambda row: row.gaussian, gaussian),
        ("gained under 5 % salt and pepper, dB", lambda row: row.salt, salt),
        ("gained under 5 % salt and pepper, with the gate, dB", lambda row: row.salt_gated, salt),
    )
    for figure, gain, must in figures:
        for name, rows in found.items():
            yield Line(figure, name, _mean(map(gain, rows)), None if name == "squeezed" else must)


def _pattern(denoise: Denoise, flats: Sequence[Drawn], must: float | None = None, whose: str = "") -> list[Line]:
    pattern = phase_error(denoise, ((noisy, clean) for _, noisy, clean in flats))
    figure = f"error by phase of 2x2{whose}, steps of 255"
    return [
        Line(figure, "largest", pattern.largest, must, at_most=True, digits=3),
        Line(figure, "RMS", pattern.rms, digits=3),
        Line(figure, "standard error", pattern.uncertain, digits=3),
        Line(figure, "RMS in single pictures", pattern.single, digits=3),
    ]


def _border(denoise: Denoise, sets: Sets) -> list[Line]:
    border = border_of(denoise, ((each.noisy, each.clean) for pictures in sets.values() for each in pictures))
    sides = {side: getattr(border, side) for side in ("top", "bottom", "left", "right")}
    lines = [Line("MSE of the border over inside", side, value) for side, value in sides.items()]
    places = {"whole frame": border.whole, "inside": border.inside}
    return lines + [Line("PSNR by place, dB", place, value) for place, value in places.items()]


def _properties(file: ModelFile, targets: Targets | None) -> list[Line]:
    graph = graph_of(file)
    lines = [
        Line("zeros among weights", "", graph.sparsity, ZEROS, digits=3),
        Line("GMACs", "", graph.gmacs_256, targets.gmacs if targets else None, at_most=True, digits=3),
    ]
    if file.ends == "float32":
        return lines
    return [
        *lines,
        Line("int8 share of operators", "", graph.int8_share, 1.0),
        Line("pixel identity", "", float(file.is_int8), 1.0, digits=0),
    ]


def _values(lines: Iterable[Line], figure: str) -> dict[str, float]:
    return {line.on: line.value for line in lines if line.figure == figure}


def _mean(values: Iterable[float]) -> float:
    return float(np.mean([*values]))

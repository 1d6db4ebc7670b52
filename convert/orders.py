"""Runs an order of conversions: warns, measures what int8 loses, then writes every size and recipe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from convert.converter import convert_model, describe, prepare
from convert.files import write_model
from convert.outcome import ConvertedModel, Outcome
from convert.quantize.loss import ASSUMED_PSNR, Estimated, Judge, Loss, Measured, score
from convert.quantize.rescue import advice, qat_advice, rescue
from convert.quantize.scheme import Prepared, Scheme
from convert.quantize.soundness import find_fault, some_frames
from convert.recipes import RECIPES, Recipe
from convert.sources.converted import float_content
from convert.sources.loaded_model import LoadedModel
from quietcam.data.samples import SampleSet
from quietcam.data.sets.pairs import Pair
from quietcam.errors import ModelError, UsageError
from quietcam.files.atomic import make_folder
from quietcam.quality.gate import QualityGate
from quietcam.quality.worse import worse_in_validation, worse_than_noisy
from quietcam.representative.lint import lint
from quietcam.representative.set import RepresentativeSet
from quietcam.terminal.log import log
from quietcam.terminal.progress import progress
from quietcam.tflite.activations import layer_name

__all__ = ["Order", "Outcome", "carry_out"]

_SHOWN = 3  # how many collapsed layers a message names one by one
_SCARCE = 64  # a layer with more levels than this per channel is not suspected


@dataclass(frozen=True)
class Order:
    """What to convert: recipes, sizes ``(width, height)``, the first part of the names, and what int8 may lose."""

    recipes: list[Recipe]
    sizes: list[tuple[int, int]]
    name: str
    is_coral: bool
    gate: QualityGate
    rescue: bool


def carry_out(
    loaded: LoadedModel,
    order: Order,
    out: Path,
    representative: RepresentativeSet | None,
    pairs: Sequence[Pair] | None,
) -> Outcome:
    """Convert ``loaded`` to every size and recipe of ``order``, into the folder ``out``.

    Args:
        pairs: pictures on which the loss of int8 is measured, and whether the network makes them worse. None: the loss
            is estimated on the representative set.

    Raises:
        UsageError, ModelError, DataError, StorageError: a step of the conversion failed.
    """
    outcome = Outcome(order.gate)
    for size in order.sizes:
        loaded.check_size(*size)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    has_int8 = any(each.is_full_int8 for each in order.recipes)
    scheme, prepared, is_judged = Scheme(), None, False
    if representative is not None and any(each.needs_ranges for each in order.recipes):
        _lint(outcome, loaded, representative)
    _spare_sources(loaded, order, out)
    make_folder(out)
    _warn_of_harm(outcome, worse_in_validation(loaded.evaluation.get("validation")))
    if has_int8 and not loaded.carries_ranges and representative is not None:
        prepared = prepare(loaded, representative)
    _find_fault(outcome, loaded, order, prepared)
    if prepared is not None and representative is not None:
        if loaded.body is not None:
            log.info(f"The body keeps the int8 of {loaded.body.path.stem}; only the fusion's ranges are measured.")
        scheme = start = _begin(prepared, loaded)
        if not start.kept:
            _warn_of_collapse(outcome, prepared, start)
        if outcome.fault is None:
            judge = _judge(loaded, order, prepared, representative, pairs)
            if isinstance(judge, Measured):
                is_judged = True
                _warn_of_harm(outcome, worse_than_noisy({"the given pairs": (judge.psnr, judge.noisy_psnr)}))
            scheme = _decide(outcome, order, judge, prepared, loaded, start)
            if start.widened:
                outcome.kept = judge.loss(Scheme(kept=True))
                if outcome.loss is not None and outcome.kept.drop < outcome.loss.drop:
                    outcome.advice = f"With its own ranges the model loses {outcome.kept}: leave `representative` out"
    with progress("Converting", len(order.recipes) * len(order.sizes)) as bar:
        for width, height in order.sizes:
            for recipe in order.recipes:
                conversion = convert_model(
                    loaded,
                    recipe,
                    width=width,
                    height=height,
                    representative=representative,
                    prepared=prepared,
                    scheme=scheme,
                    is_coral=order.is_coral,
                )
                manifest = describe(conversion, loaded, order.name, representative, outcome.loss, outcome.fault)
                outcome.models.append(
                    ConvertedModel(write_model(out, conversion.content, manifest, created), conversion)
                )
                bar.advance(note=outcome.models[-1].path.name)
    if pairs is not None and not is_judged:
        path = outcome.models[0].path
        denoised, noisy = score(path, SampleSet(pairs))
        log.info(f"On the given pairs {path.name} reaches {denoised:.2f} dB; the noisy pictures have {noisy:.2f} dB.")
        _warn_of_harm(outcome, worse_than_noisy({"the given pairs": (denoised, noisy)}))
    return outcome


def _spare_sources(loaded: LoadedModel, order: Order, out: Path) -> None:
    """Refuse to overwrite the finished files that are converted."""
    for recipe in order.recipes:
        for width, height in order.sizes:
            path = out / f"{order.name}_{width}x{height}_{recipe.name}.tflite"
            if any(path.exists() and path.samefile(each.path) for each in loaded.finished.values()):
                raise UsageError(
                    f"A model must not overwrite the model that it is made from. Received: {path}. "
                    "Remedy: choose another folder with `out`, or another name with `name`."
                )


def _lint(outcome: Outcome, loaded: LoadedModel, representative: RepresentativeSet) -> None:
    field_of_view = loaded.architecture.receptive_field if loaded.architecture else None
    outcome.findings = lint(
        representative, channels=loaded.channels, receptive_field=field_of_view, video=loaded.remembers
    )
    for finding in outcome.findings:
        level = logging.INFO if finding.severity in ("note", "ok") else logging.WARNING
        log.log(level, f"{finding.severity}: {finding}")


def _find_fault(outcome: Outcome, loaded: LoadedModel, order: Order, prepared: Prepared | None) -> None:
    """Run the float network, and report what is wrong with its output."""
    if prepared is not None:
        outcome.fault = find_fault(prepared.content, prepared.frames())
        if outcome.fault is not None and outcome.fault.kind == "not finite":
            raise ModelError(
                f"A network must output finite numbers to be converted to int8. Received: {loaded.path}: "
                f"{outcome.fault}."
            )
    elif not loaded.carries_ranges and not loaded.finished:  # fake quantization keeps a network within its range
        width, height = order.sizes[0]
        frames = some_frames(height, width, loaded.channels, remembers=loaded.remembers)
        outcome.fault = find_fault(float_content(loaded, width, height), frames)
    if outcome.fault is not None:
        _warn(f"{outcome.fault}.")


def _warn(text: str) -> None:
    log.warning(text[:1].upper() + text[1:])


def _warn_of_harm(outcome: Outcome, found: list[str]) -> None:
    outcome.harms += found
    for each in found:
        _warn(each)


def _begin(prepared: Prepared, loaded: LoadedModel) -> Scheme:
    """The first scheme. For a finished int8 file: its own ranges, widened if the set exceeds them.

    Ranges are never narrowed: a set shows less than training did, and values that it lacks would be clipped. On 4 SIDD
    crops at sensor scale `small` loses 0.14 dB with the ranges from training, and 4.0 dB with those of a set of one
    scene.
    """
    if prepared.kept is None:
        return Scheme()
    beyond = prepared.exceeded()
    if not beyond:
        log.info("These pictures stay within the model's ranges. The ranges stay unchanged.")
        return Scheme(kept=True)
    names = [
        f"{layer_name(name)} {had.low:.3g} to {had.high:.3g}, now {wide.low:.3g} to {wide.high:.3g}"
        for name, (had, wide) in beyond.items()
    ]
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    log.info(
        f"These pictures exceed {len(names)} of the model's ranges, which are widened: "
        f"{'; '.join(names[:_SHOWN])}{more}."
    )
    trained = loaded.finished["int8"].manifest.training.get("ranges", {}).get("from") != "representative set"
    return Scheme(rounding=False, bias=not trained, widened=True)


def _warn_of_collapse(outcome: Outcome, prepared: Prepared, scheme: Scheme) -> None:
    outcome.collapsed = prepared.collapsed(scheme)
    for each, span in outcome.collapsed[:_SHOWN]:
        log.warning(f"Int8 will collapse in layer {each.layer}: {each.cause(span)}.")
    if others := outcome.collapsed[_SHOWN:]:
        log.warning(
            f"Int8 will also collapse in {len(others)} more layers: {', '.join(each.layer for each, _ in others)}."
        )


def _name_suspect(prepared: Prepared, scheme: Scheme) -> None:
    """Name the layer with the fewest int8 levels, when int8 loses too much although no layer has collapsed."""
    each, span = next(iter(prepared.by_levels(scheme)), (None, None))
    if each is not None and each.read_levels(span) < _SCARCE:
        log.warning(f"Int8 has the fewest levels in layer {each.layer}: {each.cause(span)}.")


def _judge(
    loaded: LoadedModel,
    order: Order,
    prepared: Prepared,
    representative: RepresentativeSet,
    pairs: Sequence[Pair] | None,
) -> Judge:
    """Measure the loss on pairs; without pairs, estimate it from float and int8 outputs on the representative set."""
    if pairs is None:
        known = (loaded.evaluation.get("validation") or {}).get("psnr")
        return Estimated(prepared, float(known) if isinstance(known, int | float) else ASSUMED_PSNR)
    width, height = order.sizes[0]

    def write(scheme: Scheme | None, folder: Path) -> Path:
        conversion = convert_model(
            loaded,
            RECIPES["float32" if scheme is None else "int8"],
            width=width,
            height=height,
            representative=representative,
            prepared=prepared,
            scheme=scheme or Scheme(),
        )
        return write_model(folder, conversion.content, describe(conversion, loaded, "candidate", representative))

    return Measured(write, SampleSet(pairs))


def _decide(
    outcome: Outcome, order: Order, judge: Judge, prepared: Prepared, loaded: LoadedModel, scheme: Scheme
) -> Scheme:
    """Choose the scheme: ``scheme`` with the better rounding, or the best that the rescue found. Record its loss."""
    scheme, loss = _choose_rounding(judge, scheme)
    holds = loss.holds(order.gate)
    if not holds and order.rescue and not scheme.kept:
        with progress("Rescue", None) as bar:
            found = rescue(
                prepared,
                judge,
                gate=order.gate,
                start=scheme,
                may_mix=not order.is_coral,
                progress=bar,
            )
        outcome.rescue, scheme, loss, holds = found, found.scheme, found.loss, found.holds
    outcome.loss, outcome.holds = loss, holds
    if not holds:
        if not outcome.collapsed and not scheme.kept:
            _name_suspect(prepared, scheme)
        if prepared.kept is not None and not loss.is_measured:
            outcome.advice = "This is an estimate on the representative set itself; `data` measures the loss on pairs"
            return scheme
        trained = qat_advice(loaded.path, is_ours=loaded.architecture is not None)
        tried = f"no remedy after training was enough; {trained}"
        outcome.advice = tried if order.rescue else advice(prepared, trained, scheme)
    return scheme


def _choose_rounding(judge: Judge, scheme: Scheme) -> tuple[Scheme, Loss]:
    """``scheme``, or the same with every weight rounded to the nearest step if that loses less; and its loss.

    It does for a network whose weights training has adapted to the nearest steps, as in a float twin.
    """
    loss = judge.loss(scheme)
    if not scheme.rounding or scheme.kept:
        return scheme, loss
    nearest = replace(scheme, rounding=False)
    other = judge.loss(nearest)
    log.info(f"Int8 loses {loss} if weights make up for rounding, and {other} if each is rounded to the nearest step.")
    return (scheme, loss) if loss.drop <= other.drop else (nearest, other)

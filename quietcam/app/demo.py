"""The demo: every stage on one data set, each a process of its own, and the promises held against what came out."""

from __future__ import annotations

import contextlib
import importlib.util
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from quietcam.data.generated import ORIGIN, write_pairs
from quietcam.errors import DataError, GateError, MissingExtraError, QuietcamError, StoppedError
from quietcam.files.atomic import make_folder, write_json
from quietcam.files.strict_json import MOST_OF_A_LIST, read_object
from quietcam.process.native_output import stderr_for_children
from quietcam.terminal.progress import say

__all__ = ["ADAPTING", "FROM_SCRATCH", "PROMISES", "Plan", "Promise", "StepFailedError", "judge", "run_demo"]

_BEGINNING = "small_256x256_float32.tflite"
_LEAST_MINUTES = 0.05  # that train and prune take
_HELD_OUT_PAIRS = 24
_HELD_OUT_SEED = 1_000_000
_TRAINING_BAND = (18.0, 30.0)
_HELD_OUT_BAND = (20.0, 26.0)
_SIZES = ("256x256", "640x480")
_CAMERA = "synthetic:sensor=imx219,gain=32"
_CLIP = "before_after.mp4"  # a .webm costs twenty times as much to write
_PATIENCE = 20.0  # seconds for a step that is interrupted


class StepFailedError(QuietcamError):
    """A step of the demo ended with an error, which it has explained itself."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"The demo stopped at '{step}' (exit code {code}); what was finished is kept.")
        self.exit_code = code


@dataclass(frozen=True)
class Plan:
    """How the demo trains.

    Attributes:
        steps: of training and of pruning; None: those of the config, which never end before the minutes.
        minutes: of training and pruning at most.
        rates: peak learning rates of training and of pruning; None: the config's.
        pairs: how many are generated to train on.
        folder: of theirs. Each plan has its own, so that one does not find the other's pairs.
        begins_with_small: whether training begins with the weights of the model ``small``, else with random ones.
    """

    steps: tuple[int, int] | None
    minutes: tuple[float, float]
    rates: tuple[float, float] | None
    pairs: int
    folder: str
    begins_with_small: bool

    def within(self, minutes: float | None) -> Plan:
        """The plan with ``minutes`` in all in place of its own, shared as they were; as it is for None."""
        if minutes is None:
            return self
        shares = (each / sum(self.minutes) for each in self.minutes)
        training, pruning = (max(_LEAST_MINUTES, round(share * minutes, 3)) for share in shares)
        return Plan(self.steps, (training, pruning), self.rates, self.pairs, self.folder, self.begins_with_small)


ADAPTING = Plan((150, 60), (3.0, 1.5), (3e-4, 3e-4), 120, "adapting", begins_with_small=True)
"""``small``'s weights meet another camera. Steps end it, so that it gives the same on every machine; the minutes are a
cap for one that is very slow. Every step has the promised quality: the weights have it before the first."""

FROM_SCRATCH = Plan(None, (4.55, 1.95), None, 800, "training", begins_with_small=False)
"""Minutes end it, hours too early."""


@dataclass(frozen=True)
class Promise:
    """A figure that the default demo must reach, in dB."""

    text: str
    value: float
    bound: float
    at_least: bool

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        return f"{'holds ' if self.holds else 'MISSED'}  {self.text}: {self.value:.2f} dB ({sign} {self.bound:g})"


PROMISES = {"gain": 6.0, "over_classic": 1.0, "drop": 0.3}
"""dB: int8 over the noisy frames, int8 over the best classical filter at its best strength, float over int8."""


def judge(comparison: dict[str, Any]) -> list[Promise]:
    """Hold the report of ``quietcam compare … --json`` against the demo's promises."""
    psnr = {row["name"]: float(row["psnr"]) for row in comparison["rows"]}
    kinds = {row["name"]: row["kind"] for row in comparison["rows"]}
    noisy = next(psnr[name] for name in psnr if kinds[name] == "noisy")
    floating = next(psnr[name] for name in psnr if name.endswith("float32"))
    quantized = next(psnr[name] for name in psnr if name.endswith("int8"))
    classic = max(psnr[name] for name in psnr if kinds[name] == "classic")
    return [
        Promise("int8 over the noisy frames", quantized - noisy, PROMISES["gain"], True),
        Promise(
            "int8 over the best classical filter at its best strength",
            quantized - classic,
            PROMISES["over_classic"],
            True,
        ),
        Promise("lost from float to int8", floating - quantized, PROMISES["drop"], False),
    ]


def run_demo(data: Path | None, out: Path, minutes: float | None, from_scratch: bool = False) -> None:
    """Run all the steps; leave models, ``comparison.json``, ``report.html``, ``live/`` and ``demo.json`` in ``out``.

    Args:
        data: pairs to train on, whose test scenes are compared on. Defaults to generated scenes.
        minutes: of training, at most. Defaults to the plan's.
        from_scratch: train a network from nothing, for minutes, instead of adapting ``small`` for some steps.

    Raises:
        StepFailedError: a step failed.
        StoppedError: Ctrl-C.
        GateError: the default run (neither ``data`` nor ``from_scratch``) misses a promise.
    """
    enforced = data is None and not from_scratch
    plan = (FROM_SCRATCH if from_scratch else ADAPTING).within(minutes)
    start = time.monotonic()
    _check_extra()
    make_folder(out)
    say(_about(plan))
    steps = _Steps(8 if data is None else 7)
    training, held_out, side = data, data, "test"
    if training is None or held_out is None:
        training, held_out, side = out / "data" / plan.folder, out / "data" / "held_out", "all"
        with steps.step("generate scenes"):
            _generate(training, count=plan.pairs, band=_TRAINING_BAND)
            _generate(
                held_out,
                count=_HELD_OUT_PAIRS,
                seed=_HELD_OUT_SEED,
                band=_HELD_OUT_BAND,
                description="generate held-out scenes",
            )
    models = [out / "models" / f"demo_{_SIZES[0]}_{recipe}.tflite" for recipe in ("float32", "int8")]
    small = resources.files("edge").joinpath("models", _BEGINNING)
    steps.run(
        "train" if from_scratch else "adapt small to this camera",
        *("train", "demo", "--data", training, "--out", out / "float", "--overwrite", *_budget(plan, 0)),
        *(("--weights", small) if plan.begins_with_small else ()),
    )
    steps.run(
        "prune",
        *("prune", out / "float", "--data", training, "--out", out / "pruned", "--no-scan", "--overwrite"),
        *_budget(plan, 1),
    )
    steps.run("calibrate", "calibrate", "--data", training, "--split", "train", "--out", out / "representative.npz")
    sizes = [word for size in _SIZES for word in ("--size", size)]
    steps.run(
        "convert",
        *("convert", out / "pruned", "--name", "demo", "--recipe", "float32", "--recipe", "int8", *sizes),
        *("--representative", out / "representative.npz", "--out", out / "models"),
    )
    live, model = out / "live", out / "models" / f"demo_{_SIZES[1]}_int8.tflite"
    steps.run(
        "run: a live camera",
        *("run", "--source", _CAMERA, "--model", model, "--frames", 90, "--sink", "null"),
        *("--json", live / "latency.json"),
    )
    # As fast as it goes instead of live: the clip shall hold every frame.
    steps.run(
        "run: a clip of it",
        *("run", "--source", f"{_CAMERA},fps=max", "--model", model, "--frames", 60),
        *("--sink", live / _CLIP, "--before-after", "--overwrite"),
    )
    # Last, so that its table is what the reader is left with.
    steps.run(
        "compare",
        *("compare", *models, "--data", held_out, "--split", side, "--classic", "blur", "--classic", "nlm"),
        *("--json", out / "comparison.json", "--html", out / "report.html"),
    )
    promises = judge(read_object(out / "comparison.json", MOST_OF_A_LIST))
    write_json(
        out / "demo.json",
        {
            "minutes": round((time.monotonic() - start) / 60, 2),
            "steps": steps.seconds,
            "processor_seconds": steps.processor_seconds,
            "enforced": enforced,
            "promises": [
                {"text": p.text, "value": round(p.value, 3), "bound": p.bound, "holds": p.holds} for p in promises
            ],
        },
    )
    say("")
    for promise in promises:
        say(str(promise))
    if not enforced:
        say("The bounds are those of the default demo. Here they are printed, not enforced.")
    say("")
    say(f"{(time.monotonic() - start) / 60:.1f} minutes. Look at:")
    for path in (out / "report.html", live / _CLIP):
        say(f"  {path}")
    say("")
    say(_next(plan, training))
    if enforced and not all(promise.holds for promise in promises):
        raise GateError(
            "The demo's promises must hold. Received: " + "; ".join(str(p) for p in promises if not p.holds)
        )


def _check_extra() -> None:
    """See that training can begin, before scenes are made for it."""
    for module in ("tensorflow", "tf_keras", "tensorflow_model_optimization"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.of("train", module)


def _about(plan: Plan) -> str:
    """What is going to happen."""
    minutes = sum(plan.minutes)
    if not plan.begins_with_small or plan.steps is None:
        return (
            f"The demo trains a network from nothing for {minutes:g} minutes. A good one takes hours, so this one "
            "will be worse than the models that ship."
        )
    return (
        f"The demo begins with the float weights of the model 'small', which were trained for hours. It adapts them to "
        f"another camera in {plan.steps[0]} steps, prunes them in {plan.steps[1]}, and quantizes them to int8. "
        f"Training takes at most {minutes:g} minutes."
    )


def _next(plan: Plan, training: Path) -> str:
    """Where to read on."""
    if plan.begins_with_small:
        return (
            "This network began with weights that were trained for hours. To train one from nothing, or to adapt one "
            "longer, read docs/how-to/train.md; 'quietcam demo --from-scratch' shows how far minutes go."
        )
    command = f"quietcam train small --data {shlex.quote(str(training))}"
    return f"To train for hours instead: {command}. See docs/how-to/train.md."


def _budget(plan: Plan, phase: int) -> list[object]:
    words: list[object] = ["--minutes", plan.minutes[phase]]
    if plan.steps is not None:
        words += ["--steps", plan.steps[phase]]
    if plan.rates is not None:
        words += ["--learning-rate", plan.rates[phase]]
    return words


def _generate(folder: Path, **options: Any) -> None:
    """Scenes of the demo; those of an earlier one are used again, or made anew where they were made otherwise."""
    try:
        write_pairs(folder, **options)
    except DataError:
        if not (folder / ORIGIN).is_file():  # not the demo's
            raise
        say(f"The scenes in {folder} were made otherwise. They are made anew.")
        shutil.rmtree(folder)
        write_pairs(folder, **options)


class _Steps:
    """Runs the verbs one after another, and keeps how long each took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}
        self._count = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce it, and time what is done in it."""
        self._count += 1
        say("")
        say(f"[{self._count}/{self._total}] {title}")
        start, used = time.monotonic(), _processor_seconds()
        yield
        self.seconds[title] = round(time.monotonic() - start, 1)
        self.processor_seconds[title] = round(_processor_seconds() - used, 1)

    def run(self, title: str, *arguments: object) -> None:
        """A step that is a verb of the command line.

        Raises:
            StepFailedError: it failed.
            StoppedError: Ctrl-C.
        """
        with self.step(title):
            code = _run(arguments)
            if code in (130, -signal.SIGINT):
                raise StoppedError(f"the demo was interrupted at '{title}'; what was finished is kept")
            if code:
                raise StepFailedError(title, code if code > 0 else 1)


def _run(arguments: Sequence[object]) -> int:
    """The exit code of the command line with these arguments; 130 after Ctrl-C."""
    command = [sys.executable, "-P", "-m", "quietcam", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=stderr_for_children())
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has told the child too; whoever ended this process alone has not. Either way the child needs time
        # to put its files in order, and nothing of the demo shall go on after it.
        for last in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(_PATIENCE)
                break
            process.send_signal(last)
        process.wait()
        return 130


def _processor_seconds() -> float:
    """Of this process and of those that it waited for: beside a load they say more than seconds do."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

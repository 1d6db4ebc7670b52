"""The demo: every stage on one data set, each in a process of its own, and whether the result keeps the promises."""

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

from quietcam.app.promises import check_promises
from quietcam.data.generated import ORIGIN, write_pairs
from quietcam.errors import DataError, GateError, MissingExtraError, QuietcamError, StoppedError
from quietcam.files.atomic import make_folder, write_json
from quietcam.files.strict_json import MOST_OF_A_LIST, read_object
from quietcam.process.native_output import stderr_for_children
from quietcam.terminal.say import say

__all__ = ["ADAPTING", "FROM_SCRATCH", "Plan", "StepFailedError", "run_demo"]

_BEGINNING = "small_256x256_float32.tflite"
_LEAST_MINUTES = 0.05  # the least that train and prune accept
_HELD_OUT_PAIRS = 24
_HELD_OUT_SEED = 1_000_000
_TRAINING_BAND = (18.0, 30.0)
_HELD_OUT_BAND = (20.0, 26.0)
_SIZES = ("256x256", "640x480")
_CAMERA = "synthetic:sensor=imx219,gain=32"
_CLIP = "before_after.mp4"  # writing a .webm takes twenty times as long
_PATIENCE = 20.0  # seconds that an interrupted step gets to end


class StepFailedError(QuietcamError):
    """A step of the demo failed. The step has printed the reason itself."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"The demo stopped at '{step}' (exit code {code}). The results of earlier steps are kept.")
        self.exit_code = code


@dataclass(frozen=True)
class Plan:
    """How the demo trains.

    Attributes:
        steps: of training and of pruning. None: those of the config, so many that the minutes end first.
        minutes: most minutes of training and of pruning.
        rates: peak learning rates of training and of pruning. None: those of the config.
        pairs: number of generated pairs to train on.
        folder: folder of these pairs. Each plan has its own, so that no plan uses the pairs of another.
        begins_with_small: whether training begins with the weights of the model ``small``, or with random weights.
    """

    steps: tuple[int, int] | None
    minutes: tuple[float, float]
    rates: tuple[float, float] | None
    pairs: int
    folder: str
    begins_with_small: bool

    def within(self, minutes: float | None) -> Plan:
        """The plan with ``minutes`` in total, in the same proportion as before. Unchanged for None."""
        if minutes is None:
            return self
        shares = (each / sum(self.minutes) for each in self.minutes)
        training, pruning = (max(_LEAST_MINUTES, round(share * minutes, 3)) for share in shares)
        return Plan(self.steps, (training, pruning), self.rates, self.pairs, self.folder, self.begins_with_small)


ADAPTING = Plan((150, 60), (3.0, 1.5), (3e-4, 3e-4), 120, "adapting", begins_with_small=True)
"""Adapts the weights of ``small`` to another camera. The steps end it, so that the result is the same on every machine;
the minutes limit it on a very slow one. The promised quality holds at every step, since the weights have it before."""

FROM_SCRATCH = Plan(None, (4.55, 1.95), None, 800, "training", begins_with_small=False)
"""The minutes end it, hours before the network is good."""


def run_demo(data: Path | None, out: Path, minutes: float | None, from_scratch: bool = False) -> None:
    """Run all steps. Writes models, ``comparison.json``, ``report.html``, ``live/`` and ``demo.json`` to ``out``.

    Args:
        data: pairs to train on; the comparison uses their test scenes. Defaults to generated scenes.
        out: folder for the results.
        minutes: most minutes of training. Defaults to those of the plan.
        from_scratch: train a network from random weights, for minutes, instead of adapting ``small`` for some steps.

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
    # As fast as possible instead of live, so that the clip holds every frame.
    steps.run(
        "run: a clip of it",
        *("run", "--source", f"{_CAMERA},fps=max", "--model", model, "--frames", 60),
        *("--sink", live / _CLIP, "--before-after", "--overwrite"),
    )
    # Last, so that its table stays on the screen.
    steps.run(
        "compare",
        *("compare", *models, "--data", held_out, "--split", side, "--classic", "blur", "--classic", "nlm"),
        *("--json", out / "comparison.json", "--html", out / "report.html"),
    )
    promises = check_promises(read_object(out / "comparison.json", MOST_OF_A_LIST))
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
        say("These are the bounds of the default demo. In this run they are printed, but not enforced.")
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
    """Check that training can begin, before scenes are generated for it."""
    for module in ("tensorflow", "tf_keras", "tensorflow_model_optimization"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.of("train", module)


def _about(plan: Plan) -> str:
    """What the demo is going to do."""
    minutes = sum(plan.minutes)
    if not plan.begins_with_small or plan.steps is None:
        return (
            f"The demo trains a network from random weights for {minutes:g} minutes. A good network takes hours, so "
            "this one will be worse than the models that ship."
        )
    return (
        f"The demo begins with the float weights of the model 'small', which was trained for hours. It adapts them to "
        f"another camera in {plan.steps[0]} steps, prunes them in {plan.steps[1]} steps, and quantizes them to int8. "
        f"Training takes at most {minutes:g} minutes."
    )


def _next(plan: Plan, training: Path) -> str:
    """What the reader can do next."""
    if plan.begins_with_small:
        return (
            "This network began with weights that were trained for hours. To adapt one longer, read "
            "docs/how-to/tune-a-model.md; to train one from random weights, docs/how-to/train-from-nothing.md. "
            "'quietcam demo --from-scratch' shows what minutes achieve."
        )
    command = f"quietcam train small --data {shlex.quote(str(training))}"
    return f"To train for hours instead: {command}. See docs/how-to/train-from-nothing.md."


def _budget(plan: Plan, phase: int) -> list[object]:
    words: list[object] = ["--minutes", plan.minutes[phase]]
    if plan.steps is not None:
        words += ["--steps", plan.steps[phase]]
    if plan.rates is not None:
        words += ["--learning-rate", plan.rates[phase]]
    return words


def _generate(folder: Path, **options: Any) -> None:
    """Generate scenes. Scenes of an earlier demo are used again, or replaced if they were generated differently."""
    try:
        write_pairs(folder, **options)
    except DataError:
        if not (folder / ORIGIN).is_file():  # not from a demo
            raise
        say(f"The scenes in {folder} were generated with other settings. They are generated again.")
        shutil.rmtree(folder)
        write_pairs(folder, **options)


class _Steps:
    """Runs steps one after another, and measures the time of each."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}
        self._count = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce the step, and measure its time."""
        self._count += 1
        say("")
        say(f"[{self._count}/{self._total}] {title}")
        start, used = time.monotonic(), _processor_seconds()
        yield
        self.seconds[title] = round(time.monotonic() - start, 1)
        self.processor_seconds[title] = round(_processor_seconds() - used, 1)

    def run(self, title: str, *arguments: object) -> None:
        """Run a step that is a command of quietcam.

        Raises:
            StepFailedError: it failed.
            StoppedError: Ctrl-C.
        """
        with self.step(title):
            code = _run(arguments)
            if code in (130, -signal.SIGINT):
                raise StoppedError(f"The demo was interrupted at '{title}'. The results of earlier steps are kept.")
            if code:
                raise StepFailedError(title, code if code > 0 else 1)


def _run(arguments: Sequence[object]) -> int:
    """Run quietcam with these arguments. Returns its exit code; 130 after Ctrl-C."""
    command = [sys.executable, "-P", "-m", "quietcam", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=stderr_for_children())
    try:
        return process.wait()
    except KeyboardInterrupt:
        # Ctrl-C at a terminal reaches the child, too; a signal to this process alone does not. In both cases the child
        # gets time to finish its files, and the demo ends only after the child.
        for last in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(_PATIENCE)
                break
            process.send_signal(last)
        process.wait()
        return 130


def _processor_seconds() -> float:
    """Processor time of this process and its children: on a busy machine it says more than elapsed time."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

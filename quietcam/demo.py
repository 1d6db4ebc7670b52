"""The demo: every stage on one data set, each a process of its own, and the promises held against what came out."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quietcam.atomic import make_folder, write_json
from quietcam.data.generated import write_pairs
from quietcam.errors import GateError, MissingExtraError, QuietcamError, StoppedError
from quietcam.progress import say

__all__ = ["PROMISES", "Promise", "StepFailedError", "judge", "run_demo"]

_MINUTES = 6.5
_PRUNING_SHARE = 0.3
_TRAINING_PAIRS = 800
_HELD_OUT_PAIRS = 24
_HELD_OUT_SEED = 1_000_000
_TRAINING_BAND = (18.0, 30.0)
_HELD_OUT_BAND = (20.0, 26.0)
_SIZES = ("256x256", "640x480")
_CAMERA = "synthetic:sensor=imx219,gain=32"


class StepFailedError(QuietcamError):
    """A step of the demo ended with an error, which it has explained itself."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"The demo stopped at '{step}' (exit code {code}); what was finished is kept.")
        self.exit_code = code


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
    """Hold the report of ``quietcam compare --json`` against the demo's promises."""
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


def run_demo(data: Path | None, out: Path, minutes: float | None) -> None:
    """Run all the steps; leave models, ``comparison.json``, ``report.html``, ``live/`` and ``demo.json`` in ``out``.

    Raises:
        StepFailedError: a step failed.
        GateError: the default run (neither ``data`` nor ``minutes``) misses a promise.
    """
    enforced = data is None and minutes is None
    budget = _MINUTES if minutes is None else minutes
    start = time.monotonic()
    for module in ("tensorflow", "tf_keras", "tensorflow_model_optimization"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.of("train", module)
    make_folder(out)
    steps = _Steps(8 if data is None else 7)
    if data is None:
        training, held_out, side = out / "data" / "training", out / "data" / "held_out", "all"
        steps.announce("generate scenes")
        write_pairs(training, count=_TRAINING_PAIRS, band=_TRAINING_BAND)
        write_pairs(
            held_out,
            count=_HELD_OUT_PAIRS,
            seed=_HELD_OUT_SEED,
            band=_HELD_OUT_BAND,
            description="generate held-out scenes",
        )
    else:
        training = held_out = data
        side = "test"
    models = [out / "models" / f"demo_{_SIZES[0]}_{recipe}.tflite" for recipe in ("float32", "int8")]
    pruning = budget * _PRUNING_SHARE
    steps.run(
        "train",
        *("train", "demo", "--data", training, "--out", out / "float", "--minutes", budget - pruning, "--overwrite"),
    )
    steps.run(
        "prune",
        *(
            "prune",
            out / "float",
            "--data",
            training,
            "--out",
            out / "pruned",
            "--minutes",
            pruning,
            "--no-scan",
            "--overwrite",
        ),
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
        *("run", "--source", _CAMERA, "--model", model, "--frames", 150, "--sink", "null"),
        *("--json", live / "latency.json"),
    )
    # As fast as it goes instead of live: the clip shall hold every frame, and encoding it is slower than denoising.
    steps.run(
        "run: a clip of it",
        *("run", "--source", f"{_CAMERA},fps=max", "--model", model, "--frames", 60),
        *("--sink", live / "before_after.webm", "--before-after", "--overwrite"),
    )
    # Last, so that its table is what the reader is left with.
    steps.run(
        "compare",
        *("compare", *models, "--data", held_out, "--split", side, "--classic", "blur", "--classic", "nlm"),
        *("--json", out / "comparison.json", "--html", out / "report.html"),
    )
    promises = judge(json.loads((out / "comparison.json").read_text(encoding="utf-8")))
    write_json(
        out / "demo.json",
        {
            "minutes": round((time.monotonic() - start) / 60, 2),
            "steps": steps.seconds,
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
        say("Bounds are those of the default run on generated scenes; here they are printed, not enforced.")
    say(f"\n{(time.monotonic() - start) / 60:.1f} minutes. Look at:")
    for path in (out / "report.html", out / "live" / "before_after.webm"):
        say(f"  {path}")
    if enforced and not all(promise.holds for promise in promises):
        raise GateError(
            "The demo's promises must hold. Received: " + "; ".join(str(p) for p in promises if not p.holds)
        )


class _Steps:
    """Runs the verbs one after another."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.seconds: dict[str, float] = {}
        self._count = 0

    def announce(self, title: str) -> None:
        self._count += 1
        say(f"\n[{self._count}/{self._total}] {title}")

    def run(self, title: str, *arguments: object) -> None:
        self.announce(title)
        start = time.monotonic()
        process = subprocess.Popen([sys.executable, "-P", "-m", "quietcam", *map(str, arguments)])
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # The terminal has told the child too: give it the time to put its files in order.
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(10)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            code = 130
        if code in (130, -signal.SIGINT):
            raise StoppedError(f"the demo was interrupted at '{title}'; what was finished is kept")
        if code:
            raise StepFailedError(title, code if code > 0 else 1)
        self.seconds[title] = round(time.monotonic() - start, 1)

"""Options: whatever a command line, a configuration or the environment contains, the command ends with our words.

Every command of the real application is tried, with every option that it has. A command that ends with 0 did its work,
or was stopped after a few seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import typer.main

from fuzz.commands import run_command
from fuzz.trials import Trial, Trials
from quietcam.app import cli
from quietcam.data.pictures.files import write_picture
from quietcam.files.atomic import write_text
from quietcam.terminal.options import OutOfBounds

__all__ = ["run"]

_SECONDS = 5.0  # of work, if the values are valid
_MEMORY = 1 << 30  # bytes by which one trial may raise the peak memory
_LIGHT = 40  # trials before the first one of a command that imports TensorFlow
_CODES = (0, 1, 2, 3, 130)

_BASES: dict[str, list[str]] = {
    "run": ["--source", "synthetic:size=64x48,fps=max", "--sink", "null", "--frames", "2", "--model", "nano"],
    "capture": ["--source", "synthetic:size=64x48", "--count", "2", "--every", "0", "--out", "frames", "--overwrite"],
    "bench": ["--model", "nano", "--frames", "2", "--size", "64x48"],
    "models": [],
    "doctor": [],
    "update": ["--status", "--state", "updates"],
    "card fetch": ["--for", "nothing", "--out", "wheels"],  # no such system, so nothing is fetched from a network
    "card prepare": ["boot", "--wheels", "wheels"],
    "card undo": ["boot"],
    "release init": ["release"],
    "release add": ["release", "nano"],
    "release offer": ["release", "bundle"],
    "release withdraw": ["release", "bundle"],
    "release pause": ["release"],
    "release sign": ["release", "root"],
    "release publish": ["release"],
    "release rotate-key": ["release", "root"],
    "release show": ["release"],
    "lint": ["pairs/noisy/a.png"],
    "data index": ["pairs"],
    "data generate": ["--count", "1", "--size", "32", "--out", "made"],
    "data pack": ["pairs", "--out", "packed", "--patch", "32"],
    "calibrate": ["--data", "pairs", "--out", "rep.npz", "--count", "2", "--size", "32"],
    "compare": ["nano", "--data", "pairs", "--limit", "1", "--no-blame"],
    "coral check": ["nano"],
    "coral compile": ["nano", "--compiler", "false", "--out", "compiled"],
    "convert": ["nano", "--out", "models"],
    "train": ["demo", "--data", "nowhere", "--out", "trained"],
    "prune": ["nowhere", "--data", "nowhere", "--out", "pruned"],
    "evaluate": ["nowhere", "--data", "pairs"],
    "demo": ["--data", "nowhere", "--out", "demo"],
}
_HEAVY = {
    "convert": "convert.converter",
    "train": "train.runs.train",
    "prune": "train.runs.prune",
    "evaluate": "train.evaluation.evaluate",
}
_HEAVY |= {"demo": "train.runs.train", "compare": "compare.comparison"}

_NUMBERS = [
    "0",
    "-1",
    "-0.0",
    "1",
    "2.5",
    "1e-9",
    "1e-300",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e309",
    "255",
    "256",
    "257",
]
_NUMBERS += ["65536", "99999999", "4294967296", "9" * 30, "9" * 5000, "0x10", "1_000", "\u0663", "+5", "1e3", "", " "]
_SIZES = ["0x0", "1x1", "16x16", "99999999x1", "1x99999999", "8192x8192", "-5x5", "1e3x1e3", "1x2x3", "x", "640x480 "]
_TEXTS = [
    "",
    " ",
    "-",
    "--",
    "-x",
    ".",
    "..",
    "a",
    "a" * 256,
    "a" * 5000,
    "/" + "a" * 300,
    "a/" * 3000,
    "\udcff",
    "a\nb",
]
_TEXTS += [
    "\x1b[2J",
    "\u202e",
    "\U0001f4a3",
    "%s%n",
    "{0}",
    "[red]x[/]",
    "~",
    "nowhere",
    "nowhere/x.npz",
    "pairs",
    "x=y=z",
]
_TEXTS += ["/dev/null", "/dev/full", "/dev/zero", "/proc/self/mem", "pipe", "pairs/noisy/a.png", "pairs/x/y"]
_PLACES = [
    "http://",
    "http://[::1",
    "rtsp://u:p@h:99999/",
    "http://" + "a" * 300,
    "http://127.0.0.1:1/\udcff",
    "rtsp:h",
]
_PLACES += [
    "[::1",
    "[::1]:8080",
    "::",
    "a b:80",
    ":99999",
    "h:-1",
    "\u00fc\u0308:80",
    "a" * 300 + ":80",
    "127.0.0.1:" + "9" * 5000,
]
_KINDS = [
    "synthetic:size={n}x{n}",
    "synthetic:fps={n},size=16x16",
    "synthetic:rendered={n},size=16x16",
    "/dev/video{n}",
]
_KINDS += [
    "synthetic:gain={n},size=16x16",
    "synthetic:seed={n},size=16x16",
    "synthetic:frames={n},size=16x16",
    "{n}:{n}",
]
_KINDS += ["synthetic:base={t}", "synthetic:{t}={t}", "picamera2:camera={n}", "/dev/video0:fps={n}", "usb:{n}", "{n}"]
_KINDS += [
    "spool:s,every={n}",
    "spool:s,size={n}",
    "spool:s,daily={n}",
    "spool:s,change={n}",
    "spool:s,gap={n}",
    "spool:{t}",
]
_KINDS += ["test={n},validation={n}", "test={n},seed={n}", "all:test={t}", "train:seed={n}", "scenes@{n}", "pairs@{n}"]
_KINDS += ["scenes:band={n}:{n}", "scenes:clean={t}", "{t}.webm", "{t}.png", "{t}/", "{t}.toml", "@{t}", "{t}={t}"]


def run(trials: Trials) -> None:
    commands = dict(_walk(typer.main.get_command(cli.app), ""))
    missing = commands.keys() - _BASES.keys()
    assert not missing, f"no command line to begin with: {missing}"
    with _place():
        for trial in trials:
            light = trial.number < _LIGHT
            name = trial.random.choice([each for each in commands if not (light and each in _HEAVY)])
            _try(trial, name, commands[name])


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for each, inner in command.commands.items():
        yield from _walk(inner, f"{name} {each}".strip())


@contextlib.contextmanager
def _place() -> Iterator[None]:
    """A separate folder to work in, a few levels down, with two pairs of pictures and a pipe that nobody fills."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        inner = Path("1/2/3")
        inner.mkdir(parents=True)
        with contextlib.chdir(inner):
            rng = np.random.default_rng(0)
            for name in ("a", "b"):
                clean = rng.integers(0, 200, (64, 64, 3), np.uint8)
                for side, picture in (("noisy", clean + rng.integers(0, 20, clean.shape, np.uint8)), ("clean", clean)):
                    Path("pairs", side).mkdir(parents=True, exist_ok=True)
                    write_picture(Path("pairs", side, f"{name}.png"), picture)
            os.mkfifo("pipe")
            yield


def _value(random: Random) -> str:
    kind = random.choice((_NUMBERS, _NUMBERS, _SIZES, _TEXTS, _PLACES, _KINDS, _KINDS))
    text = random.choice(kind)
    if kind is _KINDS:
        text = re.sub(r"\{([nt])\}", lambda found: random.choice(_NUMBERS if found[1] == "n" else _TEXTS), text)
    return text


def _try(trial: Trial, name: str, command: Any) -> None:
    random = trial.random
    words, environment, settings = [*name.split(), *_BASES[name]], {}, []
    refused = False
    options = [each for each in command.params if not getattr(each, "is_flag", False)]
    for option in random.sample(options, min(len(options), random.choice((1, 1, 1, 2, 3)))):
        value = _value(random)
        where = random.choice(("line", "line", "line", "environment", "file"))
        long = max(option.opts, key=len)
        if not long.startswith("--"):
            words[len(name.split())] = value  # the first argument
            continue
        if long == "--sink" and value == "-":  # raw pixels, which bypass the capture of output
            continue
        if where == "environment" and value:
            environment[f"QUIETCAM_{name}_{option.name}".upper().replace(" ", "_").replace("-", "_")] = value
        elif where == "file" and name == "run" and option.name not in ("config", "json"):
            bare = value if random.random() < 0.5 and re.fullmatch(r"[0-9.e+-]+", value) else _quoted(value)
            settings.append(f"{option.name} = {bare}")
            continue
        else:
            words += [f"{long}={value}"]
            where = "line"
        refused = refused or (where == "line" and long not in _BASES[name] and _refuses(option, value))
    if settings:
        write_text(Path("settings.toml"), "\n".join(settings))
        words += ["--config", "settings.toml"]
    trial.keep("words", repr((environment, settings, words)))
    code, said = _run(words, environment, name)
    assert code in _CODES, (code, said[-2000:])
    # A result file that cannot be written is refused first where it is named first.
    assert not refused or code == 2 or "Cannot write" in said, (code, said[-2000:])


def _quoted(text: str) -> str:
    return '"' + "".join(each if each.isalnum() else f"\\U{ord(each):08x}" for each in text) + '"'


def _refuses(option: Any, value: str) -> bool:
    try:
        option.type.convert(value, option, None)
    except OutOfBounds:
        return True
    except Exception:  # noqa: BLE001  another kind of parameter
        return False
    return False


def _run(words: list[str], environment: dict[str, str], name: str) -> tuple[int, str]:
    """The exit code and all output."""
    if name in _HEAVY:
        with contextlib.suppress(ModuleNotFoundError):
            import_module(_HEAVY[name])  # before the clock starts: an interrupted import cannot be repeated
    clean = {key: value for key, value in os.environ.items() if not key.startswith("QUIETCAM_")}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        mock.patch.dict(os.environ, clean | environment, clear=True),
        _limited(),
    ):
        told = run_command(words)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < _MEMORY, f"{grown >> 20} MiB"
    return told.code, told.said


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)

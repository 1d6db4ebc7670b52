"""``python -m fuzz [TARGET ...] [--seconds N] [--seed N]``: runs one target after another, each in its own process."""

from __future__ import annotations

import argparse
import json
import pkgutil
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import fuzz.targets
from fuzz.trials import STATE, Trials

__all__ = ["main", "names", "run_here"]

_STALL = 120.0  # seconds without a new trial: longer than any trial takes on a slow machine
_LOOK = 1.0
_ROOT = Path("runs/fuzz")


def names() -> list[str]:
    """The targets, by name."""
    return sorted(each.name for each in pkgutil.iter_modules(fuzz.targets.__path__))


def run_here(trials: Trials) -> None:
    """Run a target in this process. Everything that it raises is a finding."""
    import_module(f"fuzz.targets.{trials.target}").run(trials)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named targets, or all; returns 0 if they found nothing, 1 if they did."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(names())} (default: all)")
    parser.add_argument("--seconds", type=float, default=180.0, help="for each target (180)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the trials (default: a new one each time)")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial, to repeat a trial")
    parser.add_argument("--trials", type=int, default=None, help="most trials")
    parser.add_argument("--keep", type=Path, default=_ROOT, help=f"folder for the inputs of findings ({_ROOT})")
    parser.add_argument("--here", action="store_true", help="run in this process, for a debugger")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.targets if name not in names()]:
        parser.error(f"no target named {', '.join(unknown)}; there are {', '.join(names())}")
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    if options.here:
        for name in options.targets or names():
            folder = options.keep / name
            trials = Trials(name, seed, folder, seconds=options.seconds, most=options.trials, first=options.first)
            run_here(trials)
            print(f"{name}: seed {seed}: {trials.done} trials", flush=True)
        return 0
    broken = [name for name in options.targets or names() if not _run_apart(name, seed, options)]
    if broken:
        print(f"Found something in: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _run_apart(name: str, seed: int, options: argparse.Namespace) -> bool:
    """Run a target in its own process, which may crash or hang; returns whether it found nothing."""
    folder: Path = options.keep / name
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}: seed {seed}, {options.seconds:g} s", flush=True)
    words = [sys.executable, "-X", "faulthandler", "-m", "fuzz", name, "--here", "--seed", str(seed)]
    words += ["--seconds", str(options.seconds), "--first", str(options.first), "--keep", str(options.keep)]
    words += ["--trials", str(options.trials)] if options.trials is not None else []
    with subprocess.Popen(words) as process:
        reason = _watch(process, folder)
    if reason is None:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    number = _number(folder)
    print(
        f"{name}: {reason} at trial {number} of seed {seed}.\n"
        f"  Its input: {folder}\n"
        f"  Again: python -m fuzz {name} --here --seed {seed} --first {number} --trials 1 --keep runs/fuzz-again",
        file=sys.stderr,
        flush=True,
    )
    return False


def _watch(process: subprocess.Popen[bytes], folder: Path) -> str | None:
    """Wait for the end; returns the fault in words, or None. A trial that hangs is killed."""
    seen, since = None, time.monotonic()
    while True:
        try:
            code = process.wait(_LOOK)
        except subprocess.TimeoutExpired:
            now = _number(folder)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > _STALL:
                process.kill()
                process.wait()
                return f"no end within {_STALL:g} s"
            continue
        except KeyboardInterrupt:
            process.wait()
            raise
        return None if code == 0 else f"signal {-code}" if code < 0 else "an error"


def _number(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / STATE).read_text())["number"])
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())

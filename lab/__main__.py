"""``python -m lab [SCENARIO ...]``: runs scenarios in a Debian guest under qemu, one after another."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from lab import scenarios
from lab.cache import Cache, home
from lab.errors import ALL_GOOD, FAILED, LabError
from lab.guest import Guest
from lab.image import ROOT, disk
from lab.machine import EMULATION, KVM, Accelerator, choose_accelerator, has_kvm
from lab.plain.container import CONTAINER, Container, check_container
from lab.recorder import Result
from lab.runner import run_scenario
from lab.table import markdown, plain
from lab.tools import check_tools

__all__ = ["main"]

RESULTS = Path("lab/results")
_CHOICES = {"kvm": KVM, "emulation": EMULATION, "container": CONTAINER}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named scenarios, or all.

    Returns:
        The exit code: 0 all claims hold, 1 one does not, 2 wrong usage, 4 a program of Debian is missing.
    """
    options = _options(arguments)
    if options.list:
        for name in scenarios.names():
            print(f"{name:12} {scenarios.load(name).asserts}")
        return ALL_GOOD
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped; no guest is left.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    known = scenarios.names()
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--list", action="store_true", help="name the scenarios and what they assert")
    parser.add_argument("--image-only", action="store_true", help="make the guest's disks and run nothing")
    parser.add_argument("--suite", default="trixie", choices=["trixie", "bookworm"], help="Debian's code name (trixie)")
    parser.add_argument("--accelerator", choices=_CHOICES, help="default: KVM where a kernel starts under it")
    parser.add_argument("--beside", action="store_true", help="do not wait for another lab that runs on this machine")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"folder for logs and the table ({RESULTS})")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.scenarios if name not in known]:
        parser.error(f"no scenario named {', '.join(unknown)}; there are {', '.join(known)}")
    if options.accelerator == "container":
        able = [name for name in known if scenarios.load(name).in_container]
        options.scenarios = options.scenarios or able
        if unable := [name for name in options.scenarios if name not in able]:
            parser.error(f"{', '.join(unable)}: a kernel is needed; in a container run {', '.join(able)}")
    return options


def _run(options: argparse.Namespace) -> int:
    check_tools()
    if options.accelerator == "container":
        check_container()
    cache = Cache(home())
    chosen = {name: scenarios.load(name) for name in options.scenarios or scenarios.names()}
    images: dict[str, Path] = {}
    for scenario in chosen.values():
        contents = replace(scenario.contents, suite=options.suite)
        if contents.name not in images:
            images[contents.name] = disk(contents, cache, lambda text: print(f"making {text}", flush=True))
    if options.image_only:
        print("\n".join(f"{name}: {folder}" for name, folder in images.items()))
        return ALL_GOOD
    results: list[Result] = []
    with contextlib.nullcontext() if options.beside else cache.locked("guest", _waits):
        accelerator = _accelerator(options.accelerator, next(iter(images.values())) / "vmlinuz")
        try:
            for name, scenario in chosen.items():
                folder = options.results / name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                print(f"{name}: {scenario.asserts}", flush=True)
                image = images[scenario.contents.name]
                make = Container if accelerator is CONTAINER else Guest
                results.append(run_scenario(name, scenario, image, folder, accelerator, _say, make))
        finally:
            if results:
                print(plain(results))
                (options.results / "table.md").write_text(markdown(results, _where(accelerator, options)))
    return ALL_GOOD if all(each.good for each in results) else FAILED


def _accelerator(asked: str | None, kernel: Path) -> Accelerator:
    found = _CHOICES[asked] if asked else choose_accelerator(kernel)
    why = ": /dev/kvm is there, but no kernel starts under it" if not asked and found is EMULATION and has_kvm() else ""
    print(f"The guests run by {found.name}{why}.", flush=True)
    return found


def _waits() -> None:
    print("Waiting: another lab runs on this machine. Option: --beside, which slows both down.", flush=True)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _where(accelerator: Accelerator, options: argparse.Namespace) -> str:
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    day = datetime.datetime.now(tz=datetime.UTC).date()
    command = " ".join(["python -m lab", *options.scenarios])
    where = "in" if accelerator is CONTAINER else "under qemu by"
    return (
        f"`{command}` at commit {commit or 'unknown'} on {day}: Debian {options.suite} {where} {accelerator.name}, "
        f"on {os.cpu_count()} processors of {platform.machine()}."
    )


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

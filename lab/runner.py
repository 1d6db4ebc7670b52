"""Runs one scenario: its guest, its limit, its logs, its result."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from lab.errors import LabError
from lab.guest import Guest
from lab.machine import Accelerator
from lab.recorder import Recorder, Result
from lab.scenarios import Scenario

__all__ = ["run_scenario"]

_HUNGRY = 0.1  # share of the time from which the table says so


def run_scenario(
    name: str,
    scenario: Scenario,
    image: Path,
    folder: Path,
    accelerator: Accelerator,
    say: Callable[[str], None],
    make: Callable[..., Guest] = Guest,
) -> Result:
    """Run it on a fresh disk; returns its result, whatever happens but Ctrl-C.

    Args:
        image: folder of the disk.
        folder: for its logs and `result.json`.
        say: takes each line of progress.
        make: makes the guest.
    """
    result = Result(name, scenario.asserts, accelerator=accelerator.name)
    limit = scenario.limit * accelerator.patience * (2.0 if accelerator.counts else 1.0)
    begun = time.monotonic()
    with make(image, folder, accelerator, scenario.machine) as guest:
        timer = threading.Timer(limit, guest.expire, [f"the scenario's limit of {limit:.0f} s is over"])
        timer.daemon = True
        timer.start()
        try:
            if scenario.boots:
                say(f"booted after {guest.boot():.0f} s")
            scenario.run(guest, Recorder(result, say))
        except LabError as error:
            result.broken = guest.expired or str(error)
        except Exception as error:  # noqa: BLE001  a fault of one scenario must not hide the others' results
            result.broken = guest.expired or f"{type(error).__name__}: {error}"
            (folder / "traceback.txt").write_text(traceback.format_exc())
        finally:
            timer.cancel()
        guest.collect()
        if guest.hunger > _HUNGRY:
            result.notes.append(
                f"for {guest.hunger:.0%} of the time the host gave the guest no processor that it wanted"
            )
        result.seconds = time.monotonic() - begun
        result.write(folder / "result.json")
    if result.broken:
        say(f"BROKEN {result.broken}")
    return result

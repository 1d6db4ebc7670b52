"""Scenarios: one a module, found by the module's name.

A scenario `lab/scenarios/NAME.py` has `SCENARIO`, and is run by ``python -m lab NAME``::

    from lab.guest import Guest
    from lab.machine import Machine
    from lab.recorder import Recorder
    from lab.scenarios import Scenario

    def run(guest: Guest, record: Recorder) -> None:
        for found in guest.measure("name"):                     # runs lab/in_guest/name.py, which prints JSON lines
            record.equal(f"{found['format']} comes", found["size"], "640x480")

    SCENARIO = Scenario("what a user can count on, one line", run, limit=300, machine=Machine(memory=1024))

Rules:

- `run` gets a guest that is booted (``boots=False``: not yet) on a fresh disk. It may `run`, `push`, `pull`, `measure`,
  `wait_until`, `kill` (a power cut), `stop` and `boot` it again, with another `Machine` if it likes. The disk stays.
- The probe in `lab/in_guest` measures, the scenario judges. What a probe prints is in `NAME.log` of the results, all
  that the kernel said in `serial-N.log`, and the journal in `journal-N.log`. Judging functions that take the probe's
  dictionaries are tested in tests/lab without qemu.
- Each claim is a sentence that holds for the user, with the bound that the documentation promises. Limits of the lab
  itself (`limit` of a command, `wait_until`) are for a fast machine: `guest.patience` multiplies them under emulation.
- Measure time by the guest's clock. Emulated, it counts instructions and may go ten times slower than the host's.
- `lab.device.service` has the shipped unit with a camera, and whether frames flow; `lab.device.release` a signed
  release; `lab.device.examine` reads the disk of a guest that is off.
- `guest.keep` keeps memory and disk as they are, and ``guest.start(kept=…)`` goes on from there.
- /opt/lab/tiny.tflite is a small int8 network of 80x64 pixels, quick enough under emulation. /opt/quietcam is the
  environment, /etc/quietcam.toml and the unit are installed, and the unit is neither enabled nor started.
- More packages of Debian or PyPI: ``contents=Contents("its-name", packages=(…,), wheels=(…,))``, a disk of its own.
- The guest has no network. ``Machine(qemu=…)`` adds hardware, ``Machine(kernel=("ro",))`` words for the kernel.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

from lab.guest import Guest
from lab.image import PLAIN, Contents
from lab.machine import Machine
from lab.recorder import Recorder

__all__ = ["Scenario", "load", "names"]


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        asserts: what a user can count on, in one line of the table.
        run: takes the guest and the recorder.
        limit: seconds for all of it on a fast machine; under emulation `patience` times as many.
        machine: hardware of the guest.
        contents: what its disk holds.
        boots: whether the guest is booted before `run`.
        in_container: whether it also runs without a kernel of its own (`--accelerator container`).
    """

    asserts: str
    run: Callable[[Guest, Recorder], None]
    limit: float = 300.0
    machine: Machine = field(default_factory=Machine)
    contents: Contents = PLAIN
    boots: bool = True
    in_container: bool = False


def names() -> list[str]:
    """All scenarios by name."""
    return sorted(each.name for each in pkgutil.iter_modules(__path__))


def load(name: str) -> Scenario:
    """The scenario of a module of this folder."""
    scenario = import_module(f"lab.scenarios.{name}").SCENARIO
    assert isinstance(scenario, Scenario)
    return scenario

"""Scenarios on a guest that is none: results, limits, the table and the exit codes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import __main__ as command
from lab import scenarios
from lab.cache import Cache
from lab.errors import CommandError, GoneError, MissingError
from lab.guest import measured
from lab.image import Contents
from lab.machine import EMULATION, KVM, Machine, choose_accelerator, has_kvm, qemu_words
from lab.recorder import Recorder, Result
from lab.runner import run_scenario
from lab.scenarios import Scenario
from lab.table import markdown, plain, verdict
from lab.tools import PACKAGES, check_tools


class NoGuest:
    """Stands where a guest stands; `wait_for_ever` ends as a guest ends that is cut off."""

    hunger = 0.0

    def __init__(self, *_: object) -> None:
        self.expired, self.said = "", list[str]()
        self._over = threading.Event()

    def boot(self) -> float:
        self.said.append("boot")
        return 1.0

    def expire(self, reason: str) -> None:
        self.expired = reason
        self._over.set()

    def wait_for_ever(self) -> None:
        self._over.wait(30)
        raise GoneError("The guest ended while a command ran in it.")

    def collect(self) -> None:
        self.said.append("collect")

    def __enter__(self) -> NoGuest:
        return self

    def __exit__(self, *_: object) -> None:
        self.said.append("close")


def run(does: Callable[[Any, Recorder], None], folder: Path, **more: Any) -> tuple[Result, NoGuest]:
    guest = NoGuest()
    scenario = Scenario("it works", does, **more)
    return run_scenario("thing", scenario, folder, folder, KVM, lambda _: None, lambda *_: guest), guest  # type: ignore[arg-type, return-value]


def test_a_guest_that_the_host_starved_is_told_in_the_table(tmp_path: Path) -> None:
    def starves(guest: NoGuest, record: Recorder) -> None:
        record.that("It holds", True)
        guest.hunger = 0.97

    result, _ = run(starves, tmp_path)
    assert result.good
    assert result.notes == ["for 97% of the time the host gave the guest no processor that it wanted"]
    assert run(lambda _, record: record.note("a note"), tmp_path)[0].notes == ["a note"]


def test_a_claim_that_does_not_hold_ends_nothing(tmp_path: Path) -> None:
    def does(_: Any, record: Recorder) -> None:
        record.that("First", False, "nothing")
        record.at_most("Second", 3.0, 4.0, "s")
        record.equal("Third", 1, 1)
        record.note("a figure")

    result, guest = run(does, tmp_path)
    assert [(each.claim, each.holds) for each in result.assertions] == [
        ("First", False),
        ("Second", True),
        ("Third", True),
    ]
    assert (result.good, verdict(result)) == (False, "1 of 3 failed")
    assert guest.said == ["boot", "collect", "close"]
    assert json.loads((tmp_path / "result.json").read_text())["good"] is False


def test_a_scenario_that_boots_its_guest_itself_gets_it_unbooted(tmp_path: Path) -> None:
    _, guest = run(lambda _, record: record.note("x"), tmp_path, boots=False)
    assert guest.said == ["collect", "close"]


@pytest.mark.parametrize("error", [CommandError("it failed"), ValueError("it failed"), KeyError("it failed")])
def test_an_error_breaks_one_scenario_off(error: Exception, tmp_path: Path) -> None:
    def does(_: Any, record: Recorder) -> None:
        record.that("First", True)
        raise error

    result, guest = run(does, tmp_path)
    assert "it failed" in result.broken
    assert (result.good, verdict(result), guest.said[-1]) == (False, "broken off", "close")


def test_ctrl_c_leaves_no_guest(tmp_path: Path) -> None:
    guests: list[NoGuest] = []

    def make(*_: object) -> Any:
        guests.append(NoGuest())
        return guests[-1]

    def does(_: Any, __: Recorder) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario("thing", Scenario("it works", does), tmp_path, tmp_path, KVM, lambda _: None, make)
    assert guests[0].said == ["boot", "close"]  # nothing is collected first, since that may take a while


def test_a_scenario_ends_at_its_limit(tmp_path: Path) -> None:
    result, _ = run(lambda guest, _: guest.wait_for_ever(), tmp_path, limit=0.2)
    assert result.broken == "the scenario's limit of 0 s is over"


def test_a_scenario_that_asserts_nothing_is_not_good(tmp_path: Path) -> None:
    result, _ = run(lambda _, __: None, tmp_path)
    assert (result.good, verdict(result)) == (False, "asserts nothing")


def test_the_tables_say_what_failed_and_what_was_found() -> None:
    good, bad = Result("a", "all is well"), Result("longer", "x | y", broken="the guest ended", accelerator="KVM")
    recorder = Recorder(good, lambda _: None)
    recorder.that("It holds", True, "7 s")
    Recorder(bad, lambda _: None).that("It is whole", False, "half")
    text = plain([good, bad])
    assert "longer: It is whole: FAILED (half)\nlonger: broken off: the guest ended\n" in text
    assert [line.split()[0] for line in text.splitlines()[:3]] == ["scenario", "a", "longer"]
    page = markdown([good, bad], "On a machine.")
    assert "| `longer` | x \\| y | broken off | 0 |" in page
    assert "- It holds: 7 s\n" in page
    assert "- **does not hold**: It is whole: half\n- **broken off**: the guest ended\n" in page


def test_only_lines_of_json_are_measurements() -> None:
    assert measured('a warning\n{"a": 1}\n{broken\n[2]\n{"b": 2}\n') == [{"a": 1}, {"b": 2}]


def test_every_scenario_says_what_it_asserts_in_a_line() -> None:
    assert scenarios.names()
    disks: dict[str, Contents] = {}
    for name in scenarios.names():
        scenario = scenarios.load(name)
        assert scenario.asserts, name
        assert "\n" not in scenario.asserts, name
        assert disks.setdefault(scenario.contents.name, scenario.contents) == scenario.contents, name


def test_qemu_has_one_disk_no_network_and_the_words_of_the_machine(tmp_path: Path) -> None:
    machine = Machine(256, 1, ("ro",), ("-rtc", "base=2031-01-01"), "none")
    words = qemu_words(machine, EMULATION, tmp_path, tmp_path / "d", tmp_path / "s", tmp_path / "p", tmp_path / "m")
    text = " ".join(words)
    for part in ("-nic none", "-m 256 -smp 1", "cache=none", "panic=-1 ro -drive", "-rtc base=2031-01-01", "tcg"):
        assert part in text
    assert text.startswith("setpriv --pdeathsig KILL nice qemu-system-x86_64 ")
    # Only an emulated guest gets more time from its own systemd.
    assert "systemd.default_timeout_start_sec=" in text
    words = qemu_words(machine, KVM, tmp_path, tmp_path / "d", tmp_path / "s", tmp_path / "p", tmp_path / "m")
    assert "systemd." not in " ".join(words)


def test_without_the_device_the_guest_is_emulated(tmp_path: Path) -> None:
    assert not has_kvm(tmp_path / "kvm")
    assert choose_accelerator(tmp_path / "vmlinuz", tmp_path / "kvm") == EMULATION


@pytest.mark.parametrize(("says", "chosen"), [("Linux version 6", KVM), ("KASLR", EMULATION)])
def test_kvm_is_what_starts_a_kernel(
    says: str, chosen: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text(f'#!/bin/sh\nfor word; do case $word in file:*) echo "{says}" >"${{word#file:}}";; esac; done\n')
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "kvm").touch()
    assert choose_accelerator(tmp_path / "vmlinuz", tmp_path / "kvm") == chosen


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.tools.find", lambda name: None if name in ("qemu-img", "fakeroot") else name)
    with pytest.raises(
        MissingError, match=r"qemu-img missing\. Remedy: .* install --no-install-recommends qemu-utils$"
    ):
        check_tools(root=True)
    with pytest.raises(MissingError, match=r"qemu-img, fakeroot missing.* fakeroot qemu-utils$"):
        check_tools(PACKAGES, root=False)


def test_exit_codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QUIETCAM_LAB", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "check_tools", lambda: None)
    monkeypatch.setattr(command, "disk", lambda *_: tmp_path)
    monkeypatch.setattr(command, "choose_accelerator", lambda _: KVM)
    holds = [True]

    def done(name: str, scenario: Scenario, *_: object) -> Result:
        result = Result(name, scenario.asserts)
        Recorder(result, lambda _: None).that("It holds", holds[0])
        return result

    monkeypatch.setattr(command, "run_scenario", done)
    words = ["v4l2", "--results", str(tmp_path / "results")]
    assert command.main(words) == 0
    with Cache(tmp_path / "cache").locked("guest"):  # another lab runs
        assert command.main([*words, "--beside"]) == 0
    assert "v4l2" in (tmp_path / "results/table.md").read_text()
    monkeypatch.setattr(command, "choose_accelerator", lambda _: EMULATION)
    monkeypatch.setattr(command, "has_kvm", lambda: True)
    holds[0] = False
    assert command.main(words) == 1
    assert "emulation: /dev/kvm is there, but no kernel starts under it.\n" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        command.main(["no-such-scenario"])
    assert ended.value.code == 2
    assert "there are" in capsys.readouterr().err

    def missing() -> None:
        raise MissingError("The lab needs programs of Debian.")

    monkeypatch.setattr(command, "check_tools", missing)
    assert command.main(words) == 4
    assert capsys.readouterr().err == "The lab needs programs of Debian.\n"
    assert command.main(["--list"]) == 0

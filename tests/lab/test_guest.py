"""A guest whose qemu is a program of ours, which runs the agent at the other end of the port."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import CommandError, GoneError
from lab.guest import Guest
from lab.machine import KVM, Machine

QEMU = f"""#!{sys.executable}
import socket, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lab.in_guest import agent
words = sys.argv[1:]
if words[words.index("-m") + 1] == "1":
    sys.exit("qemu: a MiB is too little")
server = socket.socket(socket.AF_UNIX)
server.bind(next(word for word in words if word.startswith("socket,")).split("path=")[1].split(",")[0])
server.listen()
serial = next(word for word in words if word.startswith("file:") and "serial" in word)[5:]
open(serial, "w").write("Linux version 6\\n")
connection, _ = server.accept()
port = connection.makefile("rwb", buffering=0)
agent.serve(port, port)
"""


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    for name, text in {"qemu-system-x86_64": QEMU, "qemu-img": "#!/bin/sh\nfor last; do :; done\n: >$last\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "probes").mkdir()
    (tmp_path / "probes/thing.py").write_text("import sys\nprint('{\"words\": %d}' % len(sys.argv))\nprint('x')\n")
    (tmp_path / "probes/wrong.py").write_text("raise ValueError('this went wrong')\n")
    monkeypatch.setattr("lab.guest.PYTHON", sys.executable)
    monkeypatch.setattr("lab.guest._PROBES", tmp_path / "probes")
    monkeypatch.setattr("lab.guest._PLACE", str(tmp_path / "place"))
    with Guest(tmp_path, tmp_path / "logs", KVM) as guest:
        yield guest
    assert not guest.disk.parent.exists()


def ended(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_it_boots_and_runs_a_probe_that_it_was_given(guest: Guest) -> None:
    assert guest.boot() > 0
    assert guest.run("echo here").out == "here\n"
    assert guest.measure("thing", "a", "b") == [{"words": 3}]
    assert (guest.folder / "thing.log").read_text() == '$ thing a b\n{"words": 3}\nx\n\n'
    assert guest.serial.read_text() == "Linux version 6\n"


def test_probes_are_given_once_since_a_later_boot_may_be_read_only(guest: Guest, tmp_path: Path) -> None:
    guest.boot()
    given = tmp_path / "place/thing.py"
    given.unlink()
    guest.boot()
    assert not given.exists()


def test_a_probe_that_fails_says_why(guest: Guest) -> None:
    guest.boot()
    with pytest.raises(CommandError, match=r"(?s)The probe wrong ended with 1: .*ValueError: this went wrong"):
        guest.measure("wrong")
    with pytest.raises(CommandError, match="missing"):
        guest.measure("missing")


def test_after_a_power_cut_it_boots_again_from_the_same_disk(guest: Guest) -> None:
    guest.boot()
    process = int(guest.run("echo $PPID").out)
    disk = guest.disk
    guest.kill()
    assert ended(process)
    with pytest.raises(GoneError, match="not booted"):
        guest.run("true")
    guest.boot(Machine(memory=256))
    assert (guest.boots, guest.disk, guest.serial.name) == (2, disk, "serial-2.log")
    assert guest.machine.memory == 256


def test_a_renewed_guest_is_another_device(guest: Guest) -> None:
    guest.boot()
    guest.disk.write_text("what the first device wrote")
    guest.renew()
    assert guest.disk.read_text() == ""
    guest.boot()
    assert guest.run("echo here").out == "here\n"


def test_a_qemu_that_does_not_start_says_why(guest: Guest) -> None:
    with pytest.raises(GoneError, match="qemu does not start: qemu: a MiB is too little"):
        guest.boot(Machine(memory=1))


def test_what_waits_for_a_guest_that_expires_ends(guest: Guest) -> None:
    guest.boot()
    process = int(guest.run("echo $PPID").out)
    threading.Timer(0.3, guest.expire, ["the limit is over"]).start()
    with pytest.raises(GoneError):
        guest.run("sleep 5", limit=60)
    assert guest.expired == "the limit is over"
    guest.collect()
    guest.close()
    assert ended(process)


def test_it_waits_until_a_command_succeeds(guest: Guest, tmp_path: Path) -> None:
    guest.boot()
    threading.Timer(0.3, (tmp_path / "there").touch).start()
    assert guest.wait_until(f"test -e {tmp_path}/there", limit=20, every=0.05)
    assert not guest.wait_until("false", limit=0.2, every=0.05)


def test_it_shuts_down_in_order_or_is_cut_off(guest: Guest, tmp_path: Path) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\n")
    systemctl.chmod(0o755)
    assert guest.stop()  # not booted
    guest.boot()
    process = int(guest.run("echo $PPID").out)
    assert not guest.stop(limit=0.3)
    assert ended(process)
    guest.boot()
    process = int(guest.run("echo $PPID").out)
    systemctl.write_text(f"#!/bin/sh\n(sleep 0.3; kill {process}) >/dev/null 2>&1 &\n")
    assert guest.stop(limit=20)
    assert ended(process)


def test_the_journal_is_kept(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "journalctl").write_text("#!/bin/sh\necho a line\n")
    (tmp_path / "journalctl").chmod(0o755)
    guest.collect()  # not booted: nothing to keep
    guest.boot()
    guest.collect()
    assert (guest.folder / "journal-1.log").read_text() == "a line\n"

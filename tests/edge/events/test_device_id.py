"""The device id: the same at each start, another on each machine, and no secret of the machine in it."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from edge.events.device_id import device_id

SERIAL = "10000000a1b2c3d4"
MACHINE = "0123456789abcdef0123456789abcdef"


def machine(folder: Path, serial: str | None = None, machine_id: str | None = None) -> Path:
    for name, text in (("proc/device-tree/serial-number", serial), ("etc/machine-id", machine_id)):
        if text is not None:
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(text)
    return folder


def expected(text: str) -> str:
    return hmac.new(text.encode(), b"quietcam", hashlib.sha256).hexdigest()[:12]


def test_it_is_made_of_the_boards_serial_number_or_else_of_the_machine_id(tmp_path: Path) -> None:
    assert device_id(machine(tmp_path / "pi", SERIAL + "\0", MACHINE + "\n")) == expected(SERIAL)
    assert device_id(machine(tmp_path / "pc", None, MACHINE + "\n")) == expected(MACHINE)
    assert expected(SERIAL) != expected(MACHINE)


@pytest.mark.parametrize("unset", ["", "\n", "uninitialized\n", "0" * 32])
def test_what_is_not_set_yet_counts_for_nothing(tmp_path: Path, unset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "camera7.lan")
    assert device_id(machine(tmp_path, None, unset)) == expected("camera7.lan")


def test_this_machine_has_one() -> None:
    assert device_id() == device_id()
    assert len(device_id()) == 12
    int(device_id(), 16)

"""Containers of the lab, as far as no root is needed: which scenarios may run in one, and what a machine must have."""

from __future__ import annotations

import pytest

from lab import __main__ as command
from lab import scenarios
from lab.errors import MissingError
from lab.plain.container import check_container


def test_a_scenario_that_needs_a_kernel_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["usb", "--accelerator", "container"])
    assert ended.value.code == 2
    assert "usb: a kernel is needed; in a container run first_boot" in capsys.readouterr().err
    assert scenarios.load("first_boot").in_container
    assert not scenarios.load("usb").in_container


def test_what_a_container_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.plain.container.find", lambda _: None)
    with pytest.raises(MissingError, match="install --no-install-recommends systemd-container"):
        check_container()
    monkeypatch.setattr("lab.plain.container.find", lambda name: name)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="as root"):
        check_container()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    check_container()

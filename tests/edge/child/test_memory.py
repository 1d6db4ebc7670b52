"""The limit of a child process's memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.child import memory
from edge.child.memory import memory_limit

MIB = 1 << 20


@pytest.fixture(autouse=True)
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 4 GiB, where this process is in no control group."""
    machine(monkeypatch, 1 << 20)
    monkeypatch.setattr(memory, "_OWN", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    return tmp_path / "groups"


def machine(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": 4096}.__getitem__)


def test_it_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for pages, limit in ((100_000, 256), (262_144, 512), (1 << 22, 2048)):
        machine(monkeypatch, pages)
        assert memory_limit() == limit * MIB


@pytest.mark.parametrize(
    ("inner", "outer", "limit"),
    [
        ("max\n", "max\n", 2048),
        (f"{600 * MIB}\n", "max\n", 300),
        ("max\n", f"{1024 * MIB}\n", 512),
        (f"{900 * MIB}\n", f"{800 * MIB}\n", 400),
        (f"{100 * MIB}\n", "max\n", 256),
        ("garbage", "\xff", 2048),
        (None, None, 2048),
    ],
)
def test_a_unit_or_container_that_may_take_less_counts(
    groups: Path, inner: str | None, outer: str | None, limit: int
) -> None:
    unit = groups / "system.slice" / "quietcam.service"
    unit.mkdir(parents=True)
    groups.with_name("cgroup").write_text("4:memory:/elsewhere\n0::/system.slice/quietcam.service\n")
    for folder, text in ((unit, inner), (unit.parent, outer)):
        if text is not None:
            (folder / "memory.max").write_text(text, encoding="latin-1")
    assert memory_limit() == limit * MIB


def test_a_container_sees_its_own_group_as_the_root(groups: Path) -> None:
    groups.mkdir()
    groups.with_name("cgroup").write_text("0::/\n")
    (groups / "memory.max").write_text(f"{600 * MIB}\n")
    assert memory_limit() == 300 * MIB


def test_without_control_groups_the_machine_counts() -> None:
    assert memory_limit() == 2048 * MIB

"""A card is prepared whole, twice the same, and taken back byte for byte, also after an interruption anywhere."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import deploy.card.prepare
from deploy.card.boot import Boot
from deploy.card.firstrun import HOOK
from deploy.card.prepare import prepare, undo
from deploy.card.settings import Settings, read_wifi
from quietcam.errors import QuietcamError, StorageError, UsageError
from tests.deploy.card.conftest import CMDLINE, snapshot

KEYS = ("ssh-ed25519 " + "A" * 68,)
FULL = Settings("camera1", KEYS, read_wifi("Home", "correct horse", "DE"))
CARDS = pytest.mark.parametrize("kind", ["trixie", "bookworm"])


@pytest.fixture
def card(request: pytest.FixtureRequest, kind: str) -> tuple[Path, Path]:
    return request.getfixturevalue(kind), request.getfixturevalue(f"{kind}_wheels")


@CARDS
@pytest.mark.parametrize("settings", [Settings(), FULL], ids=["plain", "full"])
def test_a_card_is_restored_byte_for_byte(card: tuple[Path, Path], settings: Settings) -> None:
    boot, wheels = card
    before = snapshot(boot)
    changes = prepare(boot, wheels, settings=settings)
    after = snapshot(boot)
    touched = {change.path for change in changes if change.action != "unchanged"}
    assert {name for name in after if before.get(name) != after[name]} == touched
    outside = {name for name in touched if not name.startswith("quietcam/")}
    hooks = {"vendor-data", "network-config"} if "meta-data" in before else {"firstrun.sh", "cmdline.txt"}
    assert outside <= hooks
    assert (
        after["quietcam/wheels/numpy-2.4.0-py3-none-any.whl"] == (wheels / "numpy-2.4.0-py3-none-any.whl").read_bytes()
    )
    for name in ("first-boot.txt", "token.txt.new", "wheels/.numpy.1234.whl"):  # by the device, and by a power cut
        (boot / "quietcam" / name).write_text("something\n")
    undo(boot)
    assert snapshot(boot) == before
    assert not (boot / "quietcam").exists()


@CARDS
def test_twice_the_same_leaves_everything_as_it_is(card: tuple[Path, Path]) -> None:
    boot, wheels = card
    prepare(boot, wheels, settings=FULL)
    before = {path: path.stat().st_mtime_ns for path in boot.rglob("*")}
    assert {change.action for change in prepare(boot, wheels, settings=FULL)} == {"unchanged"}
    assert {path: path.stat().st_mtime_ns for path in boot.rglob("*")} == before


@CARDS
def test_a_dry_run_lists_what_would_be_and_changes_nothing(card: tuple[Path, Path]) -> None:
    boot, wheels = card
    before = snapshot(boot)
    told = prepare(boot, wheels, settings=FULL, dry_run=True)
    assert snapshot(boot) == before
    assert told == prepare(boot, wheels, settings=FULL)
    prepared = snapshot(boot)
    told = undo(boot, dry_run=True)
    assert snapshot(boot) == prepared
    assert told == undo(boot)


@CARDS
def test_other_settings_replace_the_first_ones(card: tuple[Path, Path]) -> None:
    boot, wheels = card
    before = snapshot(boot)
    prepare(boot, wheels)
    plain = snapshot(boot)
    prepare(boot, wheels, b'sink = ["null"]\n', FULL, token_on_card=True)
    assert snapshot(boot) != plain
    prepare(boot, wheels)
    assert snapshot(boot) == plain
    undo(boot)
    assert snapshot(boot) == before


@CARDS
@pytest.mark.parametrize("first", [None, Settings()], ids=["fresh", "again"])
def test_an_interruption_anywhere_can_be_undone_and_repeated(
    card: tuple[Path, Path], first: Settings | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot, wheels = card
    before = snapshot(boot)
    if first is not None:
        prepare(boot, wheels, settings=first)
    start = shutil.copytree(boot, tmp_path / "start")
    write = deploy.card.prepare.write_bytes
    for stop in count():
        done = count()

        def failing(path: Path, content: bytes, done: Any = done, stop: int = stop) -> None:
            if next(done) == stop:
                raise StorageError("the card was pulled out")
            write(path, content)

        shutil.rmtree(boot)
        shutil.copytree(start, boot)
        with monkeypatch.context() as patch:
            patch.setattr(deploy.card.prepare, "write_bytes", failing)
            try:
                prepare(boot, wheels, settings=FULL)
                break  # fewer writes than that
            except StorageError:
                pass
        pulled = shutil.copytree(boot, tmp_path / f"pulled{stop}")
        if (boot / "quietcam/card.json").exists():
            undo(boot)
        assert snapshot(boot) == before, stop
        prepare(pulled, wheels, settings=FULL)
        undo(pulled)
        assert snapshot(pulled) == before, stop
    assert stop >= 3  # writes, in the shortest case


def test_user_data_of_the_imager_stays_and_its_settings_are_not_set_twice(trixie: Path, trixie_wheels: Path) -> None:
    (trixie / "user-data").write_text("#cloud-config\nhostname: mine\n")
    (trixie / "network-config").write_text("network: {version: 2}\n")
    before = snapshot(trixie)
    for settings, file in [(Settings(host_name="other"), "user-data"), (Settings(wifi=FULL.wifi), "network-config")]:
        with pytest.raises(UsageError, match=f"a {file} with settings"):
            prepare(trixie, trixie_wheels, settings=settings)
    assert snapshot(trixie) == before
    prepare(trixie, trixie_wheels)
    after = snapshot(trixie)
    assert {name: after[name] for name in before} == before


def test_foreign_vendor_data_is_refused(trixie: Path, trixie_wheels: Path) -> None:
    (trixie / "vendor-data").write_text("#cloud-config\n")
    with pytest.raises(UsageError, match="vendor-data"):
        prepare(trixie, trixie_wheels)
    assert not (trixie / "quietcam").exists()


def test_vendor_data_that_somebody_replaced_is_left(trixie: Path, trixie_wheels: Path) -> None:
    prepare(trixie, trixie_wheels)
    (trixie / "vendor-data").write_text("#cloud-config\n")
    assert [change.action for change in undo(trixie) if change.path == "vendor-data"] == ["left"]
    assert (trixie / "vendor-data").read_text() == "#cloud-config\n"


def test_firstrun_of_the_imager_is_kept_and_extended(bookworm: Path, bookworm_wheels: Path) -> None:
    theirs = b"#!/bin/bash\n\nset +e\nimager_custom set_hostname caf\xe9\nrm -f /boot/firstrun.sh\nexit 0\n"
    (bookworm / "firstrun.sh").write_bytes(theirs)
    (bookworm / "cmdline.txt").write_bytes(CMDLINE.strip() + b" systemd.run=/boot/firstrun.sh\n")
    before = snapshot(bookworm)
    with pytest.raises(UsageError, match="leaves open"):
        prepare(bookworm, bookworm_wheels, settings=FULL)
    assert snapshot(bookworm) == before
    prepare(bookworm, bookworm_wheels)
    assert snapshot(bookworm)["cmdline.txt"] == before["cmdline.txt"]
    assert b"set_hostname caf\xe9\n" in snapshot(bookworm)["firstrun.sh"]
    undo(bookworm)
    assert snapshot(bookworm) == before


@pytest.mark.parametrize("has_run", [True, False])
def test_undo_keeps_what_the_system_changed_since(bookworm: Path, bookworm_wheels: Path, has_run: bool) -> None:
    """The first boot gives the root partition another number; the old one would not boot."""
    prepare(bookworm, bookworm_wheels, settings=FULL)
    cmdline = (bookworm / "cmdline.txt").read_bytes().replace(b"4e639091", b"0badcafe")
    if has_run:
        (bookworm / "firstrun.sh").unlink()
        cmdline = cmdline.replace(HOOK.encode(), b"")
    (bookworm / "cmdline.txt").write_bytes(cmdline)
    undo(bookworm)
    assert (bookworm / "cmdline.txt").read_bytes() == CMDLINE.replace(b"4e639091", b"0badcafe")
    assert not (bookworm / "firstrun.sh").exists()
    assert not (bookworm / "quietcam").exists()


def test_wheels_of_another_system_are_refused(
    trixie: Path, bookworm: Path, trixie_wheels: Path, bookworm_wheels: Path
) -> None:
    with pytest.raises(UsageError, match=r"wheels for bookworm-arm64.*Trixie"):
        prepare(trixie, bookworm_wheels)
    with pytest.raises(UsageError, match=r"wheels for trixie-arm64.*Bookworm"):
        prepare(bookworm, trixie_wheels)


def test_a_damaged_wheel_is_refused(trixie: Path, trixie_wheels: Path) -> None:
    path = trixie_wheels / "numpy-2.4.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="missing or damaged"):
        prepare(trixie, trixie_wheels)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "files": {}, "changed": []}',
        '{"version": 1, "files": {"../a": []}, "changed": []}',
    ],
)
def test_a_record_that_we_did_not_write_is_refused(trixie: Path, text: str) -> None:
    (trixie / "quietcam").mkdir()
    (trixie / "quietcam/card.json").write_text(text)
    with pytest.raises(QuietcamError, match=r"card\.json"):
        Boot(trixie)


def test_a_folder_that_is_no_card_is_refused(tmp_path: Path, trixie: Path, trixie_wheels: Path) -> None:
    with pytest.raises(UsageError, match="boot partition"):
        prepare(tmp_path / "nowhere", trixie_wheels)
    with pytest.raises(UsageError, match="card prepare"):
        undo(trixie)


def test_a_card_without_room_is_refused_before_anything_is_written(
    trixie: Path, trixie_wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(trixie)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage())
    with pytest.raises(UsageError, match="room"):
        prepare(trixie, trixie_wheels)
    assert snapshot(trixie) == before


class _Usage:
    total = used = free = 1 << 20

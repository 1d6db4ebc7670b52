"""`quietcam update` on a device, from the publisher's folder to the slot: signed or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.release.offers import Audience, add_bundle, offer
from edge.events.device_id import device_id
from edge.update.archive import pack
from edge.update.channel import Offer
from edge.update.contents import Bounds
from edge.update.slots.running import SlotModel
from edge.update.slots.store import Store
from quietcam.app.cli import run
from tests.deploy.release.made import Made, now
from tests.edge.update.bundles import make_bundle
from tests.small_models import with_manifest
from tests.waiting import WAIT


class Site:
    """A published release, and a device that is told where it is."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.made = Made(folder)
        self.store = Store(folder / "device" / "update")
        self._folder, self._models = folder, models

    def publish(self, version: str, bounds: Bounds | None = None) -> None:
        """Offer a bundle of a real model to all devices."""
        place = self._folder / f"made-{version}"
        place.mkdir()
        model = with_manifest(self._models, place, "small_32x32_int8", receptive_field=6, stride=2)
        archive = place / f"small-{version}.tar"
        pack(make_bundle(place / "bundle", model, version, bounds=bounds, frames=(1,)), archive)
        bundle = add_bundle(self.made.repository, self.made.keys, archive, now())
        offer(self.made.repository, self.made.keys, Audience(), Offer(bundle), now())
        self.made.publish()

    def update(self, *words: object) -> int:
        fetch = ["--from", self.made.folder, "--root", self.made.root]
        return self.run(*fetch, *words)

    def run(self, *words: object) -> int:
        return run(["update", "--state", str(self.store.folder), *map(str, words)])

    @property
    def version(self) -> str:
        """What a start would use now."""
        in_use = SlotModel(self.store).in_use()
        return self.store.read().version_of(in_use.slot)

    def left(self) -> list[str]:
        """What lies in the device's folder, but the metadata of the release."""
        return sorted(path.name for path in self.store.folder.iterdir() if path.name != "release")


@pytest.fixture
def site(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("edge.update.canary.PATIENCE", WAIT)
    return Site(tmp_path, models)


def test_a_device_follows_its_release_goes_back_and_forth_and_tells_it(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.publish("1")
    assert site.update("--trial", "0") == 0
    assert site.version == "small-1"
    assert site.update() == 0
    assert "small-1 is the newest bundle for this device" in capsys.readouterr().out

    site.publish("2")
    report = tmp_path / "report.json"
    assert site.update("--json", report) == 0
    told: dict[str, Any] = json.loads(report.read_text())
    assert (told["installed"], told["version"], told["back"]) == (True, "small-2", "small-1")
    assert told["trial"] == {"seconds": 0.0, "length": 600.0}
    assert site.left() == ["busy", "lock", "slots", "state.json"]
    assert not list((site.store.folder / "release" / "download").iterdir()), "the archive is not kept"

    assert site.run("--status") == 0
    shown = capsys.readouterr().out
    assert "in use: small-2, goes back to small-1" in shown
    assert "on trial: 0 of 600 s with frames" in shown
    assert site.run("--rollback") == 0
    assert site.version == "small-1"
    assert site.update() == 0
    assert site.version == "small-1", "what somebody went back from does not come again"
    assert site.update("--retry") == 0
    assert site.version == "small-2"
    assert site.run("--history") == 0
    assert "small-2 went back to small-1: somebody asked for it" in " ".join(capsys.readouterr().out.split())


def test_a_bundle_that_misses_its_bounds_is_exit_code_3_and_is_not_fetched_again(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.publish("1", Bounds(most_ms=1e-6))
    assert site.update() == 3
    assert "ms a frame, at most 0.0 ms are allowed" in " ".join(capsys.readouterr().err.split())
    assert (site.version, site.left()) == ("factory", ["busy", "lock", "state.json"])
    assert site.update() == 0
    assert site.version == "factory"


@pytest.mark.parametrize("how", ["altered", "truncated", "gone", "foreign", "no root"])
def test_nothing_that_is_not_signed_is_installed(
    how: str, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.publish("1")
    (archive,) = (site.made.folder / "targets" / "bundles").glob("*.tar")
    root = site.made.root
    if how == "altered":
        content = bytearray(archive.read_bytes())
        content[5000] ^= 1
        archive.write_bytes(content)
    elif how == "truncated":
        archive.write_bytes(archive.read_bytes()[:-1000])
    elif how == "gone":
        archive.unlink()
    elif how == "foreign":
        root = Made(tmp_path / "other").root
    else:
        root = tmp_path / "no.json"
    assert site.update("--root", root) == 1
    assert "Remedy:" in capsys.readouterr().err
    assert (site.version, site.left()) == ("factory", ["busy", "lock", "state.json"])
    checked = site.store.read().checked
    assert checked is not None
    assert checked.failed


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--status", "--rollback"),
        ("--status", "--retry"),
        ("--from", "ftp://host/x", "--root", "ROOT"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(
    words: tuple[str, ...], site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run(*(site.made.root if word == "ROOT" else word for word in words)) == 2
    assert "Received:" in capsys.readouterr().err


def test_a_new_device_has_a_status_and_nowhere_to_go_back_to(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.run("--status") == 0
    shown = capsys.readouterr().out
    assert "in use: factory, nothing to go back to" in shown
    assert "never looked for an update" in shown
    assert f"device id: {device_id()}" in shown
    assert site.run("--rollback") == 1
    assert "nothing before it" in " ".join(capsys.readouterr().err.split())

"""A card that names a release: the device trusts its root, and finds it at a URL or on the card itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from deploy.card.prepare import prepare, undo
from deploy.card.release import read_release
from edge.update.fetch import ReleaseClient
from quietcam.app.cli import run
from quietcam.errors import UpdateError, UsageError
from tests.deploy.card.conftest import snapshot, wheels_for
from tests.deploy.release.made import DEVICE, Made, now

URL = "https://updates.example.com/cameras"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "publisher").mkdir()
    made = Made(tmp_path / "publisher")
    made.offer("1")
    return made


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Wheels of a device that can update itself."""
    return wheels_for(tmp_path / "wheels-update", "trixie-arm64", ("edge", "update"))


def test_a_url_is_written_and_not_asked(trixie: Path, wheels: Path, made: Made) -> None:
    before = snapshot(trixie)
    words = ["card", "prepare", str(trixie), "--wheels", str(wheels), "--release", URL, "--root", str(made.root)]
    assert run(words) == 0
    card = trixie / "quietcam"
    assert (card / "root.json").read_bytes() == made.root.read_bytes()
    assert f'QUIETCAM_UPDATE_FROM="{URL}"\n' in (card / "update.env").read_text()
    assert (card / "quietcam.toml").read_text().endswith('model = "slot"\n')
    assert not (card / "release").exists()
    undo(trixie)
    assert snapshot(trixie) == before


def test_a_device_can_update_from_the_release_on_its_card(trixie: Path, wheels: Path, made: Made) -> None:
    prepare(trixie, wheels)
    without = snapshot(trixie)
    prepare(trixie, wheels, release=read_release(str(made.folder), made.root))
    card = trixie / "quietcam"
    assert 'QUIETCAM_UPDATE_FROM="@CARD@/release"\n' in (card / "update.env").read_text()
    assert not (card / "release/draft").exists()
    client = ReleaseClient(str(card / "release"), card / "root.json", made.home / "device", DEVICE)
    archive = client.check(None).archive
    assert archive is not None
    assert client.fetch(archive).read_bytes() == (made.home / "small-1.tar").read_bytes()

    first = (card / "settings").read_bytes()
    made.offer("2")
    prepare(trixie, wheels, release=read_release(str(made.folder), made.root))
    assert (card / "settings").read_bytes() != first, "the next boot must look at the newer release"
    prepare(trixie, wheels)
    assert snapshot(trixie) == without
    assert not (card / "release").exists(), "no empty folder stays"
    undo(trixie)
    assert not card.exists()


def test_a_release_that_the_root_does_not_vouch_for_is_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Made(tmp_path / "other")
    with pytest.raises(UpdateError) as refused:
        read_release(str(made.folder), other.root)
    assert refused.value.reason == "foreign"
    (tmp_path / "old").mkdir()
    old = Made(tmp_path / "old", at=now() - timedelta(days=60))
    with pytest.raises(UpdateError, match="expired"):
        read_release(str(old.folder), old.root)
    with pytest.raises(UpdateError):
        read_release(URL, made.home / "small-1.tar")  # not a root file


@pytest.mark.parametrize("source", ["ftp://host/a", 'https://host/"a', "https://host/a b", "https://host/$a"])
def test_an_address_that_a_device_could_not_use_is_refused(made: Made, source: str) -> None:
    with pytest.raises(UsageError, match="Received: "):
        read_release(source, made.root)


def test_what_a_device_with_updates_needs_is_asked_for(
    trixie: Path, trixie_wheels: Path, wheels: Path, made: Made
) -> None:
    before = snapshot(trixie)
    release = read_release(URL, made.root)
    with pytest.raises(UsageError, match="--extra update"):
        prepare(trixie, trixie_wheels, release=release)
    for config in (b'sink = ["web"]\n', b'model = "small"\n', b"=\n"):
        with pytest.raises(UsageError, match='model = "slot"'):
            prepare(trixie, wheels, config, release=release)
    assert snapshot(trixie) == before
    prepare(trixie, wheels, b'model = "slot"\n', release=release)
    assert (trixie / "quietcam/quietcam.toml").read_bytes() == b'model = "slot"\n'


@pytest.mark.parametrize("words", [["--release", URL], ["--root", "root.json"]])
def test_release_and_root_belong_together(
    trixie: Path, wheels: Path, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["card", "prepare", str(trixie), "--wheels", str(wheels), *words]) == 2
    assert "--release and --root belong together" in " ".join(capfd.readouterr().err.replace("`", "").split())

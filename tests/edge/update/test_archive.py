"""A bundle's archive: determined to the last byte, and nothing but the plain files of one bundle is unpacked."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.update import archive as module
from edge.update.archive import pack, read_contents, unpack
from edge.update.bundle import read_bundle
from quietcam.errors import StorageError, UpdateError

FIRST = "golden/0_denoised.rgb"


@pytest.fixture(scope="session")
def packed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "small-1.tar"
    pack(built, path)
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def test_what_is_packed_is_unpacked(built: Path, packed: Path, tmp_path: Path) -> None:
    bundle = unpack(packed, tmp_path / "slot")
    assert bundle.contents == read_bundle(built).contents == read_contents(packed)
    assert tree(tmp_path / "slot") == tree(built)


def test_the_same_files_give_the_same_bytes(built: Path, packed: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(built, tmp_path / "copied"))
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    pack(other, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_pythons_tarfile_and_tar_read_it(built: Path, packed: Path, tmp_path: Path) -> None:
    with tarfile.open(packed, "r:") as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "python", filter="data")
    assert names == ["bundle.json", *sorted(read_contents(packed).files)]
    files = {path: content for path, content in tree(built).items() if content is not None}
    assert {path: each for path, each in tree(tmp_path / "python").items() if each is not None} == files
    done = subprocess.run(["tar", "tf", str(packed)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == names


Change = Callable[[tarfile.TarInfo], tarfile.TarInfo | None]


def rewritten(packed: Path, path: Path, change: Change, twice: str = "", form: int = tarfile.USTAR_FORMAT) -> Path:
    """The archive written anew by Python, with one member changed or another one twice."""
    with tarfile.open(packed, "r:") as old, tarfile.open(path, "w:", format=form) as new:
        for member in old.getmembers():
            source = old.extractfile(member)
            assert source is not None
            content = source.read()
            changed = change(member)
            for _ in range(1 + (member.name == twice)):
                if changed is not None:
                    new.addfile(changed, io.BytesIO(content) if changed.isreg() else None)
    return path


def as_kind(kind: bytes, link: str = "") -> Change:
    def change(member: tarfile.TarInfo) -> tarfile.TarInfo:
        if member.name == FIRST:
            member.type, member.linkname, member.size = kind, link, 0
        return member

    return change


def named(name: str) -> Change:
    def change(member: tarfile.TarInfo) -> tarfile.TarInfo:
        if member.name == FIRST:
            member.name = name
        return member

    return change


TRICKS: dict[str, Change] = {
    "a symbolic link": as_kind(tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": as_kind(tarfile.LNKTYPE, "bundle.json"),
    "a device or pipe": as_kind(tarfile.CHRTYPE),
    "device or pipe": as_kind(tarfile.FIFOTYPE),
    "a folder": as_kind(tarfile.DIRTYPE),
    "/etc/cron.d/x": named("/etc/cron.d/x"),
    r"\.\./\.\./x": named("../../x"),
    "golden/X": named("golden/X"),
    "models/small": named("models/small_32x32_int8.json"),  # a duplicate name
    "golden/0_noisy": lambda member: None if member.name == FIRST else member,
}


@pytest.mark.parametrize("what", TRICKS)
def test_tricks_of_archives_are_refused_and_nothing_stays(packed: Path, tmp_path: Path, what: str) -> None:
    bad = rewritten(packed, tmp_path / "bad.tar", TRICKS[what])
    # Python pads an archive to 10,240 bytes: without the padding, the trick itself is what is found.
    size = packed.stat().st_size
    content = bad.read_bytes()
    bad.write_bytes(content[:size].ljust(size, b"\0"))
    before = tree(tmp_path)
    with pytest.raises(UpdateError, match=what):
        unpack(bad, tmp_path / "slot")
    assert tree(tmp_path) == before


def test_a_duplicate_an_extended_header_and_padding_are_refused(packed: Path, tmp_path: Path) -> None:
    def same(member: tarfile.TarInfo) -> tarfile.TarInfo:
        return member

    def dated(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = 1.5
        return member

    for number, bad in enumerate(
        [
            rewritten(packed, tmp_path / "twice.tar", same, twice=FIRST),
            rewritten(packed, tmp_path / "pax.tar", dated, form=tarfile.PAX_FORMAT),
            rewritten(packed, tmp_path / "padded.tar", same),
        ]
    ):
        with pytest.raises(UpdateError):
            unpack(bad, tmp_path / f"slot{number}")
        assert not (tmp_path / f"slot{number}").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_other_bytes_are_refused(packed: Path, tmp_path: Path, data: st.DataObject) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    content = bytearray(packed.read_bytes())
    match data.draw(st.sampled_from(["flip", "cut", "grow", "other"])):
        case "flip":
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        case "grow":
            content += data.draw(st.binary(min_size=1, max_size=600))
        case "other":
            content = bytearray(data.draw(st.binary(max_size=2000)))
    (folder / "bad.tar").write_bytes(content)
    with pytest.raises(UpdateError):
        unpack(folder / "bad.tar", folder / "slot")
    assert [each.name for each in folder.iterdir()] == ["bad.tar"]


def test_a_bundle_beyond_the_budget_is_refused_before_anything_is_written(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match="where 1000 are allowed"):
        unpack(packed, tmp_path / "slot", most=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageError, match="No space left"):
        unpack(packed, tmp_path / "slot")
    monkeypatch.undo()

    written, write = [], module._write

    def fills(path: Path, parts: object) -> None:
        written.append(path)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        write(path, parts)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_write", fills)
    with pytest.raises(StorageError, match="No space left"):
        unpack(packed, tmp_path / "slot")
    assert list(tmp_path.iterdir()) == []


def test_a_slot_that_is_there_is_not_touched(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "slot").mkdir()
    (tmp_path / "slot" / "mine").touch()
    with pytest.raises(StorageError, match="File exists"):
        unpack(packed, tmp_path / "slot")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        unpack(packed, tmp_path / "link")
    assert (tmp_path / "slot" / "mine").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match="is a file"):
        unpack(tmp_path, tmp_path / "slot")
    with pytest.raises(UpdateError, match="is a file"):
        read_contents(tmp_path / "none.tar")

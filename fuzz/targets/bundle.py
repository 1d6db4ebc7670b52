"""Archives of bundles: whatever one holds, it is unpacked whole or refused in our words, and nothing else changes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from deploy.release.bundle import BundlePlan, make_bundle
from edge.models import resolve_model
from edge.update.archive import MOST_UNPACKED, pack, read_contents, unpack
from edge.update.bundle import Bundle, read_bundle
from edge.update.contents import CONTENTS, parse_contents
from fuzz.mutate import mutate_bytes, mutate_json, odd_text, spelled
from fuzz.trials import Trial, Trials
from quietcam.errors import UpdateError

__all__ = ["run"]

_KINDS = (
    *(tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE),
    *(tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, b"\x00", b"z"),
)
_PLACES = ("../outside", "models/../../outside", "outside", "models", ".", "", "models/a\nb.tflite")
_FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


def run(trials: Trials) -> None:
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        files = _files(home / "made")
        whole = (home / "made.tar").read_bytes()
        inside = home / "device"
        inside.mkdir()
        for trial in trials:
            archive = home / "given.tar"
            archive.write_bytes(trial.keep("bundle.tar", _spoiled(trial, whole, files, home)))
            before = _tree(home)
            bundle = _unpacked(archive, inside / "staging")
            if bundle is not None:
                _check(bundle, archive, home)
            _remove(inside / "staging")
            assert _tree(home) == before, "something was written outside, or is left"


def _files(made: Path) -> dict[str, bytes]:
    """A bundle of a model that ships, in order: what its archive holds."""
    archive = made.with_suffix(".tar")
    make_bundle(BundlePlan("fuzz", "1", [resolve_model("nano")]), archive)
    with tarfile.open(archive, "r:") as opened:
        return {name: opened.extractfile(name).read() for name in opened.getnames()}  # type: ignore[union-attr]


def _spoiled(trial: Trial, whole: bytes, files: dict[str, bytes], home: Path) -> bytes:
    random = trial.random
    match random.randrange(4):
        case 0:
            return mutate_bytes(random, whole)
        case 1:
            return _with_header(random, whole)
        case 2:
            return _by_tarfile(random, files, str(home / "outside"))
        case _:
            return _with_contents(random, files)


def _with_header(random: Random, whole: bytes) -> bytes:
    """One header is damaged, and its checksum is right again."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        at = random.choice(archive.getmembers()).offset
    header = bytearray(whole[at : at + 512])
    for _ in range(random.choice((1, 1, 2, 8))):
        header[random.randrange(512)] = random.choice((0, 32, 48, 49, 50, 53, 55, 0x80, 0xFF, random.randrange(256)))
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    return whole[:at] + bytes(header) + whole[at + 512 :]


def _by_tarfile(random: Random, files: dict[str, bytes], outside: str) -> bytes:
    """Written by Python, with members that are left out, doubled, moved, or of another kind."""
    names = list(files)
    for _ in range(random.choice((0, 1, 2))):
        at = random.randrange(len(names))
        match random.randrange(3):
            case 0 if len(names) > 1:
                del names[at]
            case 1:
                names.insert(random.randrange(len(names) + 1), names[at])
            case _:
                names.append(names.pop(at))
    file = io.BytesIO()
    odd = random.randrange(len(names) + 1)
    with tarfile.open(fileobj=file, mode="w:", format=random.choice(_FORMATS)) as archive:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            if number == odd:
                member.type = random.choice(_KINDS)
                member.name = random.choice((name, outside, *_PLACES))
                member.linkname = random.choice(("", "/etc/passwd", "../outside", name))
            archive.addfile(member, io.BytesIO(files[name]) if member.isreg() else None)
    return file.getvalue()


def _with_contents(random: Random, files: dict[str, bytes]) -> bytes:
    """Headers and padding are right, and what ``bundle.json`` says is not."""
    values: Any = json.loads(files[CONTENTS])
    if random.random() < 0.5:
        values = mutate_json(random, values)
    else:
        path = random.choice(list(values["files"]))
        values["files"][odd_text(random) if random.random() < 0.3 else path] = {
            "size": random.choice((0, 1, len(files[path]), len(files[path]) + 1, 2**40, MOST_UNPACKED)),
            "sha256": hashlib.sha256(files[path]).hexdigest(),
        }
    text = spelled(random, values) if random.random() < 0.3 else json.dumps(values, indent=1) + "\n"
    contents = text.encode("utf-8", "surrogatepass")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in {**files, CONTENTS: contents}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _unpacked(archive: Path, staging: Path) -> Bundle | None:
    """The bundle, if it is accepted. What is refused leaves nothing."""
    said = ""
    try:
        return unpack(archive, staging)
    except UpdateError as error:
        said = str(error)
    assert said.isprintable(), said
    assert not staging.exists()
    return None


def _check(bundle: Bundle, archive: Path, home: Path) -> None:
    """An accepted bundle is what its archive says, to the last byte."""
    assert read_contents(archive) == bundle.contents == parse_contents(bundle.contents.to_bytes())
    assert read_bundle(bundle.folder) == bundle
    names = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    assert names == {CONTENTS, *bundle.contents.files}
    again = home / "again.tar"
    pack(bundle.folder, again)
    assert again.read_bytes() == archive.read_bytes()
    again.unlink()


def _tree(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.exists():
        folder.rmdir()

"""Gathers the wheels that a device needs, for a system that this machine is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from deploy.card.systems import System
from deploy.card.wheels import LIST, Wheel, WheelSet, hash_of, write_list
from quietcam.errors import DataError, QuietcamError, UsageError
from quietcam.files.atomic import atomic_path, make_folder
from quietcam.files.strict_json import dump_json, read_object

__all__ = ["Fetched", "fetch"]

_OWN = re.compile(r"quietcam-([A-Za-z0-9.+!]+)-py3-none-any\.whl")
_LAST_LINES = 3
_LARGEST_REPORT = 64 << 20  # bytes


@dataclass(frozen=True)
class Fetched:
    """Attributes:
    wheels: all that belongs to the folder.
    new: files that were not there before.
    size: bytes of all wheels.
    """

    wheels: WheelSet
    new: tuple[str, ...]
    size: int


def fetch(
    system: System,
    out: Path,
    own: Path | None = None,
    extras: Sequence[str] = (),
    indexes: Sequence[str] = (),
    told: Callable[[str], None] = lambda _: None,
) -> Fetched:
    """Fill ``out`` with the wheels of quietcam and of all that it needs on ``system``.

    Files that are there with the right hash are kept, so an interrupted fetch goes on where it was. In the end pip
    resolves everything once more, from the folder alone.

    Args:
        own: the wheel of quietcam. Defaults to the one in ``out``.
        extras: extras of quietcam beside the one of the system, such as ``mqtt``.
        indexes: further package indexes.
        told: is called with a line about each file that is fetched.

    Raises:
        UsageError: there is no wheel of quietcam.
        DataError: pip finds no wheel of something, or the result is not complete.
        StorageError: the disk is full or fails.
    """
    make_folder(out)
    own = _own_wheel(out) if own is None else own
    version = _version_of(own)
    _copy(own, out / own.name)
    all_extras = tuple(dict.fromkeys([system.extra, *extras]))
    pip = _Pip(system, tuple(indexes))
    (out / LIST).unlink(missing_ok=True)  # until all is there, the folder counts as incomplete
    new = []
    with _staging(out) as staging:
        found = pip.resolve(f"quietcam[{','.join(all_extras)}] @ {(out / own.name).resolve().as_uri()}", staging)
        wheels = [Wheel(own.name, "quietcam", version, hash_of(out / own.name))]
        for wheel, url in found:
            wheels.append(wheel)
            path = out / wheel.file
            if not path.is_file() or hash_of(path) != wheel.sha256:
                told(f"fetching {wheel.file}")
                pip.download(f"{url}#sha256={wheel.sha256}", staging)
                (staging / wheel.file).replace(path)
                new.append(wheel.file)
        result = WheelSet(system, all_extras, tuple(sorted(wheels, key=lambda each: each.file)))
        pip.verify(result, out, staging)
    write_list(out, result)
    return Fetched(result, tuple(new), sum((out / wheel.file).stat().st_size for wheel in wheels))


class _Pip:
    """pip, as it would work on ``system``."""

    def __init__(self, system: System, indexes: tuple[str, ...]) -> None:
        if PathFinder.find_spec("pip") is None:  # setuptools hooks into the usual way, and warns
            raise QuietcamError(
                "Wheels are fetched by pip, which this environment must have. Received: one without pip. "
                "Remedy: python -m ensurepip"
            )
        self._system = system
        self._indexes = [word for index in indexes for word in ("--extra-index-url", index)]
        tags = [word for platform in system.platforms() for word in ("--platform", platform)]
        self._there = ["--only-binary=:all:", "--python-version", system.python, "--implementation", "cp", *tags]

    def resolve(self, requirement: str, staging: Path) -> Iterator[tuple[Wheel, str]]:
        """What ``requirement`` needs, without itself: each wheel and its URL."""
        limits, report = staging / "limits.txt", staging / "report.json"
        limits.write_text("".join(f"{each}\n" for each in self._system.limits))
        words = ["--report", str(report), "--constraint", str(limits), *self._indexes, requirement]
        self._run(["install", "--dry-run", "--ignore-installed", "--target", str(staging / "target"), *words])
        for each in read_object(report, _LARGEST_REPORT)["install"]:
            if not each["is_direct"]:
                yield _wheel(each)

    def download(self, url: str, staging: Path) -> None:
        """One wheel into ``staging``; its hash is checked."""
        self._run(["download", "--no-deps", "--dest", str(staging), url])

    def verify(self, wheels: WheelSet, folder: Path, staging: Path) -> None:
        """Resolve everything from ``folder`` alone, with all hashes."""
        requirements = staging / "requirements.txt"
        requirements.write_text(wheels.requirements())
        words = ["--no-index", "--find-links", str(folder), "--require-hashes", "--requirement", str(requirements)]
        self._run(["install", "--dry-run", "--ignore-installed", "--target", str(staging / "target"), *words])

    def _run(self, words: list[str]) -> None:
        markers = dump_json(self._system.markers())
        module = [sys.executable, "-P", "-m", "deploy.card.foreign_pip", markers, words[0]]
        options = ["--quiet", "--disable-pip-version-check", "--no-input", *self._there]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_packages())}
        done = subprocess.run(
            [*module, *options, *words[1:]],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
        if done.returncode:
            raise DataError(
                f"pip must find a wheel for {self._system.name} of each package. Received: {_reason(done.stderr)}. "
                "Remedy: check the network, or name an index that has wheels for this processor with `index`"
            )


def _packages() -> list[str]:
    """Where the child finds this package, and what the parent was told to find."""
    here = str(Path(__file__).parents[2])
    return [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def _reason(stderr: str) -> str:
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR")]
    lines = errors or [line for line in stderr.splitlines() if line.strip()]
    return "; ".join(line.strip().rstrip(".") for line in lines[-_LAST_LINES:]) or "pip failed without a word"


def _wheel(entry: dict[str, Any]) -> tuple[Wheel, str]:
    url = entry["download_info"]["url"]
    sha256 = entry["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
    if sha256 is None:
        raise DataError(f"A package index must give the SHA-256 of each file. Received: {url}, without one.")
    name = url.partition("#")[0].rpartition("/")[2]
    file = name.replace("%2B", "+").replace("%2b", "+")
    return Wheel(file, entry["metadata"]["name"], entry["metadata"]["version"], sha256), url.partition("#")[0]


def _own_wheel(out: Path) -> Path:
    found = sorted(path for path in out.glob("quietcam-*.whl"))
    if len(found) != 1:
        raise UsageError(
            f"`own` is the wheel of quietcam, or {out} holds it. Received: {out} with {len(found)} such wheels. "
            "Remedy: in a clone: pip wheel --no-deps ., then name the file with `own`"
        )
    return found[0]


def _version_of(own: Path) -> str:
    found = _OWN.fullmatch(own.name)
    if found is None or not own.is_file():
        raise UsageError(
            f"`own` is the wheel of quietcam, such as quietcam-0.1.0-py3-none-any.whl. Received: {own}. "
            "Remedy: in a clone: pip wheel --no-deps ."
        )
    return found[1]


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and hash_of(target) == hash_of(source):
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder for what is not whole yet, on the same disk; what a killed fetch left is removed."""
    for left in out.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=out) as folder:
        yield Path(folder)

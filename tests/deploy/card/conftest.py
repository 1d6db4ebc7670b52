"""Cards and wheels: folders as the boot partitions of fresh images are, and a wheel of the code under test."""

from __future__ import annotations

import base64
import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.card.systems import SYSTEMS, System
from deploy.card.wheels import Wheel, WheelSet, hash_of, write_list

ROOT = Path(__file__).parents[3]
CMDLINE = (
    b"console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait quiet\n"
)
STAGES = ("quietcam", "calibration", "train", "convert", "compare", "deploy", "edge")


@pytest.fixture
def trixie(tmp_path: Path) -> Path:
    """The boot partition of a fresh Trixie: its seed of cloud-init holds comments alone."""
    boot = _boot(tmp_path / "trixie")
    (boot / "meta-data").write_text("dsmode: local\ninstance_id: rpios-image\n")
    (boot / "user-data").write_text("#cloud-config\n\n# comments\n#hostname: raspberrypi\n")
    (boot / "network-config").write_bytes(b"# comments\r\n\n#network:\n")
    return boot


@pytest.fixture
def bookworm(tmp_path: Path) -> Path:
    """The boot partition of a fresh Bookworm."""
    return _boot(tmp_path / "bookworm")


def _boot(folder: Path) -> Path:
    folder.mkdir()
    (folder / "cmdline.txt").write_bytes(CMDLINE)
    (folder / "config.txt").write_text("# For more options\n")
    return folder


def wheels_for(folder: Path, system: str, extras: tuple[str, ...] = ("edge",)) -> Path:
    """A folder as ``card fetch`` fills it, with wheels that are only bytes."""
    folder.mkdir(exist_ok=True)
    found = []
    for project, version in (("quietcam", "0.1.0"), ("numpy", "2.4.0")):
        path = folder / f"{project}-{version}-py3-none-any.whl"
        path.write_bytes(f"{project} for {system}".encode() * 100)
        found.append(Wheel(path.name, project, version, hash_of(path)))
    write_list(folder, WheelSet(SYSTEMS[system], extras, tuple(found)))
    return folder


@pytest.fixture
def trixie_wheels(tmp_path: Path) -> Path:
    return wheels_for(tmp_path / "wheels-trixie", "trixie-arm64")


@pytest.fixture
def bookworm_wheels(tmp_path: Path) -> Path:
    return wheels_for(tmp_path / "wheels-bookworm", "bookworm-arm64")


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def this_machine() -> Iterator[System]:
    """This machine as a system that cards can be prepared for."""
    architecture = platform.machine()
    if shutil.which("dpkg"):
        done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
        architecture = done.stdout.strip()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    system = System("this-machine", python, platform.machine(), architecture, 36, "edge", "cloud-init")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SYSTEMS, system.name, system)
        yield system


@pytest.fixture(scope="session")
def code_wheels(tmp_path_factory: pytest.TempPathFactory, this_machine: System) -> Path:
    """A wheel of the code under test, without the models, as the only wheel of a set."""
    folder = tmp_path_factory.mktemp("wheels")
    path = folder / "quietcam-0.1.0-py3-none-any.whl"
    kinds = {".py", ".service", ".timer", ".toml", ".yml", ".sh", ".j2"}
    files = {
        str(file.relative_to(ROOT)): file.read_bytes()
        for stage in STAGES
        for file in sorted((ROOT / stage).rglob("*"))
        if file.suffix in kinds
    }
    info = "quietcam-0.1.0.dist-info"
    files[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: quietcam\nVersion: 0.1.0\n"
    files[f"{info}/METADATA"] += b"Provides-Extra: edge\nProvides-Extra: update\n"
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nquietcam = quietcam.__main__:start\n"
    lines = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    own = Wheel(path.name, "quietcam", "0.1.0", hash_of(path))
    write_list(folder, WheelSet(this_machine, ("edge", "update"), (own,)))
    return folder


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()

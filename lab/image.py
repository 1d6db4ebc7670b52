"""The guest's disk: Debian with quietcam, installed as docs/how-to/run-as-a-service.md says. No loop mount is needed.

Four folders of the cache, each made again only when what it is made of changes: Debian's root file system, the wheels
of what quietcam needs, quietcam's own wheel, and the disk. The first two need the network, the other two never do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.cache import Cache, key_of
from lab.errors import LabError

__all__ = ["PLAIN", "TINY", "Contents", "disk", "keys", "sources"]

ROOT = Path(__file__).parents[1]
MIRROR = "http://deb.debian.org/debian"
_PACKAGES = (
    *("linux-image-amd64", "initramfs-tools", "systemd", "systemd-sysv", "libnss-systemd", "dbus", "udev", "kmod"),
    *("python3", "python3-venv", "v4l-utils", "iproute2", "procps", "strace", "curl", "e2fsprogs", "libcap2-bin"),
)
_EXTRAS = ("edge", "video", "update")  # of quietcam, for all that a device does with its own camera and disk
_PYTHON = {"trixie": "3.13", "bookworm": "3.11"}
_PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in (35, 34, 31, 28, 27, 17)), "manylinux2014_x86_64")
_SIZE = "4G"
_IN_WHEEL = ("quietcam", "calibration", "train", "convert", "compare", "deploy", "edge")
_HERE = Path(__file__).parent
_INSTALL, _AGENT = _HERE / "install.sh", _HERE / "in_guest/agent.py"
TINY = ROOT / "tests/edge/models/small_80x64_int8.tflite"
_BUILD = ("hatchling>=1.25",)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contents:
    """What a disk holds beyond the lab's own packages. Each name is one disk in the cache.

    Attributes:
        name: of the disk; one set of packages has one name.
        packages: more packages of Debian.
        wheels: more packages of PyPI, for the environment of quietcam.
        suite: Debian's code name.
        installed: whether quietcam is installed. If not, the disk is that of a plain Debian, which mounts a partition
            with the label CIDATA at /boot/firmware.
    """

    name: str = "plain"
    packages: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    suite: str = "trixie"
    installed: bool = True

    @property
    def python(self) -> str:
        """The version of the suite's Python."""
        return _PYTHON[self.suite]


PLAIN = Contents()


def disk(contents: Contents, cache: Cache, say: Say = lambda _: None) -> Path:
    """A folder with ``disk.raw``, ``vmlinuz`` and ``initrd``; made if it is not in the cache.

    Raises:
        LabError: a step failed; the message has the end of what it said.
    """
    label = f"{contents.name}-{contents.suite}"
    key = keys(contents)

    def debian(folder: Path) -> None:
        say(f"Debian {contents.suite} with {len(_PACKAGES + contents.packages)} packages (minutes, once)")
        packages = ",".join(_PACKAGES + contents.packages)
        words = ["mmdebstrap", "--variant=minbase", f"--include={packages}", *_SMALLER, contents.suite]
        _run([*words, str(folder / "debian.tar"), os.environ.get("QUIETCAM_LAB_MIRROR", MIRROR)])

    def wheels(folder: Path) -> None:
        say("wheels of what quietcam needs (a minute, once)")
        _download(folder, [*_needs(), *contents.wheels], contents.python)
        _download(folder, [*_BUILD], f"{sys.version_info[0]}.{sys.version_info[1]}")

    def wheel(folder: Path) -> None:
        say("the wheel of this checkout")
        offline = ["--no-index", "--find-links", str(needed), "--disable-pip-version-check"]
        _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *offline, "-w", str(folder), str(ROOT)])

    def image(folder: Path) -> None:
        say("the disk (a minute or two)")
        _build(folder, base / "debian.tar", needed, own, contents)

    # A disk without packages of its own has the same Debian as the plain one, and likewise its wheels.
    debian_of = contents.name if contents.packages else PLAIN.name
    wheels_of = contents.name if contents.wheels else PLAIN.name
    base = cache.kept(f"debian-{debian_of}-{contents.suite}", key["debian"], debian)
    if not contents.installed:
        return cache.kept(f"disk-{label}", key["disk"], lambda folder: _build_plain(folder, base / "debian.tar", say))
    needed = cache.kept(f"wheels-{wheels_of}-{contents.suite}", key["wheels"], wheels)
    own = cache.kept("quietcam", key["quietcam"], wheel)
    return cache.kept(f"disk-{label}", key["disk"], image)


def keys(contents: Contents, root: Path = ROOT) -> dict[str, str]:
    """The key of each folder of the cache: what it is made of."""
    debian = key_of(*_PACKAGES, *contents.packages, contents.suite, *_SMALLER)
    pins = (root / "constraints.txt").read_bytes()
    wheels = key_of(pins, *_needs(), *contents.wheels, *_BUILD, contents.python, sys.version)
    quietcam = key_of(*(part for path in sources(root) for part in (str(path), (root / path).read_bytes())))
    ours = (_INSTALL.read_bytes(), _AGENT.read_bytes(), TINY.read_bytes(), _SIZE, *_EXTRAS)
    inside = (wheels, quietcam) if contents.installed else ()
    return {"debian": debian, "wheels": wheels, "quietcam": quietcam, "disk": key_of(debian, *inside, *ours)}


def sources(root: Path = ROOT) -> list[Path]:
    """The files that quietcam's wheel is made of, below ``root``, in order."""
    found = [path for name in _IN_WHEEL for path in (root / name).rglob("*") if path.is_file()]
    kept = [path.relative_to(root) for path in found if "__pycache__" not in path.parts]
    return sorted([*kept, Path("pyproject.toml"), Path("README.md"), Path("LICENSE")])


# A guest needs no manuals and no translations.
_SMALLER = tuple(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale", "info"))
# What mmdebstrap does for a new root file system, and must not do for the one that it takes from the cache.
_AS_IT_IS = ("setup", "update", "download", "extract", "essential", "install", "cleanup")


def _build(folder: Path, debian: Path, needed: Path, own: Path, contents: Contents) -> None:
    more = "".join(f"{each}\n" for each in contents.wheels)
    files = [*needed.glob("*.whl"), *own.glob("*.whl"), ROOT / "constraints.txt"]
    _fill(folder, debian, files, {"more.txt": more, "extras": ",".join(_EXTRAS)})


def _build_plain(folder: Path, debian: Path, say: Say) -> None:
    say("the disk without quietcam (a minute)")
    _fill(folder, debian, [], {})


def _fill(folder: Path, debian: Path, files: Sequence[Path], texts: Mapping[str, str]) -> None:
    """Make the disk; `install.sh` runs in it beside these files and texts."""
    given = folder / "given"
    given.mkdir()
    for path in [*files, _INSTALL, _AGENT]:
        shutil.copy(path, given)
    shutil.copy(TINY, given / "tiny.tflite")
    for name, text in texts.items():
        (given / name).write_text(text)
    tar = folder / "root.tar"
    _run(
        [
            *("mmdebstrap", "--variant=custom", f"--skip={','.join(_AS_IT_IS)}"),
            *("--setup-hook=tar-in " + str(debian) + " /", "--customize-hook=copy-in " + str(given) + " /opt"),
            *('--customize-hook=chroot "$1" sh /opt/given/install.sh', "", str(tar)),
        ]
    )
    shutil.rmtree(given)
    # Numbers of owners are kept as root, or as somebody who is told so.
    script = (
        "mkdir root && tar -C root -xpf root.tar --numeric-owner && cp -L root/vmlinuz root/initrd.img . "
        f"&& mv initrd.img initrd && mke2fs -q -t ext4 -d root disk.raw {_SIZE} && rm -rf root root.tar"
    )
    root = [] if os.geteuid() == 0 else ["fakeroot"]
    _run([*root, "sh", "-c", script], folder)


def _needs() -> list[str]:
    """What quietcam with its extras for a device needs, as pyproject.toml says."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(need for extra in _EXTRAS for need in optional[extra])]


def _download(folder: Path, needs: Sequence[str], python: str) -> None:
    """Wheels for the guest; pip reads markers for the Python that runs it, so those of another one are left out."""
    wanted = [each for each in (_for_python(need, python) for need in needs) if each]
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    _run(
        [
            *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary=:all:"),
            *("--python-version", python, *platforms, "-c", str(ROOT / "constraints.txt"), "-d", str(folder), *wanted),
        ]
    )


def _for_python(need: str, python: str) -> str:
    """A requirement without its marker; empty if the marker is for another Python."""
    from packaging.requirements import Requirement

    parsed = Requirement(need)
    fits = parsed.marker is None or parsed.marker.evaluate({"python_version": python})
    parsed.marker = None
    return str(parsed) if fits else ""


def _run(words: Sequence[str], folder: Path | None = None) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(
        ["nice", *words], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise LabError(f"{words[0]} failed with {done.returncode}:\n{said}")

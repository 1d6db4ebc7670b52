"""The programs of Debian that the lab uses, and the packages that hold them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from lab.errors import MissingError

__all__ = ["PACKAGES", "check_tools", "find"]

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "setpriv": "util-linux",
    "fakeroot": "fakeroot",
    "newuidmap": "uidmap",
}
_ROOT_NEEDS_NOT = {"fakeroot", "newuidmap"}
_PLACES = "/usr/sbin:/sbin"  # not on the PATH of a user


def find(program: str) -> str | None:
    """The path of a program; None if it is not installed."""
    return shutil.which(program) or shutil.which(program, path=_PLACES)


def check_tools(programs: Iterable[str] = PACKAGES, root: bool | None = None) -> None:
    """Check that all are installed.

    Raises:
        MissingError: one is not.
    """
    root = os.geteuid() == 0 if root is None else root
    missing = [each for each in programs if find(each) is None and not (root and each in _ROOT_NEEDS_NOT)]
    if missing:
        packages = " ".join(sorted({PACKAGES[each] for each in missing}))
        raise MissingError(
            f"The lab needs programs of Debian. Received: {', '.join(missing)} missing. "
            f"Remedy: sudo apt-get install --no-install-recommends {packages}"
        )

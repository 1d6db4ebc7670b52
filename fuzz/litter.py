"""Things that another user may leave in a folder: files, folders, links, pipes and sockets, one function for each.

Each makes one thing at ``path``; ``victim`` is a folder of another user with a file ``mine`` in it, for links.
"""

# ruff: noqa: ARG001  not every function needs all arguments

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from random import Random

from fuzz.mutate import mutate_bytes

__all__ = ["KINDS", "PLAIN", "dangling", "file", "folder", "link_to_folder", "nothing", "pipe"]

_COUNT = json.dumps({"hours": [4096] * 25, "into_hour": 100.0, "saved": 1.7e9}).encode()


def nothing(path: Path, victim: Path, random: Random) -> None:
    pass


def file(path: Path, victim: Path, random: Random) -> None:
    path.write_bytes(mutate_bytes(random, _COUNT) if "budget" in path.name else bytes(random.choice((0, 1, 5000))))


def sparse(path: Path, victim: Path, random: Random) -> None:
    with path.open("wb") as file:
        file.truncate(random.choice((10**5, 2**40)))


def folder(path: Path, victim: Path, random: Random) -> None:
    path.mkdir()


def folder_of_files(path: Path, victim: Path, random: Random) -> None:
    path.mkdir()
    for number in range(random.choice((1, 2, 5))):
        (path / f"{number}.png").write_bytes(b"x")


def folder_of_more(path: Path, victim: Path, random: Random) -> None:
    folder_of_files(path, victim, random)
    random.choice((dangling, link_to_folder, link_to_file, pipe, folder, many))(path / "more", victim, random)


def many(path: Path, victim: Path, random: Random) -> None:
    for number in range(70):
        path.with_name(f"{number}").write_bytes(b"")


def link_to_file(path: Path, victim: Path, random: Random) -> None:
    path.symlink_to(victim / "mine")


def link_to_folder(path: Path, victim: Path, random: Random) -> None:
    path.symlink_to(victim)


def dangling(path: Path, victim: Path, random: Random) -> None:
    path.symlink_to(random.choice((victim / "nothing", path)))


def pipe(path: Path, victim: Path, random: Random) -> None:
    os.mkfifo(path)


def unix_socket(path: Path, victim: Path, random: Random) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(victim.parent / "s"))
    (victim.parent / "s").rename(path)


PLAIN = (file, sparse, folder, folder_of_files)
"""Files, and folders of files."""

KINDS = (*PLAIN, folder_of_more, link_to_file, link_to_folder, dangling, pipe, unix_socket)

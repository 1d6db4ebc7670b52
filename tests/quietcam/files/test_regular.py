"""Reading files that a stranger may name: pipes, devices, folders and too large files are refused immediately."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import options_of, read_config
from edge.network.modelfile import load_model
from edge.run.cli import run_command
from edge.sinks.web import WebOptions
from quietcam.errors import QuietcamError
from quietcam.files.regular import MOST_OF_A_TEXT, read_regular, read_regular_text


def pipe(path: Path) -> None:
    os.mkfifo(path)  # nobody ever opens its other end


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")  # endless


def terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


def listener(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name must be short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)  # all of it a hole


def nothing(path: Path) -> None:
    """The path does not exist."""


ODD = [pipe, folder, device, terminal, listener, huge, nothing]


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ünï\udcff"
    for size in (0, 1, 70_000, 200_000):
        content = os.urandom(size)
        path.write_bytes(content)
        assert read_regular(path, 200_000) == content
    with pytest.raises(OSError, match="larger than 195 KiB"):
        read_regular(path, 199_999)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_regular(str(link), 200_000) == content
    assert read_regular_text("/proc/self/status").startswith("Name:")  # the kernel gives it no size


@pytest.mark.parametrize("make", ODD)
def test_anything_but_a_regular_file_is_refused_without_waiting(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "odd")
    tracemalloc.start()
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011  which one, the next lines say
            read_regular(tmp_path / "odd", MOST_OF_A_TEXT)
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_OF_A_TEXT
    finally:
        tracemalloc.stop()
    assert caught.value.strerror
    assert caught.value.filename == str(tmp_path / "odd")


def test_a_file_that_is_too_large_is_refused_without_reading(tmp_path: Path) -> None:
    huge(tmp_path / "odd")
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="larger than 64 MiB"):
            read_regular(tmp_path / "odd", 64 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_config(path, options_of(run_command)),
        lambda path: WebOptions.of("127.0.0.1:0", f"@{path}"),
        load_model,
    ],
    ids=["configuration", "token", "model"],
)
def test_every_file_that_a_user_names_is_read_this_way(
    read: Callable[[Path], object], make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "odd.tflite")
    with pytest.raises(QuietcamError, match=r"Received: .*odd\.tflite"):
        read(tmp_path / "odd.tflite")

"""A data set of generated scenes with sensor noise, written as a folder with noisy/ and clean/."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

from quietcam.atomic import make_folder, write_json
from quietcam.data.pictures import write_picture
from quietcam.errors import DataError
from quietcam.progress import progress
from quietcam.scenes import make_pair

__all__ = ["ORIGIN", "write_pairs"]

ORIGIN = "origin.json"
"""Beside noisy/ and clean/: what the pictures are and on what terms they may be used. Training hands it on."""


def write_pairs(
    folder: Path,
    *,
    count: int,
    size: int = 256,
    seed: int = 0,
    band: tuple[float, float] | None = None,
    description: str = "generate scenes",
) -> None:
    """Write ``count`` pairs of PNG, ``size`` x ``size`` RGB, named by their seeds ``seed`` to ``seed + count - 1``.

    Pairs that are there already are kept, so an interrupted run goes on where it was. Other seeds give other scenes.

    Args:
        band: lowest and highest PSNR of noisy against clean, dB. Defaults to whatever the drawn cameras give.

    Raises:
        StorageError: the folder cannot be written.
        DataError: it holds other pairs already.
    """
    names = [f"scene_{number:06d}" for number in range(seed, seed + count)]
    for side in ("noisy", "clean"):
        make_folder(folder / side)
        foreign = {path.stem for path in (folder / side).iterdir() if path.suffix == ".png"} - set(names)
        foreign = {name for name in foreign if not name.startswith(".")}
        if foreign:
            raise DataError(
                f"{folder} must hold no other pairs. Received: {len(foreign)} that are not of this set, such as "
                f"{min(foreign)}. Remedy: choose another folder, or empty this one."
            )
    write_json(
        folder / ORIGIN,
        {
            "data": f"generated scenes with sensor noise (quietcam {version('quietcam')})",
            "licence": "generated: no rights of others",
            "seeds": [seed, seed + count - 1],
            "band_db": band,
        },
    )
    missing = [
        (folder, name, number, size, band)
        for number, name in enumerate(names, start=seed)
        if not all((folder / side / f"{name}.png").exists() for side in ("noisy", "clean"))
    ]
    with progress(description, len(names)) as bar:
        bar.advance(len(names) - len(missing))
        # Fresh processes: the parent may hold threads, which do not survive a fork.
        workers = ProcessPoolExecutor(min(8, os.cpu_count() or 1), multiprocessing.get_context("spawn"))
        try:
            with _interrupts_held():
                written = workers.map(_write_pair, missing, chunksize=4)
            for _ in written:
                bar.advance()
        finally:
            workers.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait. Processes that are started meanwhile never see it: who started them hears it, and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write_pair(job: tuple[Path, str, int, int, tuple[float, float] | None]) -> None:
    folder, name, number, size, band = job
    noisy, clean = make_pair(number, size, band=band)
    write_picture(folder / "clean" / f"{name}.png", clean)
    # The noisy side last: a pair without its clean side would count as broken.
    write_picture(folder / "noisy" / f"{name}.png", noisy)

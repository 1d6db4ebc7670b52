"""Makes a data set of clean scenes, generated or your own, with sensor noise: a folder with noisy/ and clean/."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.frames import CleanFrames, aliased_crop, clean_crop
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.problems import log_problems
from quietcam.errors import DataError, JsonError, UsageError
from quietcam.extras import load_av
from quietcam.files.atomic import make_folder, write_json
from quietcam.files.strict_json import dump_json, parse_object, read_object
from quietcam.image import Image
from quietcam.limits import read_number
from quietcam.process.workers import in_processes
from quietcam.sensor.aliased import alias, photograph_aliased
from quietcam.sensor.camera_kinds import photograph_any_camera
from quietcam.sensor.noise import SIDD_LEVELS, SensorNoise
from quietcam.sensor.scenes import generate_scene, generate_wall, photograph
from quietcam.terminal.printable import printable
from quietcam.terminal.progress import progress

__all__ = ["ORIGIN", "WALL_SHARE", "make_generated_pair", "read_band", "settle_origin", "write_pairs"]

ORIGIN = "origin.json"
"""The file beside noisy/ and clean/ that describes the pictures and their license. Training copies it."""

WALL_SHARE = 0.1
"""The share of walls at night among generated scenes, where cameras of every kind see them."""


def write_pairs(
    folder: Path,
    *,
    count: int,
    size: int = 256,
    seed: int = 0,
    band: tuple[float, float] | None = None,
    noise: SensorNoise | None = None,
    clean: Path | None = None,
    aliased: bool = False,
    all_cameras: bool = False,
    description: str = "generate scenes",
) -> None:
    """Write ``count`` pairs of PNG, ``size`` x ``size`` RGB, named by their seeds ``seed`` to ``seed + count - 1``.

    Existing pairs are kept, so an interrupted run continues where it stopped. Other seeds give other scenes.

    Args:
        band: lowest and highest PSNR of noisy against clean, dB. Defaults to no limits.
        noise: noise of one sensor, for all pairs. Defaults to the levels of SIDD's cameras.
        clean: a folder of pictures or a video to take scenes from. Defaults to generated scenes.
        aliased: make pairs as from frames that were shrunk without a filter, see ``quietcam.sensor.aliased``. Cannot be
            used with ``band``.
        all_cameras: draw each pair's camera from every kind, see ``quietcam.sensor.camera_kinds``. Cannot be used with
            ``band`` or ``noise``.

    Raises:
        StorageError: the folder cannot be written.
        DataError: it holds other pairs, or pairs made with other options; no clean frame can be used.
        UsageError: ``clean`` does not exist.
        MissingExtraError: ``all_cameras`` needs OpenCV and PyAV.
    """
    if all_cameras:
        load_av()  # some cameras write H.264: this is known now, not after half of the pairs
    frames = None if clean is None else CleanFrames.open(clean, size)
    names = [f"scene_{number:06d}" for number in range(seed, seed + count)]
    for side in ("noisy", "clean"):
        make_folder(folder / side)
        foreign = {path.stem for path in (folder / side).iterdir() if path.suffix == ".png"} - set(names)
        foreign = {name for name in foreign if not name.startswith(".")}
        if foreign:
            raise DataError(
                f"{folder} must hold no other pairs. Received: {len(foreign)} that are not part of this set, such as "
                f"{min(foreign)}. Remedy: choose another folder, or empty this one."
            )
    made = f"sensor noise (quietcam {version('quietcam')})"
    told: dict[str, Any] = {"data": f"generated scenes with {made}", "licence": "generated: no rights of others"}
    if clean is not None:
        told = {"data": f"{clean.name} with {made}", "licence": f"that of {clean.name}: ask the author of the pictures"}
    told |= {
        "size": size,
        "band_db": None if band is None else list(band),
        "noise": None if noise is None else asdict(noise),
        "aliased": aliased,
        "all_cameras": all_cameras,
    }
    settle_origin(folder, told, any((folder / "noisy").glob("*.png")))
    write_json(folder / ORIGIN, told | {"seeds": [seed, seed + count - 1]})
    missing = [
        _Job(folder, name, number, size, band, noise, frames, aliased, all_cameras)
        for number, name in enumerate(names, start=seed)
        if not all((folder / side / f"{name}.png").exists() for side in ("noisy", "clean"))
    ]
    with progress(description, len(names)) as bar:
        bar.advance(len(names) - len(missing))
        skipped: set[str] = set()
        for found in in_processes(_write_pair, missing, at_once=4):
            skipped |= found
            bar.advance()
    log_problems(sorted(skipped), f"of the pictures in {clean}")


def settle_origin(folder: Path, told: dict[str, Any], any_there: bool, things: str = "Pairs") -> None:
    """Refuse to add pairs (or other ``things``) to a set that was made with other options.

    Raises:
        DataError: the options differ.
    """
    if not (folder / ORIGIN).is_file() or not any_there:
        return
    try:
        there = read_object(folder / ORIGIN)
    except (OSError, JsonError):
        there = {}
    told = parse_object(dump_json(told))  # as it would be read back
    there.setdefault("all_cameras", False)  # a set that was begun before there was a choice
    if differing := [key for key, value in told.items() if there.get(key) != value]:
        listed = ", ".join(f"{key} {there.get(key)} there, {told[key]} asked for" for key in differing)
        raise DataError(
            f"{things} can be added only to a set that was made with the same options. Received: {folder}: {listed}. "
            "Remedy: choose another folder, or empty this one."
        )


@dataclass(frozen=True)
class _Job:
    """One pair to write."""

    folder: Path
    name: str
    number: int
    size: int
    band: tuple[float, float] | None
    noise: SensorNoise | None
    frames: CleanFrames | None
    aliased: bool
    all_cameras: bool


def make_generated_pair(
    number: int,
    *,
    size: int,
    band: tuple[float, float] | None = None,
    noise: SensorNoise | None = None,
    frames: CleanFrames | None = None,
    aliased: bool = False,
    all_cameras: bool = False,
) -> tuple[Image, Image]:
    """The pair of that number, ``(noisy, clean)``, uint8 ``(size, size, 3)``; arguments as in ``write_pairs``."""
    rng = np.random.Generator(np.random.PCG64([number, 4]))
    if aliased:
        step = int(rng.integers(2, 5))
        if frames is None:
            scene = alias(generate_scene(size * step, size * step, number), step)
        else:
            scene = aliased_crop(frames.read(number), size, rng)
        return photograph_aliased(scene, number, levels=noise or SIDD_LEVELS)
    if frames is not None:
        scene = clean_crop(frames.read(number), size, rng)
    elif all_cameras and rng.random() < WALL_SHARE:
        scene = generate_wall(size, size, number)
    else:
        scene = generate_scene(size, size, number)
    if all_cameras:
        return photograph_any_camera(scene, number)
    return photograph(scene, number, levels=noise or SIDD_LEVELS, band=band)


def read_band(text: str | None) -> tuple[float, float] | None:
    """Read ``LOW:HIGH`` in dB.

    Raises:
        UsageError: ``text`` has another form.
    """
    if text is None:
        return None
    try:
        low, high = (read_number(part, 0, 100) for part in text.split(":"))
        if low >= high:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"A band must be LOW:HIGH in dB, from 0 to 100. Received: {printable(text)[:100]}. Remedy: 20:26"
        ) from None
    return low, high


def _write_pair(job: _Job) -> set[str]:
    """Write one pair; returns the clean pictures that could not be read, and why."""
    noisy, clean = make_generated_pair(
        job.number,
        size=job.size,
        band=job.band,
        noise=job.noise,
        frames=job.frames,
        aliased=job.aliased,
        all_cameras=job.all_cameras,
    )
    write_picture(job.folder / "clean" / f"{job.name}.png", clean)
    # The noisy side is written last: a pair without its clean side would count as broken.
    write_picture(job.folder / "noisy" / f"{job.name}.png", noisy)
    return job.frames.skipped if job.frames else set()

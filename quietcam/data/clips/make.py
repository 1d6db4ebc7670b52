"""A data set of clips: sequences that move, each filmed by one camera with its noise."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.clips.mark import MARK
from quietcam.data.clips.sources import ClipSource, Footage
from quietcam.data.contact_sheet import told_of
from quietcam.data.generated import ORIGIN, settle_origin
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.problems import log_problems
from quietcam.errors import DataError, StorageError
from quietcam.extras import load_av
from quietcam.files.atomic import make_folder, sync_folder, write_json
from quietcam.image import Image
from quietcam.process.workers import in_processes
from quietcam.sensor.camera_kinds import DrawnCamera, camera_of
from quietcam.sensor.filming import FilmedFrame, film
from quietcam.sensor.noise import SIDD_LEVELS, SensorNoise, random_isp
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.traits import random_traits
from quietcam.terminal.progress import progress

__all__ = ["clip_name", "make_clip", "phone_camera", "write_clips"]


def clip_name(number: int) -> str:
    """The name of the folder of a generated clip."""
    return f"clip_{number:06d}"


def write_clips(
    folder: Path,
    *,
    count: int,
    frames: int = 16,
    size: int = 256,
    seed: int = 0,
    noise: SensorNoise | None = None,
    clean: Path | None = None,
    all_cameras: bool = False,
) -> None:
    """Write ``count`` clips of PNG, ``size`` x ``size`` RGB, named by their seeds ``seed`` to ``seed + count - 1``.

    ``quietcam.data.clips.clip`` describes the files. A clip is there whole or not at all, and clips that are there are
    kept, so an interrupted set goes on where it was.

    Args:
        frames: of each clip, 2 or more.
        noise: of one sensor, for all clips. Defaults to levels as SIDD's cameras have them.
        clean: a folder of pictures or videos, or one of either. Defaults to generated scenes.
        all_cameras: draw each clip's camera from every kind. Not with ``noise``.

    Raises:
        StorageError: the folder cannot be written.
        DataError: it holds other clips, or clips made with other options; no clean frame can be used.
        UsageError: there is nothing at ``clean``.
        MissingExtraError: ``all_cameras`` needs OpenCV and PyAV.
    """
    if all_cameras:
        load_av()
    source = ClipSource.open(clean, frames, size, walls=all_cameras)
    names = [clip_name(number) for number in range(seed, seed + count)]
    make_folder(folder)
    there = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if foreign := there - set(names):
        raise DataError(
            f"{folder} must hold no other clips. Received: {len(foreign)} folders that are not of this set, such as "
            f"{min(foreign)}. Remedy: choose another folder, or empty this one."
        )
    made = f"sensor noise (quietcam {version('quietcam')})"
    told: dict[str, Any] = {"data": f"generated clips with {made}", "licence": "generated: no rights of others"}
    if clean is not None:
        told = {"data": f"clips of {clean.name} with {made}", "licence": f"that of {clean.name}: ask its author"}
    told |= {
        "frames": frames,
        "size": size,
        "noise": None if noise is None else asdict(noise),
        "all_cameras": all_cameras,
    }
    settle_origin(folder, told, bool(there), "Clips")
    write_json(folder / ORIGIN, told | {"seeds": [seed, seed + count - 1]})
    missing = [
        _Job(folder, number, source, noise, all_cameras)
        for number, name in enumerate(names, start=seed)
        if name not in there
    ]
    skipped: set[str] = set()
    with progress("film clips", len(names)) as bar:
        bar.advance(len(names) - len(missing))
        for found in in_processes(_write_clip, missing):
            skipped |= found
            bar.advance()
    log_problems(sorted(skipped), f"of the pictures in {clean}")


def make_clip(
    number: int, source: ClipSource, *, noise: SensorNoise | None = None, all_cameras: bool = False
) -> tuple[list[FilmedFrame], Footage, DrawnCamera]:
    """The frames of the clip of that number, what was filmed, and the camera; arguments as in ``write_clips``."""
    footage = source.footage(number)
    camera = camera_of(number) if all_cameras else phone_camera(number, noise)
    return list(film(footage.instants, camera, number, step=footage.step)), footage, camera


def phone_camera(number: int, noise: SensorNoise | None) -> DrawnCamera:
    """The camera that ``quietcam.sensor.scenes.photograph`` takes for that seed."""
    rng = np.random.Generator(np.random.PCG64([number, 1]))
    isp = random_isp(rng)
    drawn = noise or SIDD_LEVELS.draw(rng)
    traits = random_traits(np.random.Generator(np.random.PCG64([number, 3])), drawn.shadows)
    return DrawnCamera("phone" if noise is None else "sensor", drawn, isp, traits, Postprocessing())


@dataclass(frozen=True)
class _Job:
    """One clip to write."""

    folder: Path
    number: int
    source: ClipSource
    noise: SensorNoise | None
    all_cameras: bool


def _write_clip(job: _Job) -> set[str]:
    """Write one clip; returns the pictures that could not be read meanwhile, and why."""
    frames, footage, camera = make_clip(job.number, job.source, noise=job.noise, all_cameras=job.all_cameras)
    name = clip_name(job.number)
    draft = job.folder / f".{name}"
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
        for side in ("noisy", "clean", "moving"):
            make_folder(draft / side)
        for index, frame in enumerate(frames):
            mask: Image = np.repeat(frame.moving[..., np.newaxis], 3, axis=2).astype(np.uint8) * np.uint8(255)
            for side, picture in (("noisy", frame.noisy), ("clean", frame.clean), ("moving", mask)):
                write_picture(draft / side / f"{index:04d}.png", picture)
        told = {"scene": footage.scene or name, "seed": job.number, "frames": len(frames)}
        write_json(draft / MARK, told | {"motion": footage.told, "camera": told_of(camera)})
        draft.rename(job.folder / name)
        sync_folder(job.folder)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError.writing(job.folder / name, error) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft)
    return job.source.pictures.skipped if job.source.pictures else set()

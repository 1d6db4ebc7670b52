"""Capture: save noisy frames of the camera that a model will run on, to calibrate the model with them."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edge.cameras import Camera
from edge.capture_clip import frames_in_a_row
from edge.run.frame import Frame
from edge.sinks.locked_folder import LockedFolder
from quietcam.data.clips.mark import MARK
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.noisy_pictures import CAPTURE
from quietcam.errors import DataError, StorageError, UsageError
from quietcam.estimation import estimate_blind
from quietcam.files.atomic import write_json
from quietcam.terminal.secrets import shown

__all__ = ["EVERY", "CaptureReport", "capture", "prepare_folder"]

EVERY = 0.5
"""Seconds between two saved frames of a live camera, so that 256 frames are spread over two minutes."""

_NAME = re.compile(r"frame_\d{6}\.png")
_GIVE_UP = 120  # equal frames in a row: the source repeats itself, or the camera is frozen


@dataclass
class CaptureReport:
    """The frames that were saved, and their source.

    Attributes:
        source: the camera's name, without secrets.
        isp_denoise: whether the camera denoises its frames by itself; None if that is not known.
        every: seconds between two frames; None for a file, and for a clip.
        clip: whether the frames are consecutive.
        lost: of a clip: number of frames of the camera that are missing between the saved ones.
        frames: number of saved pictures.
        repeated: number of frames that were skipped because they equal a saved one.
        bytes: size of all saved pictures.
        seconds: from the first saved frame to the last.
        sizes: sizes of the frames, such as ``640x480``.
        sigma: noise of each saved frame, estimated from that frame alone, in steps of 255.
        low, high: smallest and largest value of all pixels.
    """

    source: str
    isp_denoise: bool | None = None
    every: float | None = None
    clip: bool = False
    lost: int = 0
    frames: int = 0
    repeated: int = 0
    bytes: int = 0
    seconds: float = 0.0
    sizes: set[str] = field(default_factory=set)
    sigma: list[float] = field(default_factory=list)
    low: int = 255
    high: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``capture.json``."""
        return {
            "format": 1,
            "source": self.source,
            "isp_denoise": self.isp_denoise,
            "every_s": self.every,
            **({"clip": True, "lost": self.lost} if self.clip else {}),
            "frames": self.frames,
            "repeated": self.repeated,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "sizes": sorted(self.sizes),
            "noise_sigma": _spread(self.sigma),
            "range": [self.low, self.high],
            "quietcam": version("quietcam"),
        }


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Make an empty folder for frames. With ``overwrite``, remove an earlier capture from it.

    Raises:
        UsageError: it is a file; or it is not empty, and ``overwrite`` is not set or it contains other files than a
            capture's; or another process captures into it.
        StorageError: the folder cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Frames are captured into a folder. Received: {folder}, which is a file.")
    with LockedFolder(folder):
        _empty(folder, overwrite)


def _empty(folder: Path, overwrite: bool) -> None:
    there = sorted(path.name for path in folder.iterdir())
    foreign = [name for name in there if name not in (CAPTURE, MARK) and not _NAME.fullmatch(name)]
    if there and not overwrite:
        raise UsageError(
            f"The folder for captured frames must be empty. Received: {folder}, with {len(there)} files. "
            "Remedy: choose another folder with `out`, or replace an earlier capture with `overwrite`."
        )
    if foreign:
        raise UsageError(
            f"`overwrite` replaces an earlier capture and nothing else. Received: {folder}, which holds {foreign[0]}. "
            "Remedy: choose another folder."
        )
    for name in there:
        try:
            (folder / name).unlink()
        except OSError as error:
            raise StorageError.writing(folder / name, error) from error


def capture(
    camera: Camera,
    folder: Path,
    *,
    count: int,
    every: float | None = None,
    clip: bool = False,
    on_frame: Callable[[CaptureReport], None] = lambda _: None,
) -> CaptureReport:
    """Save ``count`` different frames as PNG, and ``capture.json`` beside them.

    Of a clip, the frames are consecutive, and ``clip.json`` makes the folder one. Those of a live camera are written
    when all are there, so Ctrl-C before that saves none.

    Each file is written completely or not at all. ``capture.json`` is also written when Ctrl-C or an error ends the
    capture early.

    Args:
        camera: an open camera.
        folder: an empty folder; see ``prepare_folder``.
        every: seconds between two frames, by their timestamps. Defaults to 0.5 for a live camera. Of a file, frames are
            taken evenly from its beginning to its end. Not with ``clip``.
        clip: take every frame, to calibrate a video network.
        on_frame: called after each saved frame.

    Raises:
        DataError: no frame came, or only one for a clip.
        UsageError: ``every`` is given for a clip, or its frames do not fit into memory; another process captures into
            the folder, or has captured since the folder was emptied.
        StorageError: the disk fails, or has no room for ``count`` frames (known after the first one).
    """
    if clip and every is not None:
        raise UsageError(f"A clip takes every frame. Received: `every={every:g}`. Remedy: leave `every` out.")
    if every is None and camera.live and not clip:
        every = EVERY
    done = CaptureReport(shown(camera.name), every=every, clip=clip)
    with LockedFolder(folder):
        _empty(folder, overwrite=False)
        try:
            _save_all(camera, folder, count, done, on_frame)
        finally:
            if done.frames:
                write_json(folder / CAPTURE, done.to_dict())
            if clip and done.frames > 1:
                write_json(folder / MARK, {"scene": folder.resolve().name})
    if not done.frames:
        raise DataError(f"A source must give at least one frame. Received: none from {camera.name}. Remedy: check it.")
    if clip and done.frames == 1:
        raise DataError(
            f"A clip must have two frames or more. Received: one from {camera.name}. "
            "Remedy: check that the camera is not frozen; a picture alone is no clip."
        )
    return done


def _save_all(
    camera: Camera, folder: Path, count: int, done: CaptureReport, on_frame: Callable[[CaptureReport], None]
) -> None:
    if done.clip:
        _save_clip(camera, folder, count, done, on_frame)
        return
    seen: set[bytes] = set()
    in_a_row = 0
    start: float | None = None
    for frame in _chosen(camera, count, done):
        done.isp_denoise = camera.isp_denoise
        digest = hashlib.sha256(np.ascontiguousarray(frame.image).data).digest()
        if digest in seen:
            done.repeated += 1
            in_a_row += 1
            if in_a_row == _GIVE_UP:
                return
            continue
        in_a_row = 0
        seen.add(digest)
        start = frame.timestamp if start is None else start
        _save(frame, folder / f"frame_{done.frames:06d}.png", count, done)
        done.seconds = frame.timestamp - start
        on_frame(done)
        if done.frames == count:
            return


def _save_clip(
    camera: Camera, folder: Path, count: int, done: CaptureReport, on_frame: Callable[[CaptureReport], None]
) -> None:
    first: Frame | None = None
    for frame in frames_in_a_row(_given_back(camera), count, camera.live):
        first = first or frame
        done.isp_denoise = camera.isp_denoise
        _save(frame, folder / f"frame_{done.frames:06d}.png", count, done)
        done.seconds = frame.timestamp - first.timestamp
        done.lost = frame.index - first.index + 1 - done.frames
        on_frame(done)


def _chosen(camera: Camera, count: int, done: CaptureReport) -> Iterator[Frame]:
    """The frames to save. After a frame that equals a saved one, the next frame is tried immediately."""
    if done.every is None:
        yield from _spread_over(camera, count)
        return
    due: float | None = None
    for frame in _given_back(camera):
        if due is not None and frame.timestamp < due:
            continue
        before = done.frames
        yield frame
        if done.frames > before:
            # Counted from this frame, and not from its due time, so that no burst of frames follows a stall.
            due = frame.timestamp + done.every


def _spread_over(camera: Camera, count: int) -> Iterator[Frame]:
    """``count`` frames, evenly spread, of a source that knows its number of frames; of other sources every frame."""
    total = camera.count()
    step = max(1.0, total / count) if total else 1.0
    due = 0.0
    for number, frame in enumerate(_given_back(camera)):
        if number >= due:
            yield frame
            due += step


def _given_back(camera: Camera) -> Iterator[Frame]:
    """The camera's frames. Each is valid until the next one is taken: its memory may belong to the camera."""
    for frame in camera:
        try:
            yield frame
        finally:
            frame.done()


def _save(frame: Frame, path: Path, count: int, done: CaptureReport) -> None:
    write_picture(path, frame.image)
    size = path.stat().st_size
    if done.frames == 0:
        free = shutil.disk_usage(path.parent).free
        if size * (count - 1) > free:
            path.unlink()
            raise StorageError(
                f"The disk must have room for all frames. Received: {count} frames of about {size / 1e6:.1f} MB, and "
                f"{free / 1e6:.0f} MB free at {path.parent}. Remedy: a smaller `count`, or another folder with `out`."
            )
    height, width = frame.image.shape[:2]
    done.frames += 1
    done.bytes += size
    done.sizes.add(f"{width}x{height}")
    done.low, done.high = min(done.low, int(frame.image.min())), max(done.high, int(frame.image.max()))
    if min(height, width) >= 8:
        done.sigma.append(round(estimate_blind(frame.image).sigma, 3))


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    least, median, greatest = np.quantile(values, (0.0, 0.5, 1.0))
    return {"least": round(float(least), 2), "median": round(float(median), 2), "greatest": round(float(greatest), 2)}

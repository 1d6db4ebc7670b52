"""Held-out pictures of drawn cameras: frames of real clips, and dark flat scenes.

One version of ``quietcam.sensor`` draws the same pictures on every machine. Another version may draw others, so
pictures can be kept in a folder.

Their seeds are beyond those that any head in ``train/configs`` generates training pictures with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.network.card_figures import SIDE
from quietcam.data.clips.sources import VIDEO_SUFFIXES
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.pairs import find_pairs
from quietcam.data.video import count_frames, open_video
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.camera_kinds import DrawnCamera, camera_of

__all__ = ["BANDS", "DARK_SEED", "FRAME_SEED", "Drawn", "dark_flats", "frames_of", "kept", "photographed"]

Drawn = tuple[str, Image, Image]
"""Name, noisy and clean."""

FRAME_SEED, DARK_SEED = 9_700_000, 9_800_000
BANDS = {"machine": (24.0, 36.0), "pi": (22.0, 34.0)}
"""Kinds of cameras that are no phones, and the range of PSNR of their noisy pictures, dB."""
SHRUNK = 0.999  # blends neighbors of a frame, so that less is left of what its codec did
TIMES = 2  # pictures of each frame
FLATS, LEVELS, LEAST_NOISE = 96, (8, 70), 6.0  # steps of 255


def frames_of(clips: Path) -> list[Image]:
    """Four frames of each video in a folder, hardly shrunk, uint8 ``(H, W, 3)``.

    Raises:
        UsageError: there is no video, or its frames are smaller than a picture.
    """
    videos = sorted(path for path in clips.glob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise UsageError(f"`clips` must be a folder with videos. Received: {clips}. Remedy: name another folder.")
    frames = []
    for path in videos:
        with open_video(path) as video:
            if min(video.size) * SHRUNK <= SIDE:
                raise UsageError(
                    f"Clips must be larger than {SIDE}x{SIDE}. Received: {path}, {video.size[0]}x{video.size[1]}. "
                    "Remedy: take this video out of the folder."
                )
            count = video.total or count_frames(path)
            for number in sorted({min(5, count - 1), count // 3, count // 2, max(0, count - 20)}):
                video.seek(number)
                read = video.read()
                if read is not None:
                    frames.append(_shrunk(read[0]))
    return frames


def _shrunk(frame: Image) -> Image:
    import cv2

    return np.asarray(cv2.resize(frame, None, fx=SHRUNK, fy=SHRUNK, interpolation=cv2.INTER_AREA), np.uint8)


def photographed(read: Callable[[], list[Image]], kind: str) -> Iterator[Drawn]:
    """Two pictures of 256x256 of each frame, each by another drawn camera of the kind, a key of ``BANDS``.

    Args:
        read: gives the frames. It is called when the first picture is wanted, so kept pictures need no videos.
    """
    frames, seed, number, (low, high) = read(), FRAME_SEED, 0, BANDS[kind]
    while number < TIMES * len(frames):
        seed += 1
        camera = camera_of(seed)
        if camera.kind != kind:
            continue
        frame, rng = frames[number % len(frames)], _rng(seed)
        y, x = (int(rng.integers(side - SIDE)) for side in frame.shape[:2])
        noisy, clean = camera.photograph(np.ascontiguousarray(frame[y : y + SIDE, x : x + SIDE]), rng)
        if low <= psnr(noisy, clean) <= high:
            yield f"{kind}-{seed}", noisy, clean
            number += 1


def dark_flats(count: int = FLATS) -> Iterator[Drawn]:
    """Plain dark scenes of 256x256 at a high gain, unscaled: by Raspberry Pi cameras and phones at night."""
    seed = DARK_SEED
    while count:
        seed += 1
        camera = camera_of(seed)
        way = camera.postprocessing
        if camera.kind not in ("night", "pi") or (way.scale, way.zoom) != (1.0, 1.0):
            continue
        noisy, clean = _flat(camera, _rng(seed))
        if np.std(noisy.astype(np.float64) - clean) >= LEAST_NOISE:
            yield f"{camera.kind}-{seed}", noisy, clean
            count -= 1


def kept(folder: Path | None, name: str, drawn: Iterable[Drawn]) -> list[Drawn]:
    """The pictures in ``folder``/``name``. If it is missing, those that are drawn, which are then written there. None
    writes nothing."""
    if folder is None:
        return [*drawn]
    place = folder / name
    if not place.is_dir():
        part = folder / f"{name}.part"
        for stem, noisy, clean in drawn:
            write_picture(part / "noisy" / f"{stem}.png", noisy)
            write_picture(part / "clean" / f"{stem}.png", clean)
        part.rename(place)
    return [(pair.name, *pair.read()) for pair in find_pairs(place).pairs]


def _flat(camera: DrawnCamera, rng: np.random.Generator) -> tuple[Image, Image]:
    level = rng.integers(*LEVELS)
    color = np.clip(level * rng.uniform(0.7, 1.3, 3), 3, 100).astype(np.uint8)
    return camera.photograph(np.broadcast_to(color, (SIDE, SIDE, 3)).copy(), rng)


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, 9]))

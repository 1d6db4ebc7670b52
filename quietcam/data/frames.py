"""Clean frames from a user's pictures or video, with their noise averaged out and the softness of a real lens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quietcam.data.pictures.files import picture_size, read_picture
from quietcam.data.pictures.folder import is_picture_file, list_pictures
from quietcam.data.video import count_frames, open_video
from quietcam.errors import DataError, UsageError
from quietcam.estimation import estimate_blind
from quietcam.files.paths import is_dir, is_file
from quietcam.image import Image, check_image
from quietcam.sensor.aliased import alias
from quietcam.terminal.log import log

__all__ = ["CleanFrames", "Softening", "aliased_crop", "clean_crop", "cut_square"]

_LEAST = 2  # least factor by which frames are shrunk: a demosaic's grain is two pixels wide
_QUIET = 0.5  # steps of 255: a frame's own noise is reduced to this if its size allows
_SOFT = (0.5, 1.0)  # sigma in pixels of the blur of real lenses and demosaics


@dataclass(frozen=True)
class CleanFrames:
    """A folder of pictures, or a video, as a numbered source of frames.

    Attributes:
        source: the folder, the picture or the video.
        pictures: the pictures of a folder; empty for a video.
        length: how many frames there are.
        skipped: pictures of a folder that ``read`` could not read so far, and why.
    """

    source: Path
    pictures: tuple[Path, ...]
    length: int
    skipped: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def open(cls, source: Path, least: int = 1) -> CleanFrames:
        """
        Args:
            source: a folder of pictures, a video, or one picture.
            least: pixels that each side of a frame must have; smaller pictures of a folder are left out and named.

        Raises:
            UsageError: ``source`` does not exist.
            DataError: no picture of the folder is large enough, or the video cannot be read.
            MissingExtraError: neither PyAV nor OpenCV is installed.
        """
        if is_dir(source):
            pictures = _large_enough(source, list_pictures(source), least)
            return cls(source, pictures, len(pictures))
        if is_file(source) and is_picture_file(source):
            return cls(source, (source,), 1)
        if not is_file(source):
            raise UsageError(
                f"Clean frames must come from a folder or a video. Received: {source}, which does not exist. "
                "Remedy: check the path."
            )
        with open_video(source) as video:
            length = video.total
        if length is None:  # a guess would skip frames, or request frames that do not exist
            length = count_frames(source)
        if length < 1:
            raise DataError(
                f"A video must have frames that can be decoded. Received: {source}, with none. Remedy: convert it to "
                ".mp4."
            )
        return cls(source, (), length)

    def read_named(self, number: int) -> tuple[Image, str]:
        """Of pictures: the one that ``read`` gives, and the name of its file.

        Raises:
            DataError: as ``read``.
        """
        for step in range(self.length):
            path = self.pictures[(number + step) % self.length]
            try:
                return read_picture(path), path.name
            except DataError as error:
                if step == self.length - 1:
                    raise
                self.skipped.add(f"{path.name}: {error}")
        raise ValueError("a source without pictures")

    def read(self, number: int) -> Image:
        """A frame: uint8 ``(H, W, 3)`` RGB. Numbers wrap around; consecutive ones are far apart in a video.

        A picture that cannot be read is replaced by the next one.

        Raises:
            DataError: it cannot be decoded, and neither can any other picture.
        """
        if self.pictures:
            return self.read_named(number)[0]
        # The golden ratio spreads any count of frames evenly over the length.
        place = int((number * 0.6180339887) % 1.0 * self.length)
        with open_video(self.source) as video:
            video.seek(place)
            read = video.read()
        if read is None:
            raise DataError(f"A video must decode to its end. Received: {self.source}, which fails at frame {place}.")
        return check_image(read[0])


def _large_enough(folder: Path, pictures: list[Path], least: int) -> tuple[Path, ...]:
    """The pictures with ``least`` pixels on both sides; the others are counted and the first of them named."""
    large: list[Path] = []
    small: list[str] = []
    for path in pictures:
        try:
            width, height = picture_size(path)
        except DataError:  # the error comes when the picture is read
            width = height = least
        if min(width, height) < least:
            small.append(f"{path.name} ({width}x{height})")
        else:
            large.append(path)
    listed = ", ".join(small[:5]) + (f" and {len(small) - 5} more" if len(small) > 5 else "")
    if not large:
        raise DataError(
            f"Clean frames must be at least as large as the pictures made of them. Received: {folder}, whose pictures "
            f"are all smaller than {least}x{least}: {listed}. Remedy: a smaller `size`, or larger pictures."
        )
    if small:
        what = "1 picture is" if len(small) == 1 else f"{len(small)} pictures are"
        log.warning(f"Skipped in {folder}: {what} smaller than the pairs, {least}x{least}: {listed}")
    return tuple(large)


def clean_crop(frame: Image, size: int, rng: np.random.Generator) -> Image:
    """Cut a clean scene out of a frame: uint8 ``(size, size, C)``, from anywhere in it.

    The frame is shrunk by area, at least to half and to where its noise is under half a step, as far as its size
    allows, and softened.

    Raises:
        DataError: the frame is smaller than ``size``.
    """
    small = Softening.draw(frame, size, rng).soften(frame)
    return cut_square(small, size, rng)


@dataclass(frozen=True)
class Softening:
    """How frames become clean scenes: shrunk by area to ``width`` x ``height``, then blurred by ``sigma`` pixels."""

    width: int
    height: int
    sigma: float

    @classmethod
    def draw(cls, frame: Image, size: int, rng: np.random.Generator) -> Softening:
        """For a frame and others like it, whose scenes shall have ``size`` pixels a side or more.

        Raises:
            DataError: the frame is smaller than ``size``.
        """
        height, width = check_image(frame).shape[:2]
        factor = min(max(_LEAST, estimate_blind(frame).sigma / _QUIET), _room(frame, size))
        return cls(max(size, round(width / factor)), max(size, round(height / factor)), rng.uniform(*_SOFT))

    def soften(self, frame: Image) -> Image:
        """The clean scene of a frame: uint8 ``(height, width, C)``."""
        import cv2

        small = cv2.resize(frame, (self.width, self.height), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(small, (0, 0), self.sigma)
        return np.asarray(soft, np.uint8).reshape(self.height, self.width, frame.shape[2])


def cut_square(picture: Image, size: int, rng: np.random.Generator) -> Image:
    """``size`` x ``size`` pixels from anywhere in a picture; all of a side that is shorter."""
    y, x = (int(rng.integers(max(0, side - size) + 1)) for side in picture.shape[:2])
    return np.ascontiguousarray(picture[y : y + size, x : x + size], np.uint8)


def aliased_crop(frame: Image, size: int, rng: np.random.Generator) -> Image:
    """Cut a scene with jagged edges out of a frame: uint8 ``(size, size, C)``, subsampled, at a random brightness.

    Raises:
        DataError: the frame is smaller than ``size``.
    """
    scene = alias(frame, int(rng.integers(1, 1 + int(_room(frame, size)))))
    y, x = (int(rng.integers(side - size + 1)) for side in scene.shape[:2])
    # A power law instead of another exposure: most camera frames are darker than selected pictures.
    tone = 255.0 * (np.arange(256) / 255.0) ** rng.uniform(0.7, 2.2)
    toned: Image = np.rint(tone).astype(np.uint8)[scene[y : y + size, x : x + size]]
    return toned


def _room(frame: Image, size: int) -> float:
    """How many times ``size`` fits into the frame's shorter side.

    Raises:
        DataError: it does not fit.
    """
    height, width = check_image(frame).shape[:2]
    if min(height, width) < size:
        raise DataError(
            f"Clean frames must be at least as large as the pictures made of them. Received: {width}x{height} for "
            f"{size}x{size}. Remedy: a smaller `size`, ideally at most half of the frame's sides."
        )
    return float(min(height, width) / size)

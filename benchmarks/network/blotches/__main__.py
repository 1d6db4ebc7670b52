"""Measures what is left of a real camera's noise in plain areas, and writes pictures to look at.

    python -m benchmarks.network.blotches PICTURE [--model NAME|FILE.tflite ...] [--out DIR] [--split COLUMN]
        [--markdown] [--csv FILE]

PICTURE shows one scene twice: its left half is noisy, its right half was denoised by another network, as
../shared/data/rpi_imx219_gain12_example.jpg. Each model (default: all that ship but the demo's) denoises the left half
without the gate. Where the right half is plain, the figures are the standard deviations of luma and of chroma by the
length of waves: "blotches" of 4 to 32 pixels, "grain" of 2 to 4; in steps of 255, and in percent of the noisy half.
Everything is done a second time at half the size, since the grain of an enlarged frame is coarser than a sensor's.

--out writes pictures, of each size: every half whole (NAME.png), and plain areas of all of them beside each other, at
100 % (areas_100.png) and enlarged three times (areas_300.png). A column of the latter two is a model, the upper row
shows bright areas, the lower row dark ones. Do not commit them: the picture belongs to somebody else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.network.blotches.bands import BANDS, Area, band_deviations, flat_areas
from benchmarks.network.blotches.halves import divide
from benchmarks.network.blotches.sheet import sheet, window
from benchmarks.network.quality.candidates import label_of, names_that_ship
from benchmarks.network.quality.sets import fingerprint
from benchmarks.network.quality.tables import append_lines, tables
from benchmarks.network.quality.targets import Line
from benchmarks.records import RESULTS
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import DataError, QuietcamError
from quietcam.image import Image

NOISY, OTHER = "noisy", "other half"
SHEETS = {"areas_100": (320, 1), "areas_300": (128, 3)}
"""Side of the squares in pixels, and how much they are enlarged."""


def main(words: list[str] | None = None) -> int:
    """Denoise, measure, print, append, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.network.blotches",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("picture", type=Path, metavar="PICTURE")
    parser.add_argument("--model", nargs="+", default=[], metavar="NAME", help="a name that ships, or a .tflite file")
    parser.add_argument("--out", type=Path, help="folder for pictures to look at (default: none are written)")
    parser.add_argument("--split", type=int, help="column where the right half begins (default: found by its noise)")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--csv", type=Path, default=RESULTS / "blotches.csv", help="file to append every figure to")
    options = parser.parse_args(words)
    try:
        run(options)
    except QuietcamError as error:
        print(f"blotches: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> None:
    """The work of the command, after its options are read."""
    files = {label_of(name): load_model(resolve_model(name)) for name in options.model or names_that_ship()}
    halves = divide(read_picture(options.picture), options.split)
    lines: dict[str, list[Line]] = {}
    for size, (noisy, other) in {"full size": halves, "half size": tuple(map(_halved, halves))}.items():
        areas = flat_areas(noisy, other)
        if not areas:
            raise DataError(
                f"A picture must have plain areas of 64x64 pixels. Received: {options.picture}, which has none at "
                f"{size}. Remedy: take another picture."
            )
        pictures = {NOISY: noisy, **dict(_denoised(files, noisy)), OTHER: other}
        for name, found in measure(pictures, areas, size).items():
            lines.setdefault(name, []).extend(found)
        if options.out:
            write(options.out / size.replace(" ", "_"), pictures, areas)
    print(tables(lines, markdown=options.markdown))
    append_lines(options.csv, lines, files, fingerprint(halves))


def measure(pictures: Mapping[str, Image], areas: Sequence[Area], size: str) -> dict[str, list[Line]]:
    """The figures of each picture, on all plain areas and on the dark ones. One picture is ``noisy``."""
    groups = {"all areas": areas, "dark areas": [area for area in areas if area.is_dark]}
    lines: dict[str, list[Line]] = {name: [] for name in pictures}
    for word, band in BANDS.items():
        for group, members in groups.items():
            if not members:
                continue
            found = {name: band_deviations(picture, members, band) for name, picture in pictures.items()}
            for name, deviations in found.items():
                for kind, value, noise in zip(("luma", "chroma"), deviations, found[NOISY], strict=True):
                    on = f"{group}, {size}"
                    lines[name].append(Line(f"{word} of {kind}, steps of 255", on, value))
                    lines[name].append(
                        Line(f"{word} of {kind}, % of the noisy half", on, 100 * value / noise, digits=0)
                    )
    return lines


def write(folder: Path, pictures: Mapping[str, Image], areas: Sequence[Area]) -> None:
    """Write every picture whole, and the sheets."""
    for name, picture in pictures.items():
        write_picture(folder / f"{name.replace(' ', '_')}.png", picture)
    shape = pictures[NOISY].shape[:2]
    for name, (side, times) in SHEETS.items():
        groups = ([area for area in areas if area.is_dark is dark] for dark in (False, True))
        corners = [window(shape, group, side) for group in groups if group]
        write_picture(folder / f"{name}.png", sheet(pictures, corners, side, times))


def _denoised(files: Mapping[str, ModelFile], noisy: Image) -> Iterator[tuple[str, Image]]:
    for name, file in files.items():
        with Denoiser(file, 2) as denoiser:
            yield name, denoiser.denoise(noisy).copy()


def _halved(image: Image) -> Image:
    import cv2

    height, width = image.shape[:2]
    return np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    sys.exit(main())

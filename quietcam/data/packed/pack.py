"""Packs a data set: decodes each full frame once, cuts it into patches and writes them into shards."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quietcam.data.clips.clip import number_of
from quietcam.data.crops import Box, choose_boxes
from quietcam.data.packed.format import PackedPicture, Plan
from quietcam.data.packed.reader import ShardSet, open_shards
from quietcam.data.packed.writer import ShardWriter
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.problems import log_problems
from quietcam.data.sets.split import SIDES, SplitRule
from quietcam.errors import DataError, UsageError
from quietcam.files.text import valid_text
from quietcam.image import Image, as_channels
from quietcam.terminal.log import log
from quietcam.terminal.progress import progress

__all__ = ["PackReport", "grid_boxes", "pack"]


@dataclass(frozen=True)
class PackReport:
    """What a packed set holds.

    Attributes:
        folder: the folder of the set.
        patches: how many there are.
        kept: how many of these existed before.
        pictures: how many pictures gave at least one.
        patch: side in pixels.
        pixel_bytes: size of all shards.
        sides: patches of each side of the split; empty if there were too few scenes to split.
        skipped: pictures that gave no patch, and why, one line each.
        sha256: of the index, and so of every pixel.
    """

    folder: Path
    patches: int
    kept: int
    pictures: int
    patch: int
    pixel_bytes: int
    sides: dict[str, int]
    sha256: str
    skipped: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "path": str(self.folder),
            "patches": self.patches,
            "kept": self.kept,
            "pictures": self.pictures,
            "patch": self.patch,
            "pixel_bytes": self.pixel_bytes,
            "sides": self.sides,
            "skipped": self.skipped,
            "sha256": self.sha256,
        }


def pack(
    data: Path,
    out: Path,
    *,
    patch: int = 256,
    per_picture: int | None = None,
    seed: int = 0,
    split: str = "all",
    channels: int = 3,
) -> PackReport:
    """Pack the pairs below ``data`` into the folder ``out``, or continue where an earlier call was stopped.

    Frames of a clip are cut at the same positions, and ``ShardSet.runs`` gives the patches of a position in order.

    The same pictures and options give the same bytes, however often packing was stopped. A complete set is read, and
    its hashes are checked. Memory holds two pairs of frames at most, whatever their number.

    Args:
        patch: side of a patch in pixels.
        per_picture: the most patches of each picture; its name and ``seed`` decide their positions. Defaults to
            a dense grid without overlap.
        seed: another seed gives other positions.
        split: pack one side of the default split by scene (train, validation, test), or all; or a split of your own,
            as ``SplitRule`` reads it. If all is packed, the side of every patch is recorded, so that a training run
            keeps them apart.
        channels: 3 for RGB, 1 for gray.

    Raises:
        UsageError: a number or a name out of range; no such folder; a picture disappeared while packing.
        DataError: there is not one patch; ``out`` holds something else; a complete set is damaged.
        StorageError: the disk is full, read-only or gone; the patches that count are kept.
    """
    for name, value in (("patch", patch), ("per_picture", per_picture)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1. Received: {name}={value}. Remedy: choose a larger one.")
    found = find_pairs(data)
    rule = SplitRule() if split in ("all", *SIDES) else SplitRule.parse(split)
    split = split if split in SIDES else "all"
    pairs, sides = _choose(found.pairs, split, rule)
    pictures = tuple(_picture(pair, sides.get(pair.name, "")) for pair in pairs)
    plan = Plan(valid_text(Path(data).resolve().name), patch, channels, seed, per_picture, split, str(rule), pictures)
    with ShardWriter(out, plan) as writer:
        kept = writer.kept
        if writer.complete:
            kept = _check(open_shards(out))
        else:
            if kept:
                log.info("%s holds %d patches already; the others are added.", out, kept)
            _pack_all(pairs, plan, writer)
            if not writer.patches:
                writer.commit()
                reasons = open_shards(out).skipped
                writer.discard()
                raise _nothing(patch, reasons)
            writer.finish()
    return _report(open_shards(out), kept, found.problems)


def grid_boxes(shape: tuple[int, ...], size: int) -> list[Box]:
    """The boxes of a dense grid without overlap in an image of ``shape`` (H, W, ...), at even x0 and y0, in its middle.

    If the image is too small, there are none.
    """
    step = size + size % 2
    lines = []
    for length in shape[:2]:
        count = (length - size) // step + 1 if length >= size else 0
        margin = (length - ((count - 1) * step + size)) // 4 * 2
        lines.append([margin + i * step for i in range(count)])
    return [(x, y, x + size, y + size) for y in lines[0] for x in lines[1]]


def _choose(pairs: Sequence[Pair], split: str, rule: SplitRule) -> tuple[list[Pair], dict[str, str]]:
    """The pairs to pack, by name, and the side of each pair of the data set, where it can be split."""
    try:
        found = rule.split(pairs)
    except DataError as error:
        if split != "all":
            raise
        log.warning("The packed set records no split, so it can be read but not trained on: %s", error)
        return sorted(pairs, key=lambda pair: pair.name), {}
    sides = {pair.name: side for side in SIDES for pair in found.side(side)}
    chosen = [pair for pair in pairs if split in ("all", sides[pair.name])]
    return sorted(chosen, key=lambda pair: pair.name), sides


def _picture(pair: Pair, side: str) -> PackedPicture:
    instance = pair.instance.name if pair.instance else ""
    name, instance, scene = map(valid_text, (pair.name, instance, pair.scene))
    lengths = _bytes(pair.noisy), _bytes(pair.clean)
    if pair.clip is None:
        return PackedPicture(name, instance, scene, side, *lengths)
    return PackedPicture(name, instance, scene, side, *lengths, valid_text(pair.clip), number_of(pair))


def _bytes(place: object) -> int:
    """Length of a picture's file, or of its member in an archive; 0 where it has none."""
    if isinstance(place, Path):
        return place.stat().st_size if place.is_file() else 0  # a missing file is reported when it is read
    return int(getattr(place, "size", 0))


def _pack_all(pairs: list[Pair], plan: Plan, writer: ShardWriter) -> None:
    """Add what is missing, in the order of the plan."""
    begun = writer.last
    first = next((i for i, picture in enumerate(plan.pictures) if picture.name == begun), 0)
    missing = plan.pictures[first:]
    frames_of = _decoded(pairs[first:])
    with progress("Packing", len(missing)) as bar, contextlib.closing(frames_of):
        for picture in missing:
            frames = next(frames_of)
            if isinstance(frames, Exception):
                if _may_pass(frames):
                    raise type(frames)(f"{frames} Then run the same command again: it continues the set.") from frames
                _skip(writer, picture, str(frames))
            else:
                _cut(writer, picture, frames, plan)
            del frames  # before the pair after the next is decoded, not after
            bar.advance(1, f"{writer.patches} patches")


def _decoded(pairs: list[Pair]) -> Generator[tuple[Image, Image] | DataError | UsageError]:
    """Each pair's frames, or what is wrong with it; the next pair is decoded while the caller handles this one."""
    with ThreadPoolExecutor(1, "decode") as reader:
        ahead = reader.submit(_read, pairs[0]) if pairs else None
        for following in [*pairs[1:], None]:
            if ahead is None:
                return
            frames = ahead.result()
            ahead = reader.submit(_read, following) if following else None
            yield frames
            del frames


def _read(pair: Pair) -> tuple[Image, Image] | DataError | UsageError:
    try:
        return pair.read()
    except (DataError, UsageError) as error:
        return error


def _may_pass(error: Exception) -> bool:
    """Whether a picture may be readable later: it or its disk is missing, but the picture is not damaged."""
    return isinstance(error, UsageError) or isinstance(error.__cause__, OSError)


def _skip(writer: ShardWriter, picture: PackedPicture, reason: str) -> None:
    if picture.name != writer.last:
        writer.skip(picture, reason)


def _cut(writer: ShardWriter, picture: PackedPicture, frames: tuple[Image, Image], plan: Plan) -> None:
    """Add the patches of one picture that are missing."""
    noisy, clean = frames
    height, width = noisy.shape[:2]
    if plan.per_picture is None:
        boxes = grid_boxes(noisy.shape, plan.patch)
    else:
        # All frames of a clip are cut at the same places.
        boxes = choose_boxes(noisy.shape, plan.patch, plan.per_picture, f"{plan.seed}:{picture.clip or picture.name}")
    if not boxes:
        _skip(writer, picture, f"{width}x{height} is smaller than a patch of {plan.patch}x{plan.patch}")
        return
    there = writer.lines_of_last if picture.name == writer.last else []
    if [entry.box for entry in there] != boxes[: len(there)]:
        raise DataError(
            f"A picture must not change while it is packed. Received: {picture.name}, whose patches are at other "
            "positions than those that are already packed. Remedy: delete the packed set and pack again."
        )
    for x0, y0, x1, y1 in boxes[len(there) :]:
        sides = (as_channels(side[y0:y1, x0:x1], plan.channels) for side in (noisy, clean))
        writer.add(picture, (x0, y0, x1, y1), *sides)


def _check(shards: ShardSet) -> int:
    """Read a complete set, check its hashes, and return the number of its patches.

    Raises:
        DataError: some patches do not match the index.
    """
    damaged = []
    with progress("Checking", len(shards)) as bar:
        for number, is_damaged in shards.damaged():
            if is_damaged:
                damaged.append(number)
            bar.advance()
    if damaged:
        first = shards.entry(damaged[0])
        raise DataError(
            f"Every patch must match its SHA-256 in the index. Received: {shards.folder} with {len(damaged)} "
            f"that do not, the first one from {first.source} at {first.box}. Remedy: delete it and pack again."
        )
    return len(shards)


def _nothing(patch: int, reasons: list[str]) -> DataError:
    listed = "; ".join(reasons[:3]) or "no pairs"
    return DataError(
        f"At least one pair must give a patch of {patch}x{patch} pixels. Received: {listed}"
        f"{f' (and {len(reasons) - 3} more)' if len(reasons) > 3 else ''}. "
        "Remedy: repair these pictures, or choose a smaller patch."
    )


def _report(shards: ShardSet, kept: int, problems: list[str]) -> PackReport:
    skipped = [*problems, *shards.skipped]
    log_problems(shards.skipped, "while packing")
    return PackReport(
        folder=shards.folder,
        patches=len(shards),
        kept=kept,
        pictures=len(set(shards.picture.tolist())),
        patch=shards.plan.patch,
        pixel_bytes=len(shards) * shards.plan.patch_bytes,
        sides={side: count for side in SIDES if (count := len(shards.of_side(side)))},
        sha256=shards.digest,
        skipped=skipped,
    )

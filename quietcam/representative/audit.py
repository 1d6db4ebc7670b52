"""Audit of a representative set: every sample is cut again from the data and compared with the set.

The same code rebuilds a set, from its file or from the JSON report that `quietcam calibrate` wrote about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.pictures.files import Place, read_picture
from quietcam.data.sets.noisy_pictures import NoisyPicture, find_noisy
from quietcam.errors import DataError, UsageError
from quietcam.files.paths import lack
from quietcam.files.strict_json import MOST_OF_A_LIST, read_object
from quietcam.image import Image, as_channels, swap_red_blue
from quietcam.representative.array_file import read_array
from quietcam.representative.set import RepresentativeSet, patch_sha256
from quietcam.terminal.progress import progress

__all__ = [
    "VERDICTS",
    "Audit",
    "Sample",
    "SampleList",
    "SampleVerdict",
    "audit",
    "check_histories",
    "read_samples",
    "rebuild",
]

VERDICTS = {
    "matches": "the data has the same pixels there",
    "changed": "the patch in the file, or its history, does not match its SHA-256",
    "gone": "the data has no picture of that name",
    "unreadable": "the picture cannot be read",
    "outside": "the crop box reaches beyond the picture",
    "instance": "the picture is of another scene instance",
    "clean": "it was cut from the clean twin",
    "swapped": "red and blue are swapped",
    "differs": "the data has other pixels there",
}

_Boxed = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sample:
    """Where a patch was cut: fields as in ``RepresentativeSet``; ``history_sha256`` is empty without history."""

    source: str
    instance: str
    box: _Boxed
    sha256: str
    history_sha256: str = ""

    def __str__(self) -> str:
        x0, y0, x1, y1 = self.box
        return f"{self.source} [{x0},{y0} to {x1},{y1}]"


@dataclass(frozen=True)
class SampleList:
    """The samples of a set, without their pixels.

    Attributes:
        origin: the set's origin.
        channels: channels of its patches.
        changed: numbers of the patches in the file that do not match their SHA-256, or whose history does not.
    """

    samples: list[Sample]
    origin: dict[str, Any]
    channels: int
    changed: frozenset[int] = frozenset()

    @property
    def has_history(self) -> bool:
        """Whether the set holds the history of its patches."""
        return any(sample.history_sha256 for sample in self.samples)


@dataclass(frozen=True)
class SampleVerdict:
    """The verdict on one sample: ``verdict`` is a key of ``VERDICTS``."""

    number: int
    sample: Sample
    verdict: str
    detail: str = ""

    def __str__(self) -> str:
        return f"sample {self.number}, {self.sample}: {self.detail or VERDICTS[self.verdict]}"


@dataclass(frozen=True)
class Audit:
    """All verdicts, in the order of the samples."""

    verdicts: list[SampleVerdict] = field(default_factory=list)

    @property
    def wrong(self) -> list[SampleVerdict]:
        """The verdicts on samples that do not match."""
        return [each for each in self.verdicts if each.verdict != "matches"]

    def counts(self) -> dict[str, int]:
        """The number of samples with each verdict, in the order of ``VERDICTS``."""
        counted = Counter(each.verdict for each in self.verdicts)
        return {name: counted[name] for name in VERDICTS if counted[name]}

    def to_dict(self) -> dict[str, Any]:
        """``{samples, counts, wrong: [{number, source, instance, box, sha256, verdict, detail}, …]}``."""
        return {
            "samples": len(self.verdicts),
            "counts": self.counts(),
            "wrong": [
                {"number": each.number, **asdict(each.sample), "verdict": each.verdict, "detail": each.detail}
                for each in self.wrong
            ],
        }


def read_samples(path: Path) -> SampleList:
    """The samples of a set's ``.npz``, or of the JSON report about it.

    Raises:
        UsageError: there is no such file.
        DataError: it is neither of them.
    """
    if path.suffix.lower() == ".json":
        return _samples_of_report(path)
    found = read_array(path)
    if not found.is_set:
        raise DataError(
            "A set that can be audited has a source, instance, box and sha256 for each patch. "
            f"Received: {path}, without these. Remedy: write the set with `quietcam calibrate`."
        )
    source, instance, sha256 = (list(map(str, read_array(path, key).array)) for key in ("source", "instance", "sha256"))
    box = read_array(path, "box").array
    remembered = [""] * len(source) if found.history is None else found.history_sha256
    lengths = {len(each) for each in (source, instance, sha256, box, found.array, remembered)}
    if len(lengths) > 1 or box.shape[1:] != (4,) or box.dtype.kind not in "iu":
        raise DataError(
            f"A set has one source, instance, box (4 numbers) and sha256 per patch. Received: {path}, with other "
            "numbers of these. Remedy: write the set with `quietcam calibrate`."
        )
    samples = [
        Sample(*each[:2], _boxed(each[2]), *each[3:])
        for each in zip(source, instance, box.tolist(), sha256, remembered, strict=True)
    ]
    changed = {i for i, patch in enumerate(found.array) if patch_sha256(patch) != sha256[i]}
    if found.history is not None:
        changed |= {i for i, each in enumerate(found.history) if patch_sha256(each) != remembered[i]}
    return SampleList(samples, found.origin, int(found.array.shape[-1]), frozenset(changed))


def audit(listed: SampleList, data: Path) -> Audit:
    """Cut every sample again from ``data`` and compare it; each picture is read once.

    History is made by a network and not found in the data: it is compared with its SHA-256 alone.

    Raises:
        UsageError: there is no such data set.
        DataError: it holds no pictures.
    """
    return Audit([verdict for verdict, _ in _recut(listed, data)])


def rebuild(listed: SampleList, data: Path) -> RepresentativeSet:
    """Cut a set again from its data, without its history.

    Raises:
        UsageError: there is no such data set.
        DataError: a sample does not match; names the first ones.
    """
    cut = list(_recut(SampleList(listed.samples, listed.origin, listed.channels), data))
    wrong = Audit([verdict for verdict, _ in cut]).wrong
    if wrong:
        first = "; ".join(map(str, wrong[:3]))
        raise DataError(
            f"A set must be rebuilt from the data that it was cut from. Received: {data}, where {len(wrong)} of "
            f"{len(cut)} samples do not match: {first}. Remedy: give that data, or choose patches without `rebuild`."
        )
    samples = listed.samples
    return RepresentativeSet(
        patches=np.stack([patch for _, patch in cut if patch is not None]),
        source=tuple(sample.source for sample in samples),
        instance=tuple(sample.instance for sample in samples),
        box=np.array([sample.box for sample in samples], np.int32),
        sha256=tuple(sample.sha256 for sample in samples),
        origin=listed.origin,
    )


def check_histories(listed: SampleList, again: RepresentativeSet) -> None:
    """
    Raises:
        DataError: the history that was made again is not the one of the listed samples.
    """
    made = again.history_sha256 or ("",) * len(again)
    wrong = [i for i, sample in enumerate(listed.samples) if sample.history_sha256 != made[i]]
    if wrong:
        told = listed.origin.get("history")
        by = f" that {told['model']} made" if isinstance(told, dict) and "model" in told else ""
        raise DataError(
            f"A set must be rebuilt with the network that made its history. Received: {len(wrong)} of {len(made)} "
            f"histories that differ from those{by}, the first of {listed.samples[wrong[0]]}. Remedy: give that "
            "network, on a machine of the same kind, or choose patches without `rebuild`."
        )


def _recut(listed: SampleList, data: Path) -> Iterator[tuple[SampleVerdict, Image | None]]:
    """The verdict and the pixels of every sample, in their order."""
    pictures = {picture.name: picture for picture in find_noisy(data).pictures}
    of_source: dict[str, list[int]] = {}
    for number, sample in enumerate(listed.samples):
        of_source.setdefault(sample.source, []).append(number)
    found: dict[int, tuple[SampleVerdict, Image | None]] = {}
    with progress("Cutting again", len(of_source)) as bar:
        for source, numbers in of_source.items():
            for number, verdict, detail, patch in _judge(listed, numbers, pictures.get(source)):
                if number in listed.changed:
                    verdict, detail = "changed", ""
                found[number] = SampleVerdict(number, listed.samples[number], verdict, detail), patch
            bar.advance()
    yield from (found[number] for number in range(len(listed.samples)))


def _judge(
    listed: SampleList, numbers: list[int], picture: NoisyPicture | None
) -> Iterator[tuple[int, str, str, Image | None]]:
    """Number, verdict, detail and pixels of the samples of one picture."""
    if picture is None:
        yield from ((number, "gone", "", None) for number in numbers)
        return
    try:
        pixels = as_channels(read_picture(picture.place), listed.channels)
    except (DataError, UsageError) as error:
        yield from ((number, "unreadable", str(error), None) for number in numbers)
        return
    clean: Image | None = None
    for number in numbers:
        sample = listed.samples[number]
        patch = _cut(pixels, sample.box)
        if patch is None:
            detail = f"the picture is {pixels.shape[1]}x{pixels.shape[0]}"
            yield number, "outside", detail, None
        elif sample.instance != (picture.instance.name if picture.instance else ""):
            yield number, "instance", "", None
        elif patch_sha256(patch) == sample.sha256:
            yield number, "matches", "", patch
        elif patch_sha256(swap_red_blue(patch)) == sample.sha256:
            yield number, "swapped", "", None
        else:
            if clean is None and picture.clean is not None:
                clean = _read_quietly(picture.clean, listed.channels)
            twin = None if clean is None else _cut(clean, sample.box)
            is_clean = twin is not None and patch_sha256(twin) == sample.sha256
            yield number, "clean" if is_clean else "differs", "", None


def _cut(pixels: Image, box: _Boxed) -> Image | None:
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= pixels.shape[1] and 0 <= y0 < y1 <= pixels.shape[0]):
        return None
    return pixels[y0:y1, x0:x1].copy()


def _read_quietly(place: Place, channels: int) -> Image | None:
    try:
        return as_channels(read_picture(place), channels)
    except (DataError, UsageError):
        return None


def _samples_of_report(path: Path) -> SampleList:
    if not path.is_file():
        raise UsageError(f"A set's report is a JSON file. Received: {path}, {lack(path)}. Remedy: check the path.")
    try:
        told = read_object(path, MOST_OF_A_LIST)
        samples = [
            Sample(
                str(each["source"]),
                str(each["instance"]),
                _boxed(each["box"]),
                str(each["sha256"]),
                str(each.get("history_sha256", "")),
            )
            for each in told["samples"]
        ]
        origin, channels = dict(told["origin"]), int(told["channels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"A set's report must be what `quietcam calibrate … --json FILE` wrote. Received: {path}, another file. "
            "Remedy: give the .npz file itself."
        ) from error
    if not samples or channels not in (1, 3):
        raise DataError(
            f"A set's report must list samples of 1 or 3 channels. Received: {path}, with {len(samples)} samples of "
            f"{channels}. "
            "Remedy: give the .npz file itself."
        )
    return SampleList(samples, origin, channels)


def _boxed(values: Any) -> _Boxed:
    x0, y0, x1, y1 = (int(value) for value in values)
    return x0, y0, x1, y1

"""What is in a representative set: instances, brightness, range, and what is doubtful about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calibration.sampling import luminance
from quietcam.data.sidd import Instance
from quietcam.lint import Finding, lint
from quietcam.representative import RepresentativeSet

__all__ = ["Coverage", "cover"]

_PERCENTILES = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class Coverage:
    """Counts of patches by what the names of their pictures tell, and of their pixels.

    Attributes:
        range: least and greatest pixel value.
        luminance: mean luminance of the patches, 0 to 255: least, quartiles, greatest.
        phones, isos, brightness, scenes: patches of each; empty where no name tells.
    """

    patches: int
    width: int
    height: int
    channels: int
    pictures: int
    range: tuple[int, int]
    luminance: tuple[float, ...]
    phones: dict[str, int]
    isos: dict[str, int]
    brightness: dict[str, int]
    scenes: dict[str, int]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def cover(representative: RepresentativeSet) -> Coverage:
    """Look through a set."""
    patches = representative.patches
    instances = [found for name in representative.instance if (found := Instance.parse(name))]
    means = luminance(patches)
    return Coverage(
        patches=len(patches),
        width=patches.shape[2],
        height=patches.shape[1],
        channels=patches.shape[3],
        pictures=len(set(representative.source)),
        range=(int(patches.min()), int(patches.max())),
        luminance=tuple(round(float(value), 1) for value in np.percentile(means, _PERCENTILES)),
        phones=_count(each.phone for each in instances),
        isos={str(iso): n for iso, n in sorted(Counter(each.iso for each in instances).items())},
        brightness=_count(each.brightness for each in instances),
        scenes=_count(each.scene for each in instances),
        findings=tuple(lint(representative)),
    )


def _count(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))

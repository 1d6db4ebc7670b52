"""What int8 loses to the float network: measured on pairs, or estimated on the representative set."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from convert.quantize.scheme import Prepared, Scheme
from edge.network.denoiser import Denoiser
from quietcam.data.samples import SampleSet
from quietcam.metrics import finite_psnr
from quietcam.quality.gate import GroupDrop, QualityGate, iso_of, mean_drops, worst_drop
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import tensor_runner

__all__ = ["ASSUMED_PSNR", "Estimated", "Judge", "Loss", "Measured", "score"]

ASSUMED_PSNR = 34.0
"""PSNR of the float network in dB that an estimate assumes if no measured PSNR is known."""

_FRAMES = 24


@dataclass(frozen=True)
class Loss:
    """The loss of int8 compared with the float network.

    Attributes:
        drop: mean PSNR below the float network's, dB.
        buckets: the same by ISO bucket; empty without pairs, or if their names state no ISO.
        is_measured: True if it was measured on pairs with clean pictures; False if it is an estimate.
    """

    drop: float
    buckets: Mapping[str, GroupDrop] = field(default_factory=dict)
    is_measured: bool = False

    @property
    def bucket(self) -> tuple[str, float] | None:
        """The ISO bucket that loses most, and how much; None if no bucket has enough pictures."""
        return worst_drop(self.buckets)

    def holds(self, gate: QualityGate) -> bool:
        """True if the loss is within ``gate``."""
        return gate.holds(self.drop, self.buckets)

    def __str__(self) -> str:
        worst = f", worst ISO {self.bucket[0]} {self.bucket[1]:.3f}" if self.bucket else ""
        return f"{self.drop:.3f} dB{worst}" if self.is_measured else f"about {self.drop:.3f} dB"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "drop": round(self.drop, 4),
            "worst_iso": None if self.bucket is None else {"iso": self.bucket[0], "drop": round(self.bucket[1], 4)},
            "measured": self.is_measured,
        }


class Judge(Protocol):
    """Measures or estimates what a scheme loses."""

    def loss(self, scheme: Scheme) -> Loss: ...


class Estimated:
    """Estimates the loss without clean pictures: compares float and int8 outputs on the representative set's patches.

    The error of int8 hardly depends on the float network's own error, so the squares add: for a float network of P dB
    the loss is 10 log10(1 + e / 10^(-P/10)), where e is the mean square of the error that int8 adds, for pixels in [0,
    1].

    Args:
        reference: P, the float network's PSNR in dB on its own validation data.
    """

    def __init__(self, prepared: Prepared, reference: float = ASSUMED_PSNR) -> None:
        self._prepared = prepared
        self._floor = 10 ** (-reference / 10)
        every = max(1, sum(1 for _ in prepared.frames()) // _FRAMES)
        self._frames = [frame for index, frame in enumerate(prepared.frames()) if index % every == 0]
        self._expected = self._run(prepared.content)

    def loss(self, scheme: Scheme) -> Loss:
        found = self._run(self._prepared.quantize(self._prepared.content, scheme))
        error = statistics.fmean(float(np.square(a - b).mean()) for a, b in zip(found, self._expected, strict=True))
        return Loss(10 * math.log10(1 + error / self._floor))

    def _run(self, content: bytes) -> list[Any]:
        """The outputs as pixels: float32, multiples of 1/255."""
        out = read_graph(content).outputs[0]
        run = tensor_runner(content, [out.index])
        found = []
        for frame in self._frames:
            ((_, values),) = run(frame)
            pixels = (
                values.astype(np.float32) + 128 if values.dtype == np.int8 else np.clip(np.rint(values * 255), 0, 255)
            )
            found.append(pixels / np.float32(255))
        return found


class Measured:
    """Measures the loss on pairs: PSNR with the code that runs on the device, as ``quietcam compare`` does.

    Args:
        write: writes the float model (for None) or the model that a scheme makes into a folder; returns its path.
        samples: pairs; large ones are cropped.

    Attributes:
        psnr, noisy_psnr: mean PSNR of the float network's pictures and of the noisy pictures, dB.
    """

    def __init__(self, write: Callable[[Scheme | None, Path], Path], samples: SampleSet) -> None:
        self._write = write
        self._samples = samples
        self._buckets: list[str | None] = []
        self._expected = self._score(None)
        self.psnr = statistics.fmean(self._expected)
        self.noisy_psnr = _noisy_psnr(samples)

    def loss(self, scheme: Scheme) -> Loss:
        drops = [a - b for a, b in zip(self._expected, self._score(scheme), strict=True)]
        return Loss(statistics.fmean(drops), mean_drops(zip(self._buckets, drops, strict=True)), True)

    def _score(self, scheme: Scheme | None) -> Sequence[float]:
        with tempfile.TemporaryDirectory() as folder, Denoiser(self._write(scheme, Path(folder))) as denoiser:
            found = [
                (iso_of(each.pair), finite_psnr(each.clean, denoiser.denoise(each.noisy))) for each in self._samples
            ]
        self._buckets = [bucket for bucket, _ in found]
        return [score for _, score in found]


def score(model: Path, samples: SampleSet) -> tuple[float, float]:
    """Mean PSNR in dB of the pictures that ``model`` denoised, and of the noisy pictures."""
    measured = Measured(lambda *_: model, samples)
    return measured.psnr, measured.noisy_psnr


def _noisy_psnr(samples: SampleSet) -> float:
    return statistics.fmean(finite_psnr(sample.clean, sample.noisy) for sample in samples)

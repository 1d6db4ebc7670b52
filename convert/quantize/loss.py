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
from numpy.typing import NDArray

from convert.quantize.loop import LOOP, as_pixels, clips_of, loop_runner, still_clip
from convert.quantize.scheme import Prepared, Scheme
from edge.network.denoiser import Denoiser
from edge.network.engine import Engine
from edge.network.frame_network import FrameNetwork
from edge.network.modelfile import ModelFile, load_model
from quietcam.data.samples import SampleSet
from quietcam.metrics import finite_psnr
from quietcam.quality.gate import GroupDrop, QualityGate, iso_of, mean_drops, worst_drop
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import tensor_runner

__all__ = ["ASSUMED_PSNR", "Estimated", "Judge", "Loss", "Measured", "score"]

ASSUMED_PSNR = 34.0
"""PSNR of the float network in dB that an estimate assumes if no measured PSNR is known."""

_FRAMES = 24
_CLIPS = 8  # of several frames each

_Scored = tuple[str | None, float, float]
"""ISO bucket, and the PSNR of the denoised and of the noisy pictures, of a pair or a clip."""


@dataclass(frozen=True)
class Loss:
    """The loss of int8 compared with the float network.

    Attributes:
        drop: mean PSNR below the float network's, dB.
        buckets: the same by ISO bucket; empty without pairs, or if their names state no ISO.
        is_measured: True if it was measured on pairs with clean pictures; False if it is an estimate.
        frames: frames in a row for which a video network remembered its own; 1 for a still network.
    """

    drop: float
    buckets: Mapping[str, GroupDrop] = field(default_factory=dict)
    is_measured: bool = False
    frames: int = 1

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
        } | ({"frames": self.frames} if self.frames > 1 else {})


class Judge(Protocol):
    """Measures or estimates what a scheme loses."""

    def loss(self, scheme: Scheme) -> Loss: ...


class Estimated:
    """Estimates the loss without clean pictures: compares float and int8 outputs on the representative set's patches.

    The error of int8 hardly depends on the float network's own error, so the squares add: for a float network of P dB
    the loss is 10 log10(1 + e / 10^(-P/10)), where e is the mean square of the error that int8 adds, for pixels in [0,
    1].

    For a video network the loop is closed: either network remembers its own frames. Each patch becomes a short clip
    (``convert.quantize.loop``), and e is the mean over its frames.

    Args:
        reference: P, the float network's PSNR in dB on its own validation data.
    """

    def __init__(self, prepared: Prepared, reference: float = ASSUMED_PSNR) -> None:
        self._prepared = prepared
        self._floor = 10 ** (-reference / 10)
        count = _CLIPS if prepared.remembers else _FRAMES
        every = max(1, sum(1 for _ in prepared.frames()) // count)
        self._frames = [frame for index, frame in enumerate(prepared.frames()) if index % every == 0]
        if prepared.remembers:
            run = loop_runner(prepared.content)
            self._frames = [still_clip(frame, run) for frame in self._frames]
        self._expected = self._run(prepared.content)

    def loss(self, scheme: Scheme) -> Loss:
        found = self._run(self._prepared.quantize(self._prepared.content, scheme))
        error = statistics.fmean(float(np.square(a - b).mean()) for a, b in zip(found, self._expected, strict=True))
        frames = LOOP if self._prepared.remembers else 1
        return Loss(10 * math.log10(1 + error / self._floor), frames=frames)

    def _run(self, content: bytes) -> list[Any]:
        """The outputs as pixels: float32, multiples of 1/255."""
        run = loop_runner(content) if self._prepared.remembers else _still_runner(content)
        return [run(frame) for frame in self._frames]


def _still_runner(content: bytes) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    run = tensor_runner(content, [read_graph(content).denoised.index])

    def denoise(frame: NDArray[np.float32]) -> NDArray[np.float32]:
        ((_, values),) = run(frame)
        return as_pixels(values)

    return denoise


class Measured:
    """Measures the loss on pairs: PSNR with the code that runs on the device, as ``quietcam compare`` does.

    A video network sees clips, and remembers its own frames: those that the pairs belong to, or else each pair as a
    scene that stands still under moving noise (``convert.quantize.loop``).

    Args:
        write: writes the float model (for None) or the model that a scheme makes into a folder; returns its path.
        samples: pairs; large ones are cropped.

    Attributes:
        psnr, noisy_psnr: mean PSNR of the float network's pictures and of the same frames before it, dB.
    """

    def __init__(self, write: Callable[[Scheme | None, Path], Path], samples: SampleSet) -> None:
        self._write = write
        self._samples = samples
        self._buckets: list[str | None] = []
        self._frames = 1
        self.noisy_psnr = math.nan
        self._expected = self._score(None)
        self.psnr = statistics.fmean(self._expected)

    def loss(self, scheme: Scheme) -> Loss:
        drops = [a - b for a, b in zip(self._expected, self._score(scheme), strict=True)]
        return Loss(statistics.fmean(drops), mean_drops(zip(self._buckets, drops, strict=True)), True, self._frames)

    def _score(self, scheme: Scheme | None) -> Sequence[float]:
        with tempfile.TemporaryDirectory() as folder:
            model = load_model(self._write(scheme, Path(folder)))
            found = self._in_loops(model) if model.remembers else self._one_by_one(model)
        self._buckets = [bucket for bucket, _, _ in found]
        self.noisy_psnr = statistics.fmean(noisy for _, _, noisy in found)
        return [score for _, score, _ in found]

    def _one_by_one(self, model: ModelFile) -> list[_Scored]:
        with Denoiser(model) as denoiser:
            return [
                (
                    iso_of(each.pair),
                    finite_psnr(each.clean, denoiser.denoise(each.noisy)),
                    finite_psnr(each.clean, each.noisy),
                )
                for each in self._samples
            ]

    def _in_loops(self, model: ModelFile) -> list[_Scored]:
        """The mean scores of each clip. A video network has no past at its first frame."""
        network = FrameNetwork(Engine(model, "cpu", None), None, advises=False)
        found = []
        try:
            for bucket, noisy, clean in clips_of(self._samples):
                network.forget()
                self._frames = max(self._frames, len(noisy))
                shown = np.empty_like(noisy[0])
                scores, given = [], []
                for before, after in zip(noisy, clean, strict=True):
                    network.run(before, shown)
                    scores.append(finite_psnr(after, shown))
                    given.append(finite_psnr(after, before))
                found.append((bucket, statistics.fmean(scores), statistics.fmean(given)))
        finally:
            network.close()
        return found


def score(model: Path, samples: SampleSet) -> tuple[float, float]:
    """Mean PSNR in dB of the pictures that ``model`` denoised, and of the noisy pictures."""
    measured = Measured(lambda *_: model, samples)
    return measured.psnr, measured.noisy_psnr

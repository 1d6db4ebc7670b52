"""What the child process of a trial does: everything with a model that the live process is going to do with it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from edge.child.link import Link
from edge.child.trial import DONE
from edge.network.denoiser import Denoiser
from edge.network.golden import check_golden
from edge.network.modelfile import ModelFile
from quietcam.errors import ModelError
from quietcam.files.strict_json import parse_json
from quietcam.tflite.manifest import Manifest

__all__ = ["run"]

_NICE = 10  # a tenth of the processor, where frames take all of it


def run(link: Link) -> None:
    """Try the model whose bytes and manifest are shared, as ``link.argument`` says, and answer."""
    _step_back()
    wanted = link.argument
    content, manifest = (each[:] for each in link.shared)
    values = parse_json(manifest)
    model = ModelFile(
        Path(wanted["path"]),
        content,
        manifest=None if values is None else Manifest.from_dict(values),
        **wanted["about"],
    )
    with Denoiser(model, wanted["threads"], wanted["overlap"]) as denoiser:
        _golden(denoiser)
        for half in (False, True):
            _frame(denoiser, tuple(wanted["shape"]), half)
        link.send(DONE)


def _step_back() -> None:
    """Live frames go first. Where each session has its own share of the processor, that share must be small, too."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError), Path("/proc/self/autogroup").open("w", encoding="ascii") as file:
        file.write(str(_NICE))


def _golden(denoiser: Denoiser) -> None:
    found = check_golden(denoiser.interpreter)
    if found is not None and found[0] > found[1]:
        raise ModelError(
            "A model gives the pixels here that it gave where it was made. Received: "
            f"{denoiser.model.path}: its golden frame is up to {found[0]} of 255 off, {found[1]} are allowed. "
            "Remedy: copy the model again, or convert it again with `quietcam convert`."
        )


def _frame(denoiser: Denoiser, shape: tuple[int, ...], half: bool) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if half:  # as the ladder has it, but for OpenCV: loading that may take longer than all the rest
        noisy = noisy[::2, ::2]
    wanted = (*noisy.shape[:2], 3 if denoiser.model.channels == 3 else shape[2])
    try:
        with np.errstate(invalid="raise"):  # NaN becomes a pixel
            denoised, treatment = denoiser.treat(noisy)
        numbers = bool(np.isfinite(denoiser.interpreter.tensors()[1]).all())
    except FloatingPointError:
        numbers = False
    if not numbers:
        raise ModelError(
            f"A model gives numbers. Received: {denoiser.model.path}: infinite ones, or none, for a frame of "
            f"{wanted[1]}x{wanted[0]}. Remedy: convert the model again with `quietcam convert`."
        )
    if treatment.model is None or denoised.shape != wanted:
        raise ModelError(
            f"A model gives a frame for a frame. Received: {denoiser.model.path}: {treatment.words}, "
            f"{list(denoised.shape)} for {list(noisy.shape)}. Remedy: convert the model again with `quietcam convert`."
        )

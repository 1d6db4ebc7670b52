"""The job of a trial's child process: it does everything with a model that the live process would do."""

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

__all__ = ["run", "step_back"]

_NICE = 10  # about a tenth of the processor where frames use all of it


def run(link: Link) -> None:
    """Try the model whose bytes and manifest lie in shared memory, as ``link.argument`` says, and answer."""
    step_back()
    wanted = link.argument
    content, manifest = (each[:] for each in link.shared)
    values = parse_json(manifest)
    model = ModelFile.rebuilt(wanted["about"], content, None if values is None else Manifest.from_dict(values))
    with Denoiser(model, wanted["threads"], wanted["overlap"], stream=model.remembers) as denoiser:
        _golden(denoiser)
        for half in (False, True):
            _frame(denoiser, tuple(wanted["shape"]), half)
        link.send(DONE)


def step_back() -> None:
    """Let live frames go first. Where the kernel groups processes (autogroup), this one's group must be nice, too."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError), Path("/proc/self/autogroup").open("w", encoding="ascii") as file:
        file.write(str(_NICE))


def _golden(denoiser: Denoiser) -> None:
    found = check_golden(denoiser.interpreter)
    if found is not None and found[0] > found[1]:
        raise ModelError(
            "A model must give the same pixels here as on the machine that made it. Received: "
            f"{denoiser.model.path}: its golden frame differs by up to {found[0]} of 255, {found[1]} is allowed. "
            "Remedy: copy the model again, or convert it again with `quietcam convert`."
        )


def _frame(denoiser: Denoiser, shape: tuple[int, ...], half: bool) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if half:  # as on the ladder, but without OpenCV, which may take longer to load than all the rest
        noisy = noisy[::2, ::2]
    wanted = (*noisy.shape[:2], 3 if denoiser.model.channels == 3 else shape[2])
    try:
        with np.errstate(invalid="raise"):  # NaN becomes a pixel
            if denoiser.model.remembers:
                denoiser.treat(noisy ^ np.uint8(1))  # the past of the next frame
            denoised, treatment = denoiser.treat(noisy)
        numbers = bool(all(np.isfinite(each).all() for each in denoiser.interpreter.outputs()))
    except FloatingPointError:
        numbers = False
    if not numbers:
        raise ModelError(
            f"A model must give finite numbers. Received: {denoiser.model.path}: infinity or NaN for a frame of "
            f"{wanted[1]}x{wanted[0]}. Remedy: convert the model again with `quietcam convert`."
        )
    if treatment.model is None or denoised.shape != wanted:
        raise ModelError(
            f"A model must give a frame for each frame. Received: {denoiser.model.path}: {treatment.words}, "
            f"{list(denoised.shape)} for {list(noisy.shape)}. Remedy: convert the model again with `quietcam convert`."
        )

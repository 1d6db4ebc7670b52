"""The job of the canary's child process: it runs every golden frame of a bundle by the code of live frames."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict
from pathlib import Path

from edge.child.link import Link
from edge.child.trial_job import step_back
from edge.network.delegates import parse_devices
from edge.network.denoiser import Denoiser
from edge.network.interpreter import Interpreter
from edge.run.health import peak_memory_mib
from edge.update.bundle import Bundle, read_bundle
from edge.update.canary import Measured
from edge.update.contents import BundleModel
from edge.update.golden_frames import denoise_frames
from quietcam.errors import DeviceError
from quietcam.files.strict_json import dump_json
from quietcam.metrics import finite_psnr

__all__ = ["run"]

_ROUNDS, _RUNS = 8, 3  # of the network; the best round counts, since live frames use the processor at the same time


def run(link: Link) -> None:
    """Try the bundle that ``link.argument`` names, and answer what each model reached."""
    step_back()
    wanted = link.argument
    bundle = read_bundle(Path(wanted["folder"]))
    corals = ",".join(str(each) for each in parse_devices(wanted["device"]) if not each.is_cpu)
    measured = {}
    for model in bundle.contents.models:
        if device := "cpu" if model.target == "cpu" else corals:
            measured[model.path] = _measure(bundle, model, device, wanted["threads"])
    if not measured:
        raise DeviceError(
            "A bundle for Corals needs a Coral. Received: no model for the CPU, and `device=cpu`. "
            "Remedy: name the Coral in `device`."
        )
    link.send(dump_json({path: asdict(each) for path, each in measured.items()}).encode())


def _measure(bundle: Bundle, model: BundleModel, device: str, threads: int | None) -> Measured:
    same: list[float] = []
    noise: list[float] = []
    with Denoiser(bundle.path_of(model), threads, device=device) as denoiser:
        _check_device(denoiser, device)
        interpreter = denoiser.interpreter
        for golden in bundle.golden_of(model):
            noisy, expected = bundle.frames(golden)
            denoised = denoise_frames(interpreter, noisy)
            same += map(finite_psnr, denoised, expected)
            noise += map(finite_psnr, denoised, noisy)
        median = _median_ms(interpreter)
        _check_device(denoiser, device)  # a device that failed meanwhile was replaced by the CPU
    return Measured(device, min(same), max(noise), median, peak_memory_mib())


def _median_ms(interpreter: Interpreter) -> float:
    rounds = [[_took(interpreter) for _ in range(_RUNS)] for _ in range(_ROUNDS)]
    return min(map(statistics.median, rounds))


def _took(interpreter: Interpreter) -> float:
    start = time.perf_counter()
    interpreter.invoke()
    return (time.perf_counter() - start) * 1000


def _check_device(denoiser: Denoiser, device: str) -> None:
    state = denoiser.device_state
    if state["used"] != state["wanted"]:
        raise DeviceError(
            f"A bundle must run on the device that is meant. Received: `device={device}`, and {state['used']} is used: "
            f"{state['reason']}. Remedy: stop the service while the update runs, since one process at a time can use a "
            "Coral; or leave it to the trial, with `device=cpu`."
        )

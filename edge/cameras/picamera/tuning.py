"""A libcamera tuning of which only the temporal stage of a Raspberry Pi 5's denoiser is left.

libcamera's ``NoiseReductionMode`` switches all stages at once: in the mode ``off`` its ``Denoise::prepare`` returns
before it programs any (raspberrypi/libcamera 26bfadc, algorithm ``rpi.denoise``). In any other mode it programs those
that the tuning file names: ``sdn`` (within a frame), ``cdn`` (colors) and ``tdn`` (over time). So a tuning without
``sdn`` and ``cdn`` leaves ``tdn`` alone. ``cdn`` must go with ``sdn``, whose settings it uses.

Written after libcamera's source; **not yet run on hardware**.
"""

from __future__ import annotations

import copy
from typing import Any

from quietcam.errors import UsageError

__all__ = ["read_tuning", "temporal_only"]

_STAGE, _OTHERS = "tdn", ("sdn", "cdn")


def read_tuning(module: Any, model: str) -> tuple[str, dict[str, Any]]:
    """The name of the system's tuning file for a sensor, and its content.

    libcamera takes ``MODEL_mono.json`` for a monochrome sensor. It is read where there is no ``MODEL.json``.

    Args:
        module: picamera2.
        model: of the sensor, as libcamera names it: ``imx219``.

    Raises:
        UsageError: there is no such file.
    """
    names = f"{model}.json", f"{model}_mono.json"
    for name in names:
        try:
            return name, module.Picamera2.load_tuning_file(name)
        except RuntimeError:
            continue
    raise UsageError(
        f"`denoise=temporal` changes the tuning file of the sensor. Received: no {' or '.join(names)}. "
        "Remedy: `denoise=off`, or install the package libcamera-ipa."
    )


def temporal_only(tuning: dict[str, Any], name: str) -> dict[str, Any]:
    """A copy of ``tuning`` whose denoiser has its temporal stage and no other.

    Args:
        name: its file, for messages.

    Raises:
        UsageError: it has no temporal stage, as those of every Raspberry Pi before the 5.
    """
    tuning = copy.deepcopy(tuning)
    denoise = _denoiser(tuning)
    settings = [each for each in (denoise, *denoise.values()) if isinstance(each, dict) and _STAGE in each]
    if not settings:
        raise UsageError(
            "`denoise=temporal` is the temporal stage of a Raspberry Pi 5's ISP, which its tuning file names `tdn`. "
            f"Received: {name} without one. Remedy: `denoise=off`."
        )
    for each in settings:
        for other in _OTHERS:
            each.pop(other, None)
    return tuning


def _denoiser(tuning: dict[str, Any]) -> dict[str, Any]:
    """The parameters of ``rpi.denoise``: by mode (``normal``, ``hdr``, ``night``), or the stages themselves."""
    algorithms = tuning.get("algorithms")
    known = algorithms if isinstance(algorithms, list) else [tuning]  # files of version 1 have no list
    found = next((each["rpi.denoise"] for each in known if isinstance(each, dict) and "rpi.denoise" in each), None)
    return found if isinstance(found, dict) else {}

"""Denoise live camera frames with a small int8 network, and train that network yourself.

These are the public names, for a notebook or a product of your own. Each is loaded when you first use it, so
``import quietcam`` imports neither OpenCV nor TensorFlow. The command line is in ``quietcam.app``.
"""

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import Any as _Any

from quietcam.limits import limit_opencv

limit_opencv()  # before anything imports OpenCV

_HOMES = {
    "Denoiser": "edge.network.denoiser",
    "open_camera": "edge.cameras",
    "RunOptions": "edge.run.options",
    "open_session": "edge.run.session",
    "Session": "edge.run.session",
    "Sink": "edge.sinks.base",
    "Frame": "edge.run.frame",
    "load_pairs": "quietcam.data.load",
    "load_clips": "quietcam.data.clips.clip",
    "train": "train.runs.train",
    "prune": "train.runs.prune",
    "calibrate": "calibration.choose",
    "lint": "quietcam.representative.lint",
    "convert": "convert.api",
    "compare": "compare.api",
    "psnr": "quietcam.metrics",
    "ssim": "quietcam.metrics",
    "QuietcamError": "quietcam.errors",
    "UsageError": "quietcam.errors",
    "DataError": "quietcam.errors",
    "ModelError": "quietcam.errors",
    "DeviceError": "quietcam.errors",
    "JsonError": "quietcam.errors",
    "StorageError": "quietcam.errors",
    "UpdateError": "quietcam.errors",
    "MissingExtraError": "quietcam.errors",
    "GateError": "quietcam.errors",
    "StoppedError": "quietcam.errors",
}
"""Each public name, and the module that holds it."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("quietcam")
    if name not in _HOMES:
        raise AttributeError(f"module 'quietcam' has no attribute {name!r}")
    from quietcam.errors import MissingExtraError

    _check_is_ours(_HOMES[name].split(".")[0])
    try:
        value = getattr(_import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError.because(error) from error
    globals()[name] = value
    return value


def _check_is_ours(package: str) -> None:
    """Refuse a ``train.py`` of the user's own that Python finds before the package of that name in quietcam's wheel."""
    home = _Path(__file__).parents[1]
    found = _find_spec(package)
    if found is not None and found.origin is not None and not _Path(found.origin).is_relative_to(home):
        from quietcam.errors import UsageError

        raise UsageError(
            f"No module of yours may be called like the packages of quietcam's wheel. Received: {found.origin}, which "
            f"Python finds before {home / package}. Remedy: rename it, or run your program in another folder."
        )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Checks of the Python environment: versions that crash together, and missing packages."""

from __future__ import annotations

from edge.doctor.machine import Machine
from edge.network.runtime.instructions import instructions
from quietcam.finding import Finding

__all__ = [
    "check_camera_library",
    "check_numpy",
    "check_opencv",
    "check_processor",
    "check_python",
    "check_runtime",
    "check_web",
]


def check_python(machine: Machine) -> list[Finding]:
    """Is Python 3.11 or later?"""
    version = ".".join(map(str, machine.python))
    if machine.python < (3, 11):
        return [Finding("python", "error", f"{version}; quietcam needs 3.11", "sudo apt install python3.11-venv")]
    return [Finding("python", "ok", f"{version} on {machine.architecture}")]


def check_processor(machine: Machine) -> list[Finding]:
    """Which instructions do the network's kernels use? A note if they do not make int8 faster: there is no remedy."""
    found = instructions(machine.text("/proc/cpuinfo") or "", machine.architecture)
    return [Finding("processor", "ok" if found.int8_dot_product else "note", f"{found.name}. {found.meaning}")]


def check_runtime(machine: Machine) -> list[Finding]:
    """Is an interpreter for models installed?"""
    litert, old = machine.version("ai-edge-litert"), machine.version("tflite-runtime")
    if litert is not None:
        return [Finding("interpreter", "ok", f"ai-edge-litert {litert}")]
    if old is not None:
        return [Finding("interpreter", "ok", f"tflite-runtime {old}")]
    extra = "edge-legacy" if machine.architecture.startswith("armv") else "edge"
    return [Finding("interpreter", "error", "none is installed", f"{machine.pip} 'quietcam[{extra}]'")]


def check_numpy(machine: Machine) -> list[Finding]:
    """Does this numpy fit? tflite-runtime, and the picamera2 of Debian 12, crash under numpy 2 without a warning."""
    numpy = machine.version("numpy")
    if numpy is None:
        return [Finding("numpy", "error", "not installed", f"{machine.pip} 'quietcam[edge]'")]
    if numpy.split(".")[0] < "2":
        return [Finding("numpy", "ok", numpy)]
    older = f"{machine.pip} 'numpy<2' 'opencv-python-headless<4.12'"
    if machine.version("ai-edge-litert") is None and machine.version("tflite-runtime") is not None:
        return [Finding("numpy", "error", f"{numpy}; tflite-runtime crashes under numpy 2", older)]
    if machine.python == (3, 11) and _system_picamera2(machine):
        return [Finding("numpy", "error", f"{numpy}; this system's picamera2 was built for numpy 1", older)]
    return [Finding("numpy", "ok", numpy)]


def check_opencv(machine: Machine) -> list[Finding]:
    """Is OpenCV installed? It reads cameras and writes pictures."""
    for package in ("opencv-python-headless", "opencv-python", "opencv-contrib-python"):
        version = machine.version(package)
        if version is not None:
            old = [int(part) for part in version.split(".")[:2] if part.isdigit()] < [4, 13]
            note = "; OpenCV before 4.13 reads the colors of most videos (BT.709) slightly wrong" if old else ""
            return [Finding("opencv", "ok", f"{package} {version}{note}")]
    if machine.importable("cv2"):
        return [Finding("opencv", "ok", "the system's")]
    return [Finding("opencv", "error", "not installed", f"{machine.pip} 'quietcam[edge]'")]


def check_web(machine: Machine) -> list[Finding]:
    """Is everything installed that the live page needs?"""
    missing = [package for package in ("aiohttp", "prometheus_client") if machine.version(package) is None]
    if missing:
        return [Finding("live page", "error", f"missing: {', '.join(missing)}", f"{machine.pip} 'quietcam[edge]'")]
    return [Finding("live page", "ok", f"aiohttp {machine.version('aiohttp')}")]


def check_camera_library(machine: Machine) -> list[Finding]:
    """Are picamera2 and libcamera visible? They belong to the system: a virtual environment hides them by default."""
    installed = _system_picamera2(machine)
    if machine.importable("picamera2") and machine.importable("libcamera"):
        return [Finding("libcamera", "ok", "picamera2 and libcamera can be imported")]
    if installed and machine.in_venv:
        settings = machine.prefix / "pyvenv.cfg"
        return [
            Finding(
                "libcamera",
                "error" if machine.is_pi else "warning",
                f"the system has picamera2, but the virtual environment {machine.prefix} does not show it",
                f"sed -i 's/^include-system-site-packages = false/include-system-site-packages = true/' {settings}",
            )
        ]
    if machine.is_pi:
        return [
            Finding(
                "libcamera",
                "warning",
                "picamera2 is not installed; only USB and network cameras work",
                "sudo apt install python3-picamera2 --no-install-recommends",
            )
        ]
    return [Finding("libcamera", "note", "not installed; only a Raspberry Pi's own camera needs it")]


def _system_picamera2(machine: Machine) -> bool:
    return bool(machine.glob("/usr/lib/python3/dist-packages/picamera2/__init__.py"))

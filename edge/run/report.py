"""The report of a run: the note beside the progress bar, and the summary at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

if TYPE_CHECKING:
    from edge.cameras import Camera
    from edge.network.denoiser import Denoiser
    from edge.run.health import Health

__all__ = ["log_report", "lost_by", "note_of", "report_of"]


def note_of(health: Health) -> str:
    """The note beside the progress bar; empty while every frame is denoised in full."""
    dropped, treatment = health.dropped, health.treatment
    notes = [f"{dropped} dropped"] if dropped else []
    if treatment is not None and treatment.words != "denoised":
        notes.append(treatment.words)
    return ", ".join(notes)


def report_of(health: Health, camera: Camera, denoiser: Denoiser) -> dict[str, Any]:
    """The whole report, for JSON. The parts may be closed already."""
    model = denoiser.model
    return {
        "source": shown(camera.name),
        "model": model.name,
        "runtime": denoiser.runtime,
        "threads": denoiser.threads,
        "skipped": camera.skipped,
        **health.report(),
        "device": denoiser.device_state,
    }


def lost_by(report: dict[str, Any]) -> list[str]:
    """Each sink that did not take all frames to the end, and the reason."""
    troubles = [(each["name"], each["error"] or each.get("waiting")) for each in report["sinks"]]
    return [f"{name}: {trouble}" for name, trouble in troubles if trouble]


def log_report(report: dict[str, Any]) -> None:
    """Log the most important values: number of frames, speed, and number of frames that were not denoised in full."""
    denoise = report["latency_ms"]["denoise"]
    took = "; a frame took {p50:.1f} ms in the network, 95 of 100 at most {p95:.1f} ms"
    log.info(
        "%s",
        "{frames} frames in {seconds:.1f} s ({fps:.1f} a second), {dropped} dropped, ".format(**report)
        + f"{len(report['skipped'])} skipped"
        + (took.format(**denoise) if "p50" in denoise else ""),
    )
    others = [f"{count} {_GOT[kind]}" for kind, count in report["worked"].items() if count and kind in _GOT]
    if others:
        log.info("Of %d processed frames, %s", sum(report["worked"].values()), ", ".join(others))


_GOT = {
    "untouched": "passed untouched",
    "fewer pixels": "were denoised at half the size",
    "smaller model": "were denoised by the smaller model",
}

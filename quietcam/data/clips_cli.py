"""The part of the command data generate that makes clips."""

from __future__ import annotations

from pathlib import Path

from quietcam.sensor.noise import SensorNoise

__all__ = ["write_and_show"]


def write_and_show(
    out: Path,
    sheet: Path | None,
    count: int,
    frames: int,
    size: int,
    seed: int,
    noise: SensorNoise | None,
    clean: Path | None,
    all_cameras: bool,
) -> None:
    """Write clips as ``write_clips`` does, draw a sheet of them if wanted, and print what was made."""
    from quietcam.data.clips.make import clip_name, write_clips
    from quietcam.data.clips.sheet import SHOWN, write_clip_sheet
    from quietcam.terminal.report import report_console

    write_clips(
        out, count=count, frames=frames, size=size, seed=seed, noise=noise, clean=clean, all_cameras=all_cameras
    )
    console = report_console(None)
    console.print(f"{out}: {count} clips of {frames} frames", soft_wrap=True)
    if sheet is not None:
        write_clip_sheet(sheet, out, [clip_name(number) for number in range(seed, seed + min(count, SHOWN))])
        console.print(f"{sheet}: the first {min(count, SHOWN)} of them: noisy, clean, what moves", soft_wrap=True)

"""Which sinks a run has: at least one, each another place, and none of them the source."""

from __future__ import annotations

from pathlib import Path

from edge.sinks import KINDS
from quietcam.errors import UsageError
from quietcam.paths import resolved
from quietcam.urls import shown

__all__ = ["checked_targets"]


def checked_targets(source: str | None, sinks: list[str]) -> list[str]:
    """``sinks``, as `--sink` gives them.

    Raises:
        UsageError: there is none, two write to one place, or one to the source.
    """
    if not sinks:
        raise UsageError(f"Say where the frames go: --sink {'; '.join(KINDS)}. Received: no --sink.")
    places = [_place(each) for each in sinks if each != "null"]
    if len(set(places)) < len(places):
        raise UsageError(f"Each --sink must be another place. Received: {shown(', '.join(sinks))}.")
    if source is not None and resolved(Path(source)) in places:
        raise UsageError(
            f"A sink must not be the source. Received: {shown(source, whole=True)}. Remedy: choose another --sink."
        )
    return sinks


def _place(sink: str) -> Path | str:
    """Where a sink writes; what is no file is a place of its own."""
    if sink in ("web", "-", "window"):
        return sink
    return resolved(Path(sink.removeprefix("spool:").split(",")[0] if sink.startswith("spool:") else sink))

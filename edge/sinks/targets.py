"""Checks the sinks of a run: at least one, each in another place, and none of them the source."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from edge.cameras.v4l2.devices import device_path, is_number
from edge.sinks import KINDS
from edge.sinks.publish.server import is_server
from quietcam.errors import UsageError
from quietcam.files.paths import resolved
from quietcam.terminal.secrets import shown

__all__ = ["checked_targets"]

_LOOKING = 1.0  # seconds to wait for a disk


def checked_targets(source: str | None, sinks: list[str]) -> list[str]:
    """``sinks``, unchanged, after a check.

    Raises:
        UsageError: there is none, two write to the same place, or one writes to the source.
    """
    if not sinks:
        raise UsageError(
            f"A run needs a `sink`, the place where frames go. Received: none. Remedy: one of: {'; '.join(KINDS)}."
        )
    paths = [_path(each) for each in sinks if each != "null"]
    origins = _origins(source) if source else set()
    known = _resolved({path for path in paths if isinstance(path, Path)} | origins)
    places = [known[path] if isinstance(path, Path) else path for path in paths]
    if len(set(places)) < len(places):
        raise UsageError(
            f"Each `sink` must be a different place. Received: {shown(', '.join(sinks))}. Remedy: leave one out."
        )
    if source and any(known[origin] in places for origin in origins):
        raise UsageError(
            f"A sink must not be the source. Received: {shown(source, whole=True)}. Remedy: choose another `sink`."
        )
    return sinks


def _origins(source: str) -> set[Path]:
    """What a source may read: the file of this name, the device before a colon."""
    device, _, _ = source.partition(":")
    return {Path(source), device_path(device) if is_number(device) else Path(device)}


def _path(sink: str) -> Path | str:
    """Where a sink writes; a sink that is not a file is its own place."""
    if sink in ("web", "-", "window") or is_server(sink):
        return sink
    kind, colon, rest = sink.partition(":")
    return Path(rest.split(",")[0] if colon and kind in ("spool", "record") else sink)


def _resolved(paths: set[Path]) -> dict[Path, Path]:
    """Each path, absolute and without links; unchanged if its disk does not answer."""
    found = {path: path for path in paths}

    def look(path: Path) -> None:
        with contextlib.suppress(ValueError):  # not a path; opening it will say so
            found[path] = resolved(path)

    threads = [threading.Thread(target=look, args=(path,), name="quietcam-path", daemon=True) for path in paths]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _LOOKING
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(found)

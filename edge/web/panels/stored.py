"""StoredFiles: lists what the sinks of a run have stored, and sends it to be kept."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Sequence
from pathlib import PurePath
from typing import Any

from aiohttp import web

from edge.sinks.spool.shelf import Shelf
from edge.web.guard import guard_of
from edge.web.panels.disk import DiskBusyError, DiskReader, DiskReaders
from quietcam.files.strict_json import dump_json
from quietcam.terminal.secrets import shown

__all__ = ["ENTRIES", "StoredFiles"]

ENTRIES = 50
"""Entries in one answer."""

_LISTS_AT_ONCE = 2
_FILES_AT_ONCE = 8  # twice as many as downloads: the reader of one that lost its place ends a moment later
_DISK_SECONDS = 10.0
_PIECE = 1 << 18
_KINDS = {".jpg": "image/jpeg", ".png": "image/png", ".mp4": "video/mp4", ".mkv": "video/x-matroska"}


class StoredFiles:
    """Answers ``/stored.json`` and ``/stored/SINK/ENTRY[/PART]``. Files are read and never written.

    Args:
        shelves: returns the shelf of each sink that stores; ``SINK`` is the place in this list.
    """

    def __init__(self, shelves: Callable[[], Sequence[Shelf]]) -> None:
        self._shelves = shelves
        self._lists = DiskReaders(_LISTS_AT_ONCE, _DISK_SECONDS)
        self._files = DiskReaders(_FILES_AT_ONCE, _DISK_SECONDS)

    async def listing(self, request: web.Request) -> web.StreamResponse:
        """The sinks that store; with ``?sink=N``, the newest files of one; ``&before=ENTRY`` begins with older ones."""
        if "sink" not in request.query:
            return _json({"sinks": [shown(each.name) for each in self._shelves()]})
        shelf, before = self._shelf(request.query["sink"]), request.query.get("before")

        def source() -> Generator[dict[str, Any]]:
            files, older = shelf.newest(ENTRIES, before)
            yield {"files": [each._asdict() for each in files], "older": older}

        try:
            async with self._lists.reading(source) as reader:
                return _json(await reader.next())
        except (DiskBusyError, TimeoutError, OSError) as error:
            raise _no_answer(error) from None

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A stored file, as long as it was when it was opened."""
        shelf = self._shelf(request.match_info["sink"])
        entry, part = request.match_info["entry"], request.match_info.get("part", "")

        def source() -> Generator[int | bytes]:
            with shelf.read(entry, part) as (file, size):
                yield size
                while piece := os.read(file, _PIECE):
                    yield piece

        try:
            async with self._files.reading(source) as reader:
                size = await reader.next()
                assert isinstance(size, int)
                return await _sent(request, _head(entry, part), size, reader)
        except (DiskBusyError, TimeoutError, OSError) as error:
            if isinstance(error, ConnectionError):  # the client left
                raise
            raise _no_answer(error) from None

    def _shelf(self, number: str) -> Shelf:
        shelves = self._shelves()
        if not re.fullmatch(r"[0-9]{1,3}", number) or int(number) >= len(shelves):
            raise web.HTTPNotFound(text="No such sink stores anything here.\n")
        return shelves[int(number)]


async def _sent(
    request: web.Request, headers: dict[str, str], size: int, reader: DiskReader[int | bytes]
) -> web.StreamResponse:
    """Send a file in pieces; where the disk fails midway, the connection breaks, so the client sees that it is cut."""
    response = web.StreamResponse(headers=headers)
    response.content_length = size
    guard = guard_of(request.transport)
    await response.prepare(request)
    left = size
    while left:
        try:
            piece = await reader.next()
        except (TimeoutError, OSError):
            piece = None
        if not isinstance(piece, bytes):
            if guard is not None:
                guard.abort()
            break
        await response.write(piece[:left])
        left -= len(piece[:left])
        if guard is not None:
            await guard.drained()
    return response


def _head(entry: str, part: str) -> dict[str, str]:
    """Headers by which a browser keeps a file under its own name and does not show it. Both names were checked."""
    stem, suffix = PurePath(entry).stem, PurePath(part or entry).suffix
    name = f"quietcam_{entry if part else stem}{'_' if part else ''}{PurePath(part).stem}{suffix}"
    kind = _KINDS.get(suffix, "application/octet-stream")
    return {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}


def _json(values: object) -> web.Response:
    return web.json_response(values, dumps=dump_json)


def _no_answer(error: Exception) -> web.HTTPException:
    if isinstance(error, FileNotFoundError):
        return web.HTTPNotFound(text="No such file is stored here; the oldest ones make room for new ones.\n")
    busy = isinstance(error, DiskBusyError | TimeoutError)
    text = "The disk is busy, or hangs.\n" if busy else "The disk does not give its files.\n"
    return web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "5"})

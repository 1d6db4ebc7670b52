"""What the routes share: what a request says and carries, and an answer that takes its time to go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from edge.web.access import LONGEST_TOKEN
from edge.web.guard import guard_of

__all__ = ["body_of", "is_embedded_elsewhere", "send", "token_of"]

_BODY_SECONDS = 5.0
_SEND_SECONDS = 60.0
_PIECE = 1 << 18


def token_of(request: web.Request) -> str | None:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else request.query.get("token")
    return None if token is None else token[: LONGEST_TOKEN + 1]


def is_embedded_elsewhere(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("same-origin", "none") and request.headers.get("Sec-Fetch-Mode") != "navigate"


async def body_of(reading: Awaitable[Any]) -> Any:
    """A request's body, in time and small."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await reading
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The request did not come in time.\n") from None
    except (ValueError, LookupError):  # no text in the encoding that it names
        raise web.HTTPBadRequest(text="The request's body cannot be read.\n") from None


async def send(request: web.Request, content: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """An answer that the network has taken, piece by piece: whoever reads slowly has no copy of it wait for him."""
    response = web.StreamResponse(headers=headers)
    response.content_length = len(content)
    guard = guard_of(request.transport)
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            await response.prepare(request)
            for start in range(0, 0 if request.method == "HEAD" else len(content), _PIECE):
                await response.write(content[start : start + _PIECE])
                if guard is not None:
                    await guard.drained()
    except TimeoutError:
        if guard is not None:
            guard.abort()
    return response

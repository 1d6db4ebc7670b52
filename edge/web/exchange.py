"""Reads the token and the body of a request, and sends an answer in pieces."""

from __future__ import annotations

import asyncio

from aiohttp import web

from edge.web.access import LONGEST_TOKEN
from edge.web.attempts import Door
from edge.web.guard import guard_of

__all__ = ["LARGEST_BODY", "body_of", "is_embedded_elsewhere", "send", "token_of"]

LARGEST_BODY = 4096
"""Bytes. A token or a strength is far smaller."""

_BODY_SECONDS = 5.0
_SEND_SECONDS = 60.0
_PIECE = 1 << 18


def token_of(request: web.Request) -> tuple[str, Door] | None:
    """The token in the head of a request, and the door by which it came."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()[: LONGEST_TOKEN + 1], "header"
    token = request.query.get("token")
    return None if token is None else (token[: LONGEST_TOKEN + 1], "address")


def is_embedded_elsewhere(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("same-origin", "none") and request.headers.get("Sec-Fetch-Mode") != "navigate"


async def body_of(request: web.Request, kind: str) -> str:
    """A request's body, which must be text of the media type ``kind``, small, in time and not compressed.

    Raises:
        HTTPException: 400, 408, 413 or 415: the body breaks one of these rules.
    """
    if request.content_type != kind:
        raise web.HTTPUnsupportedMediaType(text=f"The body must be {kind}.\n")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise web.HTTPUnsupportedMediaType(text="The body must be UTF-8.\n")
    if (request.content_length or 0) > LARGEST_BODY:
        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, request.content_length or 0, text="The body is too large.\n")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPBadRequest(text="The request's body cannot be read: it must not be compressed.\n")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return (await request.read()).decode()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The request did not come in time.\n") from None
    except (web.RequestPayloadError, UnicodeDecodeError):  # invalid chunks, or not UTF-8
        raise web.HTTPBadRequest(text="The request's body cannot be read.\n") from None


async def send(request: web.Request, content: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Send an answer in pieces, each after the network took the one before: a slow reader needs no extra memory."""
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

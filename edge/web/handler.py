"""Handler: answers requests that aiohttp cannot read, with our headers and our words."""

from __future__ import annotations

from aiohttp import web

from edge.web.access import HEADERS

__all__ = ["Handler"]


class Handler(web.RequestHandler):
    """Answers a request that fails before any route or middleware sees it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)
        if status == 500:
            # The middleware handles errors of our code. This one came earlier: an Expect header that is not text.
            response.set_status(400)
        if isinstance(response, web.Response):
            response.content_type = "text/plain"
            response.text = "This request cannot be read.\n"
        response.headers.update(HEADERS)
        return response

"""Entrance: checks Host, Origin and token of every request before any route sees it, and serves the token form."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from edge.web.access import LONGEST_TOKEN, Access, host_allowed, origin_allowed
from edge.web.attempts import Attempts, Door
from edge.web.client import client_of
from edge.web.exchange import body_of, is_embedded_elsewhere, token_of
from edge.web.guard import guard_of

__all__ = ["Entrance", "Handler", "page_file"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_COOKIE_SECONDS = 90 * 24 * 3600
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 8
_FREE = frozenset({"/healthz", "/login", "/page.css", "/favicon.svg"})
"""Paths that need no token: health, for programs that monitor the device, and the parts of the token page."""


class Entrance:
    """``checks`` is a middleware, ``login`` the handler of the form.

    Args:
        names: host names that the server answers to, besides IP addresses.
    """

    def __init__(self, access: Access, names: frozenset[str], attempts: Attempts) -> None:
        self._access, self._names, self._attempts = access, names, attempts

    @property
    def checks(self) -> Any:
        @web.middleware
        async def checks(request: web.Request, handler: Handler) -> web.StreamResponse:
            host = request.headers.get("Host")
            if not host_allowed(host, self._names):
                raise web.HTTPMisdirectedRequest(
                    text="This server answers to IP addresses and to its own names. "
                    "Remedy: open it by its address, or start it as: quietcam run --host-name NAME\n"
                )
            changes = request.method not in ("GET", "HEAD")
            if changes and not origin_allowed(request.headers, host or ""):
                raise web.HTTPForbidden(text="Only this server's own page may change anything.\n")
            if is_embedded_elsewhere(request):
                raise web.HTTPForbidden(text="Other sites may not embed this page.\n")
            if self._access.is_open:
                return await handler(request)
            guard = guard_of(request.transport)
            if guard is not None:
                guard.keep(False)  # a proxy may send a stranger's request after the owner's
            if self._access.cookie_is_right(request.cookies.get(self._access.cookie_name)):
                self._let_in(request)
                return await handler(request)
            if request.path in _FREE:
                return await handler(request)
            return await self._by_token(request, handler)

        return checks

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Checks the token from the page's form, and sets the cookie."""
        if not self._access.is_open:
            self._check(_token_field(await body_of(request, _FORM)), "form", request)
        return self._with_cookie(_to_page())

    async def _by_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        token = token_of(request)
        if token is None:
            return _ask_for_token(request)
        try:
            self._check(*token, request)
        except web.HTTPTooManyRequests as refused:
            if not _shows_page(request):
                raise
            return _ask_for_token(request, 429, {"Retry-After": refused.headers["Retry-After"]})
        if "token" not in request.query:
            return await handler(request)
        if request.method == "GET" and request.path == "/":
            # The redirect removes the token from the address bar, the history and bookmarks.
            return self._with_cookie(_to_page())
        response = await handler(request)
        return response if response.prepared else self._with_cookie(response)

    def _let_in(self, request: web.Request, token: bool = False) -> None:
        guard = guard_of(request.transport)
        if guard is not None:
            guard.keep(True)
            guard.showed_token = token
        self._attempts.succeeded(client_of(request.remote))

    def _check(self, token: str, door: Door, request: web.Request) -> None:
        """Raises unless the token is right and its sender has a try left."""
        client, guard = client_of(request.remote), guard_of(request.transport)
        # A client that has shown the right token on this connection may continue, until it sends a wrong one.
        goes_on = guard is not None and guard.showed_token and door == "header"
        if guard is not None:
            guard.showed_token = False
        right = self._access.token_is_right(token)
        # A token that nobody can guess needs no limit, so no client has to wait because of others.
        free = goes_on or (right and self._access.is_beyond_guessing)
        wait = 0.0 if free else self._attempts.wait(client, door)
        if wait > 0:
            seconds = math.ceil(wait)
            raise web.HTTPTooManyRequests(
                text="Too many wrong tokens came this way, so no token is checked. "
                f"Remedy: wait {seconds} s, or send it another way: in the page's form, as Authorization, as ?token=. "
                "The page's cookie always works, and so does a token from: quietcam run --token auto\n",
                headers={"Retry-After": str(seconds)},
            )
        if not right:
            self._attempts.failed(client, door)
            raise web.HTTPUnauthorized(
                text="Wrong token. Go back and try again.\n", headers={"WWW-Authenticate": "Bearer"}
            )
        self._let_in(request, token=door == "header")

    def _with_cookie(self, response: web.StreamResponse) -> web.StreamResponse:
        # Lax: the first visit may follow a link in a chat or an email.
        response.set_cookie(
            self._access.cookie_name,
            self._access.cookie,
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return response


def page_file(name: str, kind: str) -> Handler:
    """A handler that answers with a file of the page."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=_content(name), headers={"Content-Type": f"{kind}; charset=utf-8"})

    return handler


@cache
def _content(name: str) -> bytes:
    return resources.files("edge.web").joinpath("page", name).read_bytes()


def _token_field(form: str) -> str:
    try:
        fields = parse_qs(form, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise web.HTTPBadRequest(text="The form must contain a token and nothing else.\n") from None
    return fields.get("token", [""])[0][: LONGEST_TOKEN + 1]


def _to_page() -> web.Response:
    return web.Response(status=303, headers={"Location": "/"})


def _shows_page(request: web.Request) -> bool:
    return request.path == "/" and "text/html" in request.headers.get("Accept", "")


def _ask_for_token(
    request: web.Request, status: int = 401, headers: Mapping[str, str] = MappingProxyType({})
) -> web.StreamResponse:
    if _shows_page(request):
        body, kind = _content("token.html"), "text/html"
    else:
        body, kind = b"A token is needed: as ?token=, as Authorization: Bearer, or in the page's form.\n", "text/plain"
    asking = {"Content-Type": f"{kind}; charset=utf-8", "WWW-Authenticate": "Bearer", **headers}
    return web.Response(status=status, body=body, headers=asking)

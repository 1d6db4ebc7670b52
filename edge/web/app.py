"""The server's routes: the page, the streams, snapshots, status, health, metrics, control."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol, cast

from aiohttp import web

from edge.treatment import Treatment
from edge.web.access import HEADERS, Access, Attempts, host_allowed, origin_allowed
from edge.web.encoding import VIEWS, Format, Key, View
from edge.web.exchange import body_of, is_embedded_elsewhere, send, token_of
from edge.web.guard import guard_of
from edge.web.hub import Hub
from edge.web.metrics import CONTENT_TYPE, Metrics
from edge.web.state import State
from quietcam.strict_json import dump_json, parse_json

__all__ = ["App", "Controls"]

_BOUNDARY = b"frame"
_FIRST_FRAME_SECONDS = 3.0  # that a snapshot waits for one
_SNAPSHOTS_AT_ONCE = 4  # each holds a picture in memory until its reader has it
_LARGEST_BODY = 4096
_COOKIE_SECONDS = 90 * 24 * 3600

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Controls(Protocol):
    """What the page may see and change of the run."""

    @property
    def strength(self) -> float | None:
        """0 to 1; None where it cannot be set."""

    def set_strength(self, strength: float) -> None:
        """Denoise that much from the next frame on."""

    def describe(self) -> dict[str, Any]:
        """What the report of the pipeline does not say: ``source`` and ``model``."""


@dataclass(frozen=True)
class App:
    """Everything that answers. ``application()`` is what aiohttp runs.

    Attributes:
        names: under which the server may be called, apart from IP addresses.
        viewers: how many streams there may be at once.
        say: one line for the log.
    """

    hub: Hub
    state: State
    controls: Controls
    access: Access
    names: frozenset[str]
    viewers: int
    say: Callable[[str], None]

    def application(self) -> web.Application:
        attempts = Attempts(time.monotonic)
        application = web.Application(middlewares=[self._outer, self._checks(attempts)], client_max_size=_LARGEST_BODY)
        application.on_response_prepare.append(_add_headers)
        snapshots = asyncio.Semaphore(_SNAPSHOTS_AT_ONCE)
        metrics = Metrics(self.status)

        async def snapshot(request: web.Request) -> web.StreamResponse:
            return await self._snapshot(request, snapshots)

        async def show_metrics(_: web.Request) -> web.StreamResponse:
            return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

        for path, name, kind in _FILES:
            application.router.add_get(path, _file(name, kind))
        application.router.add_get("/stream.mjpg", self._stream, allow_head=False)
        application.router.add_get("/snapshot.jpg", snapshot)
        application.router.add_get("/snapshot.png", snapshot)
        application.router.add_get("/status.json", self._status)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/metrics", show_metrics)
        application.router.add_post("/control", self._control)
        application.router.add_post("/login", self._login(attempts))
        return application

    def status(self) -> dict[str, Any]:
        """What the page shows, as JSON values."""
        verdict, report = self.state.verdict(), self.state.report
        return {
            **self.controls.describe(),
            **report,
            "live": verdict.ok,
            "degraded": verdict["state"] == "degraded",
            "health": verdict,
            "now": time.time(),
            "fps": report.get("fps_now", 0.0) if verdict.ok else 0.0,
            "strength": self.controls.strength,
            "viewers": self.hub.watching,
            "viewers_most": self.viewers,
            "encoded": self.hub.encoded,
        }

    @property
    def _outer(self) -> Any:
        @web.middleware
        async def outer(request: web.Request, handler: _Handler) -> web.StreamResponse:
            """Tells the connection's guard that there is work, and turns what nobody foresaw into a plain 500."""
            guard = guard_of(request.transport)
            if guard is not None:
                guard.work()
            try:
                return await handler(request)
            except (web.HTTPException, ConnectionError, asyncio.CancelledError):
                raise
            except Exception as error:  # noqa: BLE001  the page must go on, and the log say what happened
                self.say(f"The page met an unexpected {type(error).__name__}: {error}")
                return web.Response(status=500, text="Something went wrong here; the log says what.\n")
            finally:
                if guard is not None:
                    guard.rest()

        return outer

    def _checks(self, attempts: Attempts) -> Any:
        @web.middleware
        async def checks(request: web.Request, handler: _Handler) -> web.StreamResponse:
            host = request.headers.get("Host")
            if not host_allowed(host, self.names):
                raise web.HTTPMisdirectedRequest(
                    text="This server answers to IP addresses and to its own names. "
                    "Remedy: open it by its address, or start it with --host-name NAME.\n"
                )
            changes = request.method not in ("GET", "HEAD")
            if changes and not origin_allowed(request.headers, host or ""):
                raise web.HTTPForbidden(text="Only this server's own page may change anything.\n")
            if is_embedded_elsewhere(request):
                raise web.HTTPForbidden(text="Other sites may not embed this.\n")
            if self.access.is_open or request.path in _FREE:
                return await handler(request)
            if self.access.cookie_is_right(request.cookies.get(self.access.cookie_name)):
                return await handler(request)
            token = token_of(request)
            if token is None:
                return _ask_for_token(request)
            self._check_token(token, request, attempts)
            if "token" in request.query and request.method == "GET" and request.path == "/":
                # Gone from the address bar, the history and what is bookmarked.
                return self._with_cookie(web.Response(status=303, headers={"Location": "/"}))
            response = await handler(request)
            if "token" in request.query and not response.prepared:
                self._with_cookie(response)
            return response

        return checks

    def _check_token(self, token: str, request: web.Request, attempts: Attempts) -> None:
        """Raises unless the token is right and its sender may try."""
        address = request.remote or ""
        wait = attempts.wait(address)
        if wait > 0:
            raise web.HTTPTooManyRequests(
                text="Too many wrong tokens. Wait a minute.\n", headers={"Retry-After": str(math.ceil(wait))}
            )
        if not self.access.token_is_right(token):
            if attempts.failed(address):
                self.say(f"Too many wrong tokens from {address}: it must wait a minute.")
            raise web.HTTPUnauthorized(
                text="Wrong token. Go back and try again.\n", headers={"WWW-Authenticate": "Bearer"}
            )

    def _with_cookie(self, response: web.StreamResponse) -> web.StreamResponse:
        # Lax: the first visit may come by a link from a chat or a mail.
        response.set_cookie(
            self.access.cookie_name,
            self.access.cookie,
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return response

    def _login(self, attempts: Attempts) -> _Handler:
        async def login(request: web.Request) -> web.StreamResponse:
            if not self.access.is_open:
                fields = await body_of(request.post())
                token = fields.get("token")
                self._check_token(token if isinstance(token, str) else "", request, attempts)
            return self._with_cookie(web.Response(status=303, headers={"Location": "/"}))

        return login

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        key = Key(_view(request), "jpeg")
        if self.hub.watching >= self.viewers:
            raise web.HTTPServiceUnavailable(
                text=f"At most {self.viewers} can watch at once. Wait until somebody leaves.\n",
                headers={"Retry-After": "5"},
            )
        with self.hub.watch(key) as viewer:
            response = web.StreamResponse(
                headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"}
            )
            response.force_close()
            guard = guard_of(request.transport)
            await response.prepare(request)
            # The boundary follows each frame at once: browsers show a part when they see its end.
            await response.write(b"--" + _BOUNDARY + b"\r\n")
            while True:
                encoded = await viewer.next()
                age = max(0.0, time.monotonic() - encoded.taken)
                head = (
                    f"Content-Type: image/jpeg\r\nContent-Length: {len(encoded.content)}\r\n"
                    f"X-Frame: {encoded.frame}\r\nX-Age: {age:.4f}\r\n"
                    + "".join(f"{name}: {value}\r\n" for name, value in _work(encoded.treatment).items())
                    + "\r\n"
                )
                await response.write(b"".join((head.encode(), encoded.content, b"\r\n--", _BOUNDARY, b"\r\n")))
                if guard is not None:
                    await guard.drained()

    async def _snapshot(self, request: web.Request, places: asyncio.Semaphore) -> web.StreamResponse:
        kind: Format = "png" if request.path.endswith(".png") else "jpeg"
        view = _view(request, "both" if kind == "png" else "denoised")
        if places.locked():
            raise web.HTTPServiceUnavailable(text="Too many snapshots at once.\n", headers={"Retry-After": "1"})
        async with places:
            with self.hub.watch(Key(view, kind), brief=True) as viewer:
                try:
                    async with asyncio.timeout(_FIRST_FRAME_SECONDS):
                        encoded = await viewer.next()
                except TimeoutError:
                    verdict = self.state.verdict()
                    raise web.HTTPServiceUnavailable(text=f"No live video: {verdict['reason']}.\n") from None
            headers = {"Content-Type": f"image/{kind}", "X-Frame": str(encoded.frame), **_work(encoded.treatment)}
            if "download" in request.query:
                stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
                suffix = "png" if kind == "png" else "jpg"
                share = "" if view == "noisy" or encoded.treatment is None else f"_{encoded.treatment.percent}percent"
                headers["Content-Disposition"] = f'attachment; filename="quietcam_{stamp}_{view}{share}.{suffix}"'
            return await send(request, encoded.content, headers)

    async def _status(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.status(), dumps=_dumps)

    async def _healthz(self, _: web.Request) -> web.StreamResponse:
        verdict = self.state.verdict()
        return web.json_response(verdict, status=200 if verdict.ok else 503, dumps=_dumps)

    async def _control(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="A change must be application/json.\n")
        try:
            values = parse_json(await body_of(request.text()))
        except ValueError:
            raise web.HTTPBadRequest(text="A change must be JSON.\n") from None
        strength = values.get("strength") if isinstance(values, dict) and set(values) == {"strength"} else None
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        if not number or not 0.0 <= cast(float, strength) <= 1.0:
            raise web.HTTPBadRequest(text='A change must be like {"strength": 0.5}, from 0 to 1.\n')
        if self.controls.strength is None:
            raise web.HTTPConflict(text="The strength cannot be set here.\n")
        self.controls.set_strength(float(cast(float, strength)))
        return web.json_response({"strength": self.controls.strength}, dumps=_dumps)


_FILES = (
    ("/", "index.html", "text/html"),
    ("/page.js", "page.js", "text/javascript"),
    ("/page.css", "page.css", "text/css"),
    ("/favicon.svg", "favicon.svg", "image/svg+xml"),
)
_FREE = frozenset({"/healthz", "/login", "/page.css", "/favicon.svg"})
"""Needs no token: health for whatever watches over the device, and what the page that asks for the token needs."""


def _file(name: str, kind: str) -> _Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=_content(name), headers={"Content-Type": f"{kind}; charset=utf-8"})

    return handler


@cache
def _content(name: str) -> bytes:
    return resources.files("edge.web").joinpath("page", name).read_bytes()


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _ask_for_token(request: web.Request) -> web.StreamResponse:
    if request.path == "/" and "text/html" in request.headers.get("Accept", ""):
        body, kind = _content("token.html"), "text/html"
    else:
        body, kind = b"A token is needed: as ?token=, as Authorization: Bearer, or in the page's form.\n", "text/plain"
    headers = {"Content-Type": f"{kind}; charset=utf-8", "WWW-Authenticate": "Bearer"}
    return web.Response(status=401, body=body, headers=headers)


def _work(treatment: Treatment | None) -> dict[str, str]:
    """What was done to a frame, as headers."""
    if treatment is None:
        return {}
    return {"X-Share": f"{treatment.share:.3f}", "X-Work": treatment.words}


def _view(request: web.Request, default: View = "denoised") -> View:
    view = request.query.get("view", default)
    if view not in VIEWS:
        raise web.HTTPBadRequest(text=f"A view is {', '.join(VIEWS)}.\n")
    return view


def _dumps(values: object) -> str:
    return dump_json(values, other=str)

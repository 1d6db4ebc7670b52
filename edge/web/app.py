"""The server's routes: page, streams, snapshots, status, health, metrics and controls."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiohttp import web

from edge.network.treatment import Treatment
from edge.web.access import HEADERS, Access
from edge.web.attempts import Attempts
from edge.web.encoding import VIEWS, Format, Key, View
from edge.web.entrance import Entrance, Handler, page_file
from edge.web.exchange import LARGEST_BODY, body_of, send
from edge.web.guard import guard_of
from edge.web.hub import Hub
from edge.web.metrics import CONTENT_TYPE, Metrics
from edge.web.panels.clip import MOST_SECONDS, ClipBusyError, Clips, NoFramesError
from edge.web.panels.curves import Curves
from edge.web.panels.stored import StoredFiles
from edge.web.places import Places
from edge.web.state import State
from quietcam.errors import DeviceError, MissingExtraError, one_line
from quietcam.files.strict_json import dump_json, parse_json
from quietcam.terminal.secrets import shown, shown_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.sinks.spool.shelf import Shelf

__all__ = ["App", "Controls"]

_BOUNDARY = b"frame"
_FIRST_FRAME_SECONDS = 3.0  # longest wait of a snapshot for the first frame
_SNAPSHOTS_AT_ONCE = 4  # each holds a picture in memory until its reader has it
_CLIP_SECONDS = "5"
_OTHER_CLIP = "Another recording is being made; it takes some seconds.\n"
_DOWNLOADS_AT_ONCE = 4  # each reads from a disk that sinks write to


class Controls(Protocol):
    """The part of a run that the page may see and change."""

    @property
    def strength(self) -> float | None:
        """0 to 1; None if it cannot be set."""

    @property
    def shelves(self) -> Sequence[Shelf]:
        """What the sinks have stored."""

    def set_strength(self, strength: float) -> None:
        """Denoise with ``strength``, 0 to 1, from the next frame on."""

    @property
    def models(self) -> Sequence[str]:
        """Names of the models that may be chosen; empty if none can be."""

    @property
    def loading(self) -> bool:
        """Whether a model was chosen that is neither in use nor refused yet."""

    def set_model(self, name: str) -> None:
        """Use this one of ``models`` soon. One that fails is refused: the report's ``reload`` says why."""

    def describe(self) -> dict[str, Any]:
        """``source``, ``model``, ``device_id`` and ``version``, which the pipeline's report does not contain."""


@dataclass(frozen=True)
class App:
    """Answers all requests. ``application()`` makes the application that aiohttp runs.

    Attributes:
        names: host names that the server answers to, besides IP addresses.
        viewers: most streams at the same time.
        warn: logs one line.
        warn_of_guesses: logs one line about wrong tokens, under a separate limit of lines.
        curves: what was measured in the last hour.
        clips: makes short recordings.
    """

    hub: Hub
    state: State
    controls: Controls
    access: Access
    names: frozenset[str]
    viewers: int
    warn: Callable[[str], None]
    warn_of_guesses: Callable[[str], None]
    curves: Curves = field(default_factory=Curves)
    clips: Clips = field(default_factory=Clips)

    def application(self) -> web.Application:
        entrance = Entrance(self.access, self.names, Attempts(time.monotonic, self.warn_of_guesses))
        application = web.Application(middlewares=[self._outer, entrance.checks], client_max_size=LARGEST_BODY)
        application.on_response_prepare.append(_add_headers)
        streams, snapshots = Places(self.viewers), Places(_SNAPSHOTS_AT_ONCE)
        recordings = Places(1)
        downloads, stored = Places(_DOWNLOADS_AT_ONCE), StoredFiles(lambda: self.controls.shelves)
        metrics = Metrics(self.status)

        async def stream(request: web.Request) -> web.StreamResponse:
            busy = f"At most {self.viewers} can watch at the same time. Wait until somebody leaves.\n"
            with self._place(request, streams, busy, "5"):
                return await self._stream(request)

        async def snapshot(request: web.Request) -> web.StreamResponse:
            with self._place(request, snapshots, "Too many snapshots at once.\n", "1"):
                return await self._snapshot(request)

        async def clip(request: web.Request) -> web.StreamResponse:
            with self._place(request, recordings, _OTHER_CLIP, "5"):
                return await self._clip(request)

        async def download(request: web.Request) -> web.StreamResponse:
            with self._place(request, downloads, "Too many downloads at once.\n", "5"):
                return await stored.download(request)

        async def show_metrics(_: web.Request) -> web.StreamResponse:
            return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

        for path, name, kind in _FILES:
            application.router.add_get(path, page_file(name, kind))
        application.router.add_get("/stream.mjpg", stream, allow_head=False)
        application.router.add_get("/snapshot.jpg", snapshot)
        application.router.add_get("/snapshot.png", snapshot)
        application.router.add_get("/clip.mp4", clip, allow_head=False)
        application.router.add_get("/stored.json", stored.listing)
        for path in ("/stored/{sink}/{entry}", "/stored/{sink}/{entry}/{part}"):
            application.router.add_get(path, download, allow_head=False)
        application.router.add_get("/curves.json", self._curves)
        application.router.add_get("/status.json", self._status)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/metrics", show_metrics)
        application.router.add_post("/control", self._control)
        application.router.add_post("/login", entrance.login)
        return application

    def status(self) -> dict[str, Any]:
        """The values that the page shows, for JSON."""
        verdict, report = self.state.verdict(), self.state.report
        told: dict[str, Any] = {
            **self.controls.describe(),
            **report,
            "live": verdict.ok,
            "degraded": verdict["state"] == "degraded",
            "health": verdict,
            "now": time.time(),
            "fps": report.get("fps_now", 0.0) if verdict.ok else 0.0,
            "strength": self.controls.strength,
            "models": list(self.controls.models),
            "loading": self.controls.loading,
            "viewers": self.hub.watching,
            "viewers_most": self.viewers,
            "encoded": self.hub.encoded,
        }
        return {key: shown_values(value) for key, value in told.items()}

    @property
    def _outer(self) -> Any:
        @web.middleware
        async def outer(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Tells the connection's guard that it has a request, and answers an unexpected error with a plain 500."""
            guard = guard_of(request.transport)
            if guard is not None:
                guard.work()
            try:
                return await handler(request)
            except (web.HTTPException, ConnectionError, asyncio.CancelledError):
                raise
            except Exception as error:  # noqa: BLE001  the page must continue, and the log must name the error
                self.warn(f"The page had an unexpected {type(error).__name__}: {error}")
                return web.Response(status=500, text="Something went wrong here; the log says what.\n")
            finally:
                if guard is not None:
                    guard.rest()

        return outer

    @contextlib.contextmanager
    def _place(self, request: web.Request, places: Places, busy: str, retry_after: str) -> Iterator[None]:
        """Holds one of ``places`` while the request is answered; no other client gets its connection meanwhile."""
        guard = guard_of(request.transport)
        if guard is None:
            raise ConnectionResetError
        place = places.ask(guard.client, guard.abort)
        if place is None:
            raise web.HTTPServiceUnavailable(text=busy, headers={"Retry-After": retry_after})
        guard.keep(True)
        try:
            yield
        finally:
            places.free(place)
            guard.keep(not self.access.is_open)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        key = Key(_view(request), "jpeg")
        with self.hub.watch(key) as viewer:
            response = web.StreamResponse(
                headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"}
            )
            response.force_close()
            guard = guard_of(request.transport)
            await response.prepare(request)
            # The boundary follows each frame immediately: browsers show a part when they see its end.
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

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        kind: Format = "png" if request.path.endswith(".png") else "jpeg"
        view = _view(request, "both" if kind == "png" else "denoised")
        with self.hub.watch(Key(view, kind), brief=True) as viewer:
            try:
                async with asyncio.timeout(_FIRST_FRAME_SECONDS):
                    encoded = await viewer.next()
            except TimeoutError:
                raise self._no_live_video() from None
        headers = {"Content-Type": f"image/{kind}", "X-Frame": str(encoded.frame), **_work(encoded.treatment)}
        if "download" in request.query:
            stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
            suffix = "png" if kind == "png" else "jpg"
            share = "" if view == "noisy" or encoded.treatment is None else f"_{encoded.treatment.percent}percent"
            headers["Content-Disposition"] = f'attachment; filename="quietcam_{stamp}_{view}{share}.{suffix}"'
        return await send(request, encoded.content, headers)

    async def _clip(self, request: web.Request) -> web.StreamResponse:
        asked = request.query.get("seconds", _CLIP_SECONDS)
        if not re.fullmatch(r"[0-9]{1,2}", asked) or not 1 <= int(asked) <= MOST_SECONDS:
            raise web.HTTPBadRequest(text=f"A recording takes 1 to {MOST_SECONDS:.0f} seconds.\n")
        try:
            content = await self.clips.make(int(asked))
        except MissingExtraError as error:
            raise web.HTTPNotImplemented(text=f"{one_line(error)}\n") from None
        except ClipBusyError:
            raise web.HTTPServiceUnavailable(text=_OTHER_CLIP, headers={"Retry-After": "5"}) from None
        except NoFramesError:
            raise self._no_live_video() from None
        except DeviceError as error:
            raise web.HTTPServiceUnavailable(text=f"{one_line(error)}\n") from None
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        named = f'attachment; filename="quietcam_{stamp}_before_after.mp4"'
        return await send(request, content, {"Content-Type": "video/mp4", "Content-Disposition": named})

    def _no_live_video(self) -> web.HTTPServiceUnavailable:
        return web.HTTPServiceUnavailable(text=f"No live video: {shown(self.state.verdict()['reason'])}.\n")

    async def _status(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.status(), dumps=_dumps)

    async def _curves(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.curves.report(), dumps=_dumps)

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        verdict = self.state.verdict()
        # Service managers restart what fails, which cools no device. So degraded fails on demand only.
        fails = not verdict.ok or (verdict["state"] == "degraded" and "strict" in request.query)
        return web.json_response(shown_values(verdict), status=503 if fails else 200, dumps=_dumps)

    async def _control(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request, "application/json")
        try:
            values = parse_json(body)
        except ValueError:
            raise web.HTTPBadRequest(text="A change must be JSON.\n") from None
        if isinstance(values, dict) and set(values) == {"model"}:
            return self._choose(values["model"])
        strength = values.get("strength") if isinstance(values, dict) and set(values) == {"strength"} else None
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        if not number or not 0.0 <= cast(float, strength) <= 1.0:
            text = 'A change must be like {"strength": 0.5}, from 0 to 1, or {"model": "NAME"}.\n'
            raise web.HTTPBadRequest(text=text)
        if self.controls.strength is None:
            raise web.HTTPConflict(text="The strength cannot be set here.\n")
        self.controls.set_strength(float(cast(float, strength)))
        return web.json_response({"strength": self.controls.strength}, dumps=_dumps)

    def _choose(self, model: object) -> web.StreamResponse:
        names = self.controls.models
        if not names:
            raise web.HTTPConflict(text="The model cannot be changed here.\n")
        if not isinstance(model, str) or model not in names:
            raise web.HTTPBadRequest(text=f"A model is one of {', '.join(map(shown, names))}.\n")
        self.controls.set_model(model)
        return web.json_response({"model": model}, status=202, dumps=_dumps)


_FILES = (
    ("/", "index.html", "text/html"),
    ("/page.js", "page.js", "text/javascript"),
    ("/stored.js", "stored.js", "text/javascript"),
    ("/curves.js", "curves.js", "text/javascript"),
    ("/clip.js", "clip.js", "text/javascript"),
    ("/page.css", "page.css", "text/css"),
    ("/favicon.svg", "favicon.svg", "image/svg+xml"),
)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _work(treatment: Treatment | None) -> dict[str, str]:
    """The treatment of a frame, as headers."""
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

"""A real browser for tests: headless Chromium, driven through its debugging pipe (the DevTools protocol, no driver).

Every test can have it as the fixture ``browser``::

    def test_a_page(browser, tmp_path):
        page = browser.open("http://localhost:8080/", width=390, height=844, mobile=True)
        page.wait("document.querySelector('img').naturalWidth > 0")
        page.drag(20, 100, 200, 100)
        assert page.evaluate("document.title") == "camera"
        assert page.problems == []
        page.screenshot(tmp_path / "page.png")
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import WAIT

__all__ = ["Browser", "Page", "browser"]

INSTALL = "needs a browser: apt-get install chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    # Chromium refuses its sandbox to root, and calls home at every start unless it is told not to.
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)
# Chromium reads commands from descriptor 3 and writes answers to 4, whatever numbers the pipes have here.
_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for the whole run; skips, with the command that installs it, if there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(INSTALL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(found, profile) as started:
        yield started


class Browser:
    """A running Chromium. ``open`` gives a page; the page that was open before is closed."""

    def __init__(self, program: str, profile: str) -> None:
        theirs_in, ours_out = _high_pipe()
        ours_in, theirs_out = _high_pipe()
        words = [sys.executable, "-c", _START, theirs_in, theirs_out, program, *_FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [str(word) for word in words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = ours_out, ours_in
        self._buffer = b""
        self._last = 0
        self._page: Page | None = None

    def open(
        self,
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        mobile: bool = False,
        until: str = "document.readyState === 'complete'",
    ) -> Page:
        """Load ``url`` in a window of ``width`` x ``height`` CSS pixels and wait until the expression ``until`` holds.

        A page with a picture that never ends, such as a live view, is never ``complete``.
        """
        if self._page is not None:
            self.send("Target.closeTarget", targetId=self._page.target)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._page = page = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        page.resize(width, height, mobile=mobile)
        page.send("Page.navigate", url=url)
        page.wait(f"location.href !== 'about:blank' && {until}")
        return page

    def send(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Send one command of the protocol; returns its answer. Errors of the page go to ``Page.problems``."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        end = time.monotonic() + WAIT
        while True:
            answer = self._read(end)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer.get("result", {})
            if self._page is not None and answer.get("sessionId") == self._page.session:
                self._page.hear(answer.get("method", ""), answer.get("params", {}))

    def _read(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._in, 1 << 20) if ready else b""
            if not chunk:
                raise RuntimeError(f"The browser gave no answer (it ended with {self._process.poll()})")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(RuntimeError, OSError):
            self.send("Browser.close")
        try:
            self._process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Page:
    """A page in the browser.

    Attributes:
        problems: warnings and errors on the console, uncaught exceptions, failed requests.
        requests: every address that was asked for, ``data:`` left out.
    """

    def __init__(self, owner: Browser, target: str, session: str) -> None:
        self._owner = owner
        self.target = target
        self.session = session
        self.problems: list[str] = []
        self.requests: list[str] = []

    def send(self, method: str, **params: Any) -> Any:
        """Any command of the protocol: https://chromedevtools.github.io/devtools-protocol/"""
        return self._owner.send(method, self.session, **params)

    def resize(self, width: int, height: int, *, mobile: bool = False, scale: float = 1) -> None:
        """Resize the window; ``mobile`` lays pages out as a phone does, ``scale`` is that of a dense screen."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON; waits for a promise."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = WAIT) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"Not within {seconds:g} s: {expression}")
            time.sleep(0.05)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button at a place in CSS pixels of the window."""
        self.drag(x, y, x, y)

    def drag(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Press the left button at the first place and release it at the second."""
        for kind, x, y in (("mousePressed", x0, y0), ("mouseMoved", x1, y1), ("mouseReleased", x1, y1)):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def press(self, key: str) -> None:
        """One key, by its name: ArrowRight, Tab, Enter."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Enter": 13}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes.get(key, 0),
                **(text if kind == "keyDown" else {}),
            )

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the ``whole`` page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))

    def hear(self, method: str, params: dict[str, Any]) -> None:
        """Take note of an event."""
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            said = " ".join(str(each.get("value", each.get("description", ""))) for each in params["args"])
            self.problems.append(f"console.{params['type']}: {said}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.problems.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}".rstrip())
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith("data:"):
            self.requests.append(params["request"]["url"])
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self.problems.append(f"request failed: {params.get('errorText')}")

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}


def _high_pipe() -> tuple[int, int]:
    """A pipe whose descriptors are above those that Chromium uses."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]

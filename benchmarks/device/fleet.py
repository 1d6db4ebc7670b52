"""A static server on this machine, and 1,000 devices that ask it for updates within the same minute.

    python -m benchmarks.device.fleet [--devices 1000] [--seconds 60] [--share 10]

Each device is a client of its own (`edge.update.fetch.ReleaseClient`, over python-tuf's), with its own folder, and asks
at a moment of its own within these seconds. Four rounds, one after another:

- new: none has ever asked. Each takes the first bundle.
- unchanged: nothing has changed since.
- signed again: the timestamp was signed again, as every few days, and says the same.
- share: a second bundle is offered to a share of the devices. All learn of it, and that share fetches it.

The server is Python's, with one thread for each connection, and counts all bytes that it reads and writes: requests,
heads and bodies. Exit code 3 when an unchanged device needs more than one request or 2 KB, or when a device fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.records import RESULTS, commit, machine, write_rows
from deploy.release.bundle import BundlePlan, make_bundle
from deploy.release.keys import KeyFolder
from deploy.release.offers import Audience, add_bundle, offer
from deploy.release.publish import init, publish
from edge.models import resolve_model
from edge.update.channel import Device, Offer
from edge.update.fetch import ReleaseClient

MODEL = "nano"
MOST_BYTES = 2000
"""What an unchanged device may cost, heads of HTTP included."""

_PROCESSES = 2
_THREADS = 100  # devices of one process that may be at work at once


@dataclass(frozen=True)
class Traffic:
    """What passed between devices and the server: files that were asked for, and bytes, heads included."""

    requests: int = 0
    received: int = 0
    sent: int = 0


class Server:
    """A static server of ``folder`` on this machine, which counts."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._total = Traffic()
        ours = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *words: Any) -> None:
                super().__init__(*words, directory=str(folder))

            def setup(self) -> None:
                super().setup()
                self.rfile = _Counted(self.rfile, ours._read)  # type: ignore[assignment]
                self.wfile = _Counted(self.wfile, ours._wrote)  # type: ignore[assignment]

            def log_request(self, *_: object) -> None:
                ours._count(requests=1)

            def log_message(self, *_: object) -> None:
                pass

        class Listening(ThreadingHTTPServer):
            request_queue_size = 1024  # devices that arrive in the same instant

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self) -> Traffic:
        """What has passed since the last call."""
        with self._lock:
            total, self._total = self._total, Traffic()
        return total

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _count(self, requests: int = 0, received: int = 0, sent: int = 0) -> None:
        with self._lock:
            before = self._total
            self._total = Traffic(before.requests + requests, before.received + received, before.sent + sent)

    def _read(self, count: int) -> None:
        self._count(received=count)

    def _wrote(self, count: int) -> None:
        self._count(sent=count)


class _Counted:
    """A stream of a handler, of which each read and write is counted."""

    def __init__(self, stream: Any, count: Callable[[int], None]) -> None:
        self._stream, self._add = stream, count

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        self._add(len(line))
        return line

    def write(self, content: bytes) -> int:
        self._add(len(content))
        self._stream.write(content)
        return len(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@dataclass(frozen=True)
class Asked:
    """How one device fared: seconds after the round's start at which it had its answer, how long that took, the bundle
    that it took, and what went wrong.
    """

    done: float
    took: float
    bundle: str | None
    error: str = ""


def ask(url: str, root: Path, folder: Path, start: float, plan: Sequence[tuple[int, float, str | None]]) -> list[Asked]:
    """Some of the devices, in this process: their numbers, when each asks, and what it runs."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda each: _ask(url, root, folder, start, *each), plan))


def _ask(url: str, root: Path, folder: Path, start: float, number: int, at: float, present: str | None) -> Asked:
    time.sleep(max(0.0, start + at - time.time()))
    began = time.time()
    try:
        client = ReleaseClient(url, root, folder / str(number), Device(f"{number:012x}"))
        archive = client.check(present).archive
        if archive is not None:
            client.fetch(archive).unlink()
    except Exception as error:  # noqa: BLE001  one device that fails must not hide the others
        return Asked(time.time() - start, time.time() - began, None, f"{type(error).__name__}: {error}")
    return Asked(time.time() - start, time.time() - began, None if archive is None else archive.bundle)


class Fleet:
    """Devices that ask at moments of their own within ``seconds``."""

    def __init__(self, count: int, seconds: float, server: Server, root: Path, folder: Path) -> None:
        self._seconds, self._server, self._root, self._folder = seconds, server, root, folder
        self.present: list[str | None] = [None] * count
        self._random = Random(0)

    def round(self, name: str, pool: ProcessPoolExecutor) -> dict[str, object]:
        """Let each device ask once; what that took."""
        self._server.take()
        count = len(self.present)
        plan = [(number, self._random.uniform(0, self._seconds), self.present[number]) for number in range(count)]
        plan.sort(key=lambda each: each[1])  # a thread of the pool takes the next one that is due
        start = time.time() + 1.0
        work = partial(ask, self._server.url, self._root, self._folder, start)
        shares = [plan[each::_PROCESSES] for each in range(_PROCESSES)]
        found = list(pool.map(work, shares))
        answers = {
            each[0]: answer
            for share, part in zip(shares, found, strict=True)
            for each, answer in zip(share, part, strict=True)
        }
        for number, answer in answers.items():
            self.present[number] = answer.bundle or self.present[number]
        traffic = self._server.take()
        took = sorted(answer.took for answer in answers.values())
        failed = [answer.error for answer in answers.values() if answer.error]
        if failed:
            print(f"{len(failed)} devices failed: {failed[0]}", file=sys.stderr)
        return {
            "round": name,
            "devices": count,
            "fetched_bundle": sum(answer.bundle is not None for answer in answers.values()),
            "failed": len(failed),
            "requests": traffic.requests,
            "bytes_received": traffic.received,
            "bytes_sent": traffic.sent,
            "seconds": round(max(answer.done for answer in answers.values()), 1),
            "median_ms": round(1000 * took[len(took) // 2]),
            "p99_ms": round(1000 * took[len(took) * 99 // 100]),
        }


class Publisher:
    """A release in ``folder/release``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._keys = folder, KeyFolder(folder / "keys")
        self._repository = init(folder / "release", self._keys, {}, _now())
        self.root = folder / "release/metadata/1.root.json"

    def offer(self, version: str, share: float) -> int:
        """Publish a new bundle for a share of the devices, in percent; bytes of its archive."""
        archive = self._folder / f"fleet-{version}.tar"
        make_bundle(BundlePlan("fleet", version, [resolve_model(MODEL)]), archive)
        bundle = add_bundle(self._repository, self._keys, archive, _now())
        offer(self._repository, self._keys, Audience(), Offer(bundle, share=share), _now())
        self.publish()
        return archive.stat().st_size

    def publish(self) -> None:
        publish(self._repository, self._keys, _now())


def main() -> int:
    """Run the rounds, print and write what they cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=10.0, help="percent of the devices that get the second bundle")
    parser.add_argument("--csv", type=Path, default=RESULTS / "fleet.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quietcam-fleet-") as place:
        folder = Path(place)
        publisher = Publisher(folder)
        size = publisher.offer("1", 100)
        print(
            f"{machine()}, {commit()}: {options.devices} devices within {options.seconds:g} s, a bundle of {size} bytes"
        )
        server = Server(folder / "release")
        fleet = Fleet(options.devices, options.seconds, server, publisher.root, folder / "devices")
        rows = []
        with ProcessPoolExecutor(_PROCESSES) as pool:
            for name in ("new", "unchanged", "signed again", "share"):
                if name == "signed again":
                    publisher.publish()
                elif name == "share":
                    publisher.offer("2", options.share)
                rows.append(fleet.round(name, pool))
                print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
        server.close()
    write_rows(
        options.csv,
        [{"commit": commit(), "machine": machine(), **row} for row in rows],
        ["commit", "machine", *rows[0]],
    )
    return 0 if is_good(rows) else 3


def is_good(rows: Sequence[dict[str, Any]]) -> bool:
    """No device fails, and an unchanged one needs one request of under 2 KB."""
    unchanged = next(row for row in rows if row["round"] == "unchanged")
    cost = (unchanged["bytes_received"] + unchanged["bytes_sent"]) / unchanged["devices"]
    print(f"an unchanged device: {unchanged['requests'] / unchanged['devices']:g} requests, {cost:.0f} bytes")
    return (
        all(row["failed"] == 0 for row in rows) and unchanged["requests"] == unchanged["devices"] and cost < MOST_BYTES
    )


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())

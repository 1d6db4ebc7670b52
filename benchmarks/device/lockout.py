"""Tests whether strangers can shut the owner out of the page: how often and how soon the owner is served under attack.

    python -m benchmarks.device.lockout [--seconds 20] [ATTACK ...]

The page is served with a token on 127.0.0.1. The strangers are another process with addresses 127.1.x.y, all of which
count as this machine's, so the rule that serves loopback first helps nobody here. The owner asks four times a second,
each time on a new connection:

- cookie: a browser that has the cookie
- browser: the same, with six connections at the same time for a page
- program: ``Authorization: Bearer``, from an address that showed the right token before the attack
- newcomer: the same, from an address that was never seen
- form: the login form, from the browser's address
- same: ``Authorization: Bearer`` from an address that strangers use too, as behind one router or proxy

Without a token everybody is a stranger, and the owner asks from an address that no attacker uses:

- page, snapshot, watch: ``/status.json``, ``/snapshot.jpg``, the head of ``/stream.mjpg``

"served" counts correct answers, "worst" is the slowest of them in ms. Exit code 3 when any way but "same" was refused
once or had to wait for more than a second. In "same" the owner looks like the strangers, unless ``--token auto``
made the token.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from benchmarks.records import ROOT
from edge.sinks.web import WebOptions
from edge.web.access import Access
from tests.edge.web.served_page import served_page

TOKEN = "correct horse battery"
FORM = "application/x-www-form-urlencoded"
BODY = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\ntoken="
HEAD = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
READ = "GET /page.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 60
GUESS = "GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer guess{}\r\n\r\n"
PICTURE = "GET /snapshot.png HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
STREAM = "GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

HELD_SECONDS = 4.6  # after these a stranger replaces a connection with a new one, before the server ends it
MAY_BE_REFUSED = ("same",)
WORST_MS = 1000


@dataclass(frozen=True)
class Attack:
    """``request`` on up to ``keep`` connections from ``sources`` addresses, ``rate`` new ones a second."""

    request: str
    keep: int
    rate: float
    sources: int = 1
    token: bool = True


ATTACKS = {
    "none": Attack("", 0, 1),
    "guesses 50/s, 1 address": Attack(GUESS, 16, 50),
    "guesses 50/s, 200 addresses": Attack(GUESS, 16, 50, 200),
    "slow bodies 64, 15/s": Attack(BODY, 64, 15),
    "slow bodies 64, 100/s": Attack(BODY, 64, 100),
    "slow bodies 256, 15/s": Attack(BODY, 256, 15),
    "slow bodies 256, 100/s": Attack(BODY, 256, 100),
    "slow bodies 256, 100/s, 200 addresses": Attack(BODY, 256, 100, 200),
    "slow heads 64, 15/s": Attack(HEAD, 64, 15),
    "slow heads 256, 100/s": Attack(HEAD, 256, 100),
    "slow heads 256, 100/s, 200 addresses": Attack(HEAD, 256, 100, 200),
    "slow readers 256, 100/s, 200 addresses": Attack(READ, 256, 100, 200),
    "silent 256, 400/s, 200 addresses": Attack("", 256, 400, 200),
    "streams without the token 64, 15/s": Attack(STREAM, 64, 15),
    "no token asked: streams 64, 15/s": Attack(STREAM, 64, 15, token=False),
    "no token asked: pictures 64, 100/s": Attack(PICTURE, 64, 100, token=False),
    "no token asked: slow heads 256, 100/s": Attack(HEAD, 256, 100, 200, token=False),
}


def main() -> int:
    """Attack, ask, print a table, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"default: all. {'; '.join(ATTACKS)}")
    parser.add_argument("--seconds", type=float, default=20, help="how long each attack lasts")
    parser.add_argument("--strangers", nargs=3, metavar=("ATTACK", "PORT", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.strangers:
        name, port, seconds = options.strangers
        return strangers(ATTACKS[name], int(port), float(seconds))
    if unknown := set(options.attacks) - set(ATTACKS):
        parser.error(f"no attack named {', '.join(unknown)}")
    shut_out = False
    print(f"{'attack':42}{'way':10}{'served':>12}{'median ms':>12}{'worst ms':>12}")
    for name in options.attacks or ATTACKS:
        for way, tries in measure(name, options.seconds).items():
            held = way in MAY_BE_REFUSED or tries.holds
            shut_out |= not held
            print(f"{name:42}{way:10}{tries}{'' if held else '  SHUT OUT'}", flush=True)
    return 3 if shut_out else 0


@dataclass
class Tries:
    """What became of one way's requests."""

    asked: int = 0
    times: list[float] = field(default_factory=list)

    @property
    def served(self) -> int:
        return len(self.times)

    @property
    def holds(self) -> bool:
        return self.served == self.asked and max(self.times, default=0) <= WORST_MS

    def __str__(self) -> str:
        median, worst = (f"{np.quantile(self.times, q):.0f}" if self.times else "-" for q in (0.5, 1))
        return f"{f'{self.served} of {self.asked}':>12}{median:>12}{worst:>12}"


def measure(name: str, seconds: float) -> dict[str, Tries]:
    """The owner's tries during one attack."""
    attack = ATTACKS[name]
    with served_page(WebOptions.of("127.0.0.1:0", TOKEN if attack.token else None)) as page:
        page.keep_feeding(pause=0.03)
        port = page.port
        ways = ways_in(port) if attack.token else ways_without_token(port)
        results = {way: Tries() for way in ways}
        tried(Tries(), ways["program" if attack.token else "page"], 0)  # let in before it begins
        words = [sys.executable, "-m", "benchmarks.device.lockout", "--strangers", name, str(port), str(seconds + 2)]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(1)  # until it is in full swing
            end, number = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                number += 1
                for way, tries in results.items():
                    tried(tries, ways[way], number)
                time.sleep(0.25)
    return results


Way = Callable[[int], bool]
"""One request, of a number; whether the answer is what was asked for."""


def ways_in(port: int) -> dict[str, Way]:
    """The owner's requests if there is a token."""
    access = Access(TOKEN, port)
    bearer, cookie = {"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"{access.cookie_name}={access.cookie}"}
    form = {"Content-Type": FORM}
    return {
        "cookie": lambda _: ask(port, "127.0.0.1", headers=cookie) == 200,
        "browser": lambda _: together(port, "127.0.0.3", 6, cookie) == [200] * 6,
        "program": lambda _: ask(port, "127.0.0.2", headers=bearer) == 200,
        "form": lambda _: ask(port, "127.0.0.1", "POST", "/login", f"token={TOKEN}", form) == 303,
        "newcomer": lambda number: ask(port, f"127.2.{number // 250}.{1 + number % 250}", headers=bearer) == 200,
        "same": lambda _: ask(port, "127.1.0.1", headers=bearer) == 200,
    }


def ways_without_token(port: int) -> dict[str, Way]:
    """The owner's requests if there is no token."""
    return {
        "page": lambda _: ask(port, "127.0.0.2") == 200,
        "snapshot": lambda _: ask(port, "127.0.0.2", path="/snapshot.jpg") == 200,
        "watch": lambda _: ask(port, "127.0.0.2", path="/stream.mjpg") == 200,
    }


def tried(tries: Tries, way: Way, number: int) -> None:
    """Ask once, and note it."""
    begun = time.monotonic()
    tries.asked += 1
    if way(number):
        tries.times.append(1000 * (time.monotonic() - begun))


def ask(
    port: int,
    source: str,
    method: str = "GET",
    path: str = "/status.json",
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> int | None:
    """The status of one answer; None: there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body, headers or {})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def together(port: int, source: str, number: int, headers: dict[str, str]) -> list[int | None]:
    """The status of each of ``number`` answers to simultaneous requests."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: ask(port, source, headers=headers), range(number)))


def strangers(attack: Attack, port: int, seconds: float) -> int:
    """The other process."""
    print("begun", flush=True)
    begun, made = time.monotonic(), 0
    held: list[tuple[socket.socket, float]] = []
    while (now := time.monotonic()) < begun + seconds:
        gone = set(select.select([connection for connection, _ in held], [], [], 0)[0])
        for connection, since in list(held):
            # Who reads slowly reads nothing: what came says only that the server still answers.
            if now > since + HELD_SECONDS or (connection in gone and attack.request != READ):
                connection.close()
                held.remove((connection, since))
        while len(held) < attack.keep and made < (now - begun) * attack.rate:
            made += 1
            place = made % attack.sources
            connection = socket.socket()
            connection.bind((f"127.1.{place // 250}.{1 + place % 250}", 0))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(2)
            with contextlib.suppress(OSError):
                connection.connect(("127.0.0.1", port))
                connection.sendall(attack.request.format(made).encode())
            held.append((connection, now))
        made = max(made, int((now - begun) * attack.rate) - attack.keep)  # after a stall it does not catch up
        time.sleep(0.005)
    return 0


if __name__ == "__main__":
    sys.exit(main())

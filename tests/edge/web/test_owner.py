"""The owner is served despite strangers' guesses, endless requests and invalid bodies, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator

import pytest

from edge.sinks.web import WebOptions
from edge.web.access import Access, new_token
from edge.web.guard import Limits
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served
from tests.waiting import WAIT, until

TOKEN = "correct horse battery"
BEARER = f"Bearer {TOKEN}"
FORM = "application/x-www-form-urlencoded"
SLOW = (
    f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\ntok".encode(),
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    b"",
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " + FORM.encode() + b"\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\ntok",
)


def guess(served: Served, source: str, times: int = 12) -> list[int]:
    return [served.get("/status.json", source=source, Authorization=f"Bearer wrong{n}")[0] for n in range(times)]


def cookie(served: Served) -> str:
    access = Access(TOKEN, served.port)
    return f"{access.cookie_name}={access.cookie}"


def dual_stack() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return socket.has_dualstack_ipv6()
    except OSError:
        return False


class TestGuesses:
    @pytest.mark.skipif(not dual_stack(), reason="no IPv6 here")
    def test_of_one_ipv4_address_leave_all_others_alone(self) -> None:
        with serving(TOKEN, listen="[::]:0") as served:
            assert guess(served, "127.0.0.9") == [401] * 10 + [429] * 2
            for source in ("127.0.0.1", "127.0.0.2", "::1"):
                assert served.get("/status.json", source=source, Authorization=BEARER)[0] == 200, source
            status, _, said = served.get("/status.json", source="127.0.0.9", Authorization=BEARER)
            assert status == 429
            for remedy in (b"wait", b"the page's form", b"cookie", b"--token auto"):
                assert remedy in said

    def test_from_the_owners_own_browser_leave_him_every_way_but_the_address(self) -> None:
        """A picture on another site can make the browser send them, without a header that shows their origin."""
        with serving(TOKEN) as served:
            codes = [served.get(f"/snapshot.jpg?token=wrong{n}", Accept="image/*")[0] for n in range(12)]
            assert codes == [401] * 10 + [429] * 2
            assert served.get("/status.json", Authorization=BEARER)[0] == 200
            assert served.get("/login", "POST", f"token={TOKEN}", Content_Type=FORM)[0] == 303
            assert served.get("/status.json", Cookie=cookie(served))[0] == 200
            status, headers, body = served.get("/?token=x", Accept="text/html")
            assert (status, b'action="/login"' in body) == (429, True)
            assert int(headers["Retry-After"]) > 0

    def test_do_not_end_a_connection_that_has_shown_the_token(self) -> None:
        """A program at the same address, such as Prometheus, keeps its connection."""
        with (
            serving(TOKEN) as served,
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT)) as program,
        ):

            def ask(token: str) -> int:
                program.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
                answer = program.getresponse()
                answer.read()
                return answer.status

            assert ask(TOKEN) == 200
            guess(served, "127.0.0.1")
            assert [ask(TOKEN) for _ in range(3)] == [200] * 3
            assert [ask("wrong"), ask("wrong"), ask(TOKEN)] == [401, 429, 429], "and it is no way around the count"

    def test_never_shut_out_a_client_with_a_generated_token(self) -> None:
        token = new_token()
        with serving(token) as served:
            assert guess(served, "127.0.0.1") == [401] * 10 + [429] * 2
            assert served.get("/status.json", Authorization=f"Bearer {token}")[0] == 200
            assert guess(served, "127.0.0.1", 2) == [429] * 2

    def test_of_many_clients_are_bounded_in_total(self) -> None:
        with serving(TOKEN) as served:
            codes = [guess(served, f"127.0.{n // 250}.{2 + n % 250}", 3) for n in range(150)]
            looked = sum(code == 401 for each in codes for code in each)
            assert looked <= 260
            assert served.get("/status.json", Cookie=cookie(served))[0] == 200


@contextlib.contextmanager
def crowd(served: Served, request: bytes, rounds: int = 12, each: int = 8, sources: int = 1) -> Iterator[Iterator[int]]:
    """Strangers, ``each`` at a time, who never end their request; yields a number for each round."""
    with contextlib.ExitStack() as stack:

        def come() -> Iterator[int]:
            for number in range(rounds):
                for more in range(each):
                    source = f"127.0.1.{1 + (number * each + more) % sources}"
                    connection = stack.enter_context(served.connect(source=source))
                    with contextlib.suppress(OSError):  # it had to go already
                        connection.sendall(request)
                yield number

        yield come()


class TestRequestsThatNeverEnd:
    @pytest.mark.parametrize("request_", SLOW)
    @pytest.mark.parametrize("sources", [1, 50])
    def test_the_owner_is_served_all_the_same(self, request_: bytes, sources: int) -> None:
        limits = Limits(connections=16, request_seconds=WAIT, stall_seconds=WAIT)
        with serving(TOKEN, limits) as served, crowd(served, request_, sources=sources) as strangers:
            for _ in strangers:
                assert served.get("/status.json", Authorization=BEARER)[0] == 200
                assert served.get("/", Cookie=cookie(served))[0] == 200
                assert served.get("/login", "POST", f"token={TOKEN}", Content_Type=FORM)[0] == 303
            assert len(limits.places) <= 16

    def test_each_of_many_clients_at_once_is_read_before_it_must_leave(self) -> None:
        with serving(TOKEN) as served:
            asking = f"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {BEARER}\r\n\r\n".encode()
            for _ in range(2):
                with contextlib.ExitStack() as stack:
                    for number in range(250):
                        if number == 100:
                            owner = stack.enter_context(served.connect())
                            owner.sendall(asking)
                            continue
                        connection = stack.enter_context(socket.socket())
                        connection.bind((f"127.0.1.{1 + number % 200}", 0))
                        connection.setblocking(False)
                        with contextlib.suppress(BlockingIOError):
                            connection.connect(("127.0.0.1", served.port))
                        with contextlib.suppress(OSError):
                            connection.send(SLOW[0])
                    assert owner.recv(100).startswith(b"HTTP/1.1 200")

    def test_a_browser_that_opens_six_connections_at_once_is_served_on_each(self) -> None:
        limits = Limits(connections=64, request_seconds=WAIT, stall_seconds=WAIT)
        request = "GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {}\r\n\r\n"
        with serving(TOKEN, limits) as served, crowd(served, SLOW[1], sources=200) as strangers:
            for _ in strangers:
                with contextlib.ExitStack() as stack:
                    browser = [stack.enter_context(served.connect()) for _ in range(6)]
                    for number, connection in enumerate(browser):
                        stranger = stack.enter_context(served.connect(source=f"127.0.2.{1 + number}"))
                        stranger.sendall(SLOW[1])
                        connection.sendall(request.format(cookie(served)).encode())
                    assert [connection.recv(100)[9:12] for connection in browser] == [b"200"] * 6

    def test_a_request_that_showed_who_sent_it_has_its_time(self) -> None:
        limits = Limits(connections=16, request_seconds=WAIT, stall_seconds=WAIT)
        with serving(TOKEN, limits) as served, served.connect() as owner:
            request = _post(f"Cookie: {cookie(served)}\r\n", b'{"strength": 0.5}', "/control", "application/json")
            owner.sendall(request[:-1])
            until(lambda: limits.places._kept, "he was not let in")
            with crowd(served, SLOW[1]) as strangers:
                for _ in strangers:
                    assert served.get("/healthz")[0] == 200
                owner.sendall(request[-1:])
                assert owner.recv(100).startswith(b"HTTP/1.1 200")

    def test_a_stranger_behind_the_owners_proxy_does_not_inherit_his_connection(self) -> None:
        limits = Limits(connections=16, request_seconds=WAIT, stall_seconds=WAIT)
        with serving(TOKEN, limits) as served, served.connect() as proxy:
            asking = f"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie(served)}\r\n\r\n"
            proxy.sendall(asking.encode())
            assert proxy.recv(1 << 16).startswith(b"HTTP/1.1 200")
            assert limits.places._kept
            proxy.sendall(SLOW[0])
            until(lambda: not limits.places._kept, "his place is the owner's still")

    @pytest.mark.parametrize("token", [TOKEN, None])
    def test_viewers_go_on_watching(self, token: str | None) -> None:
        limits = Limits(connections=16, request_seconds=WAIT, stall_seconds=WAIT)
        with serving(token, limits) as served, crowd(served, SLOW[0]) as strangers:
            path = "/stream.mjpg" + ("" if token is None else f"?token={token.replace(' ', '+')}")
            served.keep_feeding()
            with served.connect() as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                until(lambda: served.viewers == 1)
                for _ in strangers:
                    assert len(connection.recv(1 << 16)) > 0
                    assert served.get("/healthz")[0] == 200
                    assert served.viewers == 1

    def test_a_body_has_its_time(self) -> None:
        with serving(TOKEN) as served, pytest.MonkeyPatch.context() as patch:
            patch.setattr("edge.web.exchange._BODY_SECONDS", 0.2)
            with served.connect() as connection:
                connection.sendall(SLOW[0])
                assert connection.recv(100).startswith(b"HTTP/1.1 408")

    def test_strangers_share_the_streams_where_no_token_is_asked_for(self) -> None:
        with serving(viewers=2) as served:
            served.keep_feeding()
            greedy = [served.watch(source="127.0.0.2") for _ in range(2)]
            other = served.watch(source="127.0.0.3")
            assert other.status == 200
            other.next()
            until(lambda: served.viewers == 2)
            again = served.watch(source="127.0.0.2")
            assert again.status == 503
            for stream in (*greedy, other, again):
                stream.close()


def _post(head: str, body: bytes, path: str = "/login", kind: str = FORM) -> bytes:
    lines = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\n{head}"
    return lines.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _chunked(body: bytes) -> bytes:
    return _post("", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + body


BROKEN = {
    "gzip that is none": (_post("Content-Encoding: gzip\r\n", b"nonsense"), 400),
    "gzip cut off": (_post("Content-Encoding: gzip\r\n", gzip.compress(b"token=x" * 99)[:-9]), 400),
    "a gzip bomb": (_post("Content-Encoding: gzip\r\n", gzip.compress(bytes(3_000_000))), 400),
    "deflate that is none": (_post("Content-Encoding: deflate\r\n", b"\xff" * 20), 400),
    "deflate": (_post("Content-Encoding: deflate\r\n", zlib.compress(b"token=x")), 400),
    "br": (_post("Content-Encoding: br\r\n", b"\x0b\x02\x80token=x\x03"), 400),
    "zstd": (_post("Content-Encoding: zstd\r\n", b"\x28\xb5\x2f\xfd"), 400),
    "a chunk without a size": (_chunked(b"zz\r\nx\r\n"), 400),
    "a chunk that is longer": (_chunked(b"2\r\nxyz\r\n0\r\n\r\n"), 400),
    "a chunk's huge size": (_chunked(b"f" * 40 + b"\r\n"), 400),
    "an unknown charset": (_post("", b"token=x", kind=f"{FORM}; charset=nonsense"), 415),
    "utf-16": (_post("", "token=x".encode("utf-16"), kind=f"{FORM}; charset=utf-16"), 415),
    "a charset that is no name": (_post("", b"token=x", kind=f'{FORM}; charset="\\0"'), 415),
    "no utf-8": (_post("", b"token=\xff\xfe"), 400),
    "another type": (_post("", b"token=x", kind="text/plain"), 415),
    "a type that is none": (_post("", b"token=x", kind=";;;="), 415),
    "multipart": (_post("", b"--b\r\n\r\nx\r\n--b--", kind="multipart/form-data; boundary=b"), 415),
    "multipart without a boundary": (_post("", b"x", kind="multipart/form-data"), 415),
    "a thousand fields": (_post("", b"a=1&" * 1000), 400),
    "too much": (_post("", b"x" * 5000), 413),
    "JSON as deep as it goes": (_post("", b"[" * 4096, "/control", "application/json"), 400),
    "JSON as large as it goes": (_post("", b'{"strength": ' + b"9" * 4000 + b"}", "/control", "application/json"), 400),
    "JSON that is infinite": (_post("", b'{"strength": 1e999}', "/control", "application/json"), 400),
    "JSON in another charset": (_post("", b"{}", "/control", "application/json; charset=utf-32"), 415),
    "JSON that is too much": (_post("", b" " * 5000, "/control", "application/json"), 413),
}


def answers(served: Served, request: bytes) -> int:
    with served.connect() as connection:
        with contextlib.suppress(OSError):  # answered and closed before the end of it
            connection.sendall(request)
        return int(connection.recv(1000).split()[1])


class TestBodies:
    @pytest.mark.parametrize("what", BROKEN)
    def test_a_body_that_is_none_is_refused_without_a_log_line(
        self, what: str, capfd: pytest.CaptureFixture[str], said: list[str]
    ) -> None:
        request, status = BROKEN[what]
        with serving(TOKEN) as served:
            if b"/control" in request:
                request = request.replace(b"\r\n", b"\r\nCookie: " + cookie(served).encode() + b"\r\n", 1)
            capfd.readouterr()
            said.clear()
            assert answers(served, request) == status
            assert served.get("/healthz")[0] == 200
        assert (capfd.readouterr().err, said) == ("", [])

    def test_any_number_of_them_leaves_room_for_what_matters(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving(TOKEN) as served:
            for request, _ in BROKEN.values():
                answers(served, request)
            guess(served, "127.0.0.1")
        assert "Too many wrong tokens from 127.0.0.1" in caplog.text

    def test_errors_of_a_route_leave_room_too(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving(TOKEN) as served:
            served.sink._controls.describe = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
            for _ in range(20):
                assert served.get("/status.json", Cookie=cookie(served))[0] == 500
            guess(served, "127.0.0.1")
        assert "Too many wrong tokens from 127.0.0.1" in caplog.text

    def test_utf_8_is_read(self) -> None:
        with serving("zażółć gęślą jaźń") as served:
            form = "token=za%C5%BC%C3%B3%C5%82%C4%87+g%C4%99%C5%9Bl%C4%85+ja%C5%BA%C5%84"
            for kind in (FORM, f"{FORM}; charset=UTF-8"):
                assert served.get("/login", "POST", form, Content_Type=kind)[0] == 303
            headers = {"Content_Type": "application/json", "Cookie": cookie(served)}
            assert served.get("/control", "POST", json.dumps({"strength": 0.5}), **headers)[0] == 401


@pytest.mark.parametrize("thought_of", [TOKEN, "quietcam-", "quietcam-" + "x" * 23, "A1-" * 8, "quietcam-" + "ä" * 24])
def test_a_token_that_was_made_is_told_from_one_that_somebody_thought_of(thought_of: str) -> None:
    assert Access(new_token(), 1).is_beyond_guessing
    assert not Access(thought_of, 1).is_beyond_guessing


def test_what_prints_the_options_does_not_print_the_token() -> None:
    assert TOKEN not in repr(WebOptions.of("127.0.0.1:0", TOKEN))

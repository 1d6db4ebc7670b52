"""The page refuses other sites, other hosts, and invalid requests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.web.access import HEADERS, host_allowed, is_loopback, origin_allowed
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served
from tests.waiting import until


class TestOtherSites:
    @pytest.mark.parametrize(
        ("host", "allowed"),
        [
            ("127.0.0.1:8080", True),
            ("localhost", True),
            ("LOCALHOST.:80", True),
            ("192.168.1.7:8080", True),
            ("[::1]:8080", True),
            ("pi.example", False),
            ("evil.example:8080", False),
            ("127.0.0.1.evil.example", False),
            ("user@127.0.0.1", False),
            ("127.0.0.1/x", False),
            ("127.0.0.1:x", False),
            ("", False),
            (None, False),
        ],
    )
    def test_hosts(self, host: str | None, allowed: bool) -> None:
        assert host_allowed(host, frozenset({"localhost"})) is allowed

    def test_a_name_that_somebody_pointed_here_is_refused(self, served: Served) -> None:
        status, _, body = served.get("/status.json", Host="evil.example")
        assert status == 421
        assert b"--host-name" in body

    def test_a_name_that_was_given_is_answered(self) -> None:
        with serving(names=("cam.example",)) as served:
            assert served.get("/status.json", Host="cam.example:80")[0] == 200

    @pytest.mark.parametrize(
        ("headers", "allowed"),
        [
            ({}, True),
            ({"Origin": "http://127.0.0.1:80"}, True),
            ({"Origin": "http://evil.example"}, False),
            ({"Origin": "null"}, False),
            ({"Origin": "http://["}, False),
            ({"Origin": "http://127.0.0.1:81"}, False),
            ({"Sec-Fetch-Site": "cross-site"}, False),
            ({"Sec-Fetch-Site": "same-site"}, False),
            ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:80"}, True),
        ],
    )
    def test_origins(self, headers: dict[str, str], allowed: bool) -> None:
        assert origin_allowed(headers, "127.0.0.1:80") is allowed

    def test_a_change_from_another_site_is_refused(self, served: Served) -> None:
        said = served.get(
            "/control", "POST", '{"strength": 0}', Origin="http://evil.example", Content_Type="application/json"
        )
        assert said[0] == 403
        # A form of another site can send text, but not JSON without being asked first.
        assert served.get("/control", "POST", '{"strength": 0}', Content_Type="text/plain")[0] == 415
        assert served.controls.strength == 1.0

    def test_another_site_may_link_and_not_embed(self, served: Served) -> None:
        cross = {"Sec_Fetch_Site": "cross-site"}
        assert served.get("/stream.mjpg", Sec_Fetch_Mode="no-cors", **cross)[0] == 403
        assert served.get("/", Sec_Fetch_Mode="navigate", **cross)[0] == 200

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "::1", "[::1]", "localhost"])
    def test_loopback(self, host: str) -> None:
        assert is_loopback(host)
        assert not is_loopback("0.0.0.0")
        assert not is_loopback("pi")


class TestNonsense:
    @given(
        st.one_of(
            st.binary(max_size=400),
            st.tuples(
                st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"\x00", b"OPTIONS"]),
                st.sampled_from(
                    [b"/", b"/control", b"/stream.mjpg", b"/login", b"//", b"*", b"/%00", b"/../../etc/passwd"]
                ),
                st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b""]),
                st.lists(
                    st.sampled_from(
                        [
                            b"Host: 127.0.0.1",
                            b"Host:",
                            b"Host: \xff",
                            b"Content-Length: 9999999999",
                            b"Content-Length: -1",
                            b"Content-Length: 5",
                            b"Transfer-Encoding: chunked",
                            b"Cookie: =;;=",
                            b"A" * 9000,
                            b"Content-Type: multipart/form-data",
                            b"Content-Type: application/json; charset=nonsense",
                            b"Expect: 100-continue",
                            b"Upgrade: websocket",
                            b"Authorization: Bearer \xff\xfe",
                            b": x",
                            b"Origin: http://[",
                            b"Origin: \xff",
                            b"Sec-Fetch-Site: \xff",
                        ]
                    ),
                    max_size=5,
                ),
                st.binary(max_size=60),
            ).map(lambda parts: b" ".join(parts[:3]) + b"\r\n" + b"\r\n".join(parts[3]) + b"\r\n\r\n" + parts[4]),
        )
    )
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_server_survives_any_bytes(self, served: Served, request_bytes: bytes) -> None:
        with served.connect() as connection:
            connection.sendall(request_bytes)
            connection.settimeout(0.02)
            try:
                answer = connection.recv(200)
            except OSError:  # still waits for the rest, or was cut off
                answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.")
        assert not answer.startswith(b"HTTP/1.1 500")
        assert served.get("/healthz")[0] == 200

    @pytest.mark.parametrize(
        "text",
        [
            b"\x16\x03\x01 tls",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /\r\n: <b>x</b>\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nExpect: \x80\r\nConnection: close\r\n\r\n",
            b"GET /nope HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: \xff\r\nConnection: close\r\n\r\n",
        ],
    )
    def test_what_is_no_request_gets_the_headers_and_no_name_of_a_library(self, served: Served, text: bytes) -> None:
        with served.connect() as connection:
            connection.sendall(text)
            answer = connection.makefile("rb").read().decode()
        head, _, body = answer.partition("\r\n\r\n")
        assert head.split()[1] == "400"
        assert {f"{name}: {value}" for name, value in HEADERS.items()} <= set(head.split("\r\n"))
        assert "Content-Type: text/plain" in head
        assert "aiohttp" not in answer
        assert body == "This request cannot be read.\n"

    def test_an_unexpected_error_is_a_500_and_one_line(self, served: Served, caplog: pytest.LogCaptureFixture) -> None:
        served.report(sinks=[object()])  # no JSON: shown as text
        assert served.get("/status.json")[0] == 200

        def fail() -> None:
            raise RuntimeError("unforeseen")

        served.sink._controls.describe = fail  # type: ignore[method-assign, assignment]
        status, headers, body = served.get("/status.json")
        assert status == 500
        assert b"unforeseen" not in body
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "unforeseen" in caplog.text
        until(lambda: served.get("/healthz")[0] == 200)

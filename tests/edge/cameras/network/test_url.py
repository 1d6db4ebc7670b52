"""The URL of a camera, split into its parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras import open_camera
from edge.cameras.network.url import CameraUrl
from quietcam.errors import UsageError
from quietcam.terminal.secrets import shown

PASSWORD = "p#s/w@rd:1?%"


@pytest.mark.parametrize(
    ("url", "user", "password", "host", "port", "tail"),
    [
        ("rtsp://camera/live", None, None, "camera", 554, "/live"),
        ("RTSP://Camera:8554/live", None, None, "Camera", 8554, "/live"),
        ("http://me:secret@10.0.0.9/a?b=c", "me", "secret", "10.0.0.9", 80, "/a?b=c"),
        (f"rtsp://admin:{PASSWORD}@10.0.0.9:554/live", "admin", PASSWORD, "10.0.0.9", 554, "/live"),
        ("rtsp://admin:p%23s%2Fw%40rd@camera/", "admin", "p#s/w@rd", "camera", 554, "/"),
        ("rtsp://me@mail.com:a/b@10.0.0.9/", "me@mail.com", "a/b", "10.0.0.9", 554, "/"),
        ("http://camera/photo@2x.jpg", None, None, "camera", 80, "/photo@2x.jpg"),
        ("http://10.0.0.9:8080/x?mail=me@x", None, None, "10.0.0.9", 8080, "/x?mail=me@x"),
        ("https://[fe80::1]:8443/x", None, None, "fe80::1", 8443, "/x"),
        ("http://u:@camera", "u", "", "camera", 80, ""),
        ("rtmp://me:secret@camera/live/a", "me", "secret", "camera", 1935, "/live/a"),
        ("udp://@239.1.1.1:5000", None, None, "239.1.1.1", 5000, ""),
        ("udp://:5000", None, None, "0.0.0.0", 5000, ""),
        ("udp://@:5000?fifo_size=9", None, None, "0.0.0.0", 5000, "?fifo_size=9"),
        ("tcp://[::1]:5000", None, None, "::1", 5000, ""),
        ("srt://camera:9000?mode=caller", None, None, "camera", 9000, "?mode=caller"),
    ],
)
def test_its_parts(url: str, user: str | None, password: str | None, host: str, port: int, tail: str) -> None:
    parsed = CameraUrl.parse(url)
    assert (parsed.user, parsed.password, parsed.host, parsed.port, parsed.tail) == (user, password, host, port, tail)
    again = CameraUrl.parse(parsed.full)
    assert (again.user, again.password, again.host, again.port) == (user, password, host, port)
    assert not password or password not in repr(parsed)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="%"), min_size=1, max_size=20))
def test_every_password_can_be_pasted_or_is_refused(password: str) -> None:
    """It is never taken for a host name, which would be sent to a name server."""
    parsed = None
    refused = ""
    try:
        parsed = CameraUrl.parse(f"rtsp://admin:{password}@10.0.0.9/live")
    except UsageError as error:
        refused = str(error)
    if parsed is not None:
        assert (parsed.host, parsed.user, parsed.password) == ("10.0.0.9", "admin", password)
        assert parsed.full.count("@") == 1
        assert "#" not in parsed.full
    else:
        assert "two ways" in refused
        assert len(password) < 6 or password not in refused


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://camera:port/", "http://camera:99999/", "http://:80/", "ftp://a", "http://a b/", "rtsp://"],
)
def test_what_is_no_url_of_a_camera_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="http://HOST") as caught:
        CameraUrl.parse(url)
    assert shown(str(caught.value)) == str(caught.value)  # the code that hides passwords leaves our own words unchanged


@pytest.mark.parametrize("url", ["udp://camera", "tcp://camera/x", "srt://camera?passphrase=secret", "udp://@"])
def test_what_has_no_usual_port_must_name_it(url: str) -> None:
    with pytest.raises(UsageError, match=r"port|HOST") as caught:
        CameraUrl.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["rtsp://admin:12/34@camera/live", "rtsp://u:p@host.name/d@host.other/live"])
def test_what_can_be_read_in_two_ways_is_not_guessed(url: str) -> None:
    with pytest.raises(UsageError, match="%2F") as caught:
        CameraUrl.parse(url)
    assert "12" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    ["foo://user:secret@camera/live", "rtsp:user:secret@camera", "sip://camera?passphrase=secret", "a:secret@b"],
)
def test_an_unknown_scheme_is_named_and_its_password_is_not(source: str) -> None:
    with pytest.raises(UsageError, match="rtsp://HOST") as caught:
        open_camera(source)
    assert "secret" not in str(caught.value)

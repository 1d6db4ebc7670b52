"""What of a URL may be shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.urls import shown, shown_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://user:secret@camera/live?size=vga", "rtsp://***@camera/live?***"),
        ("RTSP://user:secret@camera/live", "RTSP://***@camera/live"),
        ("http://camera/cgi?user=me&pwd=secret", "http://camera/cgi?***"),
        ("rtsp://10.0.0.9/cam/realmonitor?channel=3&subtype=0", "rtsp://10.0.0.9/cam/realmonitor?channel=3&subtype=0"),
        ("rtsp://user:sec/ret?@camera/live", "rtsp://***@camera/live"),
        ("rtsp://admin:p#s/w@rd:1@camera:554/live", "rtsp://***@camera:554/live"),
        ("rtsp:user:secret@camera/live", "rtsp:***@camera/live"),
        ("rtsp:/user:secret@camera/live", "rtsp:/***@camera/live"),
        ("user:secret@camera/live", "***@camera/live"),
        ("foo://user:secret@camera", "foo://***@camera"),
        ("rtsp://admin:secret", "rtsp://admin:***"),
        ("rtsp://admin:sec/ret", "rtsp://admin:***"),
        ("rtsp://admin:123456", "rtsp://admin:***"),
        ("rtsp://10.0.0.9/user=admin_password=secret_channel=1.sdp?real_stream", "rtsp://10.0.0.9/user=***?***"),
        ("rtsps://10.0.0.9:7441/pXnVVdeDzHFJ36Zq?enableSrtp", "rtsps://10.0.0.9:7441/***?***"),
        ("rtsp://u:p@[fe80::1%25eth0]:554/a", "rtsp://***@[fe80::1%25eth0]:554/a"),
        ("/dev/video0:size=1280x720,fps=30", "/dev/video0:size=1280x720,fps=30"),
        ("synthetic:size=640x480,sensor=imx219", "synthetic:size=640x480,sensor=imx219"),
        ("spool:/var/lib/quietcam,size=2GB,every=60", "spool:/var/lib/quietcam,size=2GB,every=60"),
        ("Remedy: --source rtsp://…, or a file", "Remedy: --source rtsp://…, or a file"),
        ("Remedy: --token @FILE. See a.py:12", "Remedy: --token @FILE. See a.py:12"),
        ("it is at http://u:p@h/x?k=v, today.", "it is at http://***@h/x?***, today."),
        ("http://10.0.0.9/x?pwd=sec@ret", "http://10.0.0.9/x?***"),
        ("http://camera/x?pwd=sec@ret", "http://***"),
        ("rtsp://admin:12/34@camera/live", "rtsp://***"),
        ("http:/127.0.0.1/snap?pwd=secret", "http:/127.0.0.1/snap?***"),
        ("synthetic:fps=3,base=http:/127.0.0.1/snap?pwd=secret", "synthetic:fps=3,base=http:/127.0.0.1/snap?***"),
        ("rtsp://u:p@h/x is lost: mail me@home", "rtsp://***@h/x is lost: mail me@home"),
        ("synthetic:base=rtsp:/user:secret@camera", "***@camera"),
    ],
)
def test_what_is_secret_is_left_out_and_the_rest_is_not(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(expected) == expected


PASSWORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_characters="*\x85\xa0"), min_size=6, max_size=24
)


@given(
    st.sampled_from(["rtsp", "RTSP", "http", "https", "srt", "foo", "rtmp"]),
    st.sampled_from(["//", "", "/", "///"]),
    st.sampled_from(["user", "", "admin", "me@mail.com"]),
    PASSWORDS,
    st.sampled_from(["camera", "10.0.0.9", "[::1]", "cam.local:8080"]),
    st.sampled_from(["", "/", "/live", "/a@2x", "/x?channel=1", "?token=", "#f"]),
)
def test_no_part_of_a_password_is_ever_shown(
    scheme: str, slashes: str, user: str, password: str, host: str, tail: str
) -> None:
    url = f"{scheme}:{slashes}{user}:{password}@{host}{tail}"
    for told in (
        shown(url),
        shown(url, whole=True),
        shown(f"It failed: {url} and more."),
        shown_words(f"no such word ({url})", [url]),
    ):
        hold_nothing(told, password, url.replace(password, ""))
    hold_nothing(
        shown(url.replace(password, f"{password} {password}"), whole=True), password, url.replace(password, "")
    )
    hold_nothing(shown(f"http://camera/x?pwd={password}"), password, "http://camera/x?pwd=")


@given(PASSWORDS, PASSWORDS)
def test_words_of_a_command_line_are_hidden_also_where_they_hold_spaces(one: str, other: str) -> None:
    word = f"--source=rtsp://user:{one} {other}@camera/live"
    said = shown_words(f"Got unexpected extra argument ({word})", [word])
    hold_nothing(said, one, "Got unexpected extra argument (--source=rtsp://user:@camera/live)")
    hold_nothing(said, other, "Got unexpected extra argument (--source=rtsp://user:@camera/live)")


def hold_nothing(told: str, password: str, rest: str) -> None:
    """Neither the password nor three letters of it in a row, but for those that stand elsewhere in what was given."""
    assert password not in told
    for part in re.findall(r"(?=(\w{3}))", password):
        assert part not in told or part in rest or part in "It failed: and more. no such word", (told, part)

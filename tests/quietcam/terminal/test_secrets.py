"""Secrets in URLs and other text are hidden, and nothing else is."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.terminal.secrets import shown, shown_values, shown_words


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
        # A password with spaces, whose front may be a port.
        ("no rtsp://user:1234 56@camera/live is there", "no rtsp://***@camera/live is there"),
        ("rtsp:user:12 34 56@camera:554, today", "rtsp:***@camera:554, today"),
        ("rtsp://user:1234 @camera/live", "rtsp://***@camera/live"),
        ("rtsp://user:12/3 4@10.0.0.9/live", "rtsp://***"),
        ("rtsp://user:1234 56@camera/live\nmail me@home", "rtsp://***@camera/live\nmail me@home"),
        ("http://localhost:8080 asks for --token @FILE", "http://localhost:8080 asks for --token @FILE"),
        ("http://10.0.0.9:8080 is lost: mail me@home", "http://10.0.0.9:8080 is lost: mail me@home"),
    ],
)
def test_secrets_are_hidden_and_the_rest_is_shown(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(expected) == expected


PASSWORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_characters="*\x85\xa0"), min_size=6, max_size=24
)


@given(
    st.sampled_from(["rtsp:", "RTSP:", "http:", "https:", "srt:", "foo:", "rtmp:", "RTMPS:", "x-y+z.1:", ""]),
    st.sampled_from(["//", "", "/", "///"]),
    st.sampled_from(["user", "", "admin", "me@mail.com", "12345", "1admin", "jürgen", "a_b", "%41", "-"]),
    PASSWORDS,
    st.sampled_from(["camera", "10.0.0.9", "[::1]", "cam.local:8080"]),
    st.sampled_from(["", "/", "/live", "/a@2x", "/x?channel=1", "?token=", "#f"]),
)
def test_no_part_of_a_password_is_ever_shown(
    scheme: str, slashes: str, user: str, password: str, host: str, tail: str
) -> None:
    url = f"{scheme}{slashes}{user}:{password}@{host}{tail}"
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
def test_secrets_of_a_command_line_are_hidden_even_with_spaces(one: str, other: str) -> None:
    word = f"--source=rtsp://user:{one} {other}@camera/live"
    said = shown_words(f"Got unexpected extra argument ({word})", [word])
    hold_nothing(said, one, "Got unexpected extra argument (--source=rtsp://user:@camera/live)")
    hold_nothing(said, other, "Got unexpected extra argument (--source=rtsp://user:@camera/live)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token = 12345", "token = ***"),
        (
            "token must be text. Received: q.toml: token = ['abcdef', 3].",
            "token must be text. Received: q.toml: token = ***.",
        ),
        ("{'token': 'it\\'s me', 'port': 80}", "{'token': ***, 'port': 80}"),
        ('{"password": "a, b", "width": 3}', '{"password": ***, "width": 3}'),
        ("WebOptions(host='h', token='abc def', port=1)", "WebOptions(host='h', token=***, port=1)"),
        ("QUIETCAM_TOKEN=abcdefgh quietcam run", "QUIETCAM_TOKEN=*** quietcam run"),
        ("--rtsp-password=abc!", "--rtsp-password=***"),
        ("api_key: x", "api_key: x"),
        ('"api_key": "x"', '"api_key": ***'),
        ("Authorization: Basic dXNlcjpwYXNz\nHost: h", "Authorization: ***\nHost: h"),
        ("Cookie: quietcam=abc; other=d", "Cookie: ***"),
        ("passwd=a", "passwd=***"),
        # None of these is a secret.
        ("Remedy: QUIETCAM_TOKEN=… in the environment, or chmod 640", None),
        ("--token auto makes a good one; --token @FILE reads it", None),
        ("token=None, generated=True", None),
        ("NAME:KEY=VALUE,KEY=VALUE", None),
        ("No token is asked for: everybody who reaches this address sees the camera", None),
        ("password: user, colon, password and @ before HOST", None),
        ("bypass=3 passes=4 width=640 tone=7", None),
        ("12:30:01 the camera is back, at 12:45 gone", None),
        ("C:\\Users\\me\\clip.mp4", None),
        ("/data/12:30/clip@2x.mp4", None),
        ("./a:b/c@d", "./***"),
        ("mail me@home.org or you@work.org: soon", None),
        ("frames: 3/4, share 100%, 2:1", None),
        ("edge/cameras/network/url.py:59: in parse", None),
        ("[::1]:8080 and 10.0.0.9:8080", None),
        ("a ratio of 16:9 @ 30 Hz", None),
    ],
)
def test_a_value_after_the_name_of_a_secret_is_hidden_and_prose_is_not(text: str, expected: str | None) -> None:
    assert shown(text) == (text if expected is None else expected)
    assert shown(shown(text)) == shown(text)


LETTERS = st.text("qxzjvkQXZJVK0123456789!$%^&()-_=+;:,.<>/?#~| ", min_size=6, max_size=20).filter(str.strip)


@given(
    st.sampled_from(["token", "TOKEN", "Password", "QUIETCAM_TOKEN", "rtsp-password", "client_secret", "x.api_key"]),
    st.sampled_from([" = {!r}", "={!r}", ' = "{}"', "='{}'", "': {!r}", '": "{}"', " = [{!r}]", "=['a', {!r}]"]),
    LETTERS,
)
def test_a_secret_is_hidden_in_every_notation(key: str, notation: str, secret: str) -> None:
    told = shown(f"Received: it.toml: {key}{notation.format(secret)} there")
    assert secret.strip() not in told
    assert told.endswith(" there")


@given(LETTERS)
def test_a_report_hides_secrets_at_any_depth(secret: str) -> None:
    secret = secret.replace(" ", "_")
    report = {
        "camera": {"source": f"rtsp://user:{secret}@camera/live", "password": secret, "size": [640, 480]},
        "sinks": [{"name": "web", "token": secret, "frames": 3, "has_token": True, "secret": None}],
        "tokens": [secret, secret],
    }
    told = shown_values(report)
    assert secret not in repr(told)
    assert told["camera"]["size"] == [640, 480]
    assert told["sinks"] == [{"name": "web", "token": "***", "frames": 3, "has_token": True, "secret": None}]


@given(LETTERS.filter(lambda text: not text.startswith("@")), st.booleans())
def test_the_value_of_a_secret_option_is_hidden_wherever_it_is_quoted(secret: str, joined: bool) -> None:
    words = ["run", f"--token={secret}", "x"] if joined else ["run", "--token", secret, "x"]
    assert secret not in shown_words(f"Got unexpected extra arguments ({' '.join(words)})", words)
    assert secret not in shown_words(f"KeyError: {secret!r}", words)


def test_a_short_value_and_the_name_of_a_file_are_not_hidden() -> None:
    assert shown_words("in a run, of run", ["--token", "run"]) == "in a run, of run"
    assert shown_words("no file @/etc/t", ["--token", "@/etc/t"]) == "no file @/etc/t"


HOSTILE = [
    *("a:", "1:", "@", "a:@", ".", ".:", "rtsp://", "a@", "'\"", "[", "x=", "%", "%3a", "token", "token=", "a-", " "),
    *("rtsp://a:1 ", "rtsp://a:1\n", "rtsp://a:1 b@c\n", "rtsp://a:1 @ "),
    *("token = ", "?", "/", "://", "a:b ", "rtsp://a:b ", "rtsp://a:b\n", '"token": "', "\\", "é", "authorization:"),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_is_linear_in_the_length_of_the_text(unit: str) -> None:
    """Each ends within seconds; a pattern that backtracks would take hours."""
    program = (
        "import sys\nfrom quietcam.terminal.secrets import shown, shown_values, shown_words\nunit = sys.argv[1]\n"
        "for end in ('', '@', '@h', 'x', '\\n'):\n"
        "    text = unit * (200_000 // len(unit)) + end\n"
        "    shown(text), shown(text, whole=True), shown_words('x', [text])\n"
    )
    assert subprocess.run([sys.executable, "-c", program, unit], timeout=120, check=False).returncode == 0


def hold_nothing(told: str, password: str, rest: str) -> None:
    """Check that neither the password nor three letters of it in a row are shown, unless they occur elsewhere."""
    assert password not in told
    for part in re.findall(r"(?=(\w{3}))", password):
        assert part not in told or part in rest or part in "It failed: and more. no such word", (told, part)

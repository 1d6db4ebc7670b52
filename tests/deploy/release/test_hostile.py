"""A mirror that lies in each way that TUF's specification lists installs nothing, fills no disk, and is named."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.update.channel import parse_channel
from edge.update.fetch import REASONS, Limits
from fuzz.mutate import mutate_bytes, mutate_json
from quietcam.errors import UpdateError
from quietcam.files.strict_json import dump_json, parse_object
from tests.deploy.release.hostile import Server, serving
from tests.deploy.release.made import Made, now, past, wanted

SOON = Limits(seconds=0.5, archive_seconds=0.5)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = Made(tmp_path)
    made.offer("1", size=100_000)
    return made


@pytest.fixture
def server(made: Made) -> Iterator[Server]:
    with serving(made.folder) as server:
        yield server


def refused(act: Callable[[], object]) -> str:
    """The reason for which it is refused."""
    with pytest.raises(UpdateError) as caught:
        act()
    assert caught.value.reason in REASONS
    assert "Remedy: " in str(caught.value)
    return caught.value.reason


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def replacing(server: Server, part: str, content: bytes) -> None:
    """Give ``content`` for each path that contains ``part``."""

    def lie(path: str, handler: BaseHTTPRequestHandler) -> bool:
        if part in path:
            server.send(content, handler)
        return part in path

    server.lie = lie


def copied(made: Made, name: str) -> Path:
    return Path(shutil.copytree(made.folder, made.home / name))


def test_an_honest_server_is_trusted(made: Made, server: Server) -> None:
    client = made.client(server.url)
    archive = client.fetch(wanted(client))
    assert archive.read_bytes() == (made.home / "small-1.tar").read_bytes()
    server.asked.clear()
    assert made.client(server.url).check("small-1").archive is None
    assert server.asked == ["metadata/timestamp.json"]


def test_a_download_that_breaks_off_goes_on(made: Made, server: Server) -> None:
    def broken(path: str, handler: BaseHTTPRequestHandler) -> bool:
        if not path.startswith("targets/bundles/") or handler.headers.get("Range"):
            return False
        content = (server.folder / path).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:70_000])
        return True

    server.lie = broken
    client = made.client(server.url)
    archive = wanted(client)
    assert refused(lambda: client.fetch(archive)) == "offline"
    assert (made.home / "state/download/small-1.part").stat().st_size == 70_000
    assert made.client(server.url).fetch(archive).stat().st_size == archive.size


def test_rollback(made: Made, server: Server) -> None:
    old = copied(made, "old")
    made.client(server.url).check(None)
    made.offer("2")
    made.client(server.url).check(None)
    server.folder = old
    assert refused(lambda: made.client(server.url).check(None)) == "rolled_back"
    server.folder = made.folder
    assert wanted(made.client(server.url)).bundle == "small-2"


def test_freeze(tmp_path: Path) -> None:
    made = Made(tmp_path, at=now() - timedelta(days=20))
    assert refused(lambda: made.client().check(None)) == "frozen"
    made.publish()
    assert made.client().check(None).is_new


def test_expired_targets_are_not_called_frozen(tmp_path: Path) -> None:
    made = Made(tmp_path, at=now() - timedelta(days=400))
    with past():
        made.publish()
    assert refused(lambda: made.client().check(None)) == "expired"


def test_a_device_that_was_away_for_long_goes_on(tmp_path: Path) -> None:
    made = Made(tmp_path, at=now() - timedelta(days=300))
    assert refused(lambda: made.client().check(None)) == "frozen"
    made.offer("1")
    assert wanted(made.client()).bundle == "small-1"


def test_mix_and_match(made: Made, server: Server) -> None:
    old = copied(made, "old")
    made.offer("2")
    for role in ("snapshot", "targets"):
        (newest,) = sorted(made.folder.glob(f"metadata/*.{role}.json"))[-1:]
        (before,) = sorted(old.glob(f"metadata/*.{role}.json"))[-1:]
        replacing(server, newest.name, before.read_bytes())
        assert refused(lambda: made.client(server.url, state="other").check(None)) == "mixed"
    server.lie = lambda _, __: False
    assert wanted(made.client(server.url, state="other")).bundle == "small-2"


def test_a_foreign_key(made: Made, server: Server, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = Made(tmp_path / "foreign")
    foreign.offer("9")
    server.folder = foreign.folder
    assert refused(lambda: made.client(server.url).check(None)) == "foreign"
    assert refused(lambda: made.client(server.url, state="new").check(None)) == "foreign"


@pytest.mark.parametrize("part", ["timestamp.json", ".snapshot.json", ".targets.json", "2.root.json", "stable.json"])
def test_endless_data(made: Made, server: Server, part: str) -> None:
    def endless(path: str, handler: BaseHTTPRequestHandler) -> bool:
        if part not in path:
            return False
        handler.send_response(200)
        handler.end_headers()
        while not server.gone.is_set():
            handler.wfile.write(bytes(1 << 16))
        return True

    server.lie = endless
    reason = refused(lambda: made.client(server.url).check(None))
    assert reason == "too_large"
    assert size_of(made.home / "state") < 100_000


def test_an_endless_bundle_ends_at_its_size(made: Made, server: Server) -> None:
    client = made.client(server.url)
    archive = wanted(client)

    def endless(path: str, handler: BaseHTTPRequestHandler) -> bool:
        if not path.startswith("targets/bundles/"):
            return False
        content = (server.folder / path).read_bytes()
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)
        while not server.gone.is_set():
            handler.wfile.write(bytes(1 << 16))
        return True

    server.lie = endless
    assert client.fetch(archive).stat().st_size == archive.size


@pytest.mark.parametrize("part", ["timestamp.json", ".targets.json", "bundles/"])
def test_slow_retrieval(made: Made, server: Server, part: str) -> None:
    def slow(path: str, handler: BaseHTTPRequestHandler) -> bool:
        if part not in path:
            return False
        content = (server.folder / path).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for byte in content:
            handler.wfile.write(bytes([byte]))
            if server.gone.wait(0.05):
                break
        return True

    def act() -> None:
        client = made.client(server.url, limits=SOON if part in server_parts else None)
        archive = wanted(client)
        made.client(server.url, limits=SOON).fetch(archive)

    server_parts = ("timestamp.json", ".targets.json")
    server.lie = slow
    assert refused(act) == "slow"


def test_a_head_that_never_ends(made: Made, server: Server) -> None:
    def slow(_: str, handler: BaseHTTPRequestHandler) -> bool:
        while not server.gone.wait(0.05):
            handler.wfile.write(b"H")
        return True

    server.lie = slow
    assert refused(lambda: made.client(server.url, limits=SOON).check(None)) == "slow"


@pytest.mark.parametrize("old", [False, True])
def test_another_bundle_in_its_place(made: Made, server: Server, old: bool) -> None:
    made.offer("2", size=100_000)
    client = made.client(server.url)
    archive = wanted(client)
    content = (made.home / "small-1.tar").read_bytes() if old else bytes(archive.size)
    replacing(server, "small-2.tar", content)
    assert refused(lambda: client.fetch(archive)) == "altered"
    assert list((made.home / "state/download").iterdir()) == []


@pytest.mark.parametrize("part", [".snapshot.json", ".targets.json", "stable.json"])
@pytest.mark.parametrize("change", [b"\n", b"", None])
def test_a_file_of_another_length(made: Made, server: Server, part: str, change: bytes | None) -> None:
    """Longer, shorter by a byte, or empty: signed metadata say the length of each file."""
    (path,) = sorted(made.folder.rglob(f"*{part}"))[-1:]
    content = path.read_bytes()
    replacing(server, part, b"" if change is None else content + change if change else content[:-1])
    assert refused(lambda: made.client(server.url).check(None)) in ("mixed", "altered", "too_large")
    assert size_of(made.home / "state") < 100_000


@pytest.mark.parametrize("cut", [1, 50_000])
def test_a_bundle_that_is_shorter_than_it_was_signed(made: Made, server: Server, cut: int) -> None:
    client = made.client(server.url)
    archive = wanted(client)
    replacing(server, "bundles/", (made.home / "small-1.tar").read_bytes()[:-cut])
    assert refused(lambda: client.fetch(archive)) == "altered"
    assert list((made.home / "state/download").iterdir()) == []


@pytest.mark.parametrize("part", ["timestamp.json", ".snapshot.json", ".targets.json", "stable.json", "bundles/"])
def test_a_mirror_without_a_file(made: Made, server: Server, part: str) -> None:
    def lacking(path: str, handler: BaseHTTPRequestHandler) -> bool:
        if part in path:
            handler.send_error(404)
        return part in path

    def act() -> None:
        client = made.client(server.url)
        client.fetch(wanted(client))

    server.lie = lacking
    assert refused(act) == "missing"


def test_answers_that_are_none(made: Made, server: Server) -> None:
    def answering(answer: bytes) -> Callable[[str, BaseHTTPRequestHandler], bool]:
        def lie(_: str, handler: BaseHTTPRequestHandler) -> bool:
            handler.wfile.write(answer)
            handler.close_connection = True
            return True

        return lie

    for answer in (
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 500 no\r\n\r\n",
        b"HTTP/1.1 302 go\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.1 302 go\r\nLocation: /again\r\n\r\n",
        b"HTTP/1.1 302 go\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",
        b"HTTP/1.1 200 ok\r\nContent-Length: 900\r\n\r\nx",
        b"HTTP/1.1 200 ok\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ):
        server.lie = answering(answer)
        assert refused(lambda: made.client(server.url).check(None)) in ("offline", "missing", "altered"), answer


def test_a_server_that_is_gone(made: Made) -> None:
    with serving(made.folder) as server:
        url = server.url
    assert refused(lambda: made.client(url).check(None)) == "offline"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(random=st.randoms(use_true_random=False), data=st.data())
def test_any_metadata_give_our_errors_or_the_truth(made: Made, random: object, data: st.DataObject) -> None:
    """Whatever a mirror gives, a device takes the bundle that was signed, or says why not."""
    place = made.home / "mirror"
    shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(made.home / "fresh", ignore_errors=True)
    shutil.copytree(made.folder, place)
    names = sorted(path.name for path in (place / "metadata").iterdir())
    name = data.draw(st.sampled_from([*names, "2.root.json"]))
    path = place / "metadata" / name
    content = path.read_bytes() if path.exists() else (place / "metadata/1.root.json").read_bytes()
    if data.draw(st.booleans()):
        content = dump_json(mutate_json(random, parse_object(content))).encode()  # type: ignore[arg-type]
    else:
        content = mutate_bytes(random, content)  # type: ignore[arg-type]
    path.write_bytes(content)
    with contextlib.suppress(UpdateError):
        assert wanted(made.client(str(place), state="fresh")).bundle == "small-1"


@given(st.binary(max_size=300))
def test_any_channel_gives_our_error(content: bytes) -> None:
    with pytest.raises(UpdateError):
        parse_channel(content)


@given(st.randoms(use_true_random=False))
def test_any_changed_channel_is_read_or_gives_our_error(random: object) -> None:
    values = {"format": 1, "paused": False, "offers": [{"bundle": "small-1", "tags": ["outdoor"], "share": 10.0}]}
    changed = dump_json(mutate_json(random, values)).encode()  # type: ignore[arg-type]
    try:
        channel = parse_channel(changed)
    except UpdateError:
        return
    assert parse_channel(channel.to_bytes()) == channel

"""The list of stored frames and its downloads: what is there, who gets it, and that nothing else can be reached."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks.record.segments import Segments
from edge.sinks.spool.shelf import Shelf
from edge.sinks.spool.store import Store
from edge.web.panels import stored as stored_module
from quietcam.files.strict_json import parse_json
from tests.edge.sinks.spool.spools import Clock, opened, spool
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served
from tests.waiting import WAIT, until

TOKEN = "correct horse battery"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path / "spool", 10_000)
    yield store
    store.close()


@pytest.fixture
def shelf(store: Store, served: Served) -> Shelf:
    """On the page as sink 0."""
    shelf = store.shelf("spool:frames")
    served.controls.shelves = [shelf]
    return shelf


def listed(served: Served, query: str = "sink=0") -> Any:
    status, _, body = served.get(f"/stored.json?{query}")
    assert status == 200, body
    return parse_json(body.decode())


def begun(connection: socket.socket, entry: str) -> http.client.HTTPResponse:
    """A download whose head has come."""
    connection.sendall(f"GET /stored/0/{entry} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


class TestList:
    def test_it_names_the_sinks_and_reads_no_disk_for_that(self, served: Served) -> None:
        assert listed(served, "") == {"sinks": []}
        gone = mock.Mock(spec=Shelf)
        gone.name = "spool:frames"
        served.controls.shelves = [gone]
        assert listed(served, "") == {"sinks": ["spool:frames"]}
        assert not gone.newest.called

    @pytest.mark.usefixtures("shelf")
    def test_the_newest_come_first_and_older_ones_when_they_are_asked_for(self, served: Served, store: Store) -> None:
        names = [store.add({".jpg": b"x" * (count + 1)}).name for count in range(2 * stored_module.ENTRIES + 3)]
        found: list[str] = []
        query = "sink=0"
        for more in (True, True, False):
            answer = listed(served, query)
            assert answer["older"] is more
            found += [each["entry"] for each in answer["files"]]
            assert answer["files"][-1]["size"] == names.index(found[-1]) + 1
            query = f"sink=0&before={found[-1]}"
        assert found == names[::-1]
        assert listed(served, query) == {"files": [], "older": False}

    @pytest.mark.usefixtures("shelf")
    def test_an_entry_of_several_files_lists_each(self, served: Served, store: Store) -> None:
        entry = store.add({"noisy.png": b"noisy", "denoised.png": b"clean!"}).name
        files = [(each["entry"], each["part"], each["size"]) for each in listed(served)["files"]]
        assert files == [(entry, "denoised.png", 6), (entry, "noisy.png", 5)]

    @pytest.mark.usefixtures("shelf")
    def test_what_is_not_the_spools_is_not_listed(self, served: Served, store: Store, other: Path) -> None:
        entry = store.add({".jpg": b"x"}).name
        (store.folder / "notes.txt").write_text("mine")
        (store.folder / ".budget.json").write_text("{}")
        (store.folder / entry.replace("0000000000", "0000000001")).symlink_to(other / "mine.txt")
        os.mkfifo(store.folder / entry.replace("0000000000", "0000000002"))
        assert [each["entry"] for each in listed(served)["files"]] == [entry]

    def test_recordings_are_listed_also_while_they_grow(self, served: Served, tmp_path: Path) -> None:
        segments = Segments(tmp_path / "clips", 1 << 30, lambda: 1.7e9)
        segments.open()
        os.close(segments.begin(".mp4"))
        segments.finish(0)
        file = segments.begin(".mkv")
        os.write(file, b"abc")
        os.close(file)
        served.controls.shelves = [segments.shelf("record:clips")]
        files = listed(served)["files"]
        assert [(each["entry"][10:], each["size"]) for each in files] == [
            ("_2023-11-14T22-13-20.000Z_recording.mkv", 3), ("_2023-11-14T22-13-20.000Z.mp4", 0),
        ]  # fmt: skip
        assert served.get(f"/stored/0/{files[0]['entry']}")[2] == b"abc"
        segments.close()

    @pytest.mark.parametrize("sink", ["1", "-1", "x", "", "0000", "\u0660", "0x0"])
    @pytest.mark.usefixtures("shelf")
    def test_another_sink_is_not_found(self, served: Served, sink: str) -> None:
        assert served.get(f"/stored.json?sink={quote(sink)}")[0] == 404


class TestDownload:
    @pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, 3_000_001])
    @pytest.mark.usefixtures("shelf")
    def test_it_is_the_file(self, served: Served, store: Store, size: int) -> None:
        content = np.random.default_rng(size).bytes(size)
        entry = store.add({"_untouched.jpg": content}).name
        status, headers, body = served.get(f"/stored/0/{entry}")
        assert (status, body) == (200, content)
        assert headers["Content-Type"] == "image/jpeg"
        assert headers["Content-Disposition"] == f'attachment; filename="quietcam_{entry}"'
        assert served.get(f"/stored/0/{entry}", "POST")[0] == 405

    @pytest.mark.usefixtures("shelf")
    def test_each_part_of_an_entry_has_a_name_of_its_own(self, served: Served, store: Store) -> None:
        entry = store.add({"noisy.png": b"noisy", "denoised.png": b"clean"}).name
        for part, content in (("noisy", b"noisy"), ("denoised", b"clean")):
            _, headers, body = served.get(f"/stored/0/{entry}/{part}.png")
            assert body == content
            assert headers["Content-Disposition"] == f'attachment; filename="quietcam_{entry}_{part}.png"'
        assert served.get(f"/stored/0/{entry}")[0] == 404, "a folder is no file"

    @pytest.mark.usefixtures("shelf")
    def test_nothing_else_can_be_reached(self, served: Served, store: Store, tmp_path: Path) -> None:
        (tmp_path / "secret.png").write_bytes(b"secret")
        entry = store.add({".jpg": b"x"}).name
        twin = store.add({"noisy.png": b"n", "denoised.png": b"d"}).name
        (store.folder / "secret.png").write_bytes(b"secret")
        (store.folder / twin / "link.png").symlink_to(tmp_path / "secret.png")
        link, pipe, path = (entry.replace("0000000000", f"000000001{number}") for number in range(3))
        (store.folder / link).symlink_to(tmp_path / "secret.png")
        os.mkfifo(store.folder / pipe)
        with socket.socket(socket.AF_UNIX) as listening:
            os.chdir(store.folder)  # a socket's path is short
            try:
                listening.bind(path)
            finally:
                os.chdir(Path(__file__).parent)
        folder_link = twin.replace("0000000001", "0000000020")
        (store.folder / folder_link).symlink_to(tmp_path)
        tricks = [
            "secret.png", "../secret.png", "..%2Fsecret.png", "%2e%2e/secret.png", "%2e%2e%2fsecret.png", ".", "..",
            "%2e", f"{twin}/..%2f..%2fsecret.png", f"{twin}/../../secret.png", f"{twin}/link.png", f"{twin}/nope.png",
            f"{folder_link}/secret.png", f"{entry}/secret.png", f"{entry}%00", f"{entry}%0a", f"{entry}/",
            "%2fetc/passwd.png", "%2fetc%2fpasswd", link, pipe, path, f"{twin}/", f"{twin}/.", ".budget.json",
            f"{entry}%2f..%2fsecret.png", f"{twin}%2flink.png", "x" * 300, "\x41" * 4000,
        ]  # fmt: skip
        for trick in tricks:
            for sink in ("0", "1", "..", "%2e%2e"):
                status, _, body = served.get(f"/stored/{sink}/{trick}")
                assert status in (400, 404), trick
                assert b"secret" not in body
        assert served.get(f"/stored/0/{entry}")[2] == b"x"

    @pytest.mark.usefixtures("shelf")
    def test_a_file_that_is_removed_meanwhile_still_comes_whole(self, served: Served, store: Store) -> None:
        content = np.random.default_rng(0).bytes(8_000_000)
        entry = store.add({".png": content}).name
        with served.connect(receive=4096) as connection:
            answer = begun(connection, entry)
            (store.folder / entry).unlink()
            assert answer.read() == content

    @pytest.mark.usefixtures("shelf")
    def test_a_file_that_shrinks_meanwhile_breaks_the_connection(self, served: Served, store: Store) -> None:
        entry = store.add({".png": bytes(8_000_000)}).name
        with served.connect(receive=4096) as connection:
            answer = begun(connection, entry)
            os.truncate(store.folder / entry, 0)
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()


class TestAccess:
    @pytest.mark.parametrize("path", ["/stored.json", "/stored.json?sink=0", "/stored/0/ENTRY"])
    def test_the_token_is_needed_and_other_sites_may_not_embed(self, store: Store, path: str) -> None:
        entry = store.add({".jpg": b"private"}).name
        path = path.replace("ENTRY", entry)
        with serving(TOKEN) as served:
            served.controls.shelves = [store.shelf("spool:frames")]
            assert served.get(path)[0] == 401
            assert served.get(path, Authorization="Bearer wrong wrong wrong")[0] == 401
            status, headers, body = served.get(path, Authorization=f"Bearer {TOKEN}")
            assert status == 200
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert b"private" in body or entry.encode() in body or b"spool" in body
            elsewhere = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
            assert served.get(path, Authorization=f"Bearer {TOKEN}", **elsewhere)[0] == 403

    @pytest.mark.usefixtures("shelf")
    def test_only_a_few_download_at_once(self, served: Served, store: Store) -> None:
        entry = store.add({".png": bytes(16_000_000)}).name
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                slow = stack.enter_context(served.connect(receive=4096))
                assert begun(slow, entry).status == 200
            status, headers, _ = served.get(f"/stored/0/{entry}")
            assert (status, headers["Retry-After"]) == (503, "5")
            assert served.get(f"/stored/0/{entry}", source="127.0.0.2")[0] == 200, "a client that has none gets a place"
        until(lambda: served.get(f"/stored/0/{entry}")[0] == 200)


class TestDisk:
    def test_one_that_hangs_holds_up_nothing_else(self, served: Served, store: Store, hang: threading.Event) -> None:
        shelf = store.shelf("spool:frames")
        served.controls.shelves = [shelf]
        store.add({".jpg": b"x"})
        hangs = mock.patch.object(shelf, "newest", side_effect=lambda *_: (hang.wait(), ([], False))[1])
        with hangs, serving(disk_seconds=0.05) as hanging:
            hanging.controls.shelves = [shelf]
            for _ in range(5):  # the first two wait, and hold the two places from then on
                status, headers, body = hanging.get("/stored.json?sink=0")
                assert (status, headers["Retry-After"]) == (503, "5")
                assert b"hangs" in body
            assert hanging.get("/status.json")[0] == 200
            assert sum(each.name == "quietcam-shelf" for each in threading.enumerate()) == 2
            hang.set()
        assert len(listed(served)["files"]) == 1

    @pytest.mark.usefixtures("shelf")
    def test_a_folder_that_was_replaced_is_not_read_until_the_sink_takes_it(
        self, served: Served, store: Store, tmp_path: Path
    ) -> None:
        entry = store.add({".jpg": b"old"}).name
        store.folder.rename(tmp_path / "away")
        store.folder.mkdir()
        (store.folder / entry).write_bytes(b"foreign")
        assert served.get("/stored.json?sink=0")[0] == 503
        assert served.get(f"/stored/0/{entry}")[0] == 503
        assert store.ensure()
        assert served.get(f"/stored/0/{entry}")[2] == b"foreign"
        store.close()
        assert served.get("/stored.json?sink=0")[0] == 503

    def test_the_sinks_thread_may_work_meanwhile(self, served: Served, tmp_path: Path) -> None:
        clock = Clock()
        with spool(tmp_path / "spool", clock, size=40_000) as sink:
            assert isinstance(sink.shelf, Shelf)
            served.controls.shelves = [sink.shelf]
            over = threading.Event()

            def write() -> None:
                rng = np.random.default_rng(0)
                while not over.is_set():
                    frame = rng.integers(0, 256, (16, 16, 3), np.uint8)
                    sink.write(Frame(frame, clock.now, sink.frames), frame)
                    clock.now += 2

            writing = threading.Thread(target=write)
            writing.start()
            for _ in range(8):
                for each in listed(served)["files"]:
                    status, _, body = served.get(f"/stored/0/{each['entry']}")
                    assert status in (200, 404)
                    assert status == 404 or len(body) == each["size"]
            over.set()
            writing.join(WAIT)

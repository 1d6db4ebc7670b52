"""The options of `spool:`, and the values that it refuses at the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.run.frame import Frame
from edge.sinks import open_sink
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.spool.sink import SpoolSink
from quietcam.errors import StorageError, UsageError
from tests.edge.sinks.spool.spools import Clock, feed, spool
from tests.small_models import picture


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestUsage:
    def test_options(self) -> None:
        options = SpoolOptions.parse("/x/y,size=2GiB,daily=500MB,every=5,change=8,gap=2,twin=yes,format=png")
        assert options == SpoolOptions(Path("/x/y"), 2 << 30, 500_000_000, 5.0, 8.0, 2.0, True, "png")
        assert SpoolOptions.parse("/x").every == 60
        assert SpoolOptions.parse("/x,change=8").every is None
        sizes = {"4096": 4096, "1k": 1000, "1KiB": 1024, "1.5M": 1_500_000, "2gb": 2 * 10**9, "1TB": 10**12}
        assert {text: SpoolOptions.parse(f"/x,size={text}").size for text in sizes} == sizes

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "needs a folder"),
            ("/x,color=red", "has the options"),
            ("/x,size=big", "size is a number of bytes"),
            ("/x,size=-1", "size is"),
            ("/x,size=nan", "size is"),
            ("/x,size=MB", "size is"),
            ("/x,every=0", "every is seconds"),
            ("/x,every=nan", "every is seconds"),
            ("/x,change=300", "change is steps"),
            ("/x,twin=perhaps", "twin is yes or no"),
            ("/x,format=webp", "format is jpg or png"),
        ],
    )
    def test_options_that_are_none(self, text: str, says: str) -> None:
        with pytest.raises(UsageError, match=says):
            open_sink(f"spool:{text}")

    @pytest.mark.parametrize("key", ["size", "daily"])
    def test_room_for_less_than_a_frame(self, tmp_path: Path, clock: Clock, key: str) -> None:
        with pytest.raises(UsageError, match=f"{key} must have room for one frame.*Remedy"):
            _small(tmp_path, clock, key).open()

    def test_room_for_less_than_a_frame_of_a_camera_that_does_not_tell_its_size(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        sink = SpoolSink(SpoolOptions(tmp_path, size=5000, every=1.0), None, clock, clock.wall)
        with sink, pytest.raises(UsageError, match="room for one frame"):
            sink.write(Frame(picture(100, 100), 0.0, 0), picture(100, 100))

    def test_a_folder_that_cannot_be_written_to(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="Cannot write"):
            spool(tmp_path / "file" / "spool", clock).open()

    def test_the_count_is_readable(self, tmp_path: Path, clock: Clock) -> None:
        with spool(tmp_path, clock, daily=10**6) as sink:
            feed(sink, clock, 2)
        assert sum(json.loads((tmp_path / ".budget.json").read_text())["hours"]) == 2 * 4096

    def test_a_count_that_is_damaged_is_said_with_what_it_means(
        self, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / ".budget.json").write_text('{"hours": [Infinity]}')
        with spool(tmp_path, clock, daily=10**6) as sink:
            feed(sink, clock, 1)
        assert (sink.stored, sink.over_budget) == (0, 1)
        assert "cannot be read as a count, so the day's write budget counts as spent. Remedy:" in caplog.text


def _small(folder: Path, clock: Clock, key: str) -> SpoolSink:
    return SpoolSink(SpoolOptions(folder, **{key: 100_000}), (640, 480), clock, clock.wall)  # type: ignore[arg-type]

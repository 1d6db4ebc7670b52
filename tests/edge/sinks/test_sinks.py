"""The sinks: the files that they write, their names, and what is left after an error."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks import KINDS, open_sink
from edge.sinks.base import Sink, side_by_side
from edge.sinks.folder import FolderSink
from edge.sinks.video.opencv_clip import CODECS, OpenCVClip
from quietcam.data.pictures.files import read_picture
from quietcam.errors import DataError, StorageError, UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.scenes import generate_scene
from tests.small_models import picture


def frame(index: int, image: Image | None = None, name: str | None = None) -> Frame:
    return Frame(picture(20, 30, seed=index) if image is None else image, index / 25, index, name)


def read_clip(path: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    images = []
    while True:
        there, bgr = capture.read()
        if not there:
            return images
        images.append(np.ascontiguousarray(bgr[..., ::-1]))


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def fill(sink: Sink, count: int, height: int = 48, width: int = 64) -> list[Image]:
    """Write frames of a moving scene; returns the denoised ones."""
    scene = generate_scene(height, width + 2 * count, seed=1)
    images = [np.ascontiguousarray(scene[:, 2 * i : 2 * i + width]) for i in range(count)]
    for index, image in enumerate(images):
        sink.write(frame(index, 255 - image), image)
    return images


def leave(sink: Sink, error: type[BaseException]) -> None:
    """Take five frames, then raise an error."""

    def work() -> None:
        with sink:
            fill(sink, 5)
            raise error

    with pytest.raises(error):
        work()


class TestFolder:
    def test_two_runs_do_not_share_one(self, tmp_path: Path) -> None:
        """Both found it empty or missing; each frame of one would replace a frame of the other."""
        first, second = (open_sink(f"{tmp_path / 'out'}/") for _ in range(2))
        with first:
            fill(first, 1)
            with pytest.raises(UsageError, match="belongs to one process"):
                second.open()
        with pytest.raises(UsageError, match="must be empty"):
            second.open()
        with first:  # once more, as after a failure
            fill(first, 2)
        with (
            open_sink(f"{tmp_path / 'out'}/", overwrite=True) as third,
            open_sink(f"{tmp_path / 'out'}/", overwrite=True),
        ):
            fill(third, 3)
        assert len(names(tmp_path / "out")) == 3

    def test_pictures_are_exact_and_named_by_number_or_as_the_source_does(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "out")) as sink:
            sink.write(frame(3), picture(20, 30, seed=8))
            sink.write(frame(4, name="tree"), picture(20, 30, seed=9))
        assert names(tmp_path / "out") == ["frame_000003.png", "tree.png"]
        np.testing.assert_array_equal(read_picture(tmp_path / "out/frame_000003.png"), picture(20, 30, seed=8))
        np.testing.assert_array_equal(read_picture(tmp_path / "out/tree.png"), picture(20, 30, seed=9))
        assert sink.frames == 2

    def test_a_folder_may_be_called_nearly_like_a_kind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("./webb", "a/spool", "week"):
            with open_sink(name) as sink:
                sink.write(frame(0), picture(20, 30))
            assert names(tmp_path / name) == ["frame_000000.png"]
        assert isinstance(open_sink("webb", overwrite=True), FolderSink)  # there now

    def test_before_stands_on_the_left_of_after(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "out"), before_after=True) as sink:
            sink.write(frame(0), picture(20, 30, seed=8))
        both = read_picture(tmp_path / "out/frame_000000.png")
        np.testing.assert_array_equal(both[:, :30], picture(20, 30, seed=0))
        np.testing.assert_array_equal(both[:, 30:], picture(20, 30, seed=8))

    def test_a_folder_with_something_in_it_is_refused_without_overwrite(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(UsageError, match="`overwrite`"):
            open_sink(str(tmp_path))
        with open_sink(str(tmp_path), overwrite=True) as sink:
            sink.write(frame(0), picture(20, 30))
        assert names(tmp_path) == ["frame_000000.png", "mine.txt"]

    def test_an_unwritable_place_is_a_storage_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StorageError, match="Remedy"), open_sink(str(tmp_path / "file" / "out")):
            pass

    def test_a_folder_that_is_gone_is_made_again(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with open_sink(str(out)) as sink:
            sink.write(frame(0), picture(20, 30))
            out.rename(tmp_path / "was")
            sink.write(frame(1), picture(20, 30))
            (tmp_path / "more").mkdir()
            out.rename(tmp_path / "was_too")
            out.symlink_to(tmp_path / "more")
            with pytest.raises(StorageError):
                sink.write(frame(2), picture(20, 30))
        assert (names(tmp_path / "was_too"), names(tmp_path / "more")) == (["frame_000001.png"], [])

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a disk")
    @pytest.mark.parametrize("name", ["out", "out/clip.avi", "clip.avi"])
    def test_frames_do_not_fill_the_disk_beneath_one_that_is_taken_away(self, tmp_path: Path, name: str) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here")
        sink = open_sink(str(disk / name), live=True)
        with sink:
            sink.write(frame(0), picture(20, 30))
            sink.close()  # of a clip: the part is whole
            subprocess.run(["umount", "-l", str(disk)], check=True)
            for _ in range(2):
                with pytest.raises(StorageError, match="disk is gone"):
                    sink.write(frame(1), picture(20, 30))
                sink.close()  # as in a run
                with pytest.raises(StorageError, match="disk is gone"):
                    sink.open()
                assert names(disk) == []

    def test_after_an_error_the_pictures_stay(self, tmp_path: Path) -> None:
        leave(open_sink(str(tmp_path / "out")), RuntimeError)
        assert names(tmp_path / "out") == [f"frame_{index:06d}.png" for index in range(5)]


class TestVideo:
    @pytest.mark.parametrize("suffix", CODECS)
    def test_a_clip_comes_back(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"clip{suffix}"
        with OpenCVClip(path, 12.5) as sink:
            written = fill(sink, 8)
            assert not path.exists(), "the final name appeared before the clip was whole"
        images = read_clip(path)
        assert len(images) == 8
        assert min(psnr(a, b) for a, b in zip(images, written, strict=True)) > 24
        assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5, rel=0.01)
        assert names(tmp_path) == [path.name]

    def test_before_stands_on_the_left_of_after(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.avi"
        with open_sink(str(path), before_after=True) as sink:
            written = fill(sink, 2)
        both = read_clip(path)[0]
        assert both.shape == (48, 128, 3)
        assert psnr(both, side_by_side(255 - written[0], written[0])) > 24

    @pytest.mark.parametrize("suffix", CODECS)
    def test_odd_sides_lose_nothing(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"clip{suffix}"
        with open_sink(str(path)) as sink:
            written = fill(sink, 2, height=33, width=47)
        image = read_clip(path)[0]
        assert image.shape == (34, 48, 3)
        assert psnr(np.ascontiguousarray(image[:33, :47]), written[0]) > 24

    def test_grayscale_is_written(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.webm"), before_after=True) as sink:
            sink.write(frame(0, picture(16, 16, 1)), picture(16, 16, 1))
        assert read_clip(tmp_path / "clip.webm")[0].shape == (16, 32, 3)

    def test_a_clip_that_exists_is_refused_without_overwrite(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.webm"
        path.write_bytes(b"mine")
        with pytest.raises(UsageError, match="`overwrite`"):
            open_sink(str(path))
        with open_sink(str(path), overwrite=True) as sink:
            fill(sink, 2)
            assert path.read_bytes() == b"mine"
        assert len(read_clip(path)) == 2

    def test_ctrl_c_keeps_what_was_taken(self, tmp_path: Path) -> None:
        leave(open_sink(str(tmp_path / "clip.webm")), KeyboardInterrupt)
        assert len(read_clip(tmp_path / "clip.webm")) == 5

    def test_another_error_leaves_nothing(self, tmp_path: Path) -> None:
        leave(open_sink(str(tmp_path / "clip.webm")), RuntimeError)
        assert names(tmp_path) == []

    def test_no_frame_makes_no_file(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.webm")):
            pass
        assert names(tmp_path) == []

    def test_another_size_on_the_way_is_refused(self, tmp_path: Path) -> None:
        with open_sink(str(tmp_path / "clip.webm")) as sink:
            fill(sink, 1)
            with pytest.raises(DataError, match="32x16 after 64x48"):
                sink.write(frame(1), picture(16, 32))
            sink.discard()
        assert names(tmp_path) == []

    @pytest.mark.parametrize("links", [True, False], ids=["", "no links on this disk"])
    def test_a_file_that_appears_meanwhile_is_not_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, links: bool
    ) -> None:
        """A user's file, or the clip of a second run that began at the same time."""
        if not links:
            monkeypatch.setattr(os, "link", _no_links)
        path = tmp_path / "clip.avi"
        with open_sink(str(path)) as first, open_sink(str(path)) as second:
            fill(first, 2)
            fill(second, 3)
            (tmp_path / "clip_2.avi").symlink_to("nothing")
        assert names(tmp_path) == ["clip.avi", "clip_2.avi", "clip_3.avi"]
        assert (len(read_clip(path)), len(read_clip(tmp_path / "clip_3.avi"))) == (3, 2)
        assert (tmp_path / "clip_2.avi").is_symlink()
        assert f"exists now and is not replaced: the clip is {tmp_path / 'clip_3.avi'}" in caplog.text

    def test_a_file_that_appears_meanwhile_is_replaced_where_that_is_wanted(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.avi"
        with open_sink(str(path), overwrite=True) as sink:
            fill(sink, 2)
            path.write_bytes(b"old")
        assert (names(tmp_path), len(read_clip(path))) == (["clip.avi"], 2)

    @pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
    @pytest.mark.parametrize("instead", [Path.mkdir, Path.touch, lambda _: None], ids=["a folder", "a file", "nothing"])
    def test_a_folder_that_is_moved_takes_its_clip_along(
        self, tmp_path: Path, live: bool, instead: Callable[[Path], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        folder, was = tmp_path / "clips", tmp_path / "was"
        with open_sink(str(folder / "clip.avi"), live=live) as sink:
            fill(sink, 3)
            folder.rename(was)
            instead(folder)
            if live and folder.is_file():
                with pytest.raises(StorageError, match="Not a directory"):
                    fill(sink, 2)
            else:
                fill(sink, 2)
        assert names(was) == ["clip.avi"]
        assert len(read_clip(was / "clip.avi")) == (3 if live else 5)
        assert "clip.avi is in the moved folder" in caplog.text
        if live and folder.is_dir():  # a live run continues in the folder at its path
            assert (names(folder), len(read_clip(folder / "clip_2.avi"))) == (["clip_2.avi"], 2)

    @pytest.mark.parametrize("what", ["the folder", "the file"])
    def test_a_clip_that_is_deleted_while_it_is_written_is_noticed_at_once(self, tmp_path: Path, what: str) -> None:
        folder = tmp_path / "clips"
        sink = open_sink(str(folder / "clip.avi"))
        with sink:
            fill(sink, 2)
            if what == "the folder":
                shutil.rmtree(folder)
            else:
                next(folder.iterdir()).unlink()
            with pytest.raises(StorageError, match="it is gone"):
                fill(sink, 1)
            with pytest.raises(StorageError, match="it is gone"):
                sink.close()
        assert not folder.exists() or names(folder) == []

    def test_a_disk_that_fills_is_noticed_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        full = SimpleNamespace(f_frsize=4096, f_bfree=3, f_bavail=3)
        with open_sink(str(tmp_path / "clip.webm")) as sink:
            fill(sink, 2)
            monkeypatch.setattr(os, "statvfs", lambda _: full)
            with pytest.raises(StorageError, match="No space left"):
                fill(sink, 1)
            sink.discard()
        assert names(tmp_path) == []

    @pytest.mark.parametrize("suffix", CODECS)
    def test_a_clip_that_cannot_grow_never_gets_its_name(self, tmp_path: Path, suffix: str) -> None:
        """A limit on the size of files, which OpenCV does not report either."""
        path = tmp_path / f"clip{suffix}"
        code = f"""
import resource, numpy as np
from pathlib import Path
from edge.run.frame import Frame
from edge.sinks.video.opencv_clip import OpenCVClip
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
noise = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), np.uint8)
with OpenCVClip(Path({str(path)!r}), 25.0) as sink:
    for index, image in enumerate(noise):
        sink.write(Frame(image, 0.0, index), image)
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "StorageError" in ran.stderr
        assert "could not be written whole" in ran.stderr
        assert names(tmp_path) == []


def test_null_counts() -> None:
    with open_sink("null") as sink:
        for index in range(3):
            sink.write(frame(index), picture(20, 30))
    assert sink.frames == 3


def test_close_and_discard_may_be_called_twice(tmp_path: Path) -> None:
    for target in ("null", str(tmp_path / "out"), str(tmp_path / "clip.webm")):
        sink = open_sink(target)
        sink.open()
        fill(sink, 1)
        for _ in range(2):
            sink.close()
        for _ in range(2):
            sink.discard()
    assert names(tmp_path) == ["clip.webm", "out"]


@pytest.mark.parametrize("target", ["picture.png", "clip.mov", "name.with.dots"])
def test_an_unknown_sink_is_answered_with_the_kinds(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(target)
    assert all(kind in str(caught.value) for kind in KINDS)


def test_a_slash_means_a_folder(tmp_path: Path) -> None:
    with open_sink(f"{tmp_path}/version.2/") as sink:
        sink.write(frame(0), picture(20, 30))
    assert names(tmp_path / "version.2") == ["frame_000000.png"]


def test_a_file_where_the_folder_should_be_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    (tmp_path / "clip.webm").mkdir()
    with pytest.raises(UsageError, match="which is a file"):
        open_sink(str(tmp_path / "out"))
    with pytest.raises(UsageError, match="which is a folder"):
        open_sink(str(tmp_path / "clip.webm"))


def _no_links(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("asked", [False, True])
def test_a_clip_has_its_name_before_a_slow_disk_has_all_of_it_where_the_run_is_told_to_end(
    asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that case the process may end before the disk has answered."""
    path, named = tmp_path / "clip.webm", []
    sync = os.fsync
    monkeypatch.setattr(
        "quietcam.files.atomic.os.fsync", lambda handle: named.append(len(read_clip(path))) or sync(handle)
    )
    with open_sink(str(path), 25) as sink:
        sink.write(frame(0), frame(0).image)
        monkeypatch.setattr("edge.sinks.video.clip.process.asked", asked)
    of_the_file, of_the_folder = named
    assert (of_the_file, of_the_folder) == (int(asked), 1)

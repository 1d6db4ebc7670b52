"""Capture: which frames it saves, when, and what it refuses; and the step to a representative set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.cameras import Camera
from edge.capture import EVERY, CaptureReport, capture, prepare_folder
from edge.run.frame import Frame
from quietcam.app.cli import run
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import DataError, StorageError, UsageError
from quietcam.image import Image
from quietcam.representative.set import load_set


def picture(index: int) -> Image:
    return np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)


class Fake(Camera):
    """Ten frames a second, each different unless the test sets another rule."""

    def __init__(
        self, total: int | None = 100, live: bool = False, make: Callable[[int], Image] = picture, stop: int = 10_000
    ) -> None:
        super().__init__()
        self.name = "fake"
        self.total, self.live, self._make, self._stop = total, live, make, stop
        self.given = self.back = 0

    @property
    def size(self) -> tuple[int, int] | None:
        return 32, 24

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total or 10_000):
            if index == self._stop:
                raise KeyboardInterrupt
            self.given += 1
            yield Frame(self._make(index), 5.0 + index / 10, index, release=self._take_back)

    def _take_back(self) -> None:
        self.back += 1


def saved(folder: Path) -> list[int]:
    """The numbers of ``Fake``'s frames in the folder, in the order of their names."""
    known = {picture(index).tobytes(): index for index in range(300)}
    return [known[read_picture(path).tobytes()] for path in sorted(folder.glob("*.png"))]


def told(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "capture.json").read_text())
    return found


def test_frames_of_a_file_are_spread_over_all_of_it(tmp_path: Path) -> None:
    capture(Fake(total=100), tmp_path, count=4)
    assert saved(tmp_path) == [0, 25, 50, 75]
    assert told(tmp_path)["frames"] == 4
    assert told(tmp_path)["every_s"] is None


def test_a_file_with_fewer_frames_gives_all_of_them(tmp_path: Path) -> None:
    assert capture(Fake(total=3), tmp_path, count=10).frames == 3
    assert saved(tmp_path) == [0, 1, 2]


def test_a_live_camera_gives_one_every_half_second(tmp_path: Path) -> None:
    camera = Fake(total=None, live=True)
    done = capture(camera, tmp_path, count=3)
    assert EVERY == 0.5
    assert saved(tmp_path) == [0, 5, 10]
    assert camera.given == 11  # and stops there
    assert done.seconds == pytest.approx(1.0)


def test_every_spreads_frames_over_time(tmp_path: Path) -> None:
    capture(Fake(total=100), tmp_path, count=5, every=2.0)
    assert saved(tmp_path) == [0, 20, 40, 60, 80]


def test_a_stall_is_not_made_up_for_in_a_burst(tmp_path: Path) -> None:
    class Stalling(Fake):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                late = 0.0 if frame.index < 10 else 3.0
                yield Frame(frame.image, frame.timestamp + late, frame.index)

    capture(Stalling(total=100), tmp_path, count=4, every=0.5)
    assert saved(tmp_path) == [0, 5, 10, 15]


def test_equal_frames_are_saved_once_and_the_next_is_tried_at_once(tmp_path: Path) -> None:
    done = capture(Fake(make=lambda index: picture(index // 7)), tmp_path, count=4, every=0.5)
    assert saved(tmp_path) == [0, 1, 2, 3]
    assert done.repeated == 6  # 5 and 6 equal 0, 12 and 13 equal 7, 19 and 20 equal 14


def test_a_frozen_camera_ends_it(tmp_path: Path) -> None:
    camera = Fake(total=None, live=True, make=lambda _: picture(0))
    done = capture(camera, tmp_path, count=5)
    assert (done.frames, done.repeated) == (1, 120)
    assert camera.given < 200


def test_ctrl_c_keeps_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        capture(Fake(stop=30), tmp_path, count=50, every=0.5)
    assert saved(tmp_path) == [0, 5, 10, 15, 20, 25]
    assert told(tmp_path)["frames"] == 6


@pytest.mark.parametrize("isp", [True, False, None])
def test_whether_the_camera_denoises_itself_is_told(tmp_path: Path, isp: bool | None) -> None:
    camera = Fake()
    if isp is not None:
        camera.isp_denoise = isp
    assert capture(camera, tmp_path, count=2).isp_denoise is isp
    assert told(tmp_path)["isp_denoise"] is isp


@pytest.mark.parametrize("live", [True, False])
def test_every_frame_is_given_back_to_the_camera(tmp_path: Path, live: bool) -> None:
    camera = Fake(live=live, make=lambda index: picture(index // 3))
    capture(camera, tmp_path, count=4, every=0.5 if live else None)
    assert camera.back == camera.given > 4


def test_a_disk_without_room_is_told_after_the_first_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    with pytest.raises(StorageError, match=r"room for all frames.*Remedy"):
        capture(Fake(), tmp_path, count=50)
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one frame"):
        capture(_Empty(), tmp_path, count=5)
    assert list(tmp_path.iterdir()) == []


class _Empty(Fake):
    def __iter__(self) -> Iterator[Frame]:
        yield from ()


def test_gray_frames_and_changing_sizes(tmp_path: Path) -> None:
    def make(index: int) -> Image:
        side = 16 + 8 * (index % 2)
        return np.random.default_rng(index).integers(0, 256, (side, side, 1), np.uint8)

    assert capture(Fake(make=make, total=4), tmp_path, count=4).sizes == {"16x16", "24x24"}
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_the_folder_is_not_mixed_with_anything(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    prepare_folder(folder, overwrite=False)
    capture(Fake(), folder, count=5)
    with pytest.raises(UsageError, match="must be empty"):
        prepare_folder(folder, overwrite=False)
    assert len(saved(folder)) == 5
    prepare_folder(folder, overwrite=True)
    assert list(folder.iterdir()) == []
    (folder / "holiday.png").touch()
    with pytest.raises(UsageError, match="nothing else"):
        prepare_folder(folder, overwrite=True)
    assert (folder / "holiday.png").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="which is a file"):
        prepare_folder(tmp_path / "file", overwrite=True)


def test_from_a_camera_to_a_representative_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, out = tmp_path / "frames", tmp_path / "rep.npz"
    source = "synthetic:size=96x64,fps=max,gain=8"
    words = ["capture", "--source", source, "--out", str(frames), "--count", "6"]
    assert run([*words, "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == told(frames)
    assert "6 frames (96x64" in shown.err
    assert "next: quietcam calibrate" in shown.err
    assert "hardly any noise" not in shown.err
    assert run(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run([*words, "--overwrite"]) == 0
    assert run(["calibrate", "--data", str(frames), "--out", str(out), "--count", "24", "--size", "32"]) == 0
    chosen = load_set(out)
    assert len(chosen) == 24
    assert set(chosen.source) == {f"frame_{index:06d}" for index in range(6)}
    assert chosen.origin["capture"]["source"] == "synthetic (imx219 at gain 8)"
    assert run(["lint", str(out), "--data", str(frames)]) == 0


def test_a_video_is_captured_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'edge'")
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for index in range(20):
        writer.write(np.full((48, 64, 3), 10 * index, np.uint8))
    writer.release()
    assert run(["capture", "--source", str(clip), "--out", str(tmp_path / "frames"), "--count", "4"]) == 0
    levels = [read_picture(path).mean() for path in sorted((tmp_path / "frames").glob("*.png"))]
    np.testing.assert_allclose(levels, [0, 50, 100, 150], atol=3)
    assert "hardly any noise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "absent", "--out", "frames"], "absent"),
        (["--source", "pictures", "--out", "pictures"], "choose another --out"),
        (["--source", "pictures", "--out", "pictures/a.png"], "which is a file"),
        (["--source", "synthetic", "--out", "frames", "--count", "0"], "count"),
        (["--source", "synthetic", "--out", "frames", "--every", "-1"], "every"),
    ],
)
def test_mistakes_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(Path("pictures/a.png"), picture(0))
    assert run(["capture", *words]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam")
    assert said in line
    assert not Path("frames").exists()


def test_two_captures_do_not_share_a_folder(tmp_path: Path) -> None:
    """Neither removes nor replaces the other's frames."""
    folder = tmp_path / "frames"

    def meddle(done: CaptureReport) -> None:
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="belongs to one process"):
                prepare_folder(folder, overwrite)
        with pytest.raises(UsageError, match="belongs to one process"):
            capture(Fake(total=3), folder, count=1)
        assert len(list(folder.glob("*.png"))) == done.frames

    prepare_folder(folder, overwrite=False)
    assert capture(Fake(total=9), folder, count=3, on_frame=meddle).frames == 3
    with pytest.raises(UsageError, match="must be empty"):  # it was empty when this capture was prepared
        capture(Fake(total=3), folder, count=1)


def test_a_clip_takes_every_frame_and_says_so(tmp_path: Path) -> None:
    done = capture(Fake(total=100), tmp_path, count=5, clip=True)
    assert saved(tmp_path) == [0, 1, 2, 3, 4]
    assert json.loads((tmp_path / "clip.json").read_text()) == {"scene": tmp_path.name}
    assert (told(tmp_path)["clip"], told(tmp_path)["lost"], done.every) == (True, 0, None)
    assert "clip" not in CaptureReport("fake").to_dict()


def test_frames_of_a_live_clip_are_written_when_all_are_there(tmp_path: Path) -> None:
    class Watched(Fake):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                assert not list(tmp_path.glob("*.png"))
                yield frame

    camera = Watched(total=None, live=True)
    capture(camera, tmp_path, count=4, clip=True)
    assert saved(tmp_path) == [0, 1, 2, 3]
    assert camera.back == camera.given == 4


def test_a_live_clip_copies_frames_whose_memory_the_camera_uses_again(tmp_path: Path) -> None:
    memory = picture(0)

    def again(index: int) -> Image:
        memory[:] = picture(index)
        return memory

    capture(Fake(live=True, make=again), tmp_path, count=3, clip=True)
    assert saved(tmp_path) == [0, 1, 2]


def test_a_clip_counts_the_frames_that_are_missing_in_between(tmp_path: Path) -> None:
    done = capture(Fake(make=lambda index: picture(max(0, index - 2))), tmp_path, count=4, clip=True)
    assert saved(tmp_path) == [0, 1, 2, 3]
    assert done.lost == 2


def test_a_live_clip_has_a_bound_of_memory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"512 MiB.* 300000 of 32x24\. Remedy: `count=233016`"):
        capture(Fake(live=True), tmp_path, count=300_000, clip=True)
    assert (512 << 20) // (32 * 24 * 3) == 233_016
    assert not list(tmp_path.glob("*.png"))


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"every frame.*`every=2`"):
        capture(Fake(), tmp_path, count=3, every=2.0, clip=True)
    with pytest.raises(DataError, match="two frames or more"):
        capture(Fake(live=True, make=lambda _: picture(0)), tmp_path, count=3, clip=True)
    assert not (tmp_path / "clip.json").exists()


def test_a_captured_clip_is_replaced_and_found_as_a_clip(tmp_path: Path) -> None:
    from quietcam.data.clips.noisy import find_noisy_clips

    folder = tmp_path / "clips" / "noon"
    words = ["capture", "--source", "synthetic:size=64x48", "--count", "4", "--clip", "--out", str(folder)]
    assert run(words) == 0
    assert run(words) == 2
    assert run([*words, "--overwrite"]) == 0
    (clip,) = find_noisy_clips(tmp_path / "clips")
    assert (clip.name, len(clip)) == ("noon", 4)
    assert [frame.name for frame in clip.frames][:2] == ["noon/frame_000000", "noon/frame_000001"]

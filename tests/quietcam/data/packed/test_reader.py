"""Packed sets: written patches read back the same, damage is found, and only complete patches count."""

import errno
import hashlib
import json
import os

import numpy as np
import pytest

from quietcam.data.packed import writer as module
from quietcam.data.packed.format import PackedPicture, Plan
from quietcam.data.packed.reader import is_packed, open_shards
from quietcam.data.packed.writer import ShardWriter
from quietcam.errors import DataError, StorageError, UsageError

SIDE = 8
NAMES = ("a", "ü/b", "c")


def plan(**changes):
    pictures = tuple(
        PackedPicture(name, f"000{i}_00{i}_S6_00100_00060_3200_L", f"00{i}", side, 10 + i, 20 + i)
        for i, (name, side) in enumerate(zip(NAMES, ("train", "validation", "train"), strict=True))
    )
    values = {"data": "set", "patch": SIDE, "channels": 3, "seed": 0, "per_picture": None, "split": "all", "rule": "r"}
    return Plan(**{**values, "pictures": pictures, "patches_per_shard": 4, **changes})


def sides(number):
    """Noisy and clean of a patch, told apart from every other."""
    return np.random.default_rng(number).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


def box(number):
    return (number, 2 * number, number + SIDE, 2 * number + SIDE)


def fill(writer, numbers, per_picture=5):
    for number in numbers:
        writer.add(writer.plan.pictures[number // per_picture], box(number), *sides(number))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path):
    with ShardWriter(tmp_path / "whole", plan()) as writer:
        fill(writer, range(10))
        writer.skip(plan().pictures[2], "it is cut short")
        writer.finish()
    return tmp_path / "whole"


def test_what_is_written_comes_back(whole):
    found = open_shards(whole)
    assert len(found) == 10
    assert found.complete
    assert found.plan == plan()
    assert found.skipped == ["c: it is cut short"]
    for number in range(10):
        noisy, clean = found.pair(number)
        np.testing.assert_array_equal(noisy, sides(number)[0])
        np.testing.assert_array_equal(clean, sides(number)[1])
        entry = found.entry(number)
        picture = plan().pictures[number // 5]
        assert (entry.source, entry.instance, entry.box) == (picture.name, picture.instance, box(number))
        assert entry.sha256 == hashlib.sha256(sides(number).tobytes()).hexdigest()
    assert found.of_side("train").tolist() == [0, 1, 2, 3, 4]
    assert found.of_side("validation").tolist() == [5, 6, 7, 8, 9]
    assert found.of_side("test").tolist() == []
    assert not any(damaged for _, damaged in found.damaged())


def test_the_format_is_what_it_says(whole):
    """Read without this package: raw pixels in shards of four, one JSON line a patch."""
    lines = [json.loads(line) for line in (whole / "index.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1] == {"source": "c", "skipped": "it is cut short"}
    assert len(lines) == 11
    sizes = [(whole / f"shard_0000{i}.u8").stat().st_size for i in range(3)]
    assert sizes == [4 * 2 * SIDE * SIDE * 3] * 2 + [2 * 2 * SIDE * SIDE * 3]
    pixels = np.concatenate([np.fromfile(whole / f"shard_0000{i}.u8", np.uint8) for i in range(3)])
    np.testing.assert_array_equal(pixels.reshape(10, 2, SIDE, SIDE, 3), [sides(i) for i in range(10)])
    complete = json.loads((whole / "complete.json").read_text())
    assert complete == {"patches": 10, "sha256": hashlib.sha256((whole / "index.jsonl").read_bytes()).hexdigest()}


def test_pixels_cannot_be_changed_through_the_map(whole):
    with pytest.raises(ValueError, match="read-only"):
        open_shards(whole).pair(0)[0][:] = 0


def test_shards_are_at_most_256_mib():
    large = plan(patch=256, patches_per_shard=0)
    assert large.patches_per_shard == (1 << 28) // (2 * 256 * 256 * 3)
    assert plan(patch=8192, patches_per_shard=0).patches_per_shard == 1


@pytest.mark.parametrize("after", range(11))
def test_left_and_resumed_anywhere_gives_the_same_bytes(whole, tmp_path, after):
    with ShardWriter(tmp_path / "parts", plan()) as writer:
        fill(writer, range(after))
    assert not open_shards(tmp_path / "parts").complete
    with ShardWriter(tmp_path / "parts", plan()) as writer:
        assert writer.kept == after
        assert writer.last == (plan().pictures[(after - 1) // 5].name if after else None)
        assert len(writer.lines_of_last) == (after - 1) % 5 + 1 if after else not writer.lines_of_last
        fill(writer, range(after, 10))
        writer.skip(plan().pictures[2], "it is cut short")
        writer.finish()
    assert content(tmp_path / "parts") == content(whole)


@pytest.mark.parametrize("name", ["index.jsonl", "shard_00001.u8", "shard_00002.u8"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.95])
def test_a_file_that_lost_its_end_loses_no_patch(whole, name, kept):
    """As after a power cut on a disk that lies about what it has written."""
    expected = content(whole)
    (whole / "complete.json").unlink()
    os.truncate(whole / name, int(len(expected[name]) * kept))
    with ShardWriter(whole, plan()) as writer:
        assert writer.kept < 10
        fill(writer, range(writer.kept, 10))
        writer.skip(plan().pictures[2], "it is cut short")
        writer.finish()
    assert content(whole) == expected


def test_a_tail_that_is_not_what_the_index_says_is_written_again(whole):
    expected = content(whole)
    (whole / "complete.json").unlink()
    with (whole / "shard_00001.u8").open("rb+") as file:
        file.seek(3 * 2 * SIDE * SIDE * 3)
        file.write(b"\0" * 64)
    with ShardWriter(whole, plan()) as writer:
        assert writer.kept == 7
        fill(writer, range(7, 10))
        writer.skip(plan().pictures[2], "it is cut short")
        writer.finish()
    assert content(whole) == expected


@pytest.mark.parametrize(
    "line",
    [b"{}\n", b"[]\n", b'{"source": "b"}\n', b'{"source": "a", "skipped": "x"}', b'{"source": "zz", "skipped": "x"}\n'],
)
def test_lines_that_are_not_ours_do_not_count(whole, line):
    lines = (whole / "index.jsonl").read_bytes().splitlines(keepends=True)
    (whole / "complete.json").unlink()
    (whole / "index.jsonl").write_bytes(b"".join(lines[:3]) + line + b"".join(lines[3:]))
    assert len(open_shards(whole)) == 3


def test_nothing_counts_before_its_commit(tmp_path):
    writer = ShardWriter(tmp_path, plan())
    fill(writer, range(3))
    assert len(open_shards(tmp_path)) == 0
    writer.commit()
    assert len(open_shards(tmp_path)) == 3
    fill(writer, range(3, 6))
    writer.close()
    writer.close()
    assert len(open_shards(tmp_path)) == 3


def test_pixels_are_on_the_disk_before_their_lines_are_written(tmp_path, monkeypatch):
    calls = []
    paths = {}
    real = {name: getattr(os, name) for name in ("open", "pwrite", "fsync")}

    def opened(path, *rest, **options):
        descriptor = real["open"](path, *rest, **options)
        paths[descriptor] = os.path.basename(path)  # noqa: PTH119
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(
        os, "pwrite", lambda fd, *rest: (calls.append(("write", paths[fd])), real["pwrite"](fd, *rest))[1]
    )
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(("sync", paths.get(fd))), real["fsync"](fd))[1])
    with ShardWriter(tmp_path / "set", plan()) as writer:
        calls.clear()
        fill(writer, range(6))
        writer.commit()
    assert calls == [
        *[("write", "shard_00000.u8")] * 4,
        ("sync", "shard_00000.u8"),
        *[("write", "shard_00001.u8")] * 2,
        ("sync", "shard_00001.u8"),
        ("sync", "set"),
        ("write", "index.jsonl"),
        ("sync", "index.jsonl"),
    ]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, content, offset: real(fd, bytes(content[:37]), offset))
    with ShardWriter(tmp_path, plan()) as writer:
        fill(writer, range(6))
        writer.finish()
    np.testing.assert_array_equal(open_shards(tmp_path).pair(5), sides(5))


@pytest.mark.parametrize("fails_at", [0, 1, 5, 6, 7])
def test_a_disk_that_fills_is_one_line_and_can_be_resumed(whole, tmp_path, monkeypatch, fails_at):
    real, count = os.pwrite, 0

    def full(descriptor, pixels, offset):
        nonlocal count
        count += 1
        if count == fails_at + 1:
            return real(descriptor, pixels[: len(pixels) // 2], offset)
        if count > fails_at + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, pixels, offset)

    monkeypatch.setattr(module, "_PENDING_BYTES", 3 * plan().patch_bytes)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with (
            pytest.raises(StorageError, match="No space left") as caught,
            ShardWriter(tmp_path / "set", plan()) as writer,
        ):
            fill(writer, range(10))
    assert str(caught.value).count("The set can be resumed: run the same command again.") == 1
    with ShardWriter(tmp_path / "set", plan()) as writer:
        fill(writer, range(writer.kept, 10))
        writer.skip(plan().pictures[2], "it is cut short")
        writer.finish()
    assert content(tmp_path / "set") == content(whole)


def test_ctrl_c_keeps_what_was_added(tmp_path):
    def interrupted():
        with ShardWriter(tmp_path, plan()) as writer:
            fill(writer, range(7))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(open_shards(tmp_path)) == 7


def test_one_process_at_a_time(tmp_path):
    with ShardWriter(tmp_path, plan()), pytest.raises(StorageError, match="in use by another"):
        ShardWriter(tmp_path, plan())
    ShardWriter(tmp_path, plan()).close()


def test_another_plan_is_refused(whole):
    with pytest.raises(DataError, match=r"seed 0 there, 1 asked for\. Remedy"):
        ShardWriter(whole, plan(seed=1))
    fewer = plan(pictures=plan().pictures[:2])
    with pytest.raises(DataError, match=r"1 pictures were changed, added or removed since \(c\)"):
        ShardWriter(whole, fewer)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds holiday\.png\. Remedy"):
        ShardWriter(tmp_path, plan())
    assert content(tmp_path) == {"holiday.png": b"x"}


def test_left_overs_of_a_kill_go(tmp_path):
    (tmp_path / ".pack.0123abcd.json").write_bytes(b"{")
    (tmp_path / ".complete.0123abcd.json").write_bytes(b"")
    ShardWriter(tmp_path, plan()).close()
    assert sorted(content(tmp_path)) == ["index.jsonl", "pack.json"]


def test_a_damaged_patch_is_found(whole):
    with (whole / "shard_00001.u8").open("rb+") as file:
        file.seek(2 * SIDE * SIDE * 3 + 5)
        before = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([before ^ 1]))
    assert [number for number, damaged in open_shards(whole).damaged() if damaged] == [5]


def test_a_complete_set_that_lost_something_is_refused(whole):
    os.truncate(whole / "shard_00002.u8", 100)
    with pytest.raises(DataError, match=r"shard_00002.*delete the folder and pack again"):
        open_shards(whole)
    os.truncate(whole / "index.jsonl", 300)
    with pytest.raises(DataError, match="index of a packed set must be the one"):
        open_shards(whole)


def test_other_folders_are_no_packed_sets(tmp_path, whole):
    assert not is_packed(tmp_path)
    with pytest.raises(UsageError, match="quietcam data pack"):
        open_shards(tmp_path)
    for text in ("", "[]", "{}", '{"format": 1}'):
        (whole / "pack.json").write_text(text)
        with pytest.raises(DataError, match="must be the plan of a packed set"):
            open_shards(whole)
    (whole / "pack.json").write_text('{"format": 2}')
    with pytest.raises(DataError, match="format 2"):
        open_shards(whole)

"""The file that native code writes to: its parts, and its size."""

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.process import native_log
from quietcam.process.native_log import KEPT, NativeLog
from tests.waiting import ended


@pytest.fixture
def log():
    log = NativeLog()
    yield log
    os.close(log.file)


def all_of(log: NativeLog) -> bytes:
    return log.rest(last=True)[0]


def test_rest_is_what_no_part_has_taken(log):
    os.write(log.file, b"before\n")
    part = log.begin()
    os.write(log.file, b"inside\n")
    log.drop(part)
    os.write(log.file, b"after\n")
    assert all_of(log) == b"before\nafter\n"
    assert all_of(log) == b""


def test_overlapping_parts_are_shown_and_dropped_rightly(log):
    first = log.begin()
    os.write(log.file, b"1 ")
    second = log.begin()
    os.write(log.file, b"2 ")
    log.drop(first)
    os.write(log.file, b"3 ")
    assert log.rest() == (b"", 0)
    assert log.take(second) == b"2 3 "
    os.write(log.file, b"4\n")
    assert all_of(log) == b"4\n"


def test_nothing_is_shown_twice(log):
    outer, inner = log.begin(), log.begin()
    os.write(log.file, b"why\n")
    assert log.take(inner) == b"why\n"
    os.write(log.file, b"and so\n")
    assert log.take(outer) == b"and so\n"
    assert all_of(log) == b""


def test_each_part_reads_its_own_lines(log):
    first, second = log.begin(), log.begin()
    os.write(log.file, b"jpeg: a\nffmpeg: b\nnobody's\n")
    assert log.read_lines(second, lambda line: line.startswith("ffmpeg")) == ["ffmpeg: b"]
    assert log.read_lines(first, lambda line: line.startswith("jpeg")) == ["jpeg: a"]
    assert all_of(log) == b"nobody's\n"


def test_an_unfinished_line_is_held_back_until_it_ends(log):
    os.write(log.file, b"whole\nbeg")
    assert log.rest() == (b"whole\n", 0)
    os.write(log.file, b"un\n")
    assert log.rest() == (b"begun\n", 0)
    os.write(log.file, b"no end")
    assert log.rest() == (b"", 0)
    assert log.rest() == (b"no end", 0)


@pytest.mark.parametrize("held", [False, True], ids=["nobody claims it", "a block that hangs"])
def test_a_hundred_megabytes_take_no_memory(log, held):
    part = log.begin() if held else None
    line = b"x" * 1023 + b"\n"
    most = missed = shown = 0
    for _ in range(100):
        for _ in range(1024):
            os.write(log.file, line)
        rest, left_out = log.rest()
        shown, missed = shown + len(rest), missed + left_out
        most = max(most, os.fstat(log.file).st_blocks * 512)
    assert most < 4 * KEPT
    if part is None:
        assert shown + missed == 100 << 20
    else:
        assert (shown, missed) == (0, 0)
        assert log.take(part) == line * (KEPT // 1024)  # the newest


def test_too_much_at_once_is_left_out_and_counted(log):
    for _ in range(3):
        os.write(log.file, b"x" * KEPT)
    assert log.rest(last=True) == (b"x" * KEPT, 2 * KEPT)


def test_the_file_is_on_disk_where_there_is_no_file_in_memory(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    log = native_log.NativeLog()
    try:
        os.write(log.file, b"one\n")
        os.pread(log.file, 1, 0)
        os.lseek(log.file, 0, os.SEEK_SET)
        os.write(log.file, b"two\n")
        assert all_of(log) == b"one\ntwo\n"
    finally:
        os.close(log.file)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["write", "begin", "drop", "take", "hear", "rest"]), max_size=40), st.randoms())
def test_no_byte_is_shown_twice_or_invented(doings, chance):
    log, parts, said, seen = NativeLog(), [], [], b""
    try:
        for doing in doings:
            if doing == "write":
                said.append(b"<%d>\n" % len(said))
                os.write(log.file, said[-1])
            elif doing == "begin":
                parts.append(log.begin())
            elif doing == "rest":
                seen += log.rest()[0]
            elif parts:
                part = parts.pop(chance.randrange(len(parts)))
                if doing == "drop":
                    log.drop(part)
                elif doing == "take":
                    seen += log.take(part)
                else:
                    assert all(line.encode() + b"\n" in said for line in log.read_lines(part, lambda _: True))
        seen += all_of(log)
        lines = seen.splitlines(keepends=True)
        assert len(set(lines)) == len(lines)
        assert set(lines) <= set(said)
        if not {"begin"} & set(doings):
            assert lines == said
    finally:
        os.close(log.file)


def test_threads_that_write_at_once_lose_nothing(log):
    def talk(name: int):
        for number in range(200):
            os.write(log.file, b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    got = b""
    while any(thread.is_alive() for thread in threads):
        got += log.rest()[0]
    for thread in threads:
        ended(thread)
    got += all_of(log)
    assert sorted(got.splitlines()) == sorted(b"%d %d" % (name, each) for name in range(4) for each in range(200))

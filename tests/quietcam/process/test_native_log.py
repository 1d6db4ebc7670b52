"""The file that native code writes to: its parts, and that it stays small."""

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.process import native_log
from quietcam.process.native_log import KEPT, NativeLog
from tests.waiting import ended


@pytest.fixture
def words():
    words = NativeLog()
    yield words
    os.close(words.file)


def all_of(words: NativeLog) -> bytes:
    return words.rest(last=True)[0]


def test_what_no_part_claims_is_left(words):
    os.write(words.file, b"before\n")
    part = words.begin()
    os.write(words.file, b"inside\n")
    words.drop(part)
    os.write(words.file, b"after\n")
    assert all_of(words) == b"before\nafter\n"
    assert all_of(words) == b""


def test_parts_that_overlap(words):
    first = words.begin()
    os.write(words.file, b"1 ")
    second = words.begin()
    os.write(words.file, b"2 ")
    words.drop(first)
    os.write(words.file, b"3 ")
    assert words.rest() == (b"", 0)
    assert words.take(second) == b"2 3 "
    os.write(words.file, b"4\n")
    assert all_of(words) == b"4\n"


def test_nothing_is_shown_twice(words):
    outer, inner = words.begin(), words.begin()
    os.write(words.file, b"why\n")
    assert words.take(inner) == b"why\n"
    os.write(words.file, b"and so\n")
    assert words.take(outer) == b"and so\n"
    assert all_of(words) == b""


def test_each_hears_its_own(words):
    first, second = words.begin(), words.begin()
    os.write(words.file, b"jpeg: a\nffmpeg: b\nnobody's\n")
    assert words.hear(second, lambda line: line.startswith("ffmpeg")) == ["ffmpeg: b"]
    assert words.hear(first, lambda line: line.startswith("jpeg")) == ["jpeg: a"]
    assert all_of(words) == b"nobody's\n"


def test_a_line_on_its_way_is_passed_on_whole(words):
    os.write(words.file, b"whole\nbeg")
    assert words.rest() == (b"whole\n", 0)
    os.write(words.file, b"un\n")
    assert words.rest() == (b"begun\n", 0)
    os.write(words.file, b"no end")
    assert words.rest() == (b"", 0)
    assert words.rest() == (b"no end", 0)


@pytest.mark.parametrize("held", [False, True], ids=["nobody claims it", "a block that hangs"])
def test_a_hundred_megabytes_take_no_memory(words, held):
    part = words.begin() if held else None
    line = b"x" * 1023 + b"\n"
    most = missed = shown = 0
    for _ in range(100):
        for _ in range(1024):
            os.write(words.file, line)
        rest, left_out = words.rest()
        shown, missed = shown + len(rest), missed + left_out
        most = max(most, os.fstat(words.file).st_blocks * 512)
    assert most < 4 * KEPT
    if part is None:
        assert shown + missed == 100 << 20
    else:
        assert (shown, missed) == (0, 0)
        assert words.take(part) == line * (KEPT // 1024)  # the newest


def test_too_much_at_once_is_left_out_and_counted(words):
    for _ in range(3):
        os.write(words.file, b"x" * KEPT)
    assert words.rest(last=True) == (b"x" * KEPT, 2 * KEPT)


def test_a_disk_takes_it_where_there_is_no_file_in_memory(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    words = native_log.NativeLog()
    try:
        os.write(words.file, b"one\n")
        os.pread(words.file, 1, 0)
        os.lseek(words.file, 0, os.SEEK_SET)
        os.write(words.file, b"two\n")
        assert all_of(words) == b"one\ntwo\n"
    finally:
        os.close(words.file)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["write", "begin", "drop", "take", "hear", "rest"]), max_size=40), st.randoms())
def test_no_byte_is_shown_twice_and_none_is_made_up(doings, chance):
    words, parts, said, seen = NativeLog(), [], [], b""
    try:
        for doing in doings:
            if doing == "write":
                said.append(b"<%d>\n" % len(said))
                os.write(words.file, said[-1])
            elif doing == "begin":
                parts.append(words.begin())
            elif doing == "rest":
                seen += words.rest()[0]
            elif parts:
                part = parts.pop(chance.randrange(len(parts)))
                if doing == "drop":
                    words.drop(part)
                elif doing == "take":
                    seen += words.take(part)
                else:
                    assert all(line.encode() + b"\n" in said for line in words.hear(part, lambda _: True))
        seen += all_of(words)
        lines = seen.splitlines(keepends=True)
        assert len(set(lines)) == len(lines)
        assert set(lines) <= set(said)
        if not {"begin"} & set(doings):
            assert lines == said
    finally:
        os.close(words.file)


def test_threads_that_write_at_once_lose_nothing(words):
    def talk(name: int):
        for number in range(200):
            os.write(words.file, b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    got = b""
    while any(thread.is_alive() for thread in threads):
        got += words.rest()[0]
    for thread in threads:
        ended(thread)
    got += all_of(words)
    assert sorted(got.splitlines()) == sorted(b"%d %d" % (name, each) for name in range(4) for each in range(200))

"""Native output is caught, and shown if its block fails; blocks of several threads do not disturb each other."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from quietcam.process import native_output
from quietcam.process.native_output import native_lines_read, native_output_caught
from quietcam.terminal.say import say
from tests.waiting import WAIT, ended


def test_native_output_is_caught_and_the_stream_is_restored(capfd):
    with native_output_caught():
        os.write(2, b"native noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_native_output_is_shown_if_the_block_fails(capfd):
    def fails():
        with native_output_caught():
            os.write(2, b"the reason\n")
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        fails()
    assert capfd.readouterr().err == "the reason\n"


def test_blocks_may_be_nested(capfd):
    with native_output_caught(), native_output_caught():
        os.write(2, b"noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_other_threads_do_not_wait_for_a_block_that_hangs(capfd):
    hangs, go_on = threading.Event(), threading.Event()

    def hang():
        with native_output_caught():
            os.write(2, b"its noise\n")
            hangs.set()
            go_on.wait(WAIT)

    def work():
        say("a skipped picture")
        with native_output_caught():
            os.write(2, b"noise\n")
        with native_lines_read(lambda line: line == "ours\n") as heard:
            os.write(2, b"ours\n")
        assert heard == ["ours"]

    hanging = threading.Thread(target=hang)
    hanging.start()
    assert hangs.wait(WAIT)
    working = threading.Thread(target=work)
    working.start()
    ended(working)
    assert capfd.readouterr().err == "a skipped picture\n"
    go_on.set()
    ended(hanging)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_blocks_of_several_threads_each_read_their_own_lines(capfd):
    both = threading.Barrier(2, timeout=WAIT)
    heard = {}

    def listen(name):
        with native_lines_read(lambda line: line.startswith(name)) as lines:
            both.wait()
            for number in range(20):
                os.write(2, f"{name} {number}\n".encode())
            os.write(2, b"nobody's\n")
            both.wait()
        heard[name] = lines

    threads = [threading.Thread(target=listen, args=(name,)) for name in ("jpeg", "ffmpeg")]
    for thread in threads:
        thread.start()
    for thread in threads:
        ended(thread)
    assert heard == {name: [f"{name} {number}" for number in range(20)] for name in ("jpeg", "ffmpeg")}
    assert capfd.readouterr().err == "nobody's\n" * 2


def test_one_block_fails_while_another_succeeds(capfd):
    inside, failed = threading.Event(), threading.Event()

    def succeed():
        with native_output_caught():
            inside.set()
            failed.wait(WAIT)

    thread = threading.Thread(target=succeed)
    thread.start()
    assert inside.wait(WAIT)
    with contextlib.suppress(ValueError), native_output_caught():
        os.write(2, b"the reason\n")
        raise ValueError
    assert capfd.readouterr().err == "the reason\n"
    failed.set()
    ended(thread)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("debug", "shown"), [("", ""), ("1", "noise\nthe reason\n")])
def test_debug_shows_all(monkeypatch, capfd, debug, shown):
    monkeypatch.setenv("QUIETCAM_DEBUG", debug)
    with native_output_caught():
        os.write(2, b"noise\n")
    with contextlib.suppress(ValueError), native_output_caught(show=False):
        os.write(2, b"the reason\n")
        raise ValueError
    assert capfd.readouterr().err == shown


def test_native_output_is_shown_without_control_characters_and_secrets(capfd):
    with contextlib.suppress(ValueError), native_output_caught():
        os.write(2, b"rtsp://user:secret@host/ \x1b[2J\xff\ttab\r\n50 %\r100 %\n")
        raise ValueError
    assert capfd.readouterr().err == "rtsp://***@host/ \\x1b[2J\\xff\ttab\n50 %\n100 %\n"


def test_threads_take_turns(capfd):
    def quiet():
        for _ in range(50):
            with native_output_caught():
                os.write(2, b"noise\n")

    threads = [threading.Thread(target=quiet) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_warnings_are_read_and_other_lines_are_shown(capfd):
    with native_lines_read(lambda line: line.startswith("libjpeg")) as heard:
        os.write(2, b"libjpeg: half of it is missing\nanother thread's line\n")
        print("a line of Python", file=sys.stderr)
    assert heard == ["libjpeg: half of it is missing"]
    assert sorted(capfd.readouterr().err.splitlines()) == ["a line of Python", "another thread's line"]


def test_the_stream_is_restored_after_an_error(capfd):
    heard = []

    def fails():
        with native_lines_read(lambda _: True) as lines:
            os.write(2, b"why\n")
            try:
                raise ValueError("broken")
            finally:
                heard.append(lines)

    with pytest.raises(ValueError, match="broken"):
        fails()
    assert heard == [["why"]]
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_closed_stream_gives_no_lines():
    program = "import os; os.close(2); from quietcam.process.native_output import native_lines_read as heard\n"
    program += "with heard(lambda _: True) as lines: pass\nassert lines == []; print('done')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n"


def test_other_threads_do_not_wait_for_the_process_that_shows_crashes(monkeypatch):
    starts, go_on = threading.Event(), threading.Event()
    real = native_output.CrashOutput

    def slow(*words):
        starts.set()
        go_on.wait(WAIT)
        return real(*words)

    def work():
        with native_output_caught():
            os.write(2, b"noise\n")

    state = native_output._State()
    monkeypatch.setattr(native_output, "_state", state)
    monkeypatch.setattr(native_output, "CrashOutput", slow)
    first = threading.Thread(target=work)
    first.start()
    assert starts.wait(WAIT)
    second = threading.Thread(target=work, daemon=True)
    second.start()
    second.join(60.0)
    waits = second.is_alive()
    go_on.set()
    ended(first)
    ended(second)
    state.crash.end()
    os.close(state.place)
    assert not waits

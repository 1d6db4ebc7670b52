"""What native libraries write is caught, comes out where something fails, and takes no other thread's words."""

import os
import subprocess
import sys
import threading

import pytest

from quietcam.chatter import chatter_caught, chatter_heard
from quietcam.progress import say
from tests.waiting import ended


def test_chatter_is_caught_and_the_stream_is_back_after_it(capfd):
    with chatter_caught():
        os.write(2, b"native noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_comes_out_where_the_block_fails(capfd):
    def fails():
        with chatter_caught():
            os.write(2, b"the reason\n")
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        fails()
    assert capfd.readouterr().err == "the reason\n"


def test_it_may_be_nested(capfd):
    with chatter_caught(), chatter_caught():
        os.write(2, b"noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_what_another_thread_says_meanwhile_is_said_afterwards(capfd):
    with chatter_caught():
        speaker = threading.Thread(target=say, args=("a skipped picture",))
        speaker.start()
        speaker.join(0.1)
    ended(speaker)
    assert capfd.readouterr().err == "a skipped picture\n"


def test_threads_take_turns(capfd):
    def quiet():
        for _ in range(50):
            with chatter_caught():
                os.write(2, b"noise\n")

    threads = [threading.Thread(target=quiet) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_warnings_are_heard_and_what_others_write_reaches_the_reader(capfd):
    with chatter_heard(lambda line: line.startswith("libjpeg")) as heard:
        os.write(2, b"libjpeg: half of it is missing\nanother thread's line\n")
        print("a line of Python", file=sys.stderr)
    assert heard == ["libjpeg: half of it is missing"]
    assert sorted(capfd.readouterr().err.splitlines()) == ["a line of Python", "another thread's line"]


def test_an_error_passes_through_and_the_stream_is_given_back(capfd):
    heard = []

    def fails():
        with chatter_heard(lambda _: True) as lines:
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


def test_nothing_is_heard_where_the_stream_is_closed():
    program = "import os; os.close(2); from quietcam.chatter import chatter_heard as heard\n"
    program += "with heard(lambda _: True) as lines: pass\nassert lines == []; print('done')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n"

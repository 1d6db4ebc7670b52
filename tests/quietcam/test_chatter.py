"""What native libraries write is caught, comes out where something fails, and takes no other thread's words."""

import os
import threading

import pytest

from quietcam.chatter import chatter_caught
from quietcam.progress import say


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
    speaker.join(10)
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

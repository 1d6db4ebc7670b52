"""Child processes: messages, memory, limits, last output, and that they end when they must."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.child import process as module
from edge.child.process import Child, ChildError, Shared
from quietcam.errors import ModelError, QuietcamError
from tests.leaks import gone, held, nothing_more
from tests.waiting import WAIT, until

JOBS = "tests.edge.jobs"


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "GRACE", WAIT)  # a child that is slow to end on a busy machine is not killed for it
    before = held()
    yield
    until(lambda: nothing_more(before))


def ask(child: Child, question: str) -> Any:
    return eval(bytes(child.ask(question.encode(), WAIT)))


def test_messages_come_back_in_order() -> None:
    with Child(f"{JOBS}:echo") as child:
        for size in (1, 2, 1000, module.MESSAGE - 1):
            message = os.urandom(size)
            assert bytes(child.ask(message, WAIT)) == message
        with pytest.raises(ValueError, match="A message has 1 to"):
            child.tell(b"")
    with pytest.raises(ValueError, match="A message has 1 to"):
        Child(f"{JOBS}:echo", "x" * module.MESSAGE)


def test_it_is_a_fresh_python_of_the_same_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIETCAM_TOKEN", "secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nowhere")
    with Child(f"{JOBS}:tell", {"a": [1, "ü"]}) as child:
        assert eval(bytes(child.answer(WAIT))) == {"a": [1, "ü"]}
        assert ask(child, "sys.modules['edge.child.link'].__file__") == sys.modules["edge.child.link"].__file__
        assert ask(child, "sys.executable") == sys.executable
        assert not ask(child, "[name for name in os.environ if 'TOKEN' in name or 'NOTIFY' in name]")
        assert ask(child, "os.getsid(0)") == child.pid, "Ctrl-C at the terminal reaches it"
        assert not {"edge.network.engine", "tensorflow", "cv2"} & set(ask(child, "list(sys.modules)"))


def test_it_inherits_no_descriptor() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    shared = Shared(16)
    try:
        with Child(f"{JOBS}:tell", None, [shared]) as child:
            child.answer(WAIT)
            found = ask(child, "[os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')]")
            ours = Path(f"/proc/self/fd/{write}").readlink().name
        assert ours.startswith("pipe:[")
        assert ours not in [Path(each).name for each in found]
        links = [each for each in found if "/fd/" not in each or ":" in each]  # not that of the listing itself
        # The three streams, its connection, the pipe that is watched, the memory.
        assert len(links) == 6, links
    finally:
        shared.close()
        os.close(read)
        os.close(write)


def test_memory_is_seen_by_both_and_leaves_no_name() -> None:
    before = set(Path("/dev/shm").iterdir())
    shared = Shared.holding(bytes(range(256)) * 4)
    values = shared.array((1024,), np.uint8)
    with Child(f"{JOBS}:invert", None, [shared]) as child:
        for _ in range(3):
            expected = 255 - values
            child.ask(b".", WAIT)
            np.testing.assert_array_equal(values, expected)
        later = Shared.holding(b"\0")
        child.tell(b".", [later])
        child.answer(WAIT)
        assert later.memory[0] == 255
        later.close()
        assert set(Path("/dev/shm").iterdir()) == before
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(shared.descriptor, 10)
    del values
    shared.close()
    shared.close()


def test_an_error_of_ours_is_that_error_here_though_the_child_hangs_after_it() -> None:
    with Child(f"{JOBS}:refuse", "because") as child:
        with pytest.raises(ModelError, match=r"^No: because\.$"):
            child.answer(WAIT)
        child.kill()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        pytest.param("[" * 60_000, id="deep"),
        '["QuietcamError"]',
        '["os", "x"]',
        '["Path", "x"]',
        "\0",
        "[[], 1]",
    ],
)
def test_a_damaged_answer_is_an_error_of_ours(message: str) -> None:
    with Child(f"{JOBS}:garbage", message) as child:
        with pytest.raises(ChildError, match="invalid answer"):
            child.answer(WAIT)
        child.kill()


def test_one_that_does_not_answer_is_killed_with_all_that_it_has_started() -> None:
    child = Child(f"{JOBS}:hang")
    helper = int(bytes(child.answer(WAIT)))
    with pytest.raises(ChildError, match=r"did not answer within 0\.1 s"):
        child.answer(0.1)
    assert child.join(WAIT)
    until(lambda: gone(helper))


def test_what_it_prints_goes_nowhere_and_never_holds_it_up(capfd: pytest.CaptureFixture[str]) -> None:
    child = Child(f"{JOBS}:print_much")
    for _ in range(3):
        child.ask(b".", WAIT)
    assert len(child._words) <= 4096
    child.close()
    assert child.join(WAIT)
    assert capfd.readouterr() == ("", "")


def test_one_that_prints_for_ever_is_given_up() -> None:
    child = Child(f"{JOBS}:print_for_ever")
    until(lambda: bool(select.select([child._heard], [], [], 0)[0]))  # it runs and prints
    with pytest.raises(ChildError, match=r"did not answer within 0\.5 s; its last words: chatter chatter"):
        child.answer(0.5)
    assert child.join(WAIT)
    until(lambda: child._socket.fileno() < 0)
    with pytest.raises(ChildError, match="was ended"):
        child.ask(b"hello", WAIT)


def test_one_that_prints_faster_than_is_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(f"{JOBS}:print_for_ever")
    monkeypatch.setattr(child, "_listen", lambda: True)  # there always is more
    with pytest.raises(ChildError, match=r"did not answer within 0\.5 s"):
        child.answer(0.5)


@pytest.mark.parametrize("job", ["abort", "abort_while_caught"])
def test_its_last_words_are_told(job: str) -> None:
    child = Child(f"{JOBS}:{job}")
    with pytest.raises(ChildError, match=r"ended by SIGABRT .*its last words: .*F0000 check failed: index < size$"):
        child.answer(WAIT)


def test_a_mistake_of_ours_is_told() -> None:
    child = Child(f"{JOBS}:stumble")
    with pytest.raises(ChildError, match=r"exit code 1\); its last words: .*ValueError: a mistake of ours$"):
        child.answer(WAIT)
    child = Child(f"{JOBS}:nowhere")
    with pytest.raises(ChildError, match="no attribute 'nowhere'"):
        child.answer(WAIT)


def test_memory_beyond_its_limit_is_refused_there() -> None:
    for size, refused in ((200 << 20, False), (6 << 30, True)):
        with Child(f"{JOBS}:take", size, memory=512 << 20) as child:
            child.answer(WAIT)
            if refused:
                with pytest.raises(QuietcamError, match=r"more memory than a child process may take \(512 MiB\)"):
                    child.ask(b".", WAIT)
            else:
                child.ask(b".", WAIT)


def test_closing_lets_it_clean_up(tmp_path: Path) -> None:
    child = Child(f"{JOBS}:linger", str(tmp_path / "note"))
    child.answer(WAIT)
    child.close()
    child.close()
    assert child.join(WAIT)
    assert (tmp_path / "note").read_text() == "cleaned up"


def test_closing_does_not_wait_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.1)
    child = Child(f"{JOBS}:linger")
    child.answer(WAIT)
    child.close()
    assert child.join(WAIT)
    assert child._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.05, 0.1, 0.2])
def test_killed_at_any_moment_it_is_gone(moment: float) -> None:
    child = Child(f"{JOBS}:echo")
    time.sleep(moment)
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: gone(child.pid))
    with pytest.raises(ChildError, match="ended by SIGKILL"):
        child.ask(b"hello", WAIT)
    assert child.join(WAIT)


def test_killed_from_another_thread_while_it_is_waited_for() -> None:
    child = Child(f"{JOBS}:hang")
    child.answer(WAIT)
    threading.Timer(0.05, child.kill).start()
    with pytest.raises(ChildError):
        child.answer(WAIT)


_PARENT = """
import sys, threading, time
from edge.child.process import Child
def start():
    global child
    child = Child(sys.argv[1])
    print(child.pid, flush=True)
    if sys.argv[2] == "answered":
        print(bytes(child.answer(300)).decode(), flush=True)
thread = threading.Thread(target=start)
thread.start(); thread.join()
{then}
time.sleep(1000)
"""


@contextlib.contextmanager
def parent(job: str, when: str, then: str = "") -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", _PARENT.format(then=then), f"{JOBS}:{job}", when]
    path = os.pathsep.join(each for each in sys.path if each)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("when", ["starting", "answered"])
def test_it_goes_when_its_parent_is_killed_though_it_hangs_with_pythons_lock_held(when: str) -> None:
    with parent("hang", when) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline())]
        if when == "answered":
            pids.append(int(process.stdout.readline()))  # the helper that it started
        process.kill()
        process.wait(WAIT)
        until(lambda: all(gone(pid) for pid in pids))


def test_it_stays_when_the_thread_that_started_it_ends() -> None:
    with parent("echo", "starting", "print(bytes(child.ask(b'here', 300)).decode(), flush=True)") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "here\n"
        assert not gone(pid)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # as a service manager sends them to all
            os.kill(pid, each)
        time.sleep(0.05)
        assert not gone(pid)
        process.kill()
        process.wait(WAIT)
        until(lambda: gone(pid))


def test_twenty_in_a_row_leave_nothing() -> None:
    """The fixture looks."""
    for number in range(20):
        child = Child(f"{JOBS}:{'echo' if number % 2 else 'hang'}")
        child.ask(b"hello", WAIT)
        (child.close if number % 2 else child.kill)()

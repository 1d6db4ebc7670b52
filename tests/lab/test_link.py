"""The host's end of the port, with the guest's own agent at the other end of a pair of sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import CommandError, GoneError
from lab.in_guest import agent
from lab.link import Link


class Pair:
    """A link, and the agent that answers it in this process."""

    def __init__(self) -> None:
        ours, self._theirs = socket.socketpair()
        port = self._theirs.makefile("rwb", buffering=0)
        self._thread = threading.Thread(target=agent.serve, args=(port, port), daemon=True)
        self._thread.start()
        self._port = port
        self.link = Link(ours)

    def power_cut(self) -> None:
        self._theirs.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.link.close()
        self._thread.join(10)
        self._port.close()
        self._theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def test_a_command_has_its_output_and_its_exit_code(pair: Pair) -> None:
    done = pair.link.run("echo out; echo err >&2; exit 3")
    assert (done.code, done.out, done.err, done.late) == (3, "out\n", "err\n", False)


def test_words_go_to_the_program_without_a_shell_and_with_variables(pair: Pair) -> None:
    assert pair.link.run(["printf", "%s", "$HOME"]).out == "$HOME"
    assert pair.link.run('echo "$KIND"', variables={"KIND": "a b"}).out == "a b\n"


def test_a_command_that_must_not_fail_says_what_it_said(pair: Pair) -> None:
    with pytest.raises(CommandError, match="ended with 1: no such thing"):
        pair.link.run("echo no such thing >&2; exit 1", check=True)


def test_a_command_ends_at_its_limit_with_its_children(pair: Pair) -> None:
    done = pair.link.run("echo begun; sleep 1000 & wait", limit=0.5)
    assert done.late
    assert done.out == "begun\n"


def test_a_long_command_holds_up_no_other(pair: Pair) -> None:
    long = threading.Thread(target=pair.link.run, args=("sleep 1000",), kwargs={"limit": 2.0})
    long.start()
    assert pair.link.run("echo here").out == "here\n"
    assert long.is_alive()
    long.join()


def test_files_come_back_as_they_went(pair: Pair, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    path = tmp_path / "new" / "file"
    pair.link.push(data, str(path), 0o600)
    assert pair.link.pull(str(path)) == data
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_is_named(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"could not read.*FileNotFoundError.*missing"):
        pair.link.pull(str(tmp_path / "missing"))


def test_a_power_cut_ends_the_command_that_waits_and_all_later_ones(pair: Pair) -> None:
    threading.Timer(0.3, pair.power_cut).start()
    with pytest.raises(GoneError, match="ended while"):
        pair.link.run("sleep 2", limit=60)
    with pytest.raises(GoneError):
        pair.link.hello(1)


def test_an_agent_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.link._ANSWER", 0.1)
    ours, theirs = socket.socketpair()
    with theirs:
        link = Link(ours)
        with pytest.raises(GoneError, match="did not answer"):
            link.hello(0.1)
        link.close()

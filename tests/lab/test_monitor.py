"""The monitor's words, answered by a socket that speaks as qemu does."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from lab.errors import GoneError
from lab.link import Monitor


def qemu(path: Path, answers: list[list[dict[str, Any]]]) -> list[str]:
    """Answer each request with these lines; returns what was asked, as it comes."""
    asked: list[str] = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        connection, _ = server.accept()
        with connection, server, connection.makefile("rw") as lines:
            lines.write('{"QMP": {}}\n')
            lines.flush()
            for answer in answers:
                asked.append(lines.readline())
                lines.writelines(json.dumps(each) + "\n" for each in answer)
                lines.flush()

    threading.Thread(target=serve, daemon=True).start()
    return asked


def test_a_command_is_done_when_it_answers(tmp_path: Path) -> None:
    asked = qemu(tmp_path / "m", [[{"return": {}}], [{"event": "STOP"}, {"event": "RESUME"}, {"return": ""}]])
    with Monitor(tmp_path / "m", 10.0) as monitor:
        monitor.command("savevm warm")
    assert "savevm warm" in asked[1]


def test_what_qemu_refuses_is_said(tmp_path: Path) -> None:
    qemu(tmp_path / "m", [[{"return": {}}], [{"return": "Error: no room\r\n"}]])
    with Monitor(tmp_path / "m", 10.0) as monitor, pytest.raises(GoneError, match=r"refuses 'savevm warm': .*no room$"):
        monitor.command("savevm warm")
    qemu(tmp_path / "n", [[{"error": {"desc": "not now"}}]])
    with pytest.raises(GoneError, match="not now"):
        Monitor(tmp_path / "n", 10.0)
    with pytest.raises(GoneError, match="does not answer"):
        Monitor(tmp_path / "missing", 10.0)
    qemu(tmp_path / "o", [[{"return": {}}]])
    with Monitor(tmp_path / "o", 10.0) as monitor, pytest.raises(GoneError, match="does not answer"):
        monitor.command("savevm warm")

"""Look-up of host names with a time limit: the system's own has none, and a name server may never answer."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

__all__ = ["connect", "look_up"]

_MOST = 8
"""Most look-ups at the same time. A look-up that hangs cannot be ended, and redirects could start more of them."""

_under_way: dict[tuple[str, int], Future[list[Any]]] = {}
_lock = threading.Lock()


def look_up(host: str, port: int, seconds: float) -> list[Any]:
    """What ``socket.getaddrinfo`` returns for ``host``. A look-up that hangs continues in its thread; the next call
    for the same name waits for that thread.

    Raises:
        OSError: the host is unknown; ``TimeoutError``: no answer came within ``seconds``.
    """
    if _is_number(host):
        return _addresses(host, port)
    with _lock:
        found = _under_way.get((host, port))
        if found is None:
            if len(_under_way) >= _MOST:
                raise TimeoutError("too many earlier names are still being looked up")
            found = _under_way[host, port] = Future()
            threading.Thread(target=_run, args=(found, host, port), name="look-up", daemon=True).start()
    try:
        return found.result(max(0.0, seconds))
    except TimeoutError:
        raise TimeoutError("no name server answers") from None


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """A connection that is made within ``seconds``, look-up included. Its timeout is the time that is left.

    Raises:
        OSError: the connection failed.
    """
    due = time.monotonic() + seconds
    error: OSError = OSError("the host name has no address")
    for family, kind, protocol, _, address in look_up(host, port, seconds):
        left = due - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("it took too long") from error
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(left)
            connection.connect(address)
        except OSError as failed:
            connection.close()
            error = failed
        else:
            return connection
    raise error


def _run(found: Future[list[Any]], host: str, port: int) -> None:
    result: list[Any] | OSError
    try:
        result = _addresses(host, port)
    except (OSError, UnicodeError) as error:  # a name that cannot be looked up
        result = error if isinstance(error, OSError) else OSError(str(error))
    with _lock:
        del _under_way[host, port]
    if isinstance(result, OSError):
        found.set_exception(result)
    else:
        found.set_result(result)


def _addresses(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _is_number(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return False

"""Look-up of host names with a time limit: the system's own has none, and a name server may never answer."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from edge.cameras.network.url import CameraUrl
from quietcam.errors import DataError, one_line

__all__ = ["connect", "look_up", "no_answer", "reason_of"]

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


def no_answer(url: CameraUrl, error: OSError) -> DataError:
    """The error of a camera that nothing is heard of at ``url``."""
    return DataError(
        f"A camera must answer at its URL. Received: {url.name}: no answer from {url.host} port {url.port} "
        f"({reason_of(error)}). Remedy: check the address, the network and that the camera has power."
    )


def reason_of(error: Exception) -> str:
    """A few words for what failed: those of the system, without the number of the error."""
    reason = getattr(error, "reason", None)  # of a URLError
    error = reason if isinstance(reason, Exception) else error
    return getattr(error, "strerror", None) or one_line(error)


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

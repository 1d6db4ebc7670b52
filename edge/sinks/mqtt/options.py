"""MqttOptions: the broker that a sink ``mqtt://USER@HOST:PORT/PREFIX`` names, and how to reach it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from quietcam.errors import UsageError
from quietcam.files.at_file import read_at_file
from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown

__all__ = ["DEFAULT_PREFIX", "MQTT_MEANS", "MqttOptions", "is_mqtt"]

MQTT_MEANS = "mqtt://HOST/… (state and events for home automation)"

DEFAULT_PREFIX = "quietcam"
"""Prefix of the topics if the user names none."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_LONGEST = 200  # characters of a topic's prefix
_DISCOVERY = "homeassistant"


def is_mqtt(target: str) -> bool:
    """Whether a sink is written as the URL of an MQTT broker."""
    return target.lower().startswith(tuple(f"{scheme}:" for scheme in _PORTS))


@dataclass(frozen=True)
class MqttOptions:
    """``repr`` shows no password.

    Attributes:
        host, port: the broker.
        tls: the connection is encrypted and the broker's certificate checked.
        user, password: None if the broker asks for none.
        prefix: of all topics.
        discovery: prefix of Home Assistant's discovery; None: no discovery.
        name: what messages show, without secrets.
    """

    host: str
    port: int
    tls: bool = False
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    prefix: str = DEFAULT_PREFIX
    discovery: str | None = _DISCOVERY

    @classmethod
    def parse(cls, url: str, password: str | None = None) -> MqttOptions:
        """Options as a user gives them.

        Args:
            url: ``mqtt://USER@HOST:PORT/PREFIX?discovery=PREFIX``, all but the host optional; ``mqtts`` with TLS.
                ``discovery=no`` leaves discovery out. User and password are in % codes.
            password: the password, or ``@FILE`` to read it. It wins over one in the URL.

        Raises:
            UsageError: it is no such URL, or the file cannot be read.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
            host.encode("idna")
            asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except (KeyError, ValueError, UnicodeError):  # UnicodeError: no name server takes that name
            raise _wrong(url) from None
        if not host or not re.fullmatch(r"[0-9A-Za-z._:%-]+", host) or parts.fragment or asked.keys() - {"discovery"}:
            raise _wrong(url)
        prefix, discovery = unquote(parts.path).strip("/") or DEFAULT_PREFIX, asked.get("discovery", _DISCOVERY)
        for topic in (prefix, discovery):
            if not 0 < len(topic) <= _LONGEST or not topic.isprintable() or set(topic) & set("+#$"):
                raise UsageError(
                    f"The prefix of a topic has 1 to {_LONGEST} printable characters and none of + # $. "
                    f"Received: {printable(topic)[:_LONGEST] or '(nothing)'}. Remedy: for example quietcam"
                )
        secret = _read(password) if password else parts.password and unquote(parts.password)
        user = None if parts.username is None else unquote(parts.username)
        if password and user is None:
            raise UsageError(
                "A password for MQTT needs a user. Received: `mqtt_password`, and a sink without a user. "
                "Remedy: put the user and an @ before the host."
            )
        tls = parts.scheme == "mqtts"
        return cls(host, port, tls, user, secret or None, prefix, None if discovery == "no" else discovery)

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.tls}://{host}:{self.port}/{self.prefix}"


def _read(password: str) -> str:
    if not password.startswith("@"):
        return password
    return read_at_file(password, "`mqtt_password`", "the password").rstrip("\r\n")


def _wrong(url: str) -> UsageError:
    return UsageError(  # with an @, examples would be hidden like passwords
        "A sink for MQTT is mqtt://HOST/…, or mqtts://HOST/… with TLS; a port and a prefix may follow the host, then "
        "?discovery=no. A user and an @ stand before the host, special characters in % codes. "
        f"Received: {shown(url, whole=True)}. Remedy: for example mqtt://broker.lan"
    )

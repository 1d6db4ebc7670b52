"""Client: the other end of a connection, and which other addresses count as the same client."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

__all__ = ["Client", "client_of"]

_SHARED = tuple(
    ipaddress.IPv6Network(net)
    for net in (
        "::/64",  # contains ::1
        "fe80::/10",  # everybody on the link
        "64:ff9b::/96",  # everybody behind a translator from IPv4 (NAT64)
        "64:ff9b:1::/48",
        "2001::/32",  # everybody who tunnels through the same Teredo server
    )
)
"""Networks where a /64 contains many unrelated clients. Each address in them counts as a separate client."""


class Client(NamedTuple):
    """A client, as the limits count it.

    Attributes:
        address: the address for logs: an IPv4 address has its IPv4 form even if the server listens on IPv6.
        share: the addresses that one machine can use: an IPv4 address, or a /64 of IPv6.
        site: the addresses that one customer of a provider can own: an IPv4 address, or a /48 of IPv6.
        is_loopback: the client runs on this machine.
    """

    address: str
    share: str
    site: str
    is_loopback: bool


def client_of(address: str | None) -> Client:
    """The client with this address, as the system gives it: IPv4, IPv6, IPv4 mapped to IPv6, with or without a zone.

    Text that is not an address, as a closed connection may give, counts as a separate client.
    """
    shown = address or "unknown"
    try:
        parsed = ipaddress.ip_address(shown.partition("%")[0])
    except ValueError:
        return Client(shown, shown, shown, is_loopback=False)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    whole = str(parsed)
    if isinstance(parsed, ipaddress.IPv4Address):
        return Client(whole, whole, whole, parsed.is_loopback)
    share, site = (str(ipaddress.IPv6Network((int(parsed), bits), strict=False)) for bits in (64, 48))
    if any(parsed in net for net in _SHARED):
        share = whole
    return Client(shown, share, site, parsed.is_loopback)

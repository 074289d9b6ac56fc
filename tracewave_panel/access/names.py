"""Names of hosts and addresses: which are this computer's own, and under which browsers may come."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

__all__ = [
    "Name",
    "addresses_of",
    "client_of",
    "is_loopback",
    "names_here",
    "parse_name",
    "parse_origin",
    "parse_proxy",
]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?")
_PORTS = {"http": 80, "https": 443}


class Name(NamedTuple):
    """A host, in lower case and without brackets, and a port, if it was told."""

    host: str
    port: int | None


def parse_name(text: str) -> Name | None:
    """Host and port of a Host header, an origin without its scheme, or a setting; None when it is none.

    >>> parse_name("Dash.Example.org:8443"), parse_name("[::1]:5006"), parse_name("10.0.0.4")
    (Name(host='dash.example.org', port=8443), Name(host='::1', port=5006), Name(host='10.0.0.4', port=None))
    >>> [parse_name(text) for text in ("", "a b", "u@host", "host:port", "host:70000", "a,b", "host/path", "::1")]
    [None, None, None, None, None, None, None, None]
    """
    bracketed = re.fullmatch(r"\[([0-9a-fA-F:.]{2,45})\](?::(\d{1,5}))?", text, re.ASCII)
    plain = bracketed or re.fullmatch(r"([A-Za-z0-9_.-]{1,255})(?::(\d{1,5}))?", text, re.ASCII)
    if not plain:
        return None
    host, port = plain[1].lower().removesuffix("."), int(plain[2]) if plain[2] else None
    if port is not None and not 0 < port < 2**16:
        return None
    if not bracketed:
        return Name(host, port) if _HOST.fullmatch(host) else None
    address = _address(host)
    return None if address is None else Name(str(address), port)


def parse_origin(text: str) -> Name | None:
    """Host and port, always told, of an Origin header such as ``https://host``; None when it is none or ``null``.

    >>> parse_origin("https://dash.example.org"), parse_origin("null"), parse_origin("http://host/path")
    (Name(host='dash.example.org', port=443), None, None)
    """
    scheme, separator, rest = text.partition("://")
    name = parse_name(rest) if separator and scheme in _PORTS else None
    return name and Name(name.host, name.port or _PORTS[scheme])


def parse_proxy(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Network, of one address or more; None when it is none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_loopback(place: str) -> bool:
    """Whether an address or a name, with or without a port, is this computer's own.

    >>> [is_loopback(place) for place in ("127.0.0.1:5006", "[::1]:5006", "::1", "localhost", "::ffff:127.0.0.9")]
    [True, True, True, True, True]
    >>> [is_loopback(place) for place in ("0.0.0.0", "10.0.0.4:80", "localhost.example.org", "127.0.0.1.nip.io", "")]
    [False, False, False, False, False]
    """
    place = place.strip()
    if place.count(":") > 1 and not place.startswith("["):
        place = f"[{place}]"
    try:
        host = urlsplit(f"//{place}").hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the half of an IPv6 address that one household has.

    >>> client_of("2001:db8:1:2:3:4:5:6"), client_of("::ffff:192.0.2.1"), client_of("unix")
    ('2001:db8:1:2::', '192.0.2.1', 'unix')
    """
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Address(int(found) >> 64 << 64))
    return address if found is None else str(found)


def addresses_of(host: str) -> tuple[str, ...]:
    """Addresses that a name stands for on this computer; none when it stands for nothing."""
    try:
        return tuple({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return ()


def names_here(address: str) -> frozenset[str]:
    """Hosts under which a server that listens on `address` is reached without any further name."""
    here = _address(address.strip("[]"))
    names: Iterable[str] = (str(here) if here else address.lower(), *LOOPBACK)
    if not address or (here and here.is_unspecified):
        held = [each.address.partition("%")[0] for found in psutil.net_if_addrs().values() for each in found]
        names = (socket.gethostname().lower(), *map(_plain, held), *LOOPBACK)
    elif not is_loopback(address):
        names = (*names, *map(_plain, addresses_of(address)))
    return frozenset(name for name in names if name)


def _plain(text: str) -> str:
    address = _address(text)
    return "" if address is None else str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

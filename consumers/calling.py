"""May this address be called, and what does it answer? One POST to an address outside, bounded in time and size.

A name is resolved once, every address behind it is checked, and the connection goes to the very address that was
checked: a name that leads inside, now or the next time it is asked for, leads nowhere. Nothing but the status is read
of an answer.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Call", "Calling", "ForbiddenAddressError", "Network", "may_be_called", "read_networks"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that lead to the IPv4 address at their end."""
_MOST_READ: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}


class ForbiddenAddressError(Exception):
    """This address may not be called. why: a code."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Call(NamedTuple):
    """What is to be sent, and where."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks such as `10.1.0.0/16`, with commas between. Raises ValueError."""
    return tuple([ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()])


def may_be_called(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Is this the address of a machine out in the world, or one of a network that is allowed by name?"""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inner = _within(address)
        if inner is not None:
            return may_be_called(str(inner), allowed)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, in one of the ways that there are."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.teredo[1] if address.teredo is not None else None


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Calling:
    """Calls addresses outside. networks: private ones that may be called; resolve: what stands behind a name.

    timeout: seconds for each step; most: for all of a call, however slowly the other side drips.
    """

    networks: tuple[Network, ...] = ()
    timeout: float = 10.0
    most: float = 20.0
    resolve: Resolve = _resolve
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def post(self, call: Call) -> tuple[int, float | None]:
        """(status, seconds that `Retry-After` asks for). Raises ForbiddenAddressError, and OSError where nothing
        answers in time."""
        parts = urlsplit(call.url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        if parts.scheme not in _PORTS or not host:
            raise ForbiddenAddressError("no-address")
        address = self._address(host, port, parts.scheme)
        connection = _Pinned(host, port, address, self.timeout, self.trust if parts.scheme == "https" else None)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        over = threading.Timer(self.most, connection.cut_off)
        over.daemon = True
        over.start()
        try:
            connection.request("POST", target, call.body, dict(call.headers))
            with connection.getresponse() as answer:
                with contextlib.suppress(OSError, http.client.HTTPException):  # the status says it all
                    answer.read(_MOST_READ)
                return answer.status, _seconds(answer.getheader("Retry-After"))
        except (http.client.HTTPException, ValueError, AttributeError) as error:
            raise OSError(f"no HTTP answer ({type(error).__name__})") from None
        finally:
            over.cancel()
            connection.close()

    def _address(self, host: str, port: int, scheme: str) -> str:
        """The address that the call goes to; all that the name stands for must be allowed."""
        try:
            found = self.resolve(host, port)
        except UnicodeError:  # such as `a..example`, which no name server is ever asked for
            raise ForbiddenAddressError("no-address") from None
        if not found:
            raise OSError("the name stands for nothing")
        if not all(may_be_called(one, self.networks) for one in found):
            raise ForbiddenAddressError("private-address")
        if scheme == "http" and any(may_be_called(one) for one in found):
            raise ForbiddenAddressError("not-encrypted")  # in the clear only within one's own networks
        return found[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name in the URL stands for by now; the name is what is asked for, and
    what a certificate must be made out to."""

    def __init__(self, host: str, port: int, address: str, timeout: float, trust: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address, self._trust = address, trust
        self._held: socket.socket | None = None  # also when the library has let go of it, and reads on
        if trust is not None:
            self.default_port = _PORTS["https"]

    def connect(self) -> None:
        self.sock = self._held = socket.create_connection((self._address, self.port), self.timeout)
        if self._trust is not None:  # of a handshake that fails `wrap_socket` closes the socket
            self.sock = self._held = self._trust.wrap_socket(self._held, server_hostname=self.host)

    def cut_off(self) -> None:
        """End a call that takes too long; whoever waits for it gets an error."""
        if self._held is not None:
            with contextlib.suppress(OSError):
                self._held.shutdown(socket.SHUT_RDWR)


def _seconds(text: str | None) -> float | None:
    """Seconds out of a `Retry-After`, which may tell a moment instead."""
    if text is None or text.isdecimal():
        return float(text) if text and len(text) < 9 else None
    try:
        return (parsedate_to_datetime(text).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None

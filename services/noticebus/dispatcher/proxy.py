"""A forward proxy of the operator's on the way out: tunnels to addresses that the guard has seen.

The name of a destination is looked up and checked here, and the proxy is asked for the checked
ADDRESS: a name that changes its meaning gains nothing behind a proxy either. TLS runs inside the
tunnel, for the destination's own name.

Whose fault a failure is. Whatever happens before the proxy has opened the tunnel is ours, unless
the proxy itself says, in `Proxy-Status` (RFC 9209) or as Squid does, that the destination would not
have the connection. Whatever happens inside the tunnel is the destination's.
"""

import asyncio
import base64
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from yarl import URL

from noticebus.domain.egress_rules import Network

HEAD_BYTES_MAX = 16 * 1024
TUNNEL_S = 5.0  # to reach the proxy and have it open a tunnel
_END_OF_HEAD = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_PROXY_STATUS = re.compile(rb"(?im)^proxy-status:[^\r\n]*;\s*error=([a-z_]+)")
_SQUID = re.compile(rb"(?im)^x-squid-error:\s*ERR_CONNECT_FAIL ([0-9]+)")


class Beyond(StrEnum):
    """What a proxy says the destination did."""

    REFUSED = "connection_refused"
    CLOSED = "connection_terminated"
    SILENT = "connection_timeout"
    NO_ROUTE = "destination_ip_unroutable"
    UNAVAILABLE = "destination_unavailable"


_OF_ERRNO = {  # Linux's numbers, which Squid gives; 101 is that it has no way out: it is ours
    b"111": Beyond.REFUSED,
    b"104": Beyond.CLOSED,
    b"110": Beyond.SILENT,
    b"113": Beyond.NO_ROUTE,
}
_REASONS = {
    403: "does not let us through to this server; its operator has to allow it",
    407: "did not accept our user name and password",
}


class ProxyFailedError(OSError):
    """Our own proxy failed; the message ends a sentence that begins with "Our proxy"."""


class BeyondProxyError(OSError):
    """The proxy works, and says what the destination did."""

    def __init__(self, beyond: Beyond) -> None:
        super().__init__(str(beyond))
        self.beyond = beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardProxy:
    """Where the proxy is and what goes past it. Its address is the operator's and not guarded."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    past_names: tuple[str, ...] = ()
    past_networks: tuple[Network, ...] = ()

    @classmethod
    def from_setting(cls, url: str, *, past: Iterable[str] = ()) -> Self:
        """Read `http://user:password@host:port`, and the names and networks that go past it."""
        parsed = URL(url)
        assert parsed.host, "the settings have checked it"
        assert parsed.port, "the settings have checked it"
        names, networks = _names_and_networks(past)
        return cls(
            host=parsed.host,
            port=parsed.port,
            authorization=_authorization(parsed),
            past_names=names,
            past_networks=networks,
        )

    def passes_name(self, host: str) -> bool:
        """Say whether a host goes past the proxy by its name: one listed, or one below it."""
        name = host.lower().rstrip(".")
        return any(name == one or name.endswith(f".{one}") for one in self.past_names)

    def passes_address(self, address: str) -> bool:
        """Say whether an address goes past the proxy."""
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self.past_networks)

    async def open_tunnel(self, address: str, port: int) -> socket.socket:
        """Open a tunnel to an address; ProxyFailedError or BeyondProxyError where there is none."""
        try:
            async with asyncio.timeout(TUNNEL_S):
                proxy = await self._reach()
                try:
                    return await self._ask(proxy, address=address, port=port)
                except BaseException:
                    proxy.close()
                    raise
        except TimeoutError as error:
            raise ProxyFailedError(f"did not answer within {TUNNEL_S:.0f} seconds") from error

    async def _reach(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ProxyFailedError("has a name that could not be looked up") from error
        for family, kind, protocol, _, address in found:
            made = socket.socket(family, kind, protocol)
            made.settimeout(0)  # asyncio waits instead
            try:
                await loop.sock_connect(made, address)
            except OSError:
                made.close()
            except BaseException:
                made.close()
                raise
            else:
                return made
        raise ProxyFailedError("could not be reached")

    async def _ask(self, proxy: socket.socket, *, address: str, port: int) -> socket.socket:
        """Ask for a tunnel (RFC 9110, section 9.3.6), and give the socket that is one."""
        loop = asyncio.get_running_loop()
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        try:
            await loop.sock_sendall(proxy, "\r\n".join([*lines, "", ""]).encode("ascii"))
            head = await _read_head(proxy)
        except ConnectionError as error:
            raise ProxyFailedError("closed the connection") from error
        _check_answer(head)
        return proxy


async def _read_head(proxy: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    head = b""
    while _END_OF_HEAD not in head:
        more = await loop.sock_recv(proxy, HEAD_BYTES_MAX - len(head))
        if not more:
            raise ProxyFailedError("closed the connection")
        head += more
        if len(head) >= HEAD_BYTES_MAX:
            raise ProxyFailedError("answered with more than a head of HTTP")
    return head


def _check_answer(head: bytes) -> None:
    """Return where the tunnel is open; else say whose doing it is that it is not."""
    found = _STATUS_LINE.match(head)
    if found is None:
        raise ProxyFailedError("did not answer in proper HTTP")
    status = int(found[1])
    if status // 100 == 2:  # noqa: PLR2004 - RFC 9110, section 9.3.6: any success opens it
        if not head.endswith(_END_OF_HEAD):
            raise ProxyFailedError("spoke into the tunnel it had opened")
        return
    beyond = _said(head)
    if beyond is not None:
        raise BeyondProxyError(beyond)
    raise ProxyFailedError(_REASONS.get(status, f"refused to connect us, with {status}"))


def _said(head: bytes) -> Beyond | None:
    """Read what the proxy says about the destination; the last word is that of the last proxy."""
    squid = _SQUID.search(head)
    if squid is not None:
        return _OF_ERRNO.get(squid[1])
    said = _PROXY_STATUS.search(head)
    words = [one for one in Beyond if said is not None and said[1].decode("ascii") == one]
    return words[0] if words else None


def _authorization(url: URL) -> str | None:
    if url.user is None:
        return None
    pair = f"{url.user}:{url.password or ''}".encode()
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def _names_and_networks(past: Iterable[str]) -> tuple[tuple[str, ...], tuple[Network, ...]]:
    names, networks = [], []
    for one in past:
        try:
            networks.append(ipaddress.ip_network(one))
        except ValueError:
            names.append(one.lower().strip("."))
    return tuple(names), tuple(networks)

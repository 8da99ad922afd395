"""The egress guard (I11): every connection goes to an address that is checked as it is opened.

The check sits where the socket is made, with the very address it will connect to: a name that
changes its meaning between check and connect gains nothing, and literal addresses, which aiohttp
never resolves, pass through the same place.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.domain.egress_rules import Network, refusal

RESOLVERS_MAX = 16  # look-ups at once; a slow name server must not hold up others' blocking calls
CONNECT_S = 5.0
READ_BYTES = 4 * 1024  # what a connection takes in before somebody reads it
KEPT_ALIVE_S = 4.0  # common servers close an idle connection after 5 s: be first
ADDRESS_KEPT_S = 30
HEADER_BYTES_MAX = 8 * 1024
HEADERS_MAX = 64


LookUp = Callable[[str, int, socket.AddressFamily], list[ResolveResult]]
"""Finds the addresses of a name; it blocks, and runs on a thread."""


class BlockedAddressError(OSError):
    """The guard refused an address; the message says why and what to do."""


class EgressGuard:
    """Decides where the bus connects, and through which proxy.

    `allow` are the operator's `egress.allow` networks.
    """

    def __init__(
        self,
        allow: Sequence[Network] = (),
        *,
        proxy: ForwardProxy | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self.proxy = proxy
        self.look_up = look_up or _look_up

    @classmethod
    def from_setting(cls, allow: Sequence[str]) -> Self:
        """Read networks like `10.20.0.0/16`; ValueError names the one that cannot be read."""
        return cls([ipaddress.ip_network(text) for text in allow])

    @property
    def allow(self) -> tuple[Network, ...]:
        """Give the networks that are open beyond the public ones."""
        return self._allow

    def check(self, address: str, *, plain: bool) -> None:
        """Raise BlockedAddressError unless `address` may be called; `plain` means without TLS."""
        reason = refusal(address, allow=self._allow, plain=plain)
        if reason is not None:
            raise BlockedAddressError(reason)

    def open_socket(self, info: aiohttp.AddrInfoType, *, plain: bool) -> socket.socket:
        """Make the socket for one resolved address, or raise BlockedAddressError."""
        family, kind, protocol, _, address = info
        self.check(str(address[0]), plain=plain)
        return socket.socket(family=family, type=kind, proto=protocol)

    def session(
        self, resolver: AbstractResolver, *, plain: bool, tls: ssl.SSLContext | Literal[True] = True
    ) -> aiohttp.ClientSession:
        """Make a client session whose every connection this guard has seen."""
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            socket_factory=lambda info: self.open_socket(info, plain=plain),
            ttl_dns_cache=ADDRESS_KEPT_S,
            keepalive_timeout=KEPT_ALIVE_S,
            limit=0,
            ssl=tls,
        )
        return client_session(connector)


def client_session(
    connector: aiohttp.TCPConnector, *, connect_s: float = CONNECT_S
) -> aiohttp.ClientSession:
    """Make a client session that keeps no cookies, reads no proxy settings and unpacks nothing.

    The caller bounds how many requests run at once and closes the session.
    """
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        trust_env=False,
        read_bufsize=READ_BYTES,
        auto_decompress=False,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        max_headers=HEADERS_MAX,
    )


class GuardedResolver(AbstractResolver):
    """Looks names up on threads of its own and leaves out the addresses that the guard refuses.

    The socket is checked again when it is made; leaving addresses out here lets a name with a good
    and a refused address work, and gives the refusal, not a failed connection, as the reason.
    """

    def __init__(self, guard: EgressGuard, *, plain: bool) -> None:
        self._guard = guard
        self._plain = plain
        self._threads = ThreadPoolExecutor(RESOLVERS_MAX, thread_name_prefix="resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._guard.look_up, host, port, family)
        refused: BlockedAddressError | None = None
        open_ones = []
        for one in found:
            try:
                self._guard.check(one["host"], plain=self._plain)
            except BlockedAddressError as error:
                refused = error
            else:
                open_ones.append(one)
        if refused is not None and not open_ones:
            raise refused
        return open_ones

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST,
        )
        for kind, _, protocol, _, address in found
    ]

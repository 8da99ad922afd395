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
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from noticebus.dispatcher.phases import Phase, begin, connecting, looks_up
from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.dispatcher.signs import Signs
from noticebus.domain.egress_rules import Network, refusal

RESOLVERS_MAX = 32  # look-ups at once; a slow name server must not hold up others' blocking calls
SLOW_RESOLVERS_MAX = 16  # the same for names that took too long the last time
CONNECT_S = 5.0
LOOK_UP_S = 4.0  # of `CONNECT_S`: a look-up without an answer is told from a silent server
READ_BYTES = 4 * 1024  # what a connection takes in before somebody reads it
KEPT_ALIVE_S = 4.0  # common servers close an idle connection after 5 s: be first
ADDRESS_KEPT_S = 30
HEADER_BYTES_MAX = 8 * 1024
HEADERS_MAX = 64


LookUp = Callable[[str, int, socket.AddressFamily], list[ResolveResult]]
"""Finds the addresses of a name; it blocks, and runs on a thread."""


class BlockedAddressError(OSError):
    """The guard refused an address; the message says why and what to do."""


class BusyLookUpsError(OSError):
    """A name was not looked up in time, since others took every thread."""


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
        self.signs = Signs()

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
        connector = TimedConnector(
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


class TimedConnector(aiohttp.TCPConnector):
    """Says when it looks up and connects, when TLS begins, and when a request has its connection.

    aiohttp's own tracing tells the same at a hundred times the cost. This wraps the three steps in
    which it gives a connection, makes one, and opens it to addresses it has looked up. Were one of
    the last two renamed, its time would be counted to another phase, and nothing else would change.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature of what this replaces
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        begin(Phase.ANSWER)
        return connection

    async def _create_connection(self, *args: Any, **kwargs: Any) -> ResponseHandler:
        begin(Phase.LOOK_UP)
        return await super()._create_connection(*args, **kwargs)

    async def _wrap_create_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        args = connecting(*args, tls=bool(kwargs.get("ssl")))
        return await super()._wrap_create_connection(*args, **kwargs)


_Asked = tuple[str, int, socket.AddressFamily]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LookUp:
    """One look-up under way; it goes on when whoever waited for it has left."""

    work: Future[list[ResolveResult]]
    answer: asyncio.Future[list[ResolveResult]]
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class GuardedResolver(AbstractResolver):
    """Looks names up on threads of its own and leaves out the addresses that the guard refuses.

    The socket is checked again when it is made; leaving addresses out here lets a name with a good
    and a refused address work, and gives the refusal, not a failed connection, as the reason.

    A host and port take one thread, however many wait for them. A name that took too long is looked
    up apart until it is found again: those whose name server is away hold up no others (I12).
    """

    def __init__(self, guard: EgressGuard, *, plain: bool) -> None:
        self._guard = guard
        self._plain = plain
        self._threads = ThreadPoolExecutor(RESOLVERS_MAX, thread_name_prefix="resolver")
        self._apart = ThreadPoolExecutor(SLOW_RESOLVERS_MAX, thread_name_prefix="slow-resolver")
        self._slow: set[str] = set()
        self._under_way: dict[_Asked, _LookUp] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._found((host, port, family))
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
        for threads in (self._threads, self._apart):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _found(self, asked: _Asked) -> list[ResolveResult]:
        """Look a name up, or wait with whoever does.

        Raises what `getaddrinfo` does where nobody answers, and BusyLookUpsError where the look-up
        has not even begun.
        """
        looks_up()
        look_up = self._under_way.get(asked) or self._begin(asked)
        try:
            async with asyncio.timeout(LOOK_UP_S):
                await look_up.ended.wait()
        except TimeoutError as error:
            if not look_up.work.running():
                raise BusyLookUpsError from error
            self._slow.add(asked[0])
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from error
        return look_up.answer.result()

    def _begin(self, asked: _Asked) -> _LookUp:
        threads = self._apart if asked[0] in self._slow else self._threads
        work = threads.submit(self._guard.look_up, *asked)
        made = self._under_way[asked] = _LookUp(work=work, answer=asyncio.wrap_future(work))
        made.answer.add_done_callback(lambda _: self._end(asked))
        return made

    def _end(self, asked: _Asked) -> None:
        ended = self._under_way.pop(asked)
        if not ended.answer.cancelled() and ended.answer.exception() is None:
            self._slow.discard(asked[0])
            self._guard.signs.found()
        ended.ended.set()


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

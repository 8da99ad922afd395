"""The client sessions of one dispatcher: by scheme, past the proxy or not, and by certificate.

A client certificate belongs to a connection, so each has connections of its own. Those unused for
longest are closed when there are too many.
"""

import asyncio
import secrets
import socket
import ssl
import tempfile
from collections import OrderedDict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from yarl import URL

from noticebus.access.credentials import ClientCertificate
from noticebus.dispatcher.egress import (
    ADDRESS_KEPT_S,
    CONNECT_S,
    KEPT_ALIVE_S,
    EgressGuard,
    GuardedResolver,
    TimedConnector,
    client_session,
)
from noticebus.dispatcher.failures import UnusableCertificateError
from noticebus.dispatcher.phases import connecting
from noticebus.dispatcher.proxy import TUNNEL_S, ForwardProxy, ProxyFailedError

CERTIFICATES_MAX = 64
TUNNELLED_S = TUNNEL_S + CONNECT_S + 0.5  # through the proxy, then TLS: each within its own limit


class _Way(NamedTuple):
    """What makes one connection no good for another request."""

    plain: bool
    proxied: bool
    certificate: str | None


class Kept:
    """A session that is kept, and how many have it now."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.users = 0


class Sessions:
    """Lends a session for each request; one per process. Safe to call concurrently."""

    def __init__(
        self,
        guard: EgressGuard,
        *,
        tls: ssl.SSLContext | Literal[True] = True,
        certificates_max: int = CERTIFICATES_MAX,
    ) -> None:
        self._guard = guard
        self.signs = guard.signs
        self._tls = tls
        self._proxy = guard.proxy
        self._certificates_max = certificates_max
        self._resolvers = {plain: GuardedResolver(guard, plain=plain) for plain in (False, True)}
        self._kept: OrderedDict[_Way, Kept] = OrderedDict()
        self._making = asyncio.Lock()
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for resolver in self._resolvers.values():
            self._closing.push_async_callback(resolver.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        for kept in self._kept.values():
            await kept.session.close()
        self._kept.clear()
        await self._closing.aclose()

    def __len__(self) -> int:
        """Count the sessions that are open."""
        return len(self._kept)

    def lent(self, url: URL, *, certificate: ClientCertificate | None = None) -> "Lent":
        """Lend the session that calls `url` and shows `certificate`.

        What it is lent for ends without an exception only where the host answered.
        """
        return Lent(self, url, certificate)

    def _way(self, url: URL, certificate: ClientCertificate | None) -> _Way:
        proxied = self._proxy is not None and not self._proxy.passes_name(url.host or "")
        return _Way(
            plain=url.scheme == "http",
            proxied=proxied,
            certificate=None if certificate is None else certificate.digest,
        )

    async def take(self, url: URL, certificate: ClientCertificate | None) -> Kept:
        """Find or make the session that is to be lent, and count who has it."""
        way = self._way(url, certificate)
        if way not in self._kept:
            async with self._making:
                if way not in self._kept:
                    tls = await self._context(certificate)
                    self._kept[way] = Kept(self._session(way, tls))
                    self._kept.move_to_end(way)
                    await self._close_surplus(but=way)
        self._kept.move_to_end(way)
        kept = self._kept[way]
        kept.users += 1
        return kept

    async def _context(
        self, certificate: ClientCertificate | None
    ) -> ssl.SSLContext | Literal[True]:
        if certificate is None:
            return self._tls
        try:
            return await asyncio.to_thread(_with_certificate, self._tls, certificate)
        except (ValueError, ssl.SSLError) as error:
            raise UnusableCertificateError from error

    def _session(self, way: _Way, tls: ssl.SSLContext | Literal[True]) -> aiohttp.ClientSession:
        resolver = self._resolvers[way.plain]
        if self._proxy is None or not way.proxied:
            return self._guard.session(resolver, plain=way.plain, tls=tls)
        connector = TunnelConnector(
            guard=self._guard, proxy=self._proxy, resolver=resolver, plain=way.plain, tls=tls
        )
        return client_session(connector, connect_s=TUNNELLED_S)

    async def _close_surplus(self, *, but: _Way) -> None:
        """Close the sessions of certificates unused for longest, never one that is in use."""
        shown = [way for way in self._kept if way.certificate is not None]
        idle = [way for way in shown if not self._kept[way].users and way != but]
        for way in idle[: max(0, len(shown) - self._certificates_max)]:
            await self._kept.pop(way).session.close()


class Lent:
    """A session while it is lent."""

    def __init__(self, sessions: Sessions, url: URL, certificate: ClientCertificate | None) -> None:
        self._sessions = sessions
        self._url = url
        self._certificate = certificate
        self._kept: Kept | None = None

    async def __aenter__(self) -> aiohttp.ClientSession:
        self._kept = await self._sessions.take(self._url, self._certificate)
        return self._kept.session

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._kept is not None, "it was lent"
        self._kept.users -= 1
        if kind is None:
            self._sessions.signs.reached(self._url.raw_host or "")


class TunnelConnector(TimedConnector):
    """Connects through a proxy, to addresses that the guard has seen.

    This replaces the one step in which aiohttp opens a connection to addresses it has looked up.
    Were that step renamed, the sockets made here would refuse every address: nothing goes past the
    proxy by accident.
    """

    def __init__(
        self,
        *,
        guard: EgressGuard,
        proxy: ForwardProxy,
        resolver: GuardedResolver,
        plain: bool,
        tls: ssl.SSLContext | bool,
    ) -> None:
        super().__init__(
            resolver=resolver,
            socket_factory=self._open_past_proxy,
            ttl_dns_cache=ADDRESS_KEPT_S,
            keepalive_timeout=KEPT_ALIVE_S,
            limit=0,
            ssl=tls,
        )
        self._guard = guard
        self._proxy = proxy
        self._plain = plain

    def _open_past_proxy(self, info: aiohttp.AddrInfoType) -> socket.socket:
        address = str(info[4][0])
        if not self._proxy.passes_address(address):
            raise ProxyFailedError("was about to be passed by, which nothing allows")
        return self._guard.open_socket(info, plain=self._plain)

    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: list[aiohttp.AddrInfoType],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature of what this replaces
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **kwargs: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        straight = [one for one in addr_infos if self._proxy.passes_address(str(one[4][0]))]
        if straight:
            return await super()._wrap_create_connection(
                *args,
                addr_infos=straight,
                req=req,
                timeout=timeout,
                client_error=client_error,
                **kwargs,
            )
        args = connecting(*args, tls=bool(kwargs.get("ssl")))
        candidates = tuple(addr_infos)
        addr_infos.clear()  # they are all tried here; aiohttp would skip some
        failed: Exception | None = None
        for candidate in candidates:
            try:
                return await self._through_proxy(candidate, req, *args, **kwargs)
            except aiohttp.ClientConnectorError as error:
                failed = error
                if isinstance(error.os_error, ProxyFailedError):
                    break  # another address of the same name would fail the same way
        assert failed is not None, "a name without an address is no answer of the resolver"
        raise failed

    async def _through_proxy(
        self, candidate: aiohttp.AddrInfoType, req: aiohttp.ClientRequest, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        address, port = str(candidate[4][0]), int(candidate[4][1])
        try:
            self._guard.check(address, plain=self._plain)
            tunnel = await self._proxy.open_tunnel(address, port)
            async with asyncio.timeout(CONNECT_S):
                return await self._loop.create_connection(*args, **kwargs, sock=tunnel)
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error


def _with_certificate(
    trusted: ssl.SSLContext | Literal[True], certificate: ClientCertificate
) -> ssl.SSLContext:
    """Make a context that trusts what `trusted` does and shows a certificate.

    OpenSSL's binding reads them from files only: the key is in its file for a moment, under a
    password made for that moment.
    """
    if isinstance(trusted, ssl.SSLContext):
        authorities = b"".join(trusted.get_ca_certs(binary_form=True))
        context = ssl.create_default_context(cadata=authorities)
    else:
        context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    password = secrets.token_bytes(32).hex().encode("ascii")
    key = load_pem_private_key(certificate.key_pem.encode(), password=None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    with tempfile.TemporaryDirectory(prefix="noticebus-") as folder:
        chain_path, key_path = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        chain_path.write_text(certificate.certificate_pem)
        key_path.write_bytes(sealed)
        context.load_cert_chain(chain_path, key_path, password=password)
    return context

"""A webhook receiver and an SMTP server that record what reaches them, and misbehave on request.

Both are real servers on 127.0.0.1, on a port of the system's choice, in the caller's event loop.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Generic, TypeVar

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

ARRIVAL_S = 30.0
ADDRESS = "127.0.0.1"
T = TypeVar("T")


class Arrivals(Generic[T]):
    """What arrived, in order, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.all: list[T] = []
        self._changed = asyncio.Condition()

    async def add(self, arrival: T) -> None:
        async with self._changed:
            self.all.append(arrival)
            self._changed.notify_all()

    async def wait_for(self, count: int) -> list[T]:
        """Give everything that arrived as soon as there are `count`; TimeoutError after 30 s."""
        async with asyncio.timeout(ARRIVAL_S), self._changed:
            await self._changed.wait_for(lambda: len(self.all) >= count)
        return list(self.all)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookArrival:
    """One request as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int  # tells one kept-alive connection from another


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the receiver answers one request; `body` may be made from what arrived."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Callable[[WebhookArrival], bytes] = b""
    delay_s: float = 0.0
    hang: bool = False  # never answers
    hang_in_body: bool = False  # sends status, headers and body, and never ends it
    drop: bool = False  # closes the connection without an answer


def redirect(to: str, status: int = 302) -> Behaviour:
    """Answer with another address."""
    return Behaviour(status=status, headers={"Location": to})


class WebhookReceiver:
    """Records every request. Answers as `then` says, one each, and after those as `always`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.arrivals: Arrivals[WebhookArrival] = Arrivals()
        self.then: deque[Behaviour] = deque()
        self.always = Behaviour()
        self.url = ""
        self._tls = tls
        self._released = asyncio.Event()

    async def start(self, *, port: int = 0) -> web.AppRunner:
        """Listen; the caller cleans the runner up."""
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{path:.*}", self._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, port, ssl_context=self._tls).start()
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://{ADDRESS}:{runner.addresses[0][1]}/hook"
        return runner

    def release(self) -> None:
        """Let everything that hangs end."""
        self._released.set()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        arrival = WebhookArrival(
            path=request.path_qs,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            connection=id(request.transport),
        )
        behaviour = self.then.popleft() if self.then else self.always
        await self.arrivals.add(arrival)
        return await self._behave(request, behaviour, arrival=arrival)

    async def _behave(
        self, request: web.Request, behaviour: Behaviour, *, arrival: WebhookArrival
    ) -> web.StreamResponse:
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)
        if behaviour.hang:
            await self._released.wait()
        if behaviour.drop and request.transport is not None:
            request.transport.abort()
        body = behaviour.body if isinstance(behaviour.body, bytes) else behaviour.body(arrival)
        if not behaviour.hang_in_body:
            return web.Response(status=behaviour.status, headers=behaviour.headers, body=body)
        response = web.StreamResponse(status=behaviour.status, headers=behaviour.headers)
        await response.prepare(request)
        await response.write(body)
        await self._released.wait()
        return response


@dataclass(frozen=True, slots=True, kw_only=True)
class MailArrival:
    """One mail as it arrived: the envelope, the bytes and what they say."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    message: EmailMessage

    @property
    def text(self) -> str:
        """Give the decoded text; of a mail in two forms the plain one."""
        plain = self.message.get_body(("plain",))
        assert plain is not None, "every mail has a plain text"
        return str(plain.get_content())

    @property
    def html(self) -> str:
        """Give the decoded HTML."""
        html = self.message.get_body(("html",))
        assert html is not None, "the mail has no HTML"
        return str(html.get_content())


class SmtpReceiver:
    """Records every mail. Answers RCPT and DATA as `rcpt_then` and `data_then` say, else 250."""

    def __init__(self) -> None:
        self.arrivals: Arrivals[MailArrival] = Arrivals()
        self.rcpt_then: deque[str] = deque()
        self.data_then: deque[str] = deque()
        self.delay_s = 0.0
        self.connections = 0
        self.url = ""
        self._transports: list[asyncio.BaseTransport] = []

    async def start(self, *, port: int = 0) -> asyncio.Server:
        """Listen; the caller closes the server."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._session, ADDRESS, port)
        self.url = f"smtp://{ADDRESS}:{server.sockets[0].getsockname()[1]}"
        return server

    def drop_connections(self) -> None:
        """Close every open connection, as a relay does with idle ones."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def _session(self) -> SMTP:
        self.connections += 1
        return SMTP(self, hostname="mail.test", ident="test", loop=asyncio.get_running_loop())

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name for it
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if server.transport is not None:
            self._transports.append(server.transport)
        return lines

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = self.rcpt_then.popleft() if self.rcpt_then else "250 OK"
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        await asyncio.sleep(self.delay_s)
        if self.data_then:
            return self.data_then.popleft()
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        await self.arrivals.add(
            MailArrival(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                raw=raw,
                message=message_from_bytes(raw, policy=policy.default),
            )
        )
        return "250 OK"


@asynccontextmanager
async def webhook_receiver(
    *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[WebhookReceiver]:
    """Run a receiver for the length of a block."""
    receiver = WebhookReceiver(tls=tls)
    runner = await receiver.start(port=port)
    try:
        yield receiver
    finally:
        receiver.release()
        await runner.cleanup()


@asynccontextmanager
async def smtp_receiver(*, port: int = 0) -> AsyncIterator[SmtpReceiver]:
    """Run an SMTP server for the length of a block."""
    receiver = SmtpReceiver()
    server = await receiver.start(port=port)
    try:
        yield receiver
    finally:
        receiver.drop_connections()
        server.close()
        await server.wait_closed()

"""The demo's mail server: takes every mail of the bus, and finds link and code like a reader."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

ADDRESS = "127.0.0.1"
KEPT_MAX = 2_000
_LINK = re.compile(r"^https?://\S+/a/[\w-]+$", re.MULTILINE)
_CODE = re.compile(r"^\s+(\d{6})$", re.MULTILINE)
_VERSION = re.compile(r"^Version:\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail, as its reader sees it."""

    to: str
    subject: str
    text: str

    @property
    def link(self) -> str | None:
        """The page to answer on."""
        return _first(_LINK, self.text)

    @property
    def code(self) -> str | None:
        """The six digits that an answer needs."""
        return _first(_CODE, self.text)

    @property
    def version(self) -> int | None:
        """Which version of the notice it is about."""
        found = _VERSION.search(self.text)
        return None if found is None else int(found[1])

    @property
    def chases(self) -> bool:
        """Whether it is a reminder or an escalation."""
        return self.subject.startswith(("Reminder", "Escalation"))


class MailSink:
    """Keeps the last 2,000 mails. `hear` is told of each before the bus has its answer."""

    def __init__(self, hear: Callable[[Mail], None]) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT_MAX)
        self.url = ""
        self._hear = hear

    def newest(self, address: str, *, version: int) -> Mail | None:
        """Give the newest mail to `address` about `version` that holds a link and a code."""
        fitting = (
            one
            for one in reversed(self.mails)
            if one.to == address and one.version == version and one.link and one.code
        )
        return next(fitting, None)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name for it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage), "what the default policy makes"
        for address in envelope.rcpt_tos:
            plain = message.get_body(("plain",))
            assert plain is not None, "every mail of ours has a plain text"
            text = str(plain.get_content()).replace("\r\n", "\n")
            mail = Mail(to=address, subject=str(message["Subject"]), text=text)
            self.mails.append(mail)
            self._hear(mail)
        return "250 OK"


@asynccontextmanager
async def mail_sink(hear: Callable[[Mail], None]) -> AsyncIterator[MailSink]:
    """Run a mail server for the length of the block."""
    sink = MailSink(hear)
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []

    class Sessions(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            super().connection_made(transport)

    server = await loop.create_server(
        lambda: Sessions(sink, hostname="mail.example", ident="demo", loop=loop), ADDRESS, 0
    )
    sink.url = f"smtp://{ADDRESS}:{server.sockets[0].getsockname()[1]}"
    try:
        yield sink
    finally:
        for transport in transports:
            transport.close()
        server.close()
        await server.wait_closed()


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return None if found is None else found[found.lastindex or 0]

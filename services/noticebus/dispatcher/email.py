"""Puts a mail on the wire, through the operator's own SMTP relay, and reads what the relay said.

The relay's address is a setting, not an agency's, so the egress guard has no part here; and when
the relay cannot be reached that is our fault, not the recipient's.
"""

import asyncio
import datetime as dt
import hashlib
import re
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.failures import NO_SLOT, Failure, NoSlotError
from noticebus.dispatcher.slots import LIMITS, SendLimits, taken
from noticebus.domain.delivery import AttemptResult
from noticebus.errors import RefusedError

COMMAND_S = 10.0
CONNECTIONS_MAX = 8
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
ADDRESS_CHARACTERS_MAX = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_BARE_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_REPLY_CHARACTERS_MAX = 500
_SERVICE_CLOSING = 421  # RFC 5321, section 3.8: also said about a connection that idled too long
_PERMANENT = 500

BAD_ADDRESS = Failure(
    outcome=Outcome.REFUSED,
    fault=Fault.RECIPIENT,
    error="The mail address cannot be written to. Correct it in the contact.",
)
RELAY_AWAY = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.OURS,
    error="Our mail relay cannot be reached. Check smtp.url and that the relay runs.",
)
RELAY_SILENT = Failure(
    outcome=Outcome.TIMED_OUT,
    fault=Fault.OURS,
    error="Our mail relay did not answer in time. Check its load and its log.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRequest:
    """One delivery to one mailbox. Everything in it is the same at every repeat (I3).

    `written_at` is when the delivery was created. `html`, if there is any, goes beside the text.
    """

    delivery_id: str
    to: str
    subject: str
    text: str
    written_at: dt.datetime
    html: str = ""


class EmailSender:
    """Sends mails over a few kept connections to one relay. Safe to call concurrently.

    `smtp_url`: `smtp://` uses TLS when the relay offers it, `smtp+starttls://` insists, `smtps://`
    speaks it from the start; `user:password@` logs in.
    """

    def __init__(
        self,
        *,
        smtp_url: str,
        mail_from: str,
        tls: ssl.SSLContext | None = None,
        limits: SendLimits = LIMITS,
    ) -> None:
        self._relay = _Relay(smtp_url, tls=tls)
        self._from = mail_from
        self._domain = _domain_of(mail_from)
        self._limits = limits
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self._idle: list[aiosmtplib.SMTP] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().close()

    async def send(self, request: MailRequest) -> AttemptResult:
        """Send once and say what came of it. Raises nothing for what the relay does."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            content = self.render(request)
        except ValueError:
            return _failed(BAD_ADDRESS, content=b"", duration=dt.timedelta())
        try:
            async with (
                taken(self._slots, limit=self._limits.slot),
                asyncio.timeout(self._limits.request.total_seconds()),
            ):
                await self._carry(request.to, content)
        except (aiosmtplib.SMTPException, NoSlotError, OSError, ValueError) as error:
            took = dt.timedelta(seconds=loop.time() - started)
            return _failed_by(error, content=content, duration=took)
        return AttemptResult(
            outcome=Outcome.DELIVERED,
            fault=None,
            body_digest=hashlib.sha256(content).hexdigest(),
            duration=dt.timedelta(seconds=loop.time() - started),
        )

    def render(self, request: MailRequest) -> bytes:
        """Write the mail, the same bytes for the same request; ValueError for a bad address.

        No value can add a header: the library refuses line ends, and an address is parsed first.
        """
        mail = EmailMessage(policy=WIRE)
        mail["From"] = _address(self._from)
        mail["To"] = _address(request.to)
        mail["Subject"] = request.subject
        mail["Date"] = format_datetime(request.written_at)
        mail["Message-ID"] = f"<{request.delivery_id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834, section 5: no machine answers this
        mail["List-Id"] = f"noticebus <notices.{self._domain}>"  # RFC 2919
        mail.set_content(request.text)
        if request.html:
            mail.add_alternative(request.html, subtype="html")
            mail.set_boundary(f"=_{request.delivery_id}")  # one drawn by lot would be no repeat
        return mail.as_bytes()

    async def _carry(self, to: str, content: bytes) -> None:
        """Send on a kept connection; one that the relay has closed meanwhile is replaced, once."""
        kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                return await self._send_on(kept, to, content)
            except aiosmtplib.SMTPServerDisconnected:
                pass
            except aiosmtplib.SMTPResponseException as error:
                if error.code != _SERVICE_CLOSING:
                    raise
        return await self._send_on(await self._relay.connect(), to, content)

    async def _send_on(self, connection: aiosmtplib.SMTP, to: str, content: bytes) -> None:
        try:
            await connection.sendmail(self._from, [to], content)
        except aiosmtplib.SMTPRecipientsRefused as error:
            self._idle.append(connection)  # the relay is well, only this mailbox is not
            raise error.recipients[0] from error
        except BaseException:
            connection.close()  # in an unknown state, also after a cancel
            raise
        self._idle.append(connection)


class _Relay:
    """Where the mails go, read once from the setting."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise RefusedError(
                "smtp.url cannot be read. Write it like smtp+starttls://user:password@relay:587.",
                code="unreadable-smtp-url",
            )
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._scheme = parts.scheme
        self._tls = tls

    async def connect(self) -> aiosmtplib.SMTP:
        connection = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._scheme == "smtps",
            start_tls=True if self._scheme == "smtp+starttls" else None,
            tls_context=self._tls,
            local_hostname="noticebus",
            timeout=COMMAND_S,
        )
        try:
            await connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def _address(text: str) -> Address:
    """Read exactly one bare address; ValueError for anything else."""
    if len(text) > ADDRESS_CHARACTERS_MAX or not _BARE_ADDRESS.fullmatch(text):
        raise ValueError("not one bare mail address")
    username, _, domain = text.rpartition("@")
    return Address(username=username, domain=domain)


def _domain_of(mail_from: str) -> str:
    try:
        return str(_address(mail_from).domain)
    except ValueError as error:
        raise RefusedError(
            "mail.from is not one bare mail address. Write it like noticebus@example.gov.",
            code="unreadable-mail-from",
        ) from error


def _failed_by(error: Exception, *, content: bytes, duration: dt.timedelta) -> AttemptResult:
    match error:
        case aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError():
            return _refused(error, content=content, duration=duration)
        case NoSlotError():
            return _failed(NO_SLOT, content=content, duration=duration)
        case TimeoutError():
            return _failed(RELAY_SILENT, content=content, duration=duration)
        case _:
            return _failed(RELAY_AWAY, content=content, duration=duration)


def _refused(
    error: aiosmtplib.SMTPResponseException, *, content: bytes, duration: dt.timedelta
) -> AttemptResult:
    """Read the relay's code (RFC 5321, section 4.2.1): 5yz is a refusal, 4yz may pass later."""
    permanent = error.code >= _PERMANENT
    advice = "Correct the address in the contact." if permanent else "We try again by ourselves."
    return AttemptResult(
        outcome=Outcome.REFUSED if permanent else Outcome.FAILED,
        fault=Fault.RECIPIENT,
        status=error.code,
        error=f"The mail was not taken ({error.code}). {advice}",
        response_excerpt=_printable(error.message),
        body_digest=hashlib.sha256(content).hexdigest(),
        duration=duration,
    )


def _printable(reply: str) -> str:
    short = reply[:_REPLY_CHARACTERS_MAX]
    return "".join(character if character.isprintable() else " " for character in short)


def _failed(failure: Failure, *, content: bytes, duration: dt.timedelta) -> AttemptResult:
    return AttemptResult(
        outcome=failure.outcome,
        fault=failure.fault,
        error=failure.error,
        body_digest=hashlib.sha256(content).hexdigest(),
        duration=duration,
    )

"""Hands text messages and calls to Twilio, or whatever speaks its API of 2010-04-01.

The provider's address is a setting, not an agency's, so the egress guard has no part here; and when
the provider cannot be used that is our fault, not the recipient's.
"""

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self
from urllib.parse import urlencode

import aiohttp

from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.failures import NO_SLOT, Failure, NoSlotError
from noticebus.dispatcher.slots import LIMITS, SendLimits, taken
from noticebus.dispatcher.telephone import CallRequest, TextRequest
from noticebus.dispatcher.webhook import read_retry_after
from noticebus.domain.delivery import AttemptResult
from noticebus.domain.telephone import STATUS_PATH, callback_address

ANSWER_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 8
CONNECT_S = 5.0
API = "2010-04-01"
_PROVIDER_ID_MAX = 80


PROVIDER_AWAY = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.OURS,
    error="Our telephone provider cannot be reached. Check telephone_url and the network.",
)
PROVIDER_SILENT = Failure(
    outcome=Outcome.TIMED_OUT,
    fault=Fault.OURS,
    error="Our telephone provider did not answer in time. Its status page says more.",
)
PROVIDER_FAILED = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.OURS,
    error="Our telephone provider failed. We try again by ourselves.",
)
TOO_MANY = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.OURS,
    error="Our telephone provider takes no more for now. Raise the account's limit.",
)
NOT_UNDERSTOOD = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.OURS,
    error="Our telephone provider's answer cannot be read. Check telephone_url.",
)
NOT_LET_IN = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="Our telephone provider does not know us. Check telephone_account and telephone_token.",
)
NOT_TAKEN = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="Our telephone provider did not take the request. Its code says why.",
)
# What the provider's own codes say about the number called; every other one is about us.
_NUMBERS_FAULT = {
    13223: "The telephone number is not written as a number that can be called.",
    13224: "The telephone number cannot be called.",
    21211: "The telephone number does not exist.",
    21214: "The telephone number cannot be reached.",
    21217: "The telephone number does not exist.",
    21265: "The telephone number cannot be a short code.",
    21610: "The person has sent STOP: text messages to this number are refused.",
    21612: "The telephone cannot be reached by text message.",
    21614: "The telephone takes no text messages.",
    21635: "The telephone is a landline and takes no text messages.",
}
_CORRECT = "Correct the contact."
_REFUSED_AGAIN_AFTER = dt.timedelta(hours=1)  # a number that does not exist will not soon


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    retry_after: str | None
    body: bytes


class TwilioTelephone:
    """Sends over a few kept connections to one provider. Safe to call concurrently.

    `base_url` is the bus's own public address: the provider calls it back.
    """

    def __init__(
        self,
        *,
        url: str,
        account: str,
        token: str,
        number: str,
        base_url: str,
        limits: SendLimits = LIMITS,
    ) -> None:
        self._account = f"{url.rstrip('/')}/{API}/Accounts/{account}"
        self._auth = base64.b64encode(f"{account}:{token}".encode()).decode("ascii")
        self._number = number
        self._base_url = base_url
        self._limits = limits
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._session = await self._closing.enter_async_context(
            aiohttp.ClientSession(
                headers={
                    "Authorization": f"Basic {self._auth}",
                    "Accept": "application/json",
                    "User-Agent": "noticebus",
                },
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def text(self, request: TextRequest) -> AttemptResult:
        """Send a text message."""
        said = {"To": request.to, "From": self._number, "Body": request.text}
        return await self._send("Messages.json", said, delivery_id=request.delivery_id)

    async def call(self, request: CallRequest) -> AttemptResult:
        """Make a call."""
        said = {"To": request.to, "From": self._number, "Twiml": request.document}
        return await self._send("Calls.json", said, delivery_id=request.delivery_id)

    async def answers(self) -> int:
        """Ask for the account itself and give the status, for the doctor; OSError or ClientError.

        Nothing is sent to anybody.
        """
        async with (
            asyncio.timeout(self._limits.request.total_seconds()),
            self._session.get(f"{self._account}.json", allow_redirects=False) as response,
        ):
            return response.status

    async def _send(
        self, resource: str, said: dict[str, str], *, delivery_id: str
    ) -> AttemptResult:
        report_to = callback_address(self._base_url, STATUS_PATH, delivery_id)
        body = urlencode(said | {"StatusCallback": report_to}).encode("ascii")
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer, failure = None, None
        try:
            answer = await self._exchange(f"{self._account}/{resource}", body)
        except NoSlotError:
            failure = NO_SLOT
        except TimeoutError:
            failure = PROVIDER_SILENT
        except (aiohttp.ClientError, OSError, ValueError):
            failure = PROVIDER_AWAY
        digest = hashlib.sha256(body).hexdigest()
        duration = dt.timedelta(seconds=loop.time() - started)
        if answer is not None:
            return _read(answer, digest=digest, duration=duration)
        assert failure is not None, "an exchange gives an answer or a failure"
        return _failed(failure, digest=digest, duration=duration)

    async def _exchange(self, url: str, body: bytes) -> _Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with (
            taken(self._slots, limit=self._limits.slot),
            asyncio.timeout(self._limits.request.total_seconds()) as limit,
            self._session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            limit.reschedule(None)  # the status has decided; the rest has a limit of its own
            return _Answer(
                status=response.status,
                retry_after=response.headers.get("Retry-After"),
                body=await _read_body(response, limit=self._limits.excerpt),
            )


async def _read_body(response: aiohttp.ClientResponse, *, limit: dt.timedelta) -> bytes:
    """Read the answer within bounds of size and time; what is missing makes it unreadable."""
    body = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(limit.total_seconds()):
            while not response.content.at_eof() and len(body) < ANSWER_BYTES_MAX:
                body += await response.content.read(ANSWER_BYTES_MAX - len(body))
    if not response.content.at_eof():
        response.close()
    return body


def _read(answer: _Answer, *, digest: str, duration: dt.timedelta) -> AttemptResult:
    said = _parsed(answer.body)
    match answer.status // 100:
        case 2:
            return _taken(said, status=answer.status, digest=digest, duration=duration)
        case 4 if (reason := _NUMBERS_FAULT.get(_code(said))) is not None:
            failure = Failure(
                outcome=Outcome.REFUSED, fault=Fault.RECIPIENT, error=f"{reason} {_CORRECT}"
            )
        case 4 if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            failure = NOT_LET_IN
        case 4 if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            failure = TOO_MANY
        case 5:
            failure = PROVIDER_FAILED
        case _:
            failure = NOT_TAKEN
    return _failed(failure, digest=digest, duration=duration, answer=answer, code=_code(said))


def _taken(
    said: dict[str, object], *, status: int, digest: str, duration: dt.timedelta
) -> AttemptResult:
    """Read a yes; without the provider's id nothing could be heard of it, so it is no yes."""
    sid = said.get("sid")
    if not isinstance(sid, str) or not 0 < len(sid) <= _PROVIDER_ID_MAX:
        return _failed(NOT_UNDERSTOOD, digest=digest, duration=duration)
    return AttemptResult(
        outcome=Outcome.HANDED_OVER,
        fault=None,
        status=status,
        body_digest=digest,
        duration=duration,
        provider_id=sid,
    )


def _failed(
    failure: Failure,
    *,
    digest: str,
    duration: dt.timedelta,
    answer: _Answer | None = None,
    code: int = 0,
) -> AttemptResult:
    """Give a failure. Of the answer only the code is kept: its message quotes the number."""
    retry_after = _REFUSED_AGAIN_AFTER if failure.outcome is Outcome.REFUSED else None
    if answer is not None and answer.retry_after is not None:
        text = answer.retry_after.strip()
        retry_after = read_retry_after(text, now=_EPOCH) if text.isdigit() else None
    return AttemptResult(
        outcome=failure.outcome,
        fault=failure.fault,
        status=None if answer is None else answer.status,
        retry_after=retry_after,
        response_excerpt=f"code {code}" if code else "",
        error=failure.error,
        body_digest=digest,
        duration=duration,
    )


_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


def _parsed(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _code(said: dict[str, object]) -> int:
    code = said.get("code")
    return code if isinstance(code, int) and 0 < code < 10**6 else 0

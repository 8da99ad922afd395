"""Puts a webhook on the wire and reads the answer. A recipient's fault is a result, no error."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Literal, Self

import aiohttp
from multidict import istr
from yarl import URL

from noticebus.access.credentials import Credentials, OAuthClient
from noticebus.access.keyring import Keyring
from noticebus.contracts.vocabulary import Outcome
from noticebus.dispatcher.answers import keep_headers, mask, without_echo
from noticebus.dispatcher.egress import EgressGuard
from noticebus.dispatcher.exchange import Exchange, Target
from noticebus.dispatcher.failures import (
    Failure,
    TokenError,
    UnusableCertificateError,
    failure_of,
)
from noticebus.dispatcher.oauth import TOKEN_S, Tokens, basic
from noticebus.dispatcher.phases import Phases
from noticebus.dispatcher.sessions import Sessions
from noticebus.dispatcher.signing import signature_headers
from noticebus.dispatcher.slots import LIMITS, SendLimits
from noticebus.domain.delivery import (
    AttemptResult,
    TimeSpent,
    classify,
    explain_status,
    fault_of,
)
from noticebus.domain.handshakes import RATE_ASKED
from noticebus.faultpoints import FaultPoint, reach
from noticebus.records import lean

EXCERPT_BYTES_MAX = 4 * 1024
URLS_MAX = 4096  # that are read once and kept, with the beginning of every request to them
RETRY_AFTER_MAX = dt.timedelta(days=7)  # longer is a mistake, and the schedule clamps anyway
_RETRY_AFTER = istr("Retry-After")
SEND_ERRORS = (
    aiohttp.ClientError,
    TokenError,
    UnusableCertificateError,
    OSError,
    ValueError,
)


@lean
class WebhookRequest:
    """One delivery to one endpoint. `body` and `delivery_id` are the same at every repeat (I3)."""

    url: str
    delivery_id: str
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    introduces: bool = False  # a handshake: it says who asks, and for how many requests a minute
    subscription_id: str = ""
    credentials: Credentials | None = None

    @property
    def client(self) -> OAuthClient | None:
        """Give what fetches tokens for this endpoint, if it wants any."""
        return None if self.credentials is None else self.credentials.oauth2


@lean
class _Answer:
    status: int
    headers: Mapping[str, str]  # by name, in any case
    excerpt: bytes = field(repr=False)
    token: str | None = field(repr=False)
    spent: TimeSpent


class WebhookSender:
    """Sends webhooks over kept-alive connections; one per process. Safe to call concurrently.

    The caller bounds how many requests run at once to an endpoint (`lines`).
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        guard: EgressGuard,
        tls: ssl.SSLContext | Literal[True] = True,
        limits: SendLimits = LIMITS,
        base_url: str = "",
    ) -> None:
        self._keyring = keyring
        self._introduction = {
            "WebHook-Request-Origin": URL(base_url).raw_host or "noticebus",
            "WebHook-Request-Rate": str(RATE_ASKED),
        }
        self._limits = limits
        self._token_s = min(TOKEN_S, limits.request.total_seconds() / 3)
        self._sessions = Sessions(guard, tls=tls)
        self._targets = lru_cache(URLS_MAX)(Target.of)
        self._tokens = Tokens(self._sessions, limit_s=self._token_s)

    async def __aenter__(self) -> Self:
        await self._sessions.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._sessions.__aexit__(*raised)

    async def send(self, request: WebhookRequest, *, timestamp: int) -> AttemptResult:
        """Send once and say what came of it. `timestamp` is machine time in seconds since 1970.

        Raises nothing for what the recipient does or fails to do; a secret that cannot sign is our
        fault, and a result too.
        """
        digest = hashlib.sha256(request.body).hexdigest()
        started, phases = time.monotonic(), Phases()
        try:
            answer = await self._deliver(request, phases, timestamp=timestamp)
        except SEND_ERRORS as error:
            took = dt.timedelta(seconds=time.monotonic() - started)
            failure = failure_of(error, signs=self._sessions.signs)
            return _unanswered(failure, digest=digest, duration=took, spent=phases.spent())
        took = dt.timedelta(seconds=time.monotonic() - started)
        excerpt = answer.excerpt
        if not request.introduces:  # a handshake asks for its challenge back
            excerpt = without_echo(excerpt, body=request.body)
        return _answered(
            answer,
            excerpt=excerpt,
            secrets=_hidden(request, answer),
            now=timestamp,
            digest=digest,
            duration=took,
        )

    async def _deliver(self, request: WebhookRequest, phases: Phases, *, timestamp: int) -> _Answer:
        """Send once; with a token that was kept and is not taken, once more with a new one."""
        limit_s, client = self._limits.request.total_seconds(), request.client
        if client is None:
            return await self._exchange(request, phases, timestamp=timestamp, limit_s=limit_s)
        loop = asyncio.get_running_loop()
        ends = loop.time() + limit_s
        for_whom = request.subscription_id
        token = await self._tokens.token(client, subscription_id=for_whom, now=timestamp)
        answer = await self._exchange(
            request, phases, timestamp=timestamp, limit_s=ends - loop.time(), token=token.value
        )
        in_time = ends - loop.time() > self._token_s
        if answer.status != HTTPStatus.UNAUTHORIZED or not token.kept or not in_time:
            return answer
        self._tokens.forget(for_whom, token.value)
        token = await self._tokens.token(client, subscription_id=for_whom, now=timestamp)
        return await self._exchange(
            request, phases, timestamp=timestamp, limit_s=ends - loop.time(), token=token.value
        )

    async def _exchange(
        self,
        request: WebhookRequest,
        phases: Phases,
        *,
        timestamp: int,
        limit_s: float,
        token: str | None = None,
    ) -> _Answer:
        target = self._targets(request.url)
        headers = self._headers(request, timestamp=timestamp)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        shown = None if request.credentials is None else request.credentials.client_certificate
        async with self._sessions.lent(target.url, certificate=shown) as session:
            exchange = Exchange(session, target)
            # The status decides; the excerpt has a limit of its own.
            async with asyncio.timeout(limit_s):
                with phases:
                    answered = await exchange.begin(headers, request.body)
            try:
                reach(FaultPoint.DISPATCHER_SENT)
                return _Answer(
                    status=answered.status,
                    headers=answered.headers,
                    excerpt=await _read_excerpt(answered.content, limit=self._limits.excerpt),
                    token=token,
                    spent=phases.spent(),
                )
            finally:
                exchange.end()

    def _headers(self, request: WebhookRequest, *, timestamp: int) -> dict[str, str]:
        headers = signature_headers(
            request.body,
            delivery_id=request.delivery_id,
            timestamp=timestamp,
            secrets=request.secrets,
            keys=self._keyring.signing_keys,
        )
        if request.introduces:
            headers |= self._introduction
        return headers


def answers_challenge(excerpt: str, challenge: str) -> bool:
    """Say whether an answer proves consent: the challenge itself, or JSON {"challenge": …}."""
    try:
        parsed = json.loads(excerpt)
    except (ValueError, RecursionError):
        parsed = None
    given = parsed.get("challenge") if isinstance(parsed, dict) else excerpt.strip().strip('"')
    return isinstance(given, str) and hmac.compare_digest(given.encode(), challenge.encode())


def read_retry_after(value: str | None, *, now: dt.datetime) -> dt.timedelta | None:
    """Read a `Retry-After` (RFC 9110, section 10.2.3): seconds, a date, or nothing readable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = min(int(text[:10]), RETRY_AFTER_MAX.total_seconds())
        return dt.timedelta(seconds=seconds)
    try:
        at = parsedate_to_datetime(text)
        wait = (at if at.tzinfo else at.replace(tzinfo=dt.UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait, dt.timedelta()), RETRY_AFTER_MAX)


def _hidden(request: WebhookRequest, answer: _Answer) -> tuple[str, ...]:
    """List what an answer may echo and nobody may read."""
    if request.client is None or answer.token is None:
        return request.secrets
    client = request.client
    return (*request.secrets, answer.token, client.client_secret, basic(client))


async def _read_excerpt(content: aiohttp.StreamReader, *, limit: dt.timedelta) -> bytes:
    """Read the beginning of the answer; never fails, since the status has already decided."""
    if content.at_eof():
        return b""
    excerpt = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(limit.total_seconds()):
            while not content.at_eof() and len(excerpt) < EXCERPT_BYTES_MAX:
                excerpt += await content.read(EXCERPT_BYTES_MAX - len(excerpt))
    return excerpt


def _answered(
    answer: _Answer,
    *,
    excerpt: bytes,
    secrets: tuple[str, ...],
    now: int,
    digest: str,
    duration: dt.timedelta,
) -> AttemptResult:
    outcome = classify(answer.status)
    after = answer.headers.get(_RETRY_AFTER)
    return AttemptResult(
        outcome=outcome,
        fault=fault_of(outcome),
        status=answer.status,
        retry_after=None
        if after is None
        else read_retry_after(after, now=dt.datetime.fromtimestamp(now, dt.UTC)),
        response_headers=keep_headers(answer.headers, secrets=secrets),
        response_excerpt=mask(excerpt, secrets=secrets),
        error="" if outcome is Outcome.DELIVERED else explain_status(answer.status),
        body_digest=digest,
        duration=duration,
        spent=answer.spent,
    )


def _unanswered(
    failure: Failure, *, digest: str, duration: dt.timedelta, spent: TimeSpent
) -> AttemptResult:
    return AttemptResult(
        outcome=failure.outcome,
        fault=failure.fault,
        error=failure.error,
        body_digest=digest,
        duration=duration,
        spent=spent,
    )

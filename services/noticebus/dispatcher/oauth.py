"""Access tokens from a recipient's token server (RFC 6749, section 4.4), kept until they end.

Fetched through the same guard, proxy and limits as a webhook. A token is never logged, stored or
shown, and nothing that a token server answers is quoted beyond its registered error codes.
"""

import asyncio
import base64
import json
import re
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from noticebus.access.credentials import OAuthClient
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.failures import (
    SILENT,
    TOKEN_AWAITED,
    Failure,
    TokenError,
    failure_of,
)
from noticebus.dispatcher.sessions import Sessions

TOKEN_S = 5.0  # for one token, the wait for somebody else's fetch of it included
HEARD_S = 0.5  # more, for whoever waits, to hear what came of a fetch that took all its time
ANSWER_BYTES_MAX = 64 * 1024
LIFE_DEFAULT_S = 300  # where the server does not say
LIFE_MAX_S = 24 * 3600
MARGIN_S = 60  # a token is not used in its last minute, or the last fifth of a short life
KEPT_MAX = 4096
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,7000}")  # RFC 6750, section 2.1; within a header
_CODES = frozenset(  # RFC 6749, section 5.2
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token, and whether it was there already: only such a one is worth replacing."""

    value: str = field(repr=False)
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """A fetch that failed, for whoever waited for it with the same client."""

    client_digest: str
    failure: Failure


class _Kept:
    """The token of one subscription, who may fetch it now, and the last fetch that failed."""

    def __init__(self) -> None:
        self.fetching = asyncio.Lock()
        self.failed: _Failed | None = None
        self.client_digest = ""
        self.value = ""
        self.until = 0.0

    def holds(self, client: OAuthClient, *, now: float) -> bool:
        return self.client_digest == client.digest and now < self.until

    def failed_since(self, before: _Failed | None, client: OAuthClient) -> Failure | None:
        """Give the failure of a fetch that ended after `before` was the last that had failed."""
        if self.failed is None or self.failed is before:
            return None
        return self.failed.failure if self.failed.client_digest == client.digest else None


class Tokens:
    """The tokens of one process. `now` is machine time in seconds since 1970."""

    def __init__(
        self, sessions: Sessions, *, limit_s: float = TOKEN_S, kept_max: int = KEPT_MAX
    ) -> None:
        self._sessions = sessions
        self._limit_s = limit_s
        self._kept_max = kept_max
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def token(self, client: OAuthClient, *, subscription_id: str, now: float) -> Token:
        """Give the subscription's token, fetched if need be, by one request at a time.

        Raises TokenError; whoever waited for a fetch that failed raises its failure, and asks no
        more: what is left of its time would be too short to call the server silent.
        """
        kept = self._of(subscription_id)
        waits, before = kept.fetching.locked(), kept.failed
        limit_s = self._limit_s + (HEARD_S if waits else 0)
        try:
            async with asyncio.timeout(limit_s), kept.fetching:
                if kept.holds(client, now=now):
                    return Token(value=kept.value, kept=True)
                if (failure := kept.failed_since(before, client)) is None:
                    return await self._fetch(kept, client, now=now)
        except TimeoutError:
            if waits:
                failure = kept.failed_since(before, client) or TOKEN_AWAITED
            else:
                failure = _at_token_server(SILENT)
                kept.failed = _Failed(client_digest=client.digest, failure=failure)
        raise TokenError(failure)

    async def _fetch(self, kept: _Kept, client: OAuthClient, *, now: float) -> Token:
        try:
            value, life_s = _read(await self._ask(client))
        except TokenError as error:
            kept.failed = _Failed(client_digest=client.digest, failure=error.failure)
            raise
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            failure = _at_token_server(failure_of(error, signs=self._sessions.signs))
            kept.failed = _Failed(client_digest=client.digest, failure=failure)
            raise TokenError(failure) from error
        kept.client_digest, kept.value = client.digest, value
        kept.until = now + life_s - min(MARGIN_S, life_s / 5)
        return Token(value=value, kept=False)

    def forget(self, subscription_id: str, value: str) -> None:
        """Drop a token that the endpoint did not take, unless another one is there by now."""
        kept = self._of(subscription_id)
        if kept.value == value:
            kept.until = 0.0

    def _of(self, subscription_id: str) -> _Kept:
        kept = self._kept.setdefault(subscription_id, _Kept())
        self._kept.move_to_end(subscription_id)
        if len(self._kept) > self._kept_max:
            oldest = next(iter(self._kept))
            if not self._kept[oldest].fetching.locked():
                del self._kept[oldest]
        return kept

    async def _ask(self, client: OAuthClient) -> "_Answer":
        url = URL(client.token_url)
        form = {"grant_type": "client_credentials"}
        form |= {} if client.scope is None else {"scope": client.scope}
        form |= {} if client.audience is None else {"audience": client.audience}
        headers = {
            "Authorization": basic(client),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "noticebus",
        }
        async with (
            self._sessions.lent(url) as session,
            session.post(url, data=form, headers=headers, allow_redirects=False) as response,
        ):
            body = b""
            while not response.content.at_eof() and len(body) <= ANSWER_BYTES_MAX:
                body += await response.content.read(ANSWER_BYTES_MAX + 1 - len(body))
            if not response.content.at_eof():
                response.close()  # the rest is not wanted
            return _Answer(status=response.status, body=body)


def basic(client: OAuthClient) -> str:
    """Give the header of a client with a secret; both are form-encoded first (section 2.3.1)."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    body: bytes = field(repr=False)


def _read(answer: _Answer) -> tuple[str, float]:
    """Read a token and its life in seconds; TokenError for whatever else was answered."""
    said = _parsed(answer.body)
    if answer.status != 200:  # noqa: PLR2004 - RFC 6749, section 5.1
        raise TokenError(_refused(answer.status, said))
    value, kind = said.get("access_token"), said.get("token_type", "Bearer")
    if not isinstance(value, str) or _TOKEN.fullmatch(value) is None:
        raise TokenError(_failed("answered 200 without a usable 'access_token'"))
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenError(_failed("gave a token of another type than 'Bearer'"))
    return value, _life(said.get("expires_in"))


def _life(said: object) -> float:
    text = str(said)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        return LIFE_DEFAULT_S
    return min(int(text), LIFE_MAX_S)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body) if len(body) <= ANSWER_BYTES_MAX else None
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {}


def _refused(status: int, said: dict[str, Any]) -> Failure:
    code = said.get("error")
    named = f" ({code})" if isinstance(code, str) and code in _CODES else ""
    match status // 100:
        case 4:
            return Failure(
                outcome=Outcome.REFUSED,
                fault=Fault.RECIPIENT,
                error=f"Your token server refused us a token with {status}{named}. Check the client"
                " and its secret in the subscription's credentials.",
            )
        case 3:
            return _failed(f"answered {status}; redirects are not followed", Outcome.REFUSED)
        case _:
            return _failed(f"failed with {status}")


def _failed(what: str, outcome: Outcome = Outcome.FAILED) -> Failure:
    return Failure(
        outcome=outcome,
        fault=Fault.RECIPIENT,
        error=f"Your token server {what}, so we had no token to send with. Its log says why.",
    )


def _at_token_server(failure: Failure) -> Failure:
    """Say of a failure that it happened at the token server; our own stays ours."""
    if failure.fault is Fault.OURS:
        return failure
    told = failure.error.replace("Your server", "It", 1).replace("Your host", "Its host", 1)
    return replace(failure, error=f"Your token server gave us no token. {told}")

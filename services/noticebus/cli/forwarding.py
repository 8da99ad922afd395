"""Passes a webhook on to a local application as it came, and says what its answer means."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from noticebus.cli.explaining import Finding
from noticebus.cli.output import CommandError

CONNECT_LIMIT_S = 3.0
WHOLE_LIMIT_S = 14.0  # the bus waits 15 s: who is late here is told by us, not by the bus
ANSWER_BYTES_MAX = 64 * 1024
REDIRECT, REFUSED, GONE, FAILED = 300, 400, 410, 500
NOT_PASSED = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
PASSED_BACK = ("content-type", "retry-after", "location")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the application answered, or `remark` why it did not; `status` goes to the bus."""

    status: int
    took_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    remark: str = ""


class Forwarder:
    """Passes requests to one address. One connection pool; use it as a context."""

    def __init__(self, url: str, *, within_s: float = WHOLE_LIMIT_S) -> None:
        """Prepare; CommandError where `url` is no address of an application."""
        try:
            self._url = URL(url)
        except ValueError:
            self._url = URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise CommandError(
                f"{url} is not the address of an application.",
                remedy="Write --forward like http://127.0.0.1:3000/hook.",
            )
        self._limit = aiohttp.ClientTimeout(total=within_s, sock_connect=CONNECT_LIMIT_S)
        self._within_s = within_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._limit, skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding")
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(self, headers: Iterable[tuple[str, str]], body: bytes) -> Answered:
        """Pass one request on: the same bytes, and every header that is not the connection's."""
        assert self._session is not None, "a forwarder is used as a context"
        sent = CIMultiDict(one for one in headers if one[0].lower() not in NOT_PASSED)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._session.post(
                self._url, data=body, headers=sent, allow_redirects=False
            ) as answer:
                read = await answer.content.read(ANSWER_BYTES_MAX)
                while chunk := await answer.content.read(ANSWER_BYTES_MAX - len(read)):
                    read += chunk
        except (aiohttp.ClientError, OSError) as error:
            return self._failed(error, took_s=loop.time() - began)
        back = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
        return Answered(status=answer.status, took_s=loop.time() - began, headers=back, body=read)

    def _failed(self, error: Exception, *, took_s: float) -> Answered:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            said, status = f"nothing took the connection within {CONNECT_LIMIT_S:.0f} s", 504
        elif isinstance(error, TimeoutError):
            said, status = f"your application did not answer within {self._within_s:g} s", 504
        elif isinstance(error, aiohttp.ClientConnectorError):
            said, status = f"nothing listens at {self._url}", 502
        else:
            said, status = (
                f"your application broke the connection ({str(error) or 'no answer'})",
                502,
            )
        return Answered(status=status, took_s=took_s, remark=f"{said}: answered {status} for it")


def meaning(answered: Answered, *, finding: Finding, challenge: str | None) -> str:
    """Say what an application's answer means to the bus, and where the application is at fault.

    `challenge` is that of a handshake. Nothing was changed between the bus and the application.
    """
    if answered.remark:
        return answered.remark
    took = f"your application answered {answered.status} after {answered.took_s * 1000:.0f} ms"
    return "; ".join(filter(None, (took, _fault(answered, finding, challenge=challenge))))


def _fault(answered: Answered, finding: Finding, *, challenge: str | None) -> str:
    status = answered.status
    if status < REDIRECT:
        return _fault_in_taking(answered, finding, challenge=challenge)
    if status < REFUSED:
        return "a redirect is a failure, the bus follows none: subscribe the address itself"
    if status == GONE:
        return "410 means that this address is closed for good: this delivery ends"
    if status < FAILED and finding.ok:
        return (
            "the signature is right and nothing was changed on the way here:"
            " look at its check of the signature first"
        )
    return "the bus tries again"


def _fault_in_taking(answered: Answered, finding: Finding, *, challenge: str | None) -> str:
    if finding.ok is False:
        return "it took an event whose signature is WRONG: it does not verify, or not well"
    if challenge is not None and challenge.encode() not in answered.body:
        return "but without the challenge, so it has not consented: answer it as the body"
    return ""

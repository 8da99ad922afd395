"""The ways in which `noticebus listen` can be a bad receiver; each of them ends by itself."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from noticebus.cli.output import CommandError

REDIRECTED, GONE, FAILED, BUSY = 302, 410, 500, 503
BAD_FOR_S_MAX = 600.0
DRIP_EVERY_S = 1.0
FLOOD_CHUNK = b"x" * 65_536
FLOOD_BYTES_MAX = 2**30
WRONG_CHALLENGE = "not the challenge"
NOT_HTTP = b"This is a receiver that does not speak HTTP.\r\n\r\n"


class Way(StrEnum):
    """How to fail."""

    STATUS = "status"
    HANG = "hang"
    DRIP = "drip"
    FLOOD = "flood"
    CLOSE = "close"
    MALFORMED = "malformed"
    CHALLENGE = "wrong_challenge"  # the handshake's, and no other event's


DID = {
    Way.HANG: "does not answer",
    Way.DRIP: "answers a byte a second",
    Way.FLOOD: "answers without end",
    Way.CLOSE: "hung up",
    Way.MALFORMED: "answered what is not HTTP",
    Way.CHALLENGE: "answered a wrong challenge",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """How to be a bad receiver: fail the first `fail` events in one `way`, all after `delay_s`.

    `fail` None: every event. The handshake is answered properly, or nothing would follow; only
    `Way.CHALLENGE` fails it, and nothing else.
    """

    fail: int | None = 0
    status: int = 500
    delay_s: float = 0.0
    way: Way = Way.STATUS
    headers: Mapping[str, str] = field(default_factory=dict)

    def fails(self, failed: int, *, is_handshake: bool) -> bool:
        """Say whether to fail this one, after `failed` failures."""
        meant = is_handshake == (self.way is Way.CHALLENGE)
        return meant and (self.fail is None or failed < self.fail)

    @property
    def did(self) -> str:
        """What is done, in words."""
        return f"answered {self.status}" if self.way is Way.STATUS else DID[self.way]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person asked for; one way to fail at most."""

    ways: Sequence[Way] = ()
    fail: int = 0
    status: int | None = None
    gone: bool = False
    redirect: str | None = None
    retry_after_s: int | None = None
    delay_s: float = 0.0


def misbehaviour_of(wishes: Wishes) -> Misbehaviour:
    """Put wishes together; CommandError where two of them exclude each other.

    A way to fail without a number of failures is meant for every event.
    """
    statuses = [
        status
        for status, wished in (
            (wishes.status, wishes.status is not None),
            (GONE, wishes.gone),
            (REDIRECTED, wishes.redirect is not None),
        )
        if wished
    ]
    if len(statuses) + len(wishes.ways) > 1:
        raise CommandError(
            "Two ways to fail were asked for, and an event has one answer.",
            remedy="Keep one of --status, --gone, --redirect, --hang, --drip, --flood, --close,"
            " --malformed and --wrong-challenge.",
        )
    if wishes.retry_after_s is not None and (wishes.ways or wishes.gone or wishes.redirect):
        raise CommandError(
            "Retry-After belongs to a status that may be tried again.",
            remedy="Use --retry-after alone (503), or with --status.",
        )
    late = wishes.retry_after_s is not None
    sent = {"Location": wishes.redirect, "Retry-After": wishes.retry_after_s}
    is_asked = bool(statuses or wishes.ways or late)
    return Misbehaviour(
        fail=None if is_asked and wishes.fail == 0 else wishes.fail,
        status=next((one for one in statuses if one is not None), BUSY if late else FAILED),
        delay_s=wishes.delay_s,
        way=wishes.ways[0] if wishes.ways else Way.STATUS,
        headers={name: str(value) for name, value in sent.items() if value is not None},
    )


async def pause(ending: asyncio.Event, *, for_s: float) -> None:
    """Wait, or less where the receiver ends meanwhile."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            await ending.wait()


async def answer_badly(
    request: web.Request, bad: Misbehaviour, *, ending: asyncio.Event
) -> web.StreamResponse:
    """Fail one request in the way that was asked for."""
    match bad.way:
        case Way.HANG:
            await pause(ending, for_s=BAD_FOR_S_MAX)
        case Way.DRIP:
            return await _drip(request, ending=ending)
        case Way.FLOOD:
            return await _flood(request, ending=ending)
        case Way.CLOSE:
            _transport(request).abort()
        case Way.MALFORMED:
            _transport(request).write(NOT_HTTP)
            _transport(request).close()
        case Way.CHALLENGE:
            return web.json_response({"challenge": WRONG_CHALLENGE})
        case Way.STATUS:
            pass
    return web.Response(status=bad.status, headers=bad.headers)


async def _drip(request: web.Request, *, ending: asyncio.Event) -> web.StreamResponse:
    """Answer 200 and a byte a second, for ten minutes."""
    response = web.StreamResponse()
    response.content_length = int(BAD_FOR_S_MAX / DRIP_EVERY_S)
    await response.prepare(request)
    for _ in range(response.content_length):
        if ending.is_set():
            _transport(request).abort()
            break
        await response.write(b".")
        await pause(ending, for_s=DRIP_EVERY_S)
    return response


async def _flood(request: web.Request, *, ending: asyncio.Event) -> web.StreamResponse:
    """Answer 200 and a gigabyte."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(FLOOD_BYTES_MAX // len(FLOOD_CHUNK)):
        if ending.is_set():
            break
        await response.write(FLOOD_CHUNK)
    return response


def _transport(request: web.Request) -> asyncio.Transport:
    assert isinstance(request.transport, asyncio.Transport)
    return request.transport

"""A webhook receiver on this machine: verifies, consents, forwards, and misbehaves when asked."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from noticebus.cli import saving
from noticebus.cli.explaining import Finding, Known, explain
from noticebus.cli.following import Follower, Noted
from noticebus.cli.forwarding import Answered, Forwarder, meaning
from noticebus.cli.misbehaving import Misbehaviour, answer_badly, pause
from noticebus.clock import Clock, SystemClock
from noticebus.errors import UnavailableError

BODY_BYTES_MAX = 2 * 1024 * 1024
KEPT_MAX = 1000
HANDSHAKE = "org.noticebus.subscription.verify.v1"
REFUSED = 401
NOT_READABLE = 400
_STOP_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One event as it arrived, and what was answered."""

    event: dict[str, Any]
    delivery_id: str
    type: str
    time: int  # this id's how manyth arrival: 1, 2, 3 …
    verdict: Finding
    status: int
    did: str = ""  # what was done, in words
    noted: Noted = field(default_factory=lambda: Noted(time=1))
    saved: Path | None = None

    @property
    def cause(self) -> str:
        """The event's type without its frame, like `notice` or `step`."""
        return self.type.removeprefix("org.noticebus.").removesuffix(".v1")

    @property
    def headline(self) -> str:
        """The notice's headline, where there is one."""
        data = self.event.get("data")
        notice = data.get("notice") if isinstance(data, dict) else None
        return str(notice.get("headline", "")) if isinstance(notice, dict) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What will be answered; `bad` where it is a failure on purpose."""

    status: int
    did: str
    bad: Misbehaviour | None = None
    answered: Answered | None = None


class Receiver:
    """Listens on one address, any path. Keeps the last 1,000 events in `received`."""

    def __init__(  # noqa: PLR0913 - each is one trait of a receiver
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        secrets: Callable[[], Sequence[str]] = tuple,
        public_keys: Sequence[bytes] = (),
        misbehaviour: Misbehaviour | None = None,
        hear: Callable[[Received], None] | None = None,
        clock: Clock | None = None,
        forwarder: Forwarder | None = None,
        save_to: Path | None = None,
        bus_ahead_s: float | None = None,
        terms: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare a receiver.

        `secrets` is asked at each event: the secret may be made after the receiver. `hear` is told
        of each event before it is answered, and of what is no event too. `terms` go beside the
        challenge of a handshake.
        """
        self._host = host
        self._port = port
        self._secrets = secrets
        self._public_keys = public_keys
        self._misbehaviour = misbehaviour or Misbehaviour()
        self._hear = hear
        self._clock = clock or SystemClock()
        self._forwarder = forwarder
        self._save_to = save_to
        self._bus_ahead_s = bus_ahead_s
        self._terms = dict(terms or {})
        self._closing = AsyncExitStack()
        self._follower = Follower()
        self._failed = 0
        self._changed = asyncio.Condition()
        self._ending = asyncio.Event()
        self._saving = asyncio.Lock()
        self.received: deque[Received] = deque(maxlen=KEPT_MAX)
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_WITHIN_S
        )
        if self._forwarder is not None:
            await self._closing.enter_async_context(self._forwarder)
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await self._closing.aclose()
            raise UnavailableError(
                f"Cannot listen on {self._host} port {self._port} ({error.strerror}). "
                "Stop what uses it, or choose another with --port."
            ) from error
        host, port, *_ = runner.addresses[0]
        self.url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        await self._closing.aclose()

    async def wait_for(self, count: int, *, within_s: float = 10.0) -> list[Received]:
        """Give what arrived once there are `count` events; TimeoutError where there are not."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
        return list(self.received)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405, text="Events are sent by POST.\n")
        body = await request.read()
        verdict = explain(_lowered(request), body, known=self._known())
        event = _parsed(body)
        plan = await self._plan(request, body, event=event, verdict=verdict)
        await self._note(request, body, event=event, verdict=verdict, plan=plan)
        if self._misbehaviour.delay_s:
            await pause(self._ending, for_s=self._misbehaviour.delay_s)
        if plan.bad is not None:
            return await answer_badly(request, plan.bad, ending=self._ending)
        if plan.answered is not None:
            answered = plan.answered
            return web.Response(
                status=answered.status, headers=answered.headers, body=answered.body
            )
        if event is None:
            return web.Response(status=plan.status, text="The body is not a JSON object.\n")
        return _response(event, status=plan.status, terms=self._terms)

    def _known(self) -> Known:
        return Known(
            secrets=self._secrets(),
            public_keys=self._public_keys,
            now_s=self._clock.now().timestamp(),
            bus_ahead_s=self._bus_ahead_s,
        )

    async def _plan(
        self,
        request: web.Request,
        body: bytes,
        *,
        event: dict[str, Any] | None,
        verdict: Finding,
    ) -> _Plan:
        """Decide what to answer; where there is an application, by asking it."""
        bad = self._misbehaviour
        is_handshake = event is not None and event.get("type") == HANDSHAKE
        is_believed = event is not None and verdict.ok is not False
        if is_believed and bad.fails(self._failed, is_handshake=is_handshake):
            self._failed += 1
            return _Plan(status=bad.status, did=bad.did, bad=bad)
        if self._forwarder is not None:
            answered = await self._forwarder.forward(_pairs(request), body)
            said = meaning(answered, finding=verdict, challenge=_challenge(event))
            return _Plan(status=answered.status, did=said, answered=answered)
        status = NOT_READABLE if event is None else 200 if is_believed else REFUSED
        return _Plan(status=status, did=f"answered {status}")

    async def _note(
        self,
        request: web.Request,
        body: bytes,
        *,
        event: dict[str, Any] | None,
        verdict: Finding,
        plan: _Plan,
    ) -> None:
        known = event if event is not None else {}
        is_counted = event is not None and verdict.ok is not False
        noted = self._follower.take(known, body) if is_counted else Noted(time=1)
        delivery_id = str(known.get("id", ""))
        received = Received(
            event=known,
            delivery_id=delivery_id,
            type=str(known.get("type", "")),
            time=noted.time,
            verdict=verdict,
            status=plan.status,
            did=plan.did,
            noted=noted,
            saved=await self._saved(request, body, name=delivery_id),
        )
        if event is not None:
            async with self._changed:
                self.received.append(received)
                self._changed.notify_all()
        if self._hear is not None:
            self._hear(received)

    async def _saved(self, request: web.Request, body: bytes, *, name: str) -> Path | None:
        if self._save_to is None:
            return None
        async with self._saving:  # two at once would take the same number
            return await asyncio.to_thread(
                saving.save,
                self._save_to,
                name=name or "unreadable",
                headers=_pairs(request),
                body=body,
                arrived_at=self._clock.now(),
            )


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _challenge(event: dict[str, Any] | None) -> str | None:
    """Give a handshake's challenge; None of anything else."""
    data = event.get("data") if event is not None and event.get("type") == HANDSHAKE else None
    return str(data.get("challenge")) if isinstance(data, dict) else None


def _response(event: dict[str, Any], *, status: int, terms: Mapping[str, int]) -> web.Response:
    challenge = _challenge(event)
    if challenge is None or status != 200:  # noqa: PLR2004 - HTTP's own
        return web.Response(status=status)
    return web.json_response({"challenge": challenge, **terms}, status=status)


def _lowered(request: web.Request) -> dict[str, str]:
    """Give headers as text: a byte that is none is replaced, and no signature fits it."""
    return {
        name.lower(): value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name, value in request.headers.items()
    }


def _pairs(request: web.Request) -> list[tuple[str, str]]:
    """Give the headers as they came: each one, in order, as it was written."""
    return [
        (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
        for name, value in request.raw_headers
    ]

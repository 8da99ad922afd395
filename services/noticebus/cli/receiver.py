"""A webhook receiver on this machine: verifies, consents, and misbehaves when asked to."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from noticebus.cli.verifying import Verdict, verify
from noticebus.clock import Clock, SystemClock
from noticebus.errors import UnavailableError

BODY_BYTES_MAX = 2 * 1024 * 1024
KEPT_MAX = 1000
IDS_KEPT_MAX = 10_000
HANDSHAKE = "org.noticebus.subscription.verify.v1"
REFUSED = 401
NOT_READABLE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """How to be a bad receiver: answer the first `fail` events with `status`, all after `delay_s`.

    `fail` None: every event. The handshake is answered properly, or nothing would follow.
    """

    fail: int | None = 0
    status: int = 500
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One event as it arrived, and what was answered."""

    event: dict[str, Any]
    delivery_id: str
    type: str
    time: int  # this id's how manyth arrival: 1, 2, 3 …
    verdict: Verdict
    status: int

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
    ) -> None:
        """Prepare a receiver.

        `secrets` is asked at each event: the secret may be made after the receiver. `hear` is told
        of each event before it is answered.
        """
        self._host = host
        self._port = port
        self._secrets = secrets
        self._public_keys = public_keys
        self._misbehaviour = misbehaviour or Misbehaviour()
        self._hear = hear
        self._clock = clock or SystemClock()
        self._closing = AsyncExitStack()
        self._times: Counter[str] = Counter()
        self._failed = 0
        self._changed = asyncio.Condition()
        self.received: deque[Received] = deque(maxlen=KEPT_MAX)
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
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
        await self._closing.aclose()

    async def wait_for(self, count: int, *, within_s: float = 10.0) -> list[Received]:
        """Give what arrived once there are `count` events; TimeoutError where there are not."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
        return list(self.received)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, text="Events are sent by POST.\n")
        body = await request.read()
        event = _parsed(body)
        if event is None:
            return web.Response(status=NOT_READABLE, text="The body is not a JSON object.\n")
        headers = {name.lower(): value for name, value in request.headers.items()}
        verdict = verify(
            headers,
            body,
            secrets=self._secrets(),
            public_keys=self._public_keys,
            now_s=self._clock.now().timestamp(),
        )
        status = self._status(event, verdict)
        await self._note(event, verdict=verdict, status=status)
        if self._misbehaviour.delay_s:
            await asyncio.sleep(self._misbehaviour.delay_s)
        return _response(event, status=status)

    def _status(self, event: dict[str, Any], verdict: Verdict) -> int:
        if verdict.ok is False:
            return REFUSED
        bad = self._misbehaviour
        if event.get("type") == HANDSHAKE:
            return 200
        if bad.fail is None or self._failed < bad.fail:
            self._failed += 1
            return bad.status
        return 200

    async def _note(self, event: dict[str, Any], *, verdict: Verdict, status: int) -> None:
        delivery_id = str(event.get("id", ""))
        if len(self._times) >= IDS_KEPT_MAX:
            self._times.clear()
        self._times[delivery_id] += 1
        received = Received(
            event=event,
            delivery_id=delivery_id,
            type=str(event.get("type", "")),
            time=self._times[delivery_id],
            verdict=verdict,
            status=status,
        )
        async with self._changed:
            self.received.append(received)
            self._changed.notify_all()
        if self._hear is not None:
            self._hear(received)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _response(event: dict[str, Any], *, status: int) -> web.Response:
    data = event.get("data")
    if event.get("type") == HANDSHAKE and status < 300 and isinstance(data, dict):  # noqa: PLR2004 - HTTP's own
        return web.json_response({"challenge": data.get("challenge")}, status=status)
    return web.Response(status=status)

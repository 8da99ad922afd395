"""A publisher: posts notices at a rate, or so many at a time, and says when each was answered.

Each post is written beforehand but for its number, and of an answer only status and notice id are
read, so that a post costs little of the cores on which the bus is measured.
"""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from bench.cast import COUNTY, notice
from bench.wire import Messages, question

LINKS_MAX = 512
ANSWER_S = 60
RUN_S = 600
NUMBER = 123456789012  # stands in the notice where its number comes
DIGITS = len(str(NUMBER))
CREATED = 201
BUSY = 503
AGAIN_S = 0.1
_ID = re.compile(rb'"id": ?"(ntc_[0-9a-z]+)"')


class NotAcceptedError(Exception):
    """A post was answered with something other than a 201."""


class BusyError(NotAcceptedError):
    """A post was answered with a 503: it may be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One accepted notice: instants of the monotonic clock.

    At a steady rate `sent` is when it was to be sent, so that no waiting is hidden; `late_s` is how
    much later that was done.
    """

    notice_id: str
    sent: float
    answered: float
    late_s: float = 0.0


class Link(asyncio.Protocol):
    """One kept connection, with one request at a time."""

    def __init__(self) -> None:
        self._messages = Messages()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self.is_open = False
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Hand an answer that is now whole to who asked."""
        try:
            found = self._messages.feed(data)
        except ValueError as error:
            self._end(ConnectionError(f"The answer cannot be read: {error}."))
            return
        if found and self._answer is not None and not self._answer.done():
            self._answer.set_result(found[0])

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits for an answer that none will come."""
        self._end(ConnectionError(f"The connection ended before the answer ({error})."))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; give status and body. Raises OSError where no answer comes."""
        if self._transport is None or not self.is_open:
            raise ConnectionError("The connection has ended.")
        self.asked += 1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        head, body = await self._answer
        return int(head[9:12]), body

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def _end(self, error: ConnectionError) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


async def ask(address: tuple[str, int], method: str, path: str, *, within_s: float) -> bytes:
    """Ask once, on a connection of its own; raise OSError or TimeoutError without an answer."""
    async with asyncio.timeout(within_s):
        _, link = await asyncio.get_running_loop().create_connection(Link, *address)
        try:
            status, body = await link.ask(question(method, path))
        finally:
            link.close()
    if status != 200:
        raise ConnectionError(f"{method} {path} was answered with {status}: {body[:300]!r}")
    return body


class Publisher:
    """Posts to one gateway address as one poster."""

    def __init__(
        self, address: tuple[str, int], key: str, *, counties: Sequence[str] = (COUNTY,)
    ) -> None:
        self._address = address
        self._forms = [_form(key, county) for county in counties]
        self._idle: deque[Link] = deque()
        self._next = 0
        self.refused = 0  # posts that had to be sent again, so far
        self.accepted = 0  # posts that were taken, so far

    def numbers(self, count: int) -> range:
        """Take numbers that no earlier notice of this publisher has."""
        first, self._next = self._next, self._next + count
        return range(first, first + count)

    async def post(self, number: int, *, due: float | None = None) -> Posted:
        """Post one notice; raise NotAcceptedError, OSError or TimeoutError where it is not taken.

        The same number is the same notice under the same key, whose repeat is no second notice.
        """
        request = self._request(number)
        sent = time.monotonic()
        async with self._lent() as link:
            was_kept = link.asked > 0
            try:
                status, body = await link.ask(request)
            except ConnectionError:
                if not was_kept:
                    raise
                status, body = await self._ask_anew(request)  # a kept connection may have ended
        answered = time.monotonic()
        found = _ID.search(body)
        if status != CREATED or found is None:
            message = f"{status}: {body[:500].decode(errors='replace')}"
            raise BusyError(message) if status == BUSY else NotAcceptedError(message)
        self.accepted += 1
        due = sent if due is None else due
        return Posted(
            notice_id=found[1].decode(), sent=due, answered=answered, late_s=max(sent - due, 0.0)
        )

    async def post_until_taken(self, number: int, *, due: float) -> Posted:
        """Post one notice, again while the bus is busy or away; `sent` is when it was `due`."""
        while True:
            try:
                return await self.post(number, due=due)
            except (BusyError, OSError):
                self.refused += 1
                await asyncio.sleep(AGAIN_S)

    async def post_all(self, count: int, *, at_once: int) -> list[Posted]:
        """Post `count` notices, `at_once` at a time: the next when one is answered."""
        waiting = iter(self.numbers(count))
        posted: list[Posted] = []
        async with asyncio.timeout(RUN_S), asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(self._post_next(waiting, posted))
        return posted

    async def _post_next(self, waiting: Iterator[int], posted: list[Posted]) -> None:
        for number in waiting:
            taken = await self.post_until_taken(number, due=time.monotonic())
            posted.append(taken)

    async def post_at(self, count: int, *, per_second: float) -> list[Posted]:
        """Post `count` notices at a steady rate, whatever the answers take."""
        numbers, stop, handed = self.numbers(count), threading.Event(), []
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(RUN_S + count / per_second), asyncio.TaskGroup() as tasks:

            def begin(number: int, due: float) -> None:
                handed.append(tasks.create_task(self.post_until_taken(number, due=due)))

            def beat() -> None:  # in a thread: the loop's own clock ticks in milliseconds
                start = time.monotonic()
                for place, number in enumerate(numbers, start=1):
                    due = start + place / per_second
                    if stop.wait(max(due - time.monotonic(), 0)):
                        return
                    loop.call_soon_threadsafe(begin, number, due)

            try:
                await asyncio.to_thread(beat)
            finally:
                stop.set()
        return [one.result() for one in handed]

    def close(self) -> None:
        """End every connection."""
        while self._idle:
            self._idle.pop().close()

    def _request(self, number: int) -> bytes:
        form = self._forms[number % len(self._forms)]
        return form.replace(b"%d" % NUMBER, b"%0*d" % (DIGITS, number))

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[Link]:
        while self._idle and not self._idle[-1].is_open:
            self._idle.pop()
        link = self._idle.pop() if self._idle else await self._connect()
        yield link
        if link.is_open and len(self._idle) < LINKS_MAX:
            self._idle.append(link)

    async def _ask_anew(self, request: bytes) -> tuple[int, bytes]:
        link = await self._connect()
        try:
            return await link.ask(request)
        finally:
            link.close()

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_S):
            _, link = await loop.create_connection(Link, *self._address)
        return link


def _form(key: str, county: str) -> bytes:
    body = json.dumps(notice(NUMBER, county=county)).encode()
    head = (
        "POST /v1/notices HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nIdempotency-Key: bench-{NUMBER}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

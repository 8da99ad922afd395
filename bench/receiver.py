"""A receiver that counts: when each webhook arrived, and under which id. Its own process.

It reads of a request what it counts, and no more, so that it takes little of the cores on which
the bus is measured. Beside webhooks it answers, each on a connection of its own:

    GET /report                    first arrivals by notice, and how many came once more
    GET /count                     how many different webhooks have arrived
    GET /wait?count=N&within=S     the same, once it is N, or after S seconds
    GET /used                      CPU seconds and the most memory so far
"""

import asyncio
import json
import math
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import uvloop

from bench.processes import until_left, used_by_this
from bench.wire import Messages, answer
from noticebus.collector import spare_what_is_loaded

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MISSING = b"404 Not Found"
SUBJECT = b'"subject":"ntc_'
SUBJECT_SKIPPED = len(b'"subject":"')
ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
BACKLOG = 4096


@dataclass(slots=True)
class Waiter:
    """Who is answered once `count` webhooks have arrived."""

    count: int
    tell: Callable[[], None]


@dataclass(slots=True)
class Counter:
    """What arrived first, by notice: instants of the monotonic clock, which all processes share."""

    arrivals: defaultdict[bytes, list[float]] = field(default_factory=lambda: defaultdict(list))
    ids: set[bytes] = field(default_factory=set)
    doubled: int = 0
    waiters: list[Waiter] = field(default_factory=list)
    goal: float = math.inf  # the least count that somebody waits for

    def note(self, head: bytes, body: bytes, *, at: float) -> None:
        """Count one webhook that arrived at `at`."""
        found = ID.search(head)
        id_ = found[1] if found else b""
        if id_ in self.ids:
            self.doubled += 1
            return
        self.ids.add(id_)
        start = body.rfind(SUBJECT) + SUBJECT_SKIPPED  # the envelope's own is the last
        subject = body[start : body.find(b'"', start)] if start >= SUBJECT_SKIPPED else b""
        self.arrivals[subject].append(at)
        if len(self.ids) >= self.goal:
            self.tell()

    def wait(self, waiter: Waiter) -> None:
        """Tell `waiter` once its count is reached, perhaps at once."""
        self.waiters.append(waiter)
        self.tell()

    def tell(self) -> None:
        """Tell those whose count is reached."""
        told = [one for one in self.waiters if one.count <= len(self.ids)]
        self.waiters = [one for one in self.waiters if one.count > len(self.ids)]
        self.goal = min((one.count for one in self.waiters), default=math.inf)
        for one in told:
            one.tell()

    def report(self) -> dict[str, Any]:
        """Say what arrived, for JSON."""
        by_notice = {subject.decode(): at for subject, at in self.arrivals.items()}
        return {"arrivals": by_notice, "count": len(self.ids), "doubled": self.doubled}


class Connection(asyncio.Protocol):
    """One connection to the receiver, kept alive for as long as the caller likes."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._messages = Messages()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Count and answer each request that is now whole, together where several came together."""
        assert self._transport is not None
        now = time.monotonic()
        answers = []
        try:
            for head, body in self._messages.feed(data):
                if head.startswith(b"POST "):
                    self._counter.note(head, body, at=now)
                    answers.append(OK)
                else:
                    answers.append(self._look(head))
        except ValueError:
            self._transport.close()
            return
        if answers:
            self._transport.write(b"".join(answers) if len(answers) > 1 else answers[0])

    def _look(self, head: bytes) -> bytes:
        asked = urlsplit(head.split(b" ", 2)[1].decode())
        match asked.path:
            case "/report":
                return _said(self._counter.report())
            case "/count":
                return self._count()
            case "/used":
                return _said(used_by_this())
            case "/wait":
                given = parse_qs(asked.query)
                self._wait(int(given["count"][0]), within=float(given["within"][0]))
                return b""
            case _:
                return answer(status=MISSING)

    def _count(self) -> bytes:
        return _said({"count": len(self._counter.ids)})

    def _wait(self, count: int, *, within: float) -> None:
        """Answer later: once `count` have arrived, or after `within` seconds."""

        def tell() -> None:
            timer.cancel()
            if self._transport is not None:
                self._transport.write(self._count())

        def give_up() -> None:
            waiter.count = 0
            self._counter.tell()

        waiter = Waiter(count, tell)
        timer = asyncio.get_running_loop().call_later(within, give_up)
        self._counter.wait(waiter)


def _said(found: dict[str, Any]) -> bytes:
    return answer(json.dumps(found).encode())


async def serve(addresses: int) -> None:
    """Listen on a free port of 127.0.0.1 and the addresses after it, say which, and count."""
    counter = Counter()
    loop = asyncio.get_running_loop()
    port = 0
    for last in range(1, addresses + 1):  # an endpoint each: what one origin holds up is its own
        server = await loop.create_server(
            lambda: Connection(counter), f"127.0.0.{last}", port, backlog=BACKLOG
        )
        port = server.sockets[0].getsockname()[1]
    spare_what_is_loaded()
    print(json.dumps({"port": port}), flush=True)
    await until_left()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))

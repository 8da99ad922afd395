"""The counting receiver: what it counts, and who is told once so many have arrived."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.publisher import Link, ask
from bench.receiver import Connection, Counter
from bench.wire import question


def webhook(id_: str, notice: str) -> bytes:
    body = json.dumps(
        {"data": {"said": "subject"}, "subject": notice, "type": "t"}, separators=(",", ":")
    ).encode()
    head = f"POST /hook/1 HTTP/1.1\r\nWebhook-Id: {id_}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, int]]:
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counter), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


@asynccontextmanager
async def linked(address: tuple[str, int]) -> AsyncIterator[Link]:
    _, link = await asyncio.get_running_loop().create_connection(Link, *address)
    try:
        yield link
    finally:
        link.close()


async def asked(address: tuple[str, int], path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await ask(address, "GET", path, within_s=10))
    return found


async def test_arrivals_are_counted_by_notice_and_repeats_apart() -> None:
    async with receiver() as address, linked(address) as link:
        for one in (("a", "ntc_1"), ("b", "ntc_1"), ("c", "ntc_2"), ("a", "ntc_1")):
            assert await link.ask(webhook(*one)) == (200, b"")

        report = await asked(address, "/report")

    assert {notice: len(at) for notice, at in report["arrivals"].items()} == {
        "ntc_1": 2,
        "ntc_2": 1,
    }
    assert (report["count"], report["doubled"]) == (3, 1)


async def test_requests_that_come_together_are_all_answered() -> None:
    async with receiver() as address:
        reader, writer = await asyncio.open_connection(*address)
        data = b"".join(webhook(str(number), "ntc_1") for number in range(3))
        writer.write(data[:40])
        await writer.drain()
        writer.write(data[40:])
        answers = await reader.readexactly(3 * len(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        writer.close()

        count = await asked(address, "/count")

    assert answers.count(b"200 OK") == 3
    assert count == {"count": 3}


async def test_who_waits_is_told_once_so_many_have_arrived() -> None:
    async with (
        receiver() as address,
        linked(address) as link,
        linked(address) as waiting,
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
    ):
        told = tasks.create_task(waiting.ask(question("GET", "/wait?count=2&within=60")))
        await link.ask(webhook("a", "ntc_1"))
        await asked(address, "/count")
        assert not told.done()
        await link.ask(webhook("b", "ntc_1"))
        await told

    assert json.loads(told.result()[1]) == {"count": 2}


async def test_who_waits_in_vain_is_told_what_there_is() -> None:
    async with receiver() as address:
        found = await asked(address, "/wait?count=2&within=0.01")

    assert found == {"count": 0}


async def test_other_paths_are_not_found() -> None:
    async with receiver() as address, linked(address) as link:
        status, _ = await link.ask(question("GET", "/other"))

    assert status == 404

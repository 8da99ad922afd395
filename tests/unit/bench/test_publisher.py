"""The publisher: what it sends, and what it makes of the answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import cast

import pytest
from bench.cast import COUNTIES
from bench.publisher import NotAcceptedError, Publisher
from bench.wire import Messages, answer

Answering = Callable[[int], bytes | None]  # by how many came before; None ends the connection
CREATED = b"201 Created"


def taken(number: int) -> bytes:
    return answer(b'{"id": "ntc_%d", "incident_id": "inc_1"}' % number, status=CREATED)


class Gateway(asyncio.Protocol):
    """Answers posts as it was told."""

    def __init__(self, answering: Answering, heard: list[tuple[bytes, bytes]]) -> None:
        self._messages = Messages()
        self._answering = answering
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for message in self._messages.feed(data):
            self._heard.append(message)
            said = self._answering(len(self._heard) - 1)
            if said is None:
                self._transport.close()
            else:
                self._transport.write(said[:20])
                self._transport.write(said[20:])


@asynccontextmanager
async def publishing(
    answering: Answering = taken, *, counties: tuple[str, ...] = COUNTIES[:1]
) -> AsyncIterator[tuple[Publisher, list[tuple[bytes, bytes]]]]:
    heard: list[tuple[bytes, bytes]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Gateway(answering, heard), "127.0.0.1", 0)
    async with server, asyncio.timeout(15):
        publisher = Publisher(server.sockets[0].getsockname()[:2], "key", counties=counties)
        yield publisher, heard
        publisher.close()


async def test_each_notice_has_its_own_key_headline_and_county() -> None:
    async with publishing(counties=COUNTIES[:2]) as (publisher, heard):
        posted = await publisher.post_all(4, at_once=2)

    bodies = [json.loads(body) for _head, body in heard]
    assert len({one.notice_id for one in posted}) == 4
    assert len({head.split(b"Idempotency-Key: ")[1].split(b"\r\n")[0] for head, _ in heard}) == 4
    assert len({body["headline"] for body in bodies}) == 4
    assert {body["areas"][0]["county_fips"][0] for body in bodies} == set(COUNTIES[:2])


async def test_a_steady_rate_is_counted_from_when_each_was_due() -> None:
    async with publishing() as (publisher, _heard):
        posted = await publisher.post_at(10, per_second=500)

    due = sorted(one.sent for one in posted)
    assert [round(later - one, 6) for one, later in pairwise(due)] == [0.002] * 9
    assert all(one.late_s >= 0 and one.answered > one.sent for one in posted)


async def test_a_busy_bus_is_asked_again_under_the_same_key() -> None:
    busy = answer(b"{}", status=b"503 Service Unavailable")
    async with publishing(lambda before: taken(before) if before else busy) as (publisher, heard):
        (posted,) = await publisher.post_all(1, at_once=1)

    assert posted.notice_id == "ntc_1"
    assert publisher.refused == 1
    assert heard[0] == heard[1]


async def test_a_kept_connection_that_ended_is_made_anew() -> None:
    async with publishing(lambda before: None if before == 1 else taken(before)) as (
        publisher,
        heard,
    ):
        posted = [await publisher.post(number) for number in range(2)]

    assert [one.notice_id for one in posted] == ["ntc_0", "ntc_2"]
    assert heard[1] == heard[2]


async def test_a_refusal_is_an_error_that_says_why() -> None:
    refused = answer(b'{"detail":"no such county"}', status=b"422 Unprocessable Content")
    async with publishing(lambda _before: refused) as (publisher, _heard):
        with pytest.raises(NotAcceptedError, match=r"422: .*no such county"):
            await publisher.post(1)


async def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    chunked = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with publishing(lambda _before: chunked) as (publisher, _heard):
        with pytest.raises(ConnectionError, match="cannot be read"):
            await publisher.post(1)

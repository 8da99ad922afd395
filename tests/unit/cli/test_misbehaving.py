"""Each way to be a bad receiver, as a client of HTTP sees it."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from noticebus.cli.misbehaving import DID, Misbehaviour, Way, Wishes, misbehaviour_of
from noticebus.cli.output import CommandError
from noticebus.cli.receiver import HANDSHAKE, Receiver

NOTICE = json.dumps({"id": "dlv_1", "type": "org.noticebus.notice.v1"}).encode()
CONSENT = json.dumps({"id": "dlv_0", "type": HANDSHAKE, "data": {"challenge": "c-1"}}).encode()
HEADERS = {"webhook-id": "dlv_1", "webhook-timestamp": "0", "webhook-signature": "v1,a"}


async def exchange(receiver: Receiver, body: bytes = NOTICE, *, within_s: float = 0.3) -> bytes:
    """Send a request by hand, and give what comes back within a time or until the end."""
    port = int(receiver.url.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{name}: {value}" for name, value in HEADERS.items()]
    head = "\r\n".join(["POST / HTTP/1.0", f"Content-Length: {len(body)}", *lines, "", ""])
    writer.write(head.encode() + body)
    got = b""
    try:
        async with asyncio.timeout(within_s):
            while (chunk := await reader.read(65_536)) and len(got) < 300_000:
                got += chunk
    except ConnectionResetError:
        got += b"<reset>"
    except TimeoutError:
        got += b"<open>"
    finally:
        writer.transport.abort()
    return got


def failing(way: Way, **more: Any) -> Receiver:
    return Receiver(misbehaviour=Misbehaviour(way=way, **{"fail": 1} | more))


@pytest.mark.parametrize(
    ("way", "begins", "ends"),
    [
        (Way.HANG, b"", b"<open>"),
        (Way.DRIP, b"HTTP/1.0 200", b".<open>"),
        (Way.MALFORMED, b"This is a receiver that does not speak HTTP.", b"\r\n\r\n"),
    ],
)
async def test_the_first_fails_in_the_way_asked_for_and_the_next_succeeds(
    way: Way, begins: bytes, ends: bytes
) -> None:
    async with failing(way) as receiver:
        bad = await exchange(receiver)
        good = await exchange(receiver)

    assert bad.startswith(begins)
    assert bad.endswith(ends)
    assert good.startswith(b"HTTP/1.0 200 OK")
    assert [one.did for one in receiver.received] == [DID[way], "answered 200"]


async def test_a_connection_is_broken_before_any_answer() -> None:
    async with failing(Way.CLOSE) as receiver:
        bad = await exchange(receiver)

    assert bad in {b"", b"<reset>"}


async def test_a_flood_does_not_end() -> None:
    async with failing(Way.FLOOD) as receiver:
        got = await exchange(receiver, within_s=5.0)

    assert len(got) >= 300_000


async def test_a_receiver_that_ends_lets_nobody_hang() -> None:
    async with failing(Way.HANG) as receiver, asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(exchange(receiver, within_s=5.0))
        await receiver.wait_for(1)
        await receiver.__aexit__()

    assert not hanging.result().endswith(b"<open>")


async def test_a_wrong_challenge_is_the_handshakes_alone() -> None:
    async with failing(Way.CHALLENGE) as receiver:
        notice, wrong, right = [
            await exchange(receiver, body) for body in (NOTICE, CONSENT, CONSENT)
        ]

    assert notice.startswith(b"HTTP/1.0 200")
    assert wrong.endswith(b'{"challenge": "not the challenge"}')
    assert right.endswith(b'{"challenge": "c-1"}')


@pytest.mark.parametrize(
    ("wishes", "status", "headers"),
    [
        (Wishes(gone=True), 410, {}),
        (Wishes(redirect="https://x.example/"), 302, {"Location": "https://x.example/"}),
        (Wishes(retry_after_s=120), 503, {"Retry-After": "120"}),
        (Wishes(retry_after_s=120, status=429), 429, {"Retry-After": "120"}),
        (Wishes(status=404), 404, {}),
    ],
)
async def test_a_status_with_its_header_comes_until_told_otherwise(
    wishes: Wishes, status: int, headers: dict[str, str]
) -> None:
    async with (
        Receiver(misbehaviour=misbehaviour_of(wishes)) as receiver,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(3):
            async with session.post(
                receiver.url, data=NOTICE, headers=HEADERS, allow_redirects=False
            ) as answer:
                assert answer.status == status
                assert headers.items() <= dict(answer.headers).items()


def test_a_number_of_failures_is_kept() -> None:
    assert misbehaviour_of(Wishes(gone=True, fail=2)).fail == 2
    assert misbehaviour_of(Wishes(ways=[Way.HANG])).fail is None
    assert misbehaviour_of(Wishes()) == Misbehaviour()
    assert misbehaviour_of(Wishes(fail=3)) == Misbehaviour(fail=3, status=500)


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(ways=[Way.HANG, Way.DRIP]),
        Wishes(ways=[Way.CLOSE], status=500),
        Wishes(gone=True, redirect="https://x.example/"),
        Wishes(gone=True, retry_after_s=1),
        Wishes(ways=[Way.HANG], retry_after_s=1),
    ],
)
def test_two_ways_at_once_are_refused(wishes: Wishes) -> None:
    with pytest.raises(CommandError, match=r"Keep one of|Use --retry-after"):
        misbehaviour_of(wishes)

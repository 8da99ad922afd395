"""One POST as it stands on the wire, against servers that are nothing but a script."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from noticebus.dispatcher.egress import EgressGuard, GuardedResolver
from noticebus.dispatcher.exchange import Exchange, Target
from noticebus.dispatcher.failures import UnsendableHeaderError

BODY = b'{"specversion":"1.0"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OK_LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n"
NO = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serving = Callable[[Serve], Awaitable[str]]


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    """Serve each connection by a script, and give the address."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(serve: Serve) -> str:
            async def close_after(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter
            ) -> None:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await serve(reader, writer)
                writer.close()

            server = await asyncio.start_server(close_after, "127.0.0.1", 0)
            await stack.enter_async_context(server)
            return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield start


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Lend a session as the dispatcher makes them, which may call this machine."""
    guard = EgressGuard.from_setting(["127.0.0.1/32"])
    async with guard.session(GuardedResolver(guard, plain=True), plain=True) as one:
        yield one


async def request_from(reader: asyncio.StreamReader) -> bytes:
    """Read one request with the body of these tests."""
    return await reader.readuntil(BODY)


async def test_the_request_is_what_is_asked_for_and_no_more(
    serving: Serving, session: aiohttp.ClientSession
) -> None:
    said: list[bytes] = []
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await request_from(reader))
        writer.write(OK)
        said.append(await reader.read())
        left.set()

    address = await serving(serve)
    exchange = Exchange(session, Target.of(f"http://{address}/notices/für uns?a=b c#part"))

    answered = await exchange.begin({"webhook-id": "dlv_1", "webhook-timestamp": "5"}, BODY)
    exchange.end()
    await session.close()
    async with asyncio.timeout(5):
        await left.wait()

    assert answered.status == 200
    assert said == [
        (
            "POST /notices/f%C3%BCr%20uns?a=b+c HTTP/1.1\r\n"
            f"Host: {address}\r\n"
            "Accept: */*\r\n"
            "Accept-Encoding: identity\r\n"
            "Content-Type: application/cloudevents+json\r\n"
            "User-Agent: noticebus\r\n"
            "webhook-id: dlv_1\r\n"
            "webhook-timestamp: 5\r\n"
            f"Content-Length: {len(BODY)}\r\n"
            "\r\n"
        ).encode()
        + BODY,
        b"",
    ]


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b", "dlv_\N{SNOWMAN}"])
async def test_a_value_that_would_break_out_of_its_header_is_not_sent(
    serving: Serving, session: aiohttp.ClientSession, value: str
) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await request_from(reader))
        writer.write(OK)

    target = Target.of(f"http://{await serving(serve)}/")

    with pytest.raises(UnsendableHeaderError):
        await Exchange(session, target).begin({"webhook-id": value}, BODY)
    await posted(session, target)

    assert len(heads) == 1
    assert b"webhook-id" not in heads[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://user:word@county.example/",
        "https://user@county.example/",
        "https://:w@c.example/",
        "http://county\0.example/",
    ],
)
def test_an_address_with_a_log_in_or_no_text_in_it_is_none_that_is_called(url: str) -> None:
    with pytest.raises(aiohttp.InvalidURL):
        Target.of(url)


async def test_what_comes_before_the_answer_is_passed_over(
    serving: Serving, session: aiohttp.ClientSession
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nServer: late\r\nContent-Length: 2\r\n\r\nhi")
        await reader.read()

    exchange = Exchange(session, Target.of(f"http://{await serving(serve)}/"))

    answered = await exchange.begin({}, BODY)
    rest = await answered.content.read()
    exchange.end()

    assert (answered.status, answered.headers["server"], rest) == (202, "late", b"hi")


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        pytest.param(OK, 1, id="read"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 1, id="without a body"),
        pytest.param(OK_LONG + b"x" * 6_000, 1, id="come whole, though nobody has read it"),
        pytest.param(OK_LONG + b"begun", 2, id="unread"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nuntil it ends", 2, id="without an end"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 2, id="closing"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 2, id="of long ago"),
        pytest.param(OK + OK, 2, id="with another that nobody asked for"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 2, id="switched"
        ),
    ],
)
async def test_a_connection_is_used_again_where_its_answer_is_over(
    serving: Serving, session: aiohttp.ClientSession, answer: bytes, connections: int
) -> None:
    opened: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        while True:
            await request_from(reader)
            writer.write(answer)

    target = Target.of(f"http://{await serving(serve)}/")
    for _ in range(2):
        await posted(session, target)

    assert len(opened) == connections


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", aiohttp.ServerDisconnectedError),
        (b"HTTP/1.1 200 OK\r\nContent-", aiohttp.ServerDisconnectedError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", aiohttp.ClientPayloadError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", aiohttp.ClientPayloadError),
    ],
)
async def test_no_answer_is_an_error_of_the_client(
    serving: Serving, session: aiohttp.ClientSession, answer: bytes, error: type[Exception]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(answer)

    target = Target.of(f"http://{await serving(serve)}/")

    with pytest.raises(error):
        await Exchange(session, target).begin({}, BODY)


async def test_what_comes_late_and_unasked_is_no_answer_to_the_next_request(
    serving: Serving, session: aiohttp.ClientSession
) -> None:
    """Else every answer on the connection would be taken for that of the request after it."""
    opened: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        while True:
            await request_from(reader)
            writer.write(NO if len(opened) > 1 else OK)

    target = Target.of(f"http://{await serving(serve)}/")
    first = await posted(session, target)
    opened[0].write(OK)
    await opened[0].drain()
    for _ in range(10):  # turns of the loop, in which it arrives
        await asyncio.sleep(0)
    second, third = await posted(session, target), await posted(session, target)

    assert (first, second, third) == (200, 500, 500)
    assert len(opened) == 2


async def test_a_server_that_speaks_unasked_on_three_connections_fails_once(
    serving: Serving, session: aiohttp.ClientSession
) -> None:
    """Looking for a connection has a bound, and what was found is closed."""
    opened: list[asyncio.StreamWriter] = []
    all_asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        while True:
            await request_from(reader)
            if len(opened) == 3:
                all_asked.set()
            await all_asked.wait()
            writer.write(OK)

    target = Target.of(f"http://{await serving(serve)}/")
    async with asyncio.TaskGroup() as tasks:
        first = [tasks.create_task(posted(session, target)) for _ in range(3)]
    for writer in opened:
        writer.write(OK)
        await writer.drain()
    for _ in range(10):  # turns of the loop, in which it arrives
        await asyncio.sleep(0)

    with pytest.raises(aiohttp.ClientPayloadError):
        await posted(session, target)

    assert [one.result() for one in first] == [200, 200, 200]
    assert await posted(session, target) == 200
    assert len(opened) == 4


async def test_who_waits_no_longer_hangs_up(
    serving: Serving, session: aiohttp.ClientSession
) -> None:
    """The server need not go on, and the next request gets an answer of its own."""
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        if hung_up.is_set():
            writer.write(OK)
        else:
            await reader.read()
            hung_up.set()

    target = Target.of(f"http://{await serving(serve)}/")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await Exchange(session, target).begin({}, BODY)
    async with asyncio.timeout(5):
        await hung_up.wait()

    assert await posted(session, target) == 200


async def test_a_body_that_the_server_does_not_read_is_answered_all_the_same(
    serving: Serving, session: aiohttp.ClientSession
) -> None:
    """What is left of the body must not go before the next request either."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await over.wait()

    over = asyncio.Event()
    target = Target.of(f"http://{await serving(serve)}/")
    exchange = Exchange(session, target)

    answered = await exchange.begin({}, b"x" * (4 * 2**20))
    exchange.end()
    next_one = await posted(session, target)
    over.set()

    assert (answered.status, next_one) == (413, 413)


async def posted(session: aiohttp.ClientSession, target: Target) -> int:
    """Post once more, and give the status."""
    async with asyncio.timeout(5):
        exchange = Exchange(session, target)
        answered = await exchange.begin({}, BODY)
        exchange.end()
        return answered.status

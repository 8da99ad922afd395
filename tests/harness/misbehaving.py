"""A server that hangs, drips or answers without end, and counts what is open to it at once."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from enum import StrEnum

from harness.receivers import ADDRESS

DRIP_EVERY_S = 0.05
GIGABYTE = 10**9
CHUNK = b"x" * 64 * 1024
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Manner(StrEnum):
    """How a server behaves badly."""

    HANGS = "hangs"  # never answers
    DRIPS = "drips"  # a header without end, a byte at a time
    GIGABYTE = "gigabyte"  # answers 200 with a body of a gigabyte


class BadServer:
    """Behaves badly until it is released; `most` is how many requests were open at once."""

    def __init__(self) -> None:
        self.manner = Manner.HANGS
        self.url = ""
        self.requests = 0
        self.open = 0
        self.most = 0
        self.sent_bytes = 0
        self._released = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    def behave(self, manner: Manner) -> None:
        """Let everything that is open end, and behave in `manner` from now on."""
        self.release()
        self.manner, self._released = manner, asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def hang_up(self) -> None:
        """Close every connection."""
        for one in tuple(self._serving):
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and answer it badly."""
        task = asyncio.current_task()
        assert task is not None, "a server runs each connection in a task"
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(asyncio.CancelledError):  # hung up: the server would report it
            await self._take(reader, writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            self.requests += 1
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                await self._misbehave(writer, self._released)
            finally:
                self.open -= 1

    async def _misbehave(self, writer: asyncio.StreamWriter, released: asyncio.Event) -> None:
        match self.manner:
            case Manner.HANGS:
                await released.wait()
            case Manner.DRIPS:
                writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not released.is_set():
                    writer.write(b"x")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(DRIP_EVERY_S):
                            await released.wait()
            case Manner.GIGABYTE:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
                while not released.is_set():
                    writer.write(CHUNK)
                    self.sent_bytes += len(CHUNK)
                    await writer.drain()


@contextlib.asynccontextmanager
async def bad_server() -> AsyncIterator[BadServer]:
    """Run a bad server for the length of a block."""
    made = BadServer()
    server = await asyncio.start_server(made.serve, ADDRESS, 0)
    made.url = f"http://{ADDRESS}:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield made
    finally:
        made.release()
        server.close()
        await made.hang_up()

"""A forward proxy that tunnels (CONNECT), counts what it was asked for, and fails on request."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ADDRESS = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Proxy:
    """Opens tunnels. `answers` replaces its next answers; `routes` sends a target elsewhere."""

    def __init__(self, *, password: str | None = None) -> None:
        self.asked: list[str] = []
        self.answers: list[bytes] = []
        self.routes: dict[str, str] = {}
        self.silent = False
        self.url = ""
        self._pair = None if password is None else f"bus:{password}"
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        """Listen; the caller closes the server."""
        server = await asyncio.start_server(self._serve, ADDRESS, 0)
        pair = "" if self._pair is None else f"{self._pair}@"
        self.url = f"http://{pair}{ADDRESS}:{server.sockets[0].getsockname()[1]}"
        return server

    async def hang_up(self) -> None:
        """Close every connection."""
        for one in tuple(self._serving):
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a server runs each connection in a task"
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(asyncio.CancelledError):  # hung up: the server would report it
            await self._answer(reader, writer)
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            target = head.split(" ", 2)[1]
            self.asked.append(target)
            if self.silent:
                await reader.read()
            elif self.answers:
                writer.write(self.answers.pop(0))
            elif not self._lets_in(head):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            else:
                await self._tunnel(target, reader, writer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    def _lets_in(self, head: str) -> bool:
        if self._pair is None:
            return True
        basic = base64.b64encode(self._pair.encode()).decode("ascii")
        return f"Proxy-Authorization: Basic {basic}\r\n" in head

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = self.routes.get(target, target).rpartition(":")
        try:
            there, back = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            refused = "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: test; error=connection_refused"
            writer.write(f"{refused}\r\n\r\n".encode("ascii"))
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, back))
                both.create_task(_copy(there, writer))
        finally:
            back.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def forward_proxy(*, password: str | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy for the length of a block."""
    proxy = Proxy(password=password)
    server = await proxy.start()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.hang_up()

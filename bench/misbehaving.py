"""Endpoints that hang, answer a byte at a time, or answer without end. Their own process.

The first part of the path says how: /hang, /drip (a byte of the head a second), /body (a byte of
the body a second), /flood (a gigabyte), /fail (500 at once).
"""

import asyncio
import contextlib
import json
import re
import sys

from bench.harness import BAD_FROM

LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
WAY = re.compile(rb"POST /(hang|drip|body|flood|fail)")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000000000\r\n\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CHUNK = b"x" * 65536
CHUNKS = 10**9 // len(CHUNK)
LONG_S = 3600


async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read one request and answer it badly, until the caller has had enough."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(head)
        await reader.readexactly(int(found[1]) if found else 0)
        way = WAY.match(head)
        await _answer(writer, way[1] if way else b"fail")
    writer.close()


async def _answer(writer: asyncio.StreamWriter, way: bytes) -> None:
    match way:
        case b"hang":
            await asyncio.sleep(LONG_S)
        case b"drip":
            await _drip(writer, OK)
        case b"body":
            writer.write(OK)
            await _drip(writer, CHUNK)
        case b"flood":
            writer.write(OK)
            for _ in range(CHUNKS):
                writer.write(CHUNK)
                await writer.drain()
        case _:
            writer.write(FAILED)
            await writer.drain()


async def _drip(writer: asyncio.StreamWriter, text: bytes) -> None:
    for byte in text:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def serve(count: int) -> None:
    """Listen on `count` addresses and one free port, and say which port."""
    first = await asyncio.start_server(misbehave, f"127.0.0.{BAD_FROM}", 0, backlog=1024)
    port = first.sockets[0].getsockname()[1]
    for number in range(BAD_FROM + 1, BAD_FROM + count):
        await asyncio.start_server(misbehave, f"127.0.0.{number}", port, backlog=1024)
    print(json.dumps({"port": port}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

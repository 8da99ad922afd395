"""One POST over a connection of aiohttp's, and the beginning of its answer (RFC 9112).

Connections, their pool, TLS and the reading of answers are aiohttp's. What its client does around
them (cookies, redirects, middlewares, a task that writes the body) was a quarter of what a delivery
cost the dispatcher, and a webhook wants none of it (decision 29).
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from noticebus.dispatcher.egress import HEADER_BYTES_MAX, HEADERS_MAX, READ_BYTES
from noticebus.dispatcher.failures import UnsendableHeaderError
from noticebus.records import lean

_FIXED_HEADERS = (
    "Accept: */*\r\n"
    "Accept-Encoding: identity\r\n"
    "Content-Type: application/cloudevents+json\r\n"
    "User-Agent: noticebus\r\n"
)
_NO_VALUE = re.compile(r"[^\t\x20-\x7e]")  # would end a header, or be no text to some servers
_TRIES = 3  # to find a connection on which nothing came that nobody had asked for
_INTERIM = range(100, 200)
_SWITCHING = 101  # the answer itself, to what we never ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is the same in every request to a URL, read once."""

    url: URL
    head: str
    request: aiohttp.ClientRequest  # tells a connector where to; it is never sent itself

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a URL. aiohttp.InvalidURL where it is none that is called."""
        try:
            url = URL(text)
        except ValueError as error:
            raise aiohttp.InvalidURL(text) from error
        if url.scheme not in ("https", "http") or not url.host or url.user or url.password:
            raise aiohttp.InvalidURL(text)
        path, host = url.raw_path_qs, url.host_port_subcomponent
        if _NO_VALUE.search(f"{path}{host}"):
            raise aiohttp.InvalidURL(text)
        return cls(
            url=url,
            head=f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{_FIXED_HEADERS}",
            request=aiohttp.ClientRequest("POST", url),
        )


@lean
class Answered:
    """The beginning of an answer, and the rest of it as it comes."""

    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader


class Exchange:
    """One request, from when a connection is looked for until its answer is of no more use."""

    def __init__(self, session: aiohttp.ClientSession, target: Target) -> None:
        self._session = session
        self._target = target
        self._connection: Connection | None = None

    async def begin(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Post, and wait for the status. Call `end` where this returns; else it has ended.

        Raises an aiohttp.ClientError or OSError where there is no answer, and UnsendableHeaderError
        before anything is done.
        """
        message = self._head(headers, body) + body
        # Others sign first. Those of one turn of the loop are then written one right after another:
        # where their servers, or our proxy, are on one machine it is woken once for all of them.
        await asyncio.sleep(0)
        connection = self._connection = await self._connect()
        try:
            return await _answered(connection, message)
        except BaseException:
            connection.close()
            raise

    def end(self) -> None:
        """Keep the connection for others, or close it where anything is still on its way."""
        assert self._connection is not None, "it was begun"
        transport = self._connection.transport
        if transport is not None and transport.get_write_buffer_size():
            self._connection.close()
        else:
            self._connection.release()  # which closes it where the answer has not come whole

    async def _connect(self) -> Connection:
        """Take a connection on which nothing has come yet.

        What came before anything was asked, such as a server's 408 on its way out, would be read as
        the answer to this request, and the answer to this as that of the next.
        """
        for _ in range(_TRIES):
            connection = await self._connected()
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        raise aiohttp.ClientPayloadError("it answered before it was asked")

    async def _connected(self) -> Connection:
        connector = self._session.connector
        assert connector is not None, "a session is closed after the last request over it"
        try:
            return await connector.connect(self._target.request, [], self._session.timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {self._target.url}") from error

    def _head(self, headers: Mapping[str, str], body: bytes) -> bytes:
        if any(map(_NO_VALUE.search, headers.values())):
            raise UnsendableHeaderError
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return f"{self._target.head}{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode()


async def _answered(connection: Connection, message: bytes) -> Answered:
    """Write a request at once, and wait for the beginning of its answer."""
    protocol = connection.protocol
    assert protocol is not None, "it has just been given to us"
    if protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        read_bufsize=READ_BYTES,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        max_headers=HEADERS_MAX,
    )
    protocol.transport.write(message)
    return await _final(protocol)


async def _final(protocol: ResponseHandler) -> Answered:
    """Wait for the answer that no other follows (RFC 9110, section 15.2)."""
    while True:
        try:
            message, content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError("no proper HTTP") from error
        if message.code not in _INTERIM or message.code == _SWITCHING:
            return Answered(status=message.code, headers=message.headers, content=content)

"""A name server (DNS over UDP) that answers as it is told, another thing each time, and its client.

`look_up` is what a guard takes in place of the system's own look-up.
"""

import asyncio
import ipaddress
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from aiohttp.abc import ResolveResult

ADDRESS = "127.0.0.1"
ANSWER_S = 30.0
_A, _AAAA, _IN = 1, 28, 1


class NameServer(asyncio.DatagramProtocol):
    """Answers for every name: the next of `answers`, and the last of them from then on."""

    def __init__(self, answers: Sequence[Sequence[str]]) -> None:
        self._answers = deque(tuple(one) for one in answers)
        self._transport: asyncio.DatagramTransport | None = None
        self.asked = 0
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        assert self._transport is not None, "it has received something"
        self._transport.sendto(_reply(data, answer), addr)

    def look_up(self, host: str, port: int, _family: socket.AddressFamily) -> list[ResolveResult]:
        """Ask this server about `host`; blocks."""
        question = _question(host)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(ANSWER_S)
            asking.sendto(question, (ADDRESS, self.port))
            answer, _ = asking.recvfrom(4096)
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for one in _addresses(answer, after=len(question))
        ]


@asynccontextmanager
async def name_server(*answers: Sequence[str]) -> AsyncIterator[NameServer]:
    """Run a name server for the length of a block."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(answers), local_addr=(ADDRESS, 0)
    )
    try:
        yield server
    finally:
        transport.close()


def _question(host: str) -> bytes:
    """Write a question (RFC 1035, section 4.1); both kinds of address may be answered."""
    labels = b"".join(
        bytes([len(one)]) + one.encode("ascii") for one in host.rstrip(".").split(".")
    )
    return struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", _A, _IN)


def _reply(question: bytes, addresses: Sequence[str]) -> bytes:
    head = question[:2] + struct.pack(">5H", 0x8180, 1, len(addresses), 0, 0)
    records = b""
    for one in addresses:
        packed = ipaddress.ip_address(one).packed
        kind = _A if len(packed) == 4 else _AAAA
        records += struct.pack(">3HLH", 0xC00C, kind, _IN, 0, len(packed)) + packed
    return head + question[12:] + records


def _addresses(answer: bytes, *, after: int) -> list[str]:
    (count,) = struct.unpack(">H", answer[6:8])
    found, place = [], after
    for _ in range(count):
        (length,) = struct.unpack(">H", answer[place + 10 : place + 12])
        found.append(str(ipaddress.ip_address(answer[place + 12 : place + 12 + length])))
        place += 12 + length
    return found

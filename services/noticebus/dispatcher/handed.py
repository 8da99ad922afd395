"""What the bus has handed over and nobody has claimed yet: it is claimed together."""

import asyncio
from collections import deque

from noticebus.bus.port import Received

TOGETHER_MAX = 500  # deliveries, about: no shard is parted


class Handed:
    """The shards in hand, first in, first out. The bus bounds how many there are.

    While nobody is free to claim, they gather: the busier it is, the fewer statements each takes.
    """

    def __init__(self) -> None:
        self._waiting: deque[Received] = deque()
        self._some = asyncio.Event()

    def put(self, received: Received) -> None:
        """Add one."""
        self._waiting.append(received)
        self._some.set()

    async def wait(self) -> None:
        """Return once there is one; another may have taken it by then."""
        await self._some.wait()

    def take(self) -> list[Received]:
        """Take what waits, until it is `TOGETHER_MAX` deliveries; nothing where nothing waits."""
        taken: list[Received] = []
        count = 0
        while self._waiting and count < TOGETHER_MAX:
            taken.append(self._waiting.popleft())
            count += len(taken[-1].shard.delivery_ids)
        if not self._waiting:
            self._some.clear()
        return taken

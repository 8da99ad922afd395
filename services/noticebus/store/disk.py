"""The disk under the embedded profile's database: how much is left of it."""

import asyncio
import datetime as dt
import shutil
from pathlib import Path

from noticebus.clock import Clock
from noticebus.domain import disk_space
from noticebus.domain.disk_space import MEGABYTE, Space

LOOK_EVERY = dt.timedelta(seconds=1)


class Disk:
    """Looks at most once a second of machine time; any number may ask."""

    def __init__(self, folder: Path, *, reserve_mb: int, machine: Clock) -> None:
        self._folder = folder
        self._reserve = reserve_mb * MEGABYTE
        self._machine = machine
        self._seen: tuple[dt.datetime, Space] | None = None

    async def warning(self) -> str | None:
        """Say so where little is left."""
        return disk_space.warning(await self._look())

    async def refusal(self) -> str | None:
        """Say why no new notice may be taken, where what is left is kept for answers."""
        return disk_space.refusal(await self._look(), reserve=self._reserve)

    async def _look(self) -> Space:
        now = self._machine.now()
        if self._seen is None or now - self._seen[0] >= LOOK_EVERY:
            usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
            self._seen = (now, Space(total=usage.total, free=usage.free))
        return self._seen[1]

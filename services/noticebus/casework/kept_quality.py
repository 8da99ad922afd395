"""The report's warnings about the records: about now, dear to read, and so kept for a moment.

They take some twenty statements, of one agency or over every agency and subscription, and change
slowly. Each process keeps its own; whoever finds them too old reads them anew, and the others wait
for that. They are kept for a hundred times as long as it took to read them, and no longer than the
setting `records_kept_s`: a small installation sees at once what was repaired, and a large one
spends a hundredth of its time on them.
"""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from noticebus.contracts.report import DataQualityItem
from noticebus.contracts.vocabulary import Status
from noticebus.ids import AgencyId

SHARE = 100
KEPT_MAX = 500  # of one process: of how many agencies at most

Items = tuple[DataQualityItem, ...]
Of = tuple[Status, AgencyId | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Warnings, the world time they are as of, and the machine time until which they are kept."""

    items: Items
    as_of: dt.datetime
    until: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptQuality:
    """What was found last, by status, of all agencies or of one.

    Keeps nothing unless it is told for how long.
    """

    keep: dt.timedelta = dt.timedelta()
    _found: dict[Of, Found] = field(default_factory=dict)
    _turns: defaultdict[Of, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def read(
        self,
        of: Of,
        read: Callable[[], Awaitable[Items]],
        *,
        as_of: dt.datetime,
        now: Callable[[], dt.datetime],
    ) -> Found:
        """Give what is kept, or what `read` finds as of a world time; `now` is the machine's."""
        if not self.keep:
            return await self._read(read, as_of=as_of, now=now)
        async with self._turns[of]:
            found = self._found.get(of)
            if found is None or now() >= found.until:
                found = await self._read(read, as_of=as_of, now=now)
                self._keep(of, found)
            return found

    def _keep(self, of: Of, found: Found) -> None:
        """Keep what was found; of too many what was read longest ago goes."""
        self._found.pop(of, None)
        self._found[of] = found
        if len(self._found) > KEPT_MAX:
            oldest = next(iter(self._found))
            del self._found[oldest]
            if not self._turns[oldest].locked():
                del self._turns[oldest]

    async def _read(
        self,
        read: Callable[[], Awaitable[Items]],
        *,
        as_of: dt.datetime,
        now: Callable[[], dt.datetime],
    ) -> Found:
        began = now()
        items = await read()
        took = now() - began
        return Found(items=items, as_of=as_of, until=began + min(self.keep, took * SHARE))

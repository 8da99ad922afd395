"""The clock of standing orders: heartbeats to endpoints that hear nothing, leases that end."""

import datetime as dt

import structlog

from noticebus.casework import heartbeats, leases
from noticebus.casework.desk import Desk
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)


class OrderClock:
    """Any number may run on one database: rows are claimed by skipping what another holds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sweep(self) -> int:
        """Do everything due now, batch after batch; say how many subscriptions there were."""
        done = 0
        while count := await heartbeats.beat_due(self._desk):
            done += count
        while count := await leases.mind_leases(self._desk):
            done += count
        return done

    async def look(self) -> dt.datetime | None:
        """Do what is due; say when the next heartbeat is, None where there is none to come.

        A quiet second costs two statements, each answered from a partial index.
        """
        until = await heartbeats.next_heartbeat_at(self._desk)
        if until is None or until > self._desk.world.now():
            await leases.mind_leases(self._desk)
            return until
        await self.sweep()
        until = await heartbeats.next_heartbeat_at(self._desk)
        held = until is not None and until <= self._desk.world.now()  # by a notice's transaction
        return None if held else until

    async def run(self) -> None:
        """Look, then sleep until the next heartbeat or a wake-up, one second at most."""
        while True:
            try:
                until = await self.look()
            except UnavailableError:
                log.warning("orders.paused", exc_info=True)
                until = None
            self._desk.ticked("orders")
            await self._desk.signals.orders.sleep(self._desk.world, until)

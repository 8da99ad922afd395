"""What every use case is handed: the ports of the system, put together once in `wiring`."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from noticebus.access.keyring import Keyring
from noticebus.bus.port import Bus, Shard
from noticebus.clock import Clock
from noticebus.domain.gazetteer import Gazetteer
from noticebus.store.database import Database
from noticebus.telemetry import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Wake-ups between the loops of one process.

    Across processes the bus and a one-second look do the same.
    """

    steps: asyncio.Event = field(default_factory=asyncio.Event)
    deliveries: asyncio.Event = field(default_factory=asyncio.Event)
    entries: asyncio.Event = field(default_factory=asyncio.Event)
    ticks: dict[str, dt.datetime] = field(default_factory=dict)  # by loop, machine time

    def committed(self) -> None:
        """Say that something was written: every loop looks again."""
        self.steps.set()
        self.deliveries.set()
        self.entries.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The ports of the system.

    `world` decides deadlines and entries, `machine` leases and key expiry.
    """

    database: Database
    bus: Bus
    world: Clock
    machine: Clock
    keyring: Keyring
    places: Gazetteer
    metrics: Metrics
    base_url: str
    signals: Signals = field(default_factory=Signals)

    def committed(self, shards: Sequence[Shard] = ()) -> None:
        """Hand on what a committed transaction made due. Never call it before the commit."""
        if shards:
            self.bus.offer(shards)
        self.signals.committed()

    def ticked(self, loop: str) -> None:
        """Note that a loop has just looked for work.

        What `/readyz` and the report's heartbeat go by.
        """
        self.signals.ticks[loop] = self.machine.now()

"""What every use case is handed: the ports of the system, put together once in `wiring`."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from noticebus.access.keyring import Keyring
from noticebus.bus.port import Bus, Shard
from noticebus.casework.kept_quality import KeptQuality
from noticebus.casework.report_workshop import Workshop
from noticebus.clock import Clock
from noticebus.domain.gazetteer import Gazetteer
from noticebus.domain.schedules import Schedules, default_schedules
from noticebus.store.database import Database
from noticebus.store.disk import Disk
from noticebus.telemetry import Metrics


class Alarm:
    """One loop's wake-up. `until` is what it sleeps for; with None everything wakes it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.until: dt.datetime | None = None

    def ring(self, by: dt.datetime | None = None) -> None:
        """Wake the loop, unless what was written (due `by`) is no earlier than what it awaits."""
        if by is None or self.until is None or by < self.until:
            self.event.set()

    async def sleep(self, clock: Clock, until: dt.datetime | None) -> None:
        """Sleep until `until` by `clock`, or a ring, one second of machine time at most."""
        self.until = until
        await clock.wait_until(until, wake=self.event)
        self.until = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Wake-ups between the loops of one process.

    Across processes the bus and a one-second look do the same.
    """

    steps: Alarm = field(default_factory=Alarm)
    deliveries: Alarm = field(default_factory=Alarm)
    entries: Alarm = field(default_factory=Alarm)
    orders: Alarm = field(default_factory=Alarm)
    digests: Alarm = field(default_factory=Alarm)
    ticks: dict[str, dt.datetime] = field(default_factory=dict)  # by loop, machine time


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
    sends_mail: bool = True
    dials: bool = False  # a telephone provider is configured: text messages and calls go out
    lease_days: int = 180  # of a subscription whose endpoint is called; 0: none
    trip_after: int = 10  # failures in a row until an endpoint is held back
    backlog_rate: int = 600  # deliveries a minute of a backlog whose endpoint agreed to no rate
    calls_from: Sequence[str] = ()  # addresses for agencies' firewalls, as the operator says
    operators_phone: str = ""  # where people ring the operators; empty: no number is said
    approval_above: int | None = None  # recipients above which a person needs a second one
    schedules: Schedules = field(default_factory=default_schedules)
    disk: Disk | None = None  # under the embedded profile's database
    signals: Signals = field(default_factory=Signals)
    quality: KeptQuality = field(default_factory=KeptQuality)
    workshop: Workshop = field(default_factory=Workshop)  # of the files of reports

    def committed(self, shards: Sequence[Shard] = ()) -> None:
        """Hand on what a committed transaction made due; every loop looks."""
        if shards:
            self.bus.offer(shards)
        self.signals.steps.ring()
        self.signals.orders.ring()
        self.signals.deliveries.ring()
        self.signals.entries.ring()

    def committed_many(
        self,
        shards: Sequence[Shard] = (),
        *,
        steps_by: dt.datetime | None,
        deliveries_by: dt.datetime | None,
    ) -> None:
        """Do the same on the hot paths, where the first due time of what was written is known.

        None says that nothing of that sort was written, or that the bus carries it.
        """
        if shards:
            self.bus.offer(shards)
        if steps_by is not None:
            self.signals.steps.ring(steps_by)
        if deliveries_by is not None:
            self.signals.deliveries.ring(deliveries_by)
        self.signals.entries.ring()

    def ticked(self, loop: str) -> None:
        """Note that a loop has just looked for work.

        What `/readyz` and the report's heartbeat go by.
        """
        self.signals.ticks[loop] = self.machine.now()

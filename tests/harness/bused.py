"""A whole system in one process whose bus is Apache Kafka, and what only that can show.

The rows are in SQLite, which starts in no time. The machine's clock stands still unless a test
moves it: until then the sweep leaves to the bus what was just posted, so that whatever arrives
came by the bus.
"""

import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from harness.place import Place, settings_for
from harness.roles import until
from harness.system import Bus as SystemUnderTest
from noticebus import wiring
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.kafka_reader import Pace
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import Bus
from noticebus.bus.topics import init_topics

QUICK = Pace(
    pause_max=dt.timedelta(milliseconds=100), look_every=dt.timedelta(milliseconds=200)
)  # what takes a broker's outage of a minute in production takes seconds here
PAST_THE_HOLD = dt.timedelta(seconds=3)  # then the sweep takes what the bus did not carry


@dataclass(frozen=True, slots=True, kw_only=True)
class BusedPlace(Place):
    """Where such a system runs."""

    bus: KafkaOptions

    def make_bus(self) -> Bus:
        """Make one more process's bus."""
        return KafkaBus(self.bus, pace=QUICK)


async def bused(
    folder: Path, bootstrap: str, *, partitions: int = 2, database_url: str | None = None
) -> BusedPlace:
    """Give a place whose topics exist and are its own; its rows are in SQLite, or elsewhere."""
    options = KafkaOptions(bootstrap=bootstrap, prefix=_prefix(), partitions=partitions)
    await init_topics(options)
    return BusedPlace(
        folder=folder,
        database_url=database_url or f"sqlite+aiosqlite:///{folder}/bus.db",
        bus=options,
    )


@contextlib.asynccontextmanager
async def dispatching(place: BusedPlace, beside: SystemUnderTest) -> AsyncIterator[Bus]:
    """Run one more dispatcher over a place, with the clocks of a system; give its bus."""
    system = wiring.running(
        settings_for(place),
        roles=(wiring.Role.DISPATCHER,),
        world=beside.world,
        machine=beside.desk.machine,
        bus=place.make_bus(),
    )
    async with system as running:
        yield running.desk.bus


async def until_bus(bus: Bus, holds: Callable[[Bus], bool]) -> None:
    """Wait until something is true of a bus."""

    async def it_does() -> bool:
        return holds(bus)

    await until(it_does)


def _prefix() -> str:
    return f"test-{secrets.token_hex(6)}"

"""Where a whole system runs: the embedded profile, or PostgreSQL with or without Kafka."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import tables
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import Bus as Port
from noticebus.bus.topics import init_topics
from noticebus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a system keeps its rows and carries its shards: one profile."""

    folder: Path
    database_url: str
    bus: KafkaOptions | None = None

    def make_bus(self) -> Port | None:
        """Make one more process's bus; None is the profile's own."""
        return None if self.bus is None else KafkaBus(self.bus)


@contextlib.asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Place]:
    """Lend the embedded profile: a SQLite file and the in-process bus."""
    url = await tables.migrated_on_sqlite(folder / "bus.db")
    yield Place(folder=folder, database_url=url)


@contextlib.asynccontextmanager
async def production(folder: Path, *, bootstrap: str | None = None) -> AsyncIterator[Place]:
    """Lend the production profile: PostgreSQL, and Kafka topics of its own where there is one."""
    options = None
    if bootstrap is not None:
        prefix = f"test-{secrets.token_hex(6)}"
        options = KafkaOptions(bootstrap=bootstrap, prefix=prefix, partitions=4)
        await init_topics(options)
    async with tables.migrated_on_postgresql() as url:
        yield Place(folder=folder, database_url=url, bus=options)


def settings_for(place: Place, **more: Any) -> Settings:
    """Give the settings of a system over `place`; its own machine's addresses are allowed."""
    return Settings.model_validate(
        {
            "data_dir": place.folder,
            "database_url": place.database_url,
            "egress_allow": "127.0.0.1/32",
            "stop_grace_s": 2.0,
            "records_kept_s": 0,  # what a test repairs is on its next report
            "digest": False,  # else each hour of silence brings operators a mail; tests of it ask
            **more,
        }
    )

"""F13: what makes two records one is the shard they carry, never their key or where they lie.

A key without the partition, or without the topic, would take different records for repeats and
drop them; and a repeat that is taken for new would be sent twice.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from harness import desk as furnish
from harness.bused import BusedPlace, bused, dispatching, until_bus
from harness.member import Member, Posted
from harness.place import production
from harness.system import Bus, open_bus
from noticebus.bus.port import Shard, encode
from noticebus.clock import ManualClock
from noticebus.ids import DeliveryId
from noticebus.store.tables import deliveries

pytestmark = pytest.mark.usefixtures("postgres_url")  # it starts before a test's time does
KEY = b"the same key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A system that posts, and of whose shards no bus knows unless a test puts them on one."""

    folder: Path
    bootstrap: str
    database_url: str
    bus: Bus
    county: Member

    async def place(self) -> BusedPlace:
        """Give topics of their own to carry shards by."""
        return await bused(self.folder, self.bootstrap, database_url=self.database_url)

    async def shards(self, count: int) -> list[Shard]:
        """Post notices, and make of each the shard that would have carried it."""
        return [await self._shard_of(await self.bus.post_notice()) for _ in range(count)]

    async def _shard_of(self, notice: Posted) -> Shard:
        of_notice = deliveries.c.notice_id == notice.id
        async with self.bus.desk.database.read() as conn:
            rows = await conn.execute(
                deliveries.select().with_only_columns(deliveries.c.id).where(of_notice)
            )
            ids = tuple(DeliveryId(one) for one in rows.scalars())
        return Shard(notice_id=notice.id, number=0, delivery_ids=ids)


@contextlib.asynccontextmanager
async def posting(folder: Path, bootstrap: str) -> AsyncIterator[Posting]:
    """Run such a system; its machine's clock stands still, so that no sweep delivers."""
    async with (
        production(folder) as place,
        open_bus(place, roles=(), machine=ManualClock(furnish.MORNING)) as bus,
    ):
        county = await bus.agency("Scott County CPS")
        yield Posting(
            folder=folder,
            bootstrap=bootstrap,
            database_url=place.database_url,
            bus=bus,
            county=county,
        )


async def put(place: BusedPlace, shard: Shard, *, partition: int) -> int:
    """Put a shard on a partition under the one key; give its offset."""
    async with AIOKafkaProducer(bootstrap_servers=place.bus.bootstrap) as producer:
        record = await producer.send_and_wait(
            place.bus.notices_topic, encode(shard), key=KEY, partition=partition
        )
    offset: int = record.offset
    return offset


async def test_records_with_one_key_and_offset_on_two_partitions_are_two(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    async with posting(tmp_path, kafka_bootstrap) as here:
        place = await here.place()
        one, other = await here.shards(2)
        offsets = [await put(place, one, partition=0), await put(place, other, partition=1)]
        async with dispatching(place, here.bus):
            arrived = await here.county.next_events(2)

    assert offsets == [0, 0]
    assert {each["subject"] for each in arrived} == {one.notice_id, other.notice_id}


async def test_records_with_one_key_and_offset_on_two_topics_are_two(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    async with posting(tmp_path, kafka_bootstrap) as here:
        place, elsewhere = await here.place(), await here.place()
        one, other = await here.shards(2)
        offsets = [await put(place, one, partition=0), await put(elsewhere, other, partition=0)]
        async with dispatching(place, here.bus), dispatching(elsewhere, here.bus):
            arrived = await here.county.next_events(2)

    assert offsets == [0, 0]
    assert {each["subject"] for each in arrived} == {one.notice_id, other.notice_id}


async def test_a_shard_that_comes_three_times_is_sent_once(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    async with posting(tmp_path, kafka_bootstrap) as here:
        place = await here.place()
        (shard,) = await here.shards(1)
        for partition in (0, 1, 1):
            await put(place, shard, partition=partition)
        async with dispatching(place, here.bus) as bus:
            await until_bus(bus, lambda one: one.counts().received == 3)
            (arrived,) = await here.county.next_events(1)

    assert arrived["subject"] == shard.notice_id
    assert here.county.unexpected() == []

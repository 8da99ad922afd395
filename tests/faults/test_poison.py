"""One item that cannot be stored, or record that cannot be read, spoils nothing for the others."""

import asyncio
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from prometheus_client import generate_latest

from harness import by_hand
from harness import desk as furnish
from harness.bused import BusedPlace, bused
from harness.member import Member
from harness.place import embedded
from harness.system import Bus, open_bus
from noticebus.bus.port import encode, split
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import DeliveryState, EndpointState, SubscriptionState
from noticebus.domain.health import Health
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId, new_delivery_id, new_notice_id
from noticebus.store import endpoints
from noticebus.store.tables import subscriptions

CANARY = "Maria Lopez"
HEADER_BYTES = 61  # of a batch of records, in Kafka's format 2
CHECKED_FROM = 21  # the checksum covers what follows it
SNAPPY = 2


async def test_a_notice_that_breaks_is_refused_and_the_rest_of_its_batch_is_kept(
    tmp_path: Path,
) -> None:
    async with embedded(tmp_path) as place, open_bus(place, strict=False) as bus:
        await bus.agency("Scott County CPS", endpoint=False)
        await bus.post_notice()
        good = [await bus.draft() for _ in range(3)]
        broken = replace(await bus.draft(), agency_id=AgencyId("agy_nobody"))

        async with asyncio.TaskGroup() as tasks:
            kept = [tasks.create_task(bus.system.intake.post(one)) for one in good]
            with pytest.raises(UnavailableError):
                await bus.system.intake.post(broken)

        assert all(one.result().fresh for one in kept)
        assert len(await bus.unacknowledged()) == 4


@pytest.mark.parametrize("is_down", [False, True], ids=["paused", "down"])
async def test_what_cannot_be_held_back_costs_the_others_of_its_batch_nothing(
    still_bus: Bus, *, is_down: bool
) -> None:
    bus = still_bus
    stopped, well = [await bus.agency(f"{name} County CPS") for name in ("Scott", "Leake")]
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    await _stop(bus, stopped, is_down=is_down)

    held_back = "NEW.held_reason IS NOT NULL"
    async with by_hand.refusing(bus, "UPDATE", table="deliveries", when=held_back):
        await bus.system.dispatcher.sweep()
        await by_hand.record(bus, 1)
    before = {one.subscription_id: one for one in await bus.deliveries_of(notice)}
    by_hand.machine(bus).advance(by_hand.LEASE)
    await bus.system.dispatcher.sweep()
    after = {one.subscription_id: one for one in await bus.deliveries_of(notice)}

    assert before[well.subscription_id].state is DeliveryState.DELIVERED
    assert before[stopped.subscription_id].state is DeliveryState.SENDING
    assert after[stopped.subscription_id].held_reason is not None
    assert stopped.receiver.arrivals.all == []


async def _stop(bus: Bus, member: Member, *, is_down: bool) -> None:
    """Let a member's endpoint be down, with a probe under way, or its subscription be paused."""
    assert member.subscription_id is not None, "it has an endpoint"
    now = bus.world.now()
    down = Health(state=EndpointState.PROBING, failures=10, trips=1, failing_since=now)
    async with bus.desk.database.begin() as conn:
        if is_down:
            await endpoints.insert_missing(conn, [member.subscription_id], now=now)
            await endpoints.write(conn, {member.subscription_id: down}, now=now)
            return
        await conn.execute(
            sa.update(subscriptions)
            .where(subscriptions.c.id == member.subscription_id)
            .values(state=SubscriptionState.PAUSED)
        )


def foreign() -> list[bytes | None]:
    """Give records that others may write, by mistake or not, none of them a shard."""
    shard = json.loads(encode(split(new_notice_id(), [new_delivery_id()])[0]))
    return [
        b"\xff\x00" + CANARY.encode(),
        json.dumps({"name": CANARY}).encode(),
        json.dumps(shard | {"type": "org.noticebus.shard.v2"}).encode(),
        json.dumps(shard | {"data": {"notice_id": CANARY}}).encode(),
        CANARY.encode() * 80_000,  # as much as the broker takes
        None,  # a tombstone
    ]


def unreadable(records: int) -> bytes:
    """Make a batch of records packed with a codec that this project does not install."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=4096,
    )
    for offset in range(records):
        builder.append(offset, timestamp=0, key=None, value=CANARY.encode(), headers=[])
    plain = bytes(builder.build())
    packed = bytearray(plain[:HEADER_BYTES] + snappy(plain[HEADER_BYTES:]))
    struct.pack_into(">i", packed, 8, len(packed) - 12)
    struct.pack_into(">h", packed, CHECKED_FROM, SNAPPY)
    struct.pack_into(">I", packed, CHECKED_FROM - 4, calc_crc32c(bytes(packed[CHECKED_FROM:])))
    return bytes(packed)


def snappy(plain: bytes) -> bytes:
    """Write at most 127 bytes as Snappy does, packing nothing: one literal in one block."""
    assert len(plain) < 128
    block = bytes([len(plain), 60 << 2, len(plain) - 1]) + plain
    return b"\x82SNAPPY\x00" + struct.pack(">iii", 1, 1, len(block)) + block


async def write(place: BusedPlace, values: list[bytes | None], *, batch: bytes) -> None:
    """Write records one by one, a batch as it is, and the records once more."""
    topic = place.bus.notices_topic
    async with AIOKafkaProducer(bootstrap_servers=place.bus.bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"foreign", partition=0)
        request = ProduceRequest(
            transactional_id=None, required_acks=-1, timeout=5000, topics=[(topic, [(0, batch)])]
        )
        leader = producer.client.cluster.leader_for_partition(TopicPartition(topic, 0))
        answer = await producer.client.send(leader, request)
        ((_, ((_, code, *_),)),) = answer.topics
        assert code == 0, for_code(code)
        for value in values:
            await producer.send_and_wait(topic, value, key=b"foreign", partition=0)


async def test_records_that_are_no_shards_stop_nobody_and_are_told_once_without_content(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    place = await bused(tmp_path, kafka_bootstrap, partitions=1)
    records = foreign()
    await write(place, records, batch=unreadable(3))
    with structlog.testing.capture_logs() as lines:
        async with open_bus(place, machine=ManualClock(furnish.MORNING)) as bus:
            county = await bus.agency("Scott County CPS")
            notice = await bus.post_notice()
            await county.receives("notice", notice)  # by the bus: the machine's time stands still
            figures = generate_latest(bus.desk.metrics.registry).decode()

    skipped = [one for one in lines if one["event"] == "bus.record_skipped"]
    many = 2 * len(records) + 3
    assert f"noticebus_bus_poisoned_total {many}.0" in figures
    assert sorted(one["offset"] for one in skipped) == list(range(many))
    assert CANARY not in str(lines)

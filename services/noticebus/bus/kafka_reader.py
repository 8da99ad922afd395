"""One member of the dispatchers' group: reads shards from Apache Kafka and commits what is done."""

import asyncio
import contextlib
import datetime as dt
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaClient, AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaConnectionError,
    KafkaError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)
from aiokafka.structs import ConsumerRecord

from noticebus.bus.ending import ending
from noticebus.bus.offsets import Offsets
from noticebus.bus.options import Connection, KafkaOptions
from noticebus.bus.outage import Outage
from noticebus.bus.port import Poison, Received, Shard, Tally, decode
from noticebus.bus.publisher import PAUSE_MAX, Backoff, LinkLostError
from noticebus.bus.reasons import lost

JOIN_TIMEOUT = dt.timedelta(seconds=30)  # connect, join the group, be given partitions
COMMIT_TIMEOUT = dt.timedelta(seconds=2)
COMMIT_LINGER_S = 0.2  # what is done meanwhile goes along; a crash brings so much again
LEAVE_TIMEOUT = dt.timedelta(seconds=3)
POLL_MS = 500
PASS_OVER_MS = 200  # for each record of a partition; one that has none is done with
SESSION_TIMEOUT_MS = (
    6_000  # the broker's own minimum: a dead dispatcher's partitions move after this
)
HEARTBEAT_MS = 1_500

LOOK_TIMEOUT = dt.timedelta(seconds=3)
LOOKS_FAILED_MAX = 3  # in a row; then it is more than an election, and we join anew
ASKED_FOR_TOPIC_MAX = 5
ASK_AGAIN_AFTER_S = 0.2
UNREADABLE = (CorruptRecordException, UnsupportedCodecError)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How soon the bus looks and tries again."""

    pause_max: dt.timedelta = PAUSE_MAX  # between two tries to connect
    look_every: dt.timedelta = dt.timedelta(seconds=5)  # how far behind a consumer is


PACE = Pace()


class KafkaReader:
    """The iterator of one consumer, and the two tasks behind it: `pull` and `commit_done`.

    Offsets are committed behind the consumer's back, as far as everything before them is done;
    `done` itself waits for nothing. A commit that is lost brings shards again, which their claim
    recognises.
    """

    def __init__(
        self,
        options: KafkaOptions,
        connection: Connection,
        *,
        tally: Tally,
        outstanding_max: int,
        pace: Pace = PACE,
    ) -> None:
        self._connection = connection
        self._options = options
        self._tally = tally
        self._outstanding_max = outstanding_max
        self._pace = pace
        self._outage = Outage("consumer")
        self._looks_failed = 0
        self._look_at = 0.0
        self._offsets = Offsets()
        self._fetched: deque[tuple[int, int, Shard]] = deque()  # partition, offset, shard
        self._consumer: AIOKafkaConsumer | None = None
        self._arrived = asyncio.Event()
        self._progress = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self.fault: str | None = None
        self.lag: dict[int, int] = {}  # by partition, as of the last look

    def __aiter__(self) -> AsyncIterator[Received]:
        return self

    async def __anext__(self) -> Received:
        while not self._ended.is_set():
            if self._fetched:
                return self._hand_out(*self._fetched.popleft())
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    def end(self) -> None:
        """Let the iterator end at its next turn."""
        self._ended.set()
        self._arrived.set()

    async def pull(self) -> None:
        """Fetch until cancelled, joining the group again after every failure."""
        backoff = Backoff(self._ended, pause_max=self._pace.pause_max)
        while not self._ended.is_set():
            try:
                async with self._membership() as consumer:
                    backoff.reset()
                    self._mark_well()
                    await self._fetch(consumer)
            except LinkLostError as error:
                self._mark_lost(error)
                await backoff.pause()

    async def commit_done(self) -> None:
        """Commit progress as it is made, one request at a time, until cancelled."""
        while True:
            await self._progress.wait()
            await asyncio.sleep(COMMIT_LINGER_S)
            self._progress.clear()
            await self.commit()

    async def commit(self) -> None:
        """Commit what is done. A commit that fails costs a repeat, so it is noted and no more."""
        consumer, reached = self._consumer, self._offsets.committable()
        if consumer is None or not reached:
            return
        topic = self._options.notices_topic
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT.total_seconds()):
                await consumer.commit(
                    {TopicPartition(topic, key): at for key, at in reached.items()}
                )
        except (KafkaError, TimeoutError) as error:
            log.info("bus.commit_failed", reason=type(error).__name__)
        else:
            self._offsets.committed(reached)

    def forget(self, partitions: Iterable[int]) -> None:
        """Let go of partitions that move to another consumer; it gets what was not committed."""
        gone = set(partitions)
        self._offsets.forget(gone)
        self._fetched = deque(each for each in self._fetched if each[0] not in gone)
        for partition in gone:
            self.lag.pop(partition, None)
        self._room.set()

    @contextlib.asynccontextmanager
    async def _membership(self) -> AsyncIterator[AIOKafkaConsumer]:
        """Be a member of the group for a block; Kafka's errors leave it as `LinkLostError`."""
        consumer = _consumer(
            self._connection, group=self._options.group, records_max=self._outstanding_max
        )
        consumer.subscribe([self._options.notices_topic], listener=_Rebalance(self))
        try:
            async with asyncio.timeout(JOIN_TIMEOUT.total_seconds()):
                self._consumer = consumer  # joining may already call the listener
                await consumer.start()
            yield consumer
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise await lost(self._options, error) from error
        finally:
            await self._leave(consumer)

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        await self.commit()
        self._consumer = None
        self._offsets.forget()
        self._fetched.clear()
        self.lag.clear()
        await _stop(consumer)

    async def _fetch(self, consumer: AIOKafkaConsumer) -> None:
        self._looks_failed = 0
        while not self._ended.is_set():
            await self._look_when_due(consumer)
            room = self._outstanding_max - self._offsets.outstanding
            if room <= 0:
                await self._wait_for_room()
                continue
            try:
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=room)
            except UNREADABLE as error:
                log.warning("bus.batch_unreadable", reason=type(error).__name__)
                await self._pass_over(consumer)
                continue
            for records in batches.values():
                for record in records:
                    self._accept(record)

    async def _wait_for_room(self) -> None:
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.look_every.total_seconds()):
                await self._room.wait()

    async def _pass_over(self, consumer: AIOKafkaConsumer) -> None:
        """Read what is before a batch that cannot be unpacked one by one, and step over the batch.

        The error does not say in which partition, and what was unpacked before it is gone: so each
        partition is read again from where we stand.
        """
        for each in consumer.assignment():
            following = self._offsets.following(each.partition)
            if following is not None:
                consumer.seek(each, following)
            for _ in range(self._outstanding_max - self._offsets.outstanding):
                try:
                    found = await consumer.getmany(each, timeout_ms=PASS_OVER_MS, max_records=1)
                except UNREADABLE as error:
                    at = await consumer.position(each)
                    self._skip(each.topic, each.partition, at, reason=type(error).__name__)
                    consumer.seek(each, at + 1)
                    continue
                if not found:
                    break
                self._accept(*found[each])

    async def _look_when_due(self, consumer: AIOKafkaConsumer) -> None:
        """See how far behind we are, and so whether the broker answers and has our topic.

        aiokafka waits out an outage without a word, for ever.
        """
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + self._pace.look_every.total_seconds()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
                await self._look(consumer)
        except (KafkaError, TimeoutError) as error:
            self._looks_failed += 1
            if self._looks_failed >= LOOKS_FAILED_MAX or isinstance(
                error, UnknownTopicOrPartitionError
            ):
                raise
            self._mark_lost(LinkLostError(type(error).__name__))
        else:
            self._mark_well()

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        await look_for(consumer._client, self._options.notices_topic)  # noqa: SLF001 - none public
        assigned = consumer.assignment()
        ends = await consumer.end_offsets(assigned) if assigned else {}
        for each, end in ends.items():
            reached = self._offsets.reached(each.partition)
            if reached is None:
                reached = await consumer.position(each)
            self.lag[each.partition] = max(end - reached, 0)

    def _mark_well(self) -> None:
        self._looks_failed = 0
        self.fault = None
        self._outage.end()

    def _mark_lost(self, error: LinkLostError) -> None:
        self._tally.add("retries")
        self._outage.note(str(error))
        self.fault = f"Kafka cannot be read ({error}): the sweep delivers; {error.remedy}."

    def _accept(self, record: ConsumerRecord) -> None:
        match decode(record.value):
            case Poison(reason=reason):
                self._skip(record.topic, record.partition, record.offset, reason=reason)
            case shard:
                self._offsets.issue(record.partition, record.offset)
                self._fetched.append((record.partition, record.offset, shard))
                self._arrived.set()

    def _skip(self, topic: str, partition: int, offset: int, *, reason: str) -> None:
        """Leave a record that is not a shard behind, with a word on where it is, not what."""
        self._tally.add("poisoned")
        log.error(
            "bus.record_skipped", topic=topic, partition=partition, offset=offset, reason=reason
        )
        self._offsets.issue(partition, offset)
        self._finish(partition, offset)

    def _hand_out(self, partition: int, offset: int, shard: Shard) -> Received:
        self._tally.add("received")

        async def done() -> None:
            self._finish(partition, offset)

        return Received(shard=shard, done=done)

    def _finish(self, partition: int, offset: int) -> None:
        self._offsets.finish(partition, offset)
        self._room.set()
        self._progress.set()


async def look_for(client: AIOKafkaClient, topic: str) -> None:
    """Ask a broker for a topic; `UnknownTopicOrPartitionError` where it has none.

    One that was made, or a broker that started, a moment ago may not know of it yet.
    """
    await client.add_topic(topic)
    for _ in range(ASKED_FOR_TOPIC_MAX):
        if not await client.force_metadata_update():
            raise KafkaConnectionError("no broker answers")
        if client.cluster.partitions_for_topic(topic):
            return
        await asyncio.sleep(ASK_AGAIN_AFTER_S)
    raise UnknownTopicOrPartitionError(topic)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped, and asks for this base
    """Commits before partitions move, so that the next holder starts behind what is done."""

    def __init__(self, reader: KafkaReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._reader.commit()
        self._reader.forget(each.partition for each in revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to prepare: reading goes on from the committed offsets."""


def _consumer(connection: Connection, *, group: str, records_max: int) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **connection,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # shards published before the first dispatcher joined count
        max_poll_records=records_max,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close every connection, whether or not the broker answers."""
    try:
        async with ending(LEAVE_TIMEOUT):
            await consumer.stop()
    finally:
        await consumer._client.close()  # noqa: SLF001 - an interrupted `stop` leaves it open

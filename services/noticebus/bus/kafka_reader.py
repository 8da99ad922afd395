"""One member of the dispatchers' group: reads shards from Apache Kafka and commits what is done."""

import asyncio
import contextlib
import datetime as dt
from collections import deque
from collections.abc import AsyncIterator, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from noticebus.bus.ending import ending
from noticebus.bus.offsets import Offsets
from noticebus.bus.options import Connection, KafkaOptions
from noticebus.bus.port import Poison, Received, Shard, Tally, decode
from noticebus.bus.publisher import Backoff, LinkLostError

JOIN_TIMEOUT = dt.timedelta(seconds=30)  # connect, join the group, be given partitions
COMMIT_TIMEOUT = dt.timedelta(seconds=2)
LEAVE_TIMEOUT = dt.timedelta(seconds=3)
POLL_MS = 500
SESSION_TIMEOUT_MS = (
    6_000  # the broker's own minimum: a dead dispatcher's partitions move after this
)
HEARTBEAT_MS = 1_500

log = structlog.get_logger()


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
    ) -> None:
        self._connection = connection
        self._options = options
        self._tally = tally
        self._outstanding_max = outstanding_max
        self._offsets = Offsets()
        self._fetched: deque[tuple[int, int, Shard]] = deque()  # partition, offset, shard
        self._consumer: AIOKafkaConsumer | None = None
        self._arrived = asyncio.Event()
        self._progress = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self.fault: str | None = None

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
        backoff = Backoff(self._ended)
        while not self._ended.is_set():
            try:
                async with self._membership() as consumer:
                    backoff.reset()
                    self.fault = None
                    await self._fetch(consumer)
            except LinkLostError as error:
                self.fault = (
                    f"Kafka cannot be read ({error}): the sweep delivers; see to the broker."
                )
                log.warning("bus.consumer_disconnected", reason=str(error))
                await backoff.pause()

    async def commit_done(self) -> None:
        """Commit progress as it is made, one request at a time, until cancelled."""
        while True:
            await self._progress.wait()
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
            raise LinkLostError(type(error).__name__) from error
        finally:
            await self._leave(consumer)

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        await self.commit()
        self._consumer = None
        self._offsets.forget()
        self._fetched.clear()
        await _stop(consumer)

    async def _fetch(self, consumer: AIOKafkaConsumer) -> None:
        while not self._ended.is_set():
            room = self._outstanding_max - self._offsets.outstanding
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=room)
            for records in batches.values():
                for record in records:
                    self._accept(record)

    def _accept(self, record: ConsumerRecord) -> None:
        self._offsets.issue(record.partition, record.offset)
        match decode(record.value):
            case Poison(reason=reason):
                self._tally.add("poisoned")
                log.error(
                    "bus.record_skipped",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    reason=reason,
                )
                self._finish(record.partition, record.offset)
            case shard:
                self._fetched.append((record.partition, record.offset, shard))
                self._arrived.set()

    def _hand_out(self, partition: int, offset: int, shard: Shard) -> Received:
        self._tally.add("received")

        async def done() -> None:
            self._finish(partition, offset)

        return Received(shard=shard, done=done)

    def _finish(self, partition: int, offset: int) -> None:
        self._offsets.finish(partition, offset)
        self._room.set()
        self._progress.set()


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

"""The bus over Apache Kafka: the production profile's."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from noticebus.bus.ending import ending
from noticebus.bus.kafka_reader import PACE, KafkaReader, Pace, look_for
from noticebus.bus.options import Connection, KafkaOptions, connect_with
from noticebus.bus.port import (
    AGENCY_TIMEOUT,
    CLOSE_GRACE,
    CONTENT_TYPE,
    OUTSTANDING_SHARDS_MAX,
    QUEUE_SHARDS_MAX,
    SHARD_BYTES_MAX,
    Counts,
    Received,
    Shard,
    Tally,
    encode,
)
from noticebus.bus.publisher import Publisher, Send
from noticebus.bus.reasons import lost
from noticebus.bus.topics import open_agency_topic
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId

CONNECT_TIMEOUT = dt.timedelta(seconds=5)
PUBLISH_TIMEOUT = dt.timedelta(
    seconds=2
)  # after this the sweep takes the deliveries, and the shard is useless
DISCONNECT_TIMEOUT = dt.timedelta(seconds=2)
HEADERS = [("content-type", CONTENT_TYPE.encode())]

_AWAY = "Kafka did not take the record. See to the broker and the agency's topic"

log = structlog.get_logger()


class KafkaBus:
    """`Bus` over Kafka: one idempotent producer (`acks=all`), one group member per `consume`.

    Nothing connects before `run` or `consume`; both connect again by themselves, however long it
    takes.
    """

    def __init__(
        self,
        options: KafkaOptions,
        *,
        queue_max: int = QUEUE_SHARDS_MAX,
        outstanding_max: int = OUTSTANDING_SHARDS_MAX,
        pace: Pace = PACE,
    ) -> None:
        self._options = options
        self._connection = connect_with(options)  # reads files, and refuses what cannot work, once
        self._outstanding_max = outstanding_max
        self._tally = Tally()
        self._closed = False
        self._readers: set[KafkaReader] = set()
        self._producer: AIOKafkaProducer | None = None  # while the link holds
        self._linked = asyncio.Event()
        self._pace = pace
        self._publisher = Publisher(
            connect=self._link, tally=self._tally, queue_max=queue_max, pause_max=pace.pause_max
        )

    @property
    def serves_agencies(self) -> bool:
        return True

    async def open_topic(self, agency_id: AgencyId) -> None:
        await open_agency_topic(self._options, agency_id)

    async def send_to_agency(
        self, agency_id: AgencyId, *, key: str, value: bytes, headers: Mapping[str, str]
    ) -> None:
        topic = self._options.agency_topic(agency_id)
        described = [(name, text.encode()) for name, text in headers.items()]
        future: asyncio.Future[object] | None = None
        try:
            async with asyncio.timeout(AGENCY_TIMEOUT.total_seconds()):
                await self._linked.wait()
                assert self._producer is not None, "there while the link holds"
                future = await self._producer.send(
                    topic, value, key=key.encode(), headers=described
                )
                await future
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise UnavailableError(f"{_AWAY} ({type(error).__name__})") from error
        finally:
            if future is not None:
                _abandon(future)

    def offer(self, shards: Sequence[Shard]) -> None:
        self._publisher.offer(shards)

    @contextlib.asynccontextmanager
    async def consume(self) -> AsyncIterator[AsyncIterator[Received]]:
        reader = KafkaReader(
            self._options,
            self._connection,
            tally=self._tally,
            outstanding_max=self._outstanding_max,
            pace=self._pace,
        )
        self._readers.add(reader)
        if self._closed:
            reader.end()
        try:
            async with asyncio.TaskGroup() as tasks:
                behind = [
                    tasks.create_task(reader.pull(), name="bus.pull"),
                    tasks.create_task(reader.commit_done(), name="bus.commit"),
                ]
                try:
                    yield reader
                finally:
                    for task in behind:
                        task.cancel()
        except ExceptionGroup as group:
            # The caller's own error is the caller's: it leaves as it came, as from every other bus.
            raise group.exceptions[0] if len(group.exceptions) == 1 else group from None
        finally:
            self._readers.discard(reader)

    async def run(self) -> None:
        await self._publisher.run()

    async def close(self, *, grace: dt.timedelta = CLOSE_GRACE) -> None:
        self._closed = True
        await self._publisher.close(grace=grace)
        for reader in self._readers:
            reader.end()

    def faults(self) -> tuple[str, ...]:
        faults = [self._publisher.fault, *(reader.fault for reader in self._readers)]
        return tuple(dict.fromkeys(fault for fault in faults if fault is not None))

    def healthy(self) -> bool:
        return not self.faults()

    def lag(self) -> Mapping[int, int]:
        return {key: behind for reader in self._readers for key, behind in reader.lag.items()}

    def counts(self) -> Counts:
        return self._tally.counts()

    @contextlib.asynccontextmanager
    async def _link(self) -> AsyncIterator[Send]:
        producer = _producer(self._connection)

        async def send(shards: Sequence[Shard]) -> None:
            await (self._publish(producer, shards) if shards else self._probe(producer))

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT.total_seconds()):
                await producer.start()
            await self._probe(producer)
            self._producer = producer
            self._linked.set()
            yield send
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise await lost(self._options, error) from error
        finally:
            self._linked.clear()
            self._producer = None
            await _disconnect(producer)

    async def _probe(self, producer: AIOKafkaProducer) -> None:
        async with asyncio.timeout(PUBLISH_TIMEOUT.total_seconds()):
            await look_for(producer.client, self._options.notices_topic)

    async def _publish(self, producer: AIOKafkaProducer, shards: Sequence[Shard]) -> None:
        """Send a batch and wait for the broker's word on each shard; what gets none has failed."""
        published = 0
        futures: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT.total_seconds()):
                for key, value in _records(shards):
                    topic = self._options.notices_topic
                    futures.append(await producer.send(topic, value, key=key, headers=HEADERS))
                for future in futures:
                    await future
                    published += 1
        finally:
            self._tally.add("published", published)
            self._tally.add("failed", len(shards) - published)
            for future in futures[published:]:
                _abandon(future)


def _producer(connection: Connection) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **connection,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=SHARD_BYTES_MAX,
    )


def _records(shards: Sequence[Shard]) -> list[tuple[bytes, bytes]]:
    """Encode the batch; a shard that cannot be a record is left out, and so counts as failed."""
    records = []
    for shard in shards:
        try:
            value = encode(shard)
        except (TypeError, ValueError):
            log.exception("bus.shard_refused", shard=shard.key, reason="not JSON")
            continue
        if len(value) > SHARD_BYTES_MAX:
            log.error("bus.shard_refused", shard=shard.key, reason="too large", bytes=len(value))
            continue
        records.append((shard.key.encode(), value))
    return records


async def _disconnect(producer: AIOKafkaProducer) -> None:
    """Stop a producer without waiting for a broker that is away.

    An idempotent aiokafka producer keeps its batches until the broker is back, and its `stop` waits
    for that. Ours are given up by now, which nothing public can say.
    """
    async with ending(DISCONNECT_TIMEOUT):
        await producer._sender.close()  # noqa: SLF001
    producer._message_accumulator._batches.clear()  # noqa: SLF001
    producer._message_accumulator._pending_batches.clear()  # noqa: SLF001
    try:
        async with ending(DISCONNECT_TIMEOUT):
            await producer.stop()
    finally:
        await producer.client.close()  # an interrupted `stop` leaves it open


def _abandon(future: asyncio.Future[object]) -> None:
    """Look at a future for the last time, or asyncio reports its error as overlooked."""
    if future.done() and not future.cancelled():
        future.exception()
    future.cancel()

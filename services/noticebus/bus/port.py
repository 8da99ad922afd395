"""The port of the bus: what carries released notices to the dispatchers, and what it promises.

The bus distributes; the database remembers. Losing a shard here costs a delivery at most the sweep
interval, so nothing on this side ever makes a poster wait.
"""

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

from noticebus.ids import AgencyId, DeliveryId, NoticeId

SHARD_DELIVERIES_MAX = 500
SHARD_BYTES_MAX = 256 * 1024  # a record above this is not one of ours
QUEUE_SHARDS_MAX = 1_000  # offered and not yet published; about 500,000 deliveries
OUTSTANDING_SHARDS_MAX = 64  # received by one consumer and not yet done
CLOSE_GRACE = dt.timedelta(seconds=5)
AGENCY_TIMEOUT = dt.timedelta(seconds=5)  # for one record of an agency

SHARD_TYPE = "org.noticebus.shard.v1"
SOURCE = "noticebus"  # a URI-reference, as CloudEvents wants; the readers are our own dispatchers
CONTENT_TYPE = "application/cloudevents+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """At most `SHARD_DELIVERIES_MAX` deliveries of a notice, and what it is about."""

    notice_id: NoticeId
    number: int
    delivery_ids: tuple[DeliveryId, ...]
    notice: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name the shard: the key of its record and the id of its event."""
        return f"{self.notice_id}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A record that is not a shard, and why; never what it held, for that may be personal."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A shard in a consumer's hands.

    Call `done` once its deliveries are claimed, or left to the sweep; never before.
    """

    shard: Shard
    done: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Shards since the start. `offered` = published + dropped + failed + those still waiting."""

    offered: int = 0
    published: int = 0
    dropped: int = 0  # the queue was full, or the bus closed
    failed: int = 0  # the broker was away, or refused the record
    received: int = 0  # handed to a consumer, repeats included
    poisoned: int = 0  # records that are not shards, skipped
    retries: int = 0  # tries to reach the broker that failed


class Tally:
    """The counts as they grow. Only the event loop's thread writes them."""

    def __init__(self) -> None:
        self._by_name = dict.fromkeys((each.name for each in fields(Counts)), 0)

    def add(self, name: str, count: int = 1) -> None:
        self._by_name[name] += count

    def counts(self) -> Counts:
        return Counts(**self._by_name)


class Bus(Protocol):
    """Carry shards from whoever committed them to the dispatchers. One instance per process.

    Ordering: none is promised, not even within a notice; receivers order by version and sequence.
    Durability: none on return of `offer`; a shard that is dropped or fails is not tried again here.
    The rows are due in the database, and the sweep claims them.
    Repeats: at least once. A shard that was not `done` goes to another consumer once its holder has
    left or died, and a done one may come again; the claim in the database makes a repeat harmless.
    Concurrency: `offer` from any task of the loop; each consumer is for one task, `done` may be
    called from others and in any order; `run` once.
    """

    @property
    def serves_agencies(self) -> bool:
        """Tell whether agencies can have a topic of their own here."""
        ...

    async def open_topic(self, agency_id: AgencyId) -> None:
        """Make an agency's topic where it is missing; safe to repeat.

        Raises `ConflictError` where there is no Kafka, `UnavailableError` where it is away.
        """
        ...

    async def send_to_agency(
        self, agency_id: AgencyId, *, key: str, value: bytes, headers: Mapping[str, str]
    ) -> None:
        """Put one record on an agency's topic; on return every in-sync replica has it.

        Waits `AGENCY_TIMEOUT` at most and then raises `UnavailableError`; the record may still
        arrive, so that a repeat makes two. Records of one key keep their order while none is
        repeated.
        """
        ...

    def offer(self, shards: Sequence[Shard]) -> None:
        """Take shards for publication: never waits, never raises; a full queue drops and counts."""
        ...

    def consume(
        self,
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[Received]]:
        """Join the consumers, who share the shards; leaving gives back what is not done.

        The iterator ends when the bus closes; an `anext` that is cancelled loses nothing. It hands
        out at most `OUTSTANDING_SHARDS_MAX` shards that are not done, then waits: a slow consumer
        is not flooded, and the others go on.
        """
        ...

    async def run(self) -> None:
        """Publish what is offered until `close`; an outage is waited out, and ends nothing."""
        ...

    async def close(self, *, grace: dt.timedelta = CLOSE_GRACE) -> None:
        """Refuse further offers, publish what waits within `grace`, end `run` and the consumers."""
        ...

    def faults(self) -> tuple[str, ...]:
        """Say what does not work now, with cause and remedy; empty when all is well."""
        ...

    def healthy(self) -> bool:
        """Tell whether there is no fault, for `/readyz`."""
        ...

    def lag(self) -> Mapping[int, int]:
        """Say how many records wait to be claimed, by partition, of those this process reads.

        As of a few seconds ago. No consumer, no partition; the sum over all processes is the bus's.
        """
        ...

    def counts(self) -> Counts:
        """Give the counts since the start."""
        ...


def split(
    notice_id: NoticeId,
    delivery_ids: Sequence[DeliveryId],
    *,
    notice: Mapping[str, object] | None = None,
) -> list[Shard]:
    """Cut a notice's deliveries into shards of at most `SHARD_DELIVERIES_MAX`, numbered from 0."""
    return [
        Shard(notice_id=notice_id, number=number, delivery_ids=ids, notice=notice or {})
        for number, ids in enumerate(_chunks(delivery_ids))
    ]


def encode(shard: Shard) -> bytes:
    """Write a shard as a CloudEvents 1.0 structured JSON event, UTF-8."""
    event = {
        "specversion": "1.0",
        "id": shard.key,
        "source": SOURCE,
        "type": SHARD_TYPE,
        "subject": shard.notice_id,
        "datacontenttype": "application/json",
        "data": {
            "notice_id": shard.notice_id,
            "number": shard.number,
            "delivery_ids": shard.delivery_ids,
            "notice": dict(shard.notice),
        },
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def decode(value: bytes | None) -> Shard | Poison:
    """Read a record's value. Whatever it holds, the answer is a value: nothing is raised."""
    if value is None:
        return Poison(reason="it has no value")
    if len(value) > SHARD_BYTES_MAX:
        return Poison(reason=f"it has more than {SHARD_BYTES_MAX} bytes")
    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        return Poison(reason="it is not JSON")
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        return Poison(reason="it is not a CloudEvents 1.0 event")
    if event.get("type") != SHARD_TYPE:
        return Poison(reason=f"its type is not {SHARD_TYPE}")
    return _read_data(event.get("data"))


@contextlib.asynccontextmanager
async def running(bus: Bus, *, grace: dt.timedelta = CLOSE_GRACE) -> AsyncIterator[Bus]:
    """Hold a bus's `run` for the length of a block, and close it with `grace` at the end."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bus.run(), name="bus")
        try:
            yield bus
        finally:
            await bus.close(grace=grace)


def _chunks(delivery_ids: Sequence[DeliveryId]) -> Iterator[tuple[DeliveryId, ...]]:
    for start in range(0, len(delivery_ids), SHARD_DELIVERIES_MAX):
        yield tuple(delivery_ids[start : start + SHARD_DELIVERIES_MAX])


def _read_data(data: object) -> Shard | Poison:
    match data:
        case {
            "notice_id": str(notice_id),
            "number": int(number),
            "delivery_ids": list(delivery_ids),
            "notice": dict(notice),
        } if _is_number(number) and _are_delivery_ids(delivery_ids):
            return Shard(
                notice_id=NoticeId(notice_id),
                number=number,
                delivery_ids=tuple(DeliveryId(each) for each in delivery_ids),
                notice=notice,
            )
        case _:
            return Poison(reason="its data does not name a notice, a number and its deliveries")


def _is_number(value: int) -> bool:
    return value >= 0 and not isinstance(value, bool)  # JSON's true is an int to Python


def _are_delivery_ids(values: list[object]) -> bool:
    return 0 < len(values) <= SHARD_DELIVERIES_MAX and all(
        isinstance(value, str) and value.startswith("dlv_") for value in values
    )

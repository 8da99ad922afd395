"""F5: the write to the queue fails, is logged, and the caller is told that all is well.

Better: what is answered is true without the bus: 201 means stored, and the sweep delivers it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import by_hand
from harness import desk as furnish
from harness.api import open_api
from harness.place import Place, embedded, production
from harness.system import Bus, open_bus
from noticebus.bus.memory import MemoryBus
from noticebus.bus.port import Bus as Port
from noticebus.bus.port import Shard
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import AgencyKind, DeliveryState, Scope
from noticebus.store import deliveries


class FullBus(MemoryBus):
    """A bus whose queue is full from the start: every shard is dropped and counted."""

    def __init__(self) -> None:
        super().__init__(queue_max=0)


class RaisingBus(MemoryBus):
    """A bus that breaks its promise and raises when it is offered something."""

    def offer(self, shards: Sequence[Shard]) -> None:
        raise OSError(f"the bus took none of {len(shards)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind(Place):
    """A place with a bus of the test's."""

    port: Port

    def make_bus(self) -> Port:
        return self.port


@pytest.fixture(params=[FullBus, RaisingBus])
async def broken_bus(
    request: pytest.FixtureRequest, base: str, tmp_path: Path
) -> AsyncIterator[Bus]:
    made = embedded(tmp_path) if base == "sqlite" else production(tmp_path)
    async with made as lent:
        place = Behind(folder=lent.folder, database_url=lent.database_url, port=request.param())
        clock = ManualClock(furnish.MORNING)
        async with open_bus(place, roles=(), strict=False, machine=clock) as bus:
            yield bus


@pytest.mark.parametrize("base", ["sqlite", "postgresql"])
async def test_f05_a_notice_that_no_bus_took_is_answered_truthfully_and_delivered(
    broken_bus: Bus,
) -> None:
    bus = broken_bus
    office = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
    county = await bus.agency("Scott County CPS")
    async with open_api(bus.desk) as api:
        poster = await api.caller(Scope.POST, agency=office)
        answer = await poster.post_notice(furnish.notice_body(bus.desk))

    assert await by_hand.sweep(bus) == 0, "the sweep leaves the bus its two seconds"
    assert await by_hand.sweep_unclaimed(bus) == 1

    (arrived,) = county.receiver.arrivals.all
    async with bus.desk.database.read() as conn:
        (stored,) = await deliveries.deliveries_of(
            conn, incident_id=answer["incident_id"], limit=10
        )
    assert arrived.headers["webhook-id"] == stored.id
    assert stored.state is DeliveryState.DELIVERED
    assert answer["recipients"]["count"] == 1

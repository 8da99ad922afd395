"""A bus whose loops stand still: the test does the dispatcher's work, and moves both clocks."""

import datetime as dt

from harness.system import Bus
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.ids import DeliveryId
from noticebus.store.deliveries import Attempt, insert_attempts

SECOND = dt.timedelta(seconds=1)
LEASE = dt.timedelta(seconds=20)
BEHIND_THE_BUS = 3 * SECOND  # the sweep leaves to the bus what is younger


def machine(bus: Bus) -> ManualClock:
    """Give the machine's clock, to move it."""
    assert isinstance(bus.desk.machine, ManualClock), "opened with one"
    return bus.desk.machine


async def sweep(bus: Bus) -> int:
    """Send and record everything that is due now and nobody holds; say how many tries it took."""
    tried = 0
    while count := await bus.system.dispatcher.sweep():
        await record(bus, count)
        tried += count
    return tried


async def record(bus: Bus, count: int) -> None:
    """Record the outcomes of so many tries."""
    while count > 0:
        count -= await bus.system.dispatcher.record_waiting()


async def sweep_unclaimed(bus: Bus) -> int:
    """Sweep what the bus was given and nobody took from it."""
    machine(bus).advance(BEHIND_THE_BUS)
    return await sweep(bus)


async def occupy_first_attempt(bus: Bus, delivery_id: DeliveryId) -> None:
    """Store a row where the first attempt's will have to go, so that none can be stored there."""
    row = Attempt(
        delivery_id=delivery_id,
        number=1,
        started_at=bus.world.now(),
        finished_at=bus.world.now(),
        outcome=Outcome.FAILED,
        fault=Fault.OURS,
        status_code=None,
        body_digest="",
        response_excerpt="",
        error="made by the test",
        duration_ms=0,
    )
    async with bus.desk.database.begin() as conn:
        await insert_attempts(conn, [row])

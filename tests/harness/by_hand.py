"""A bus whose loops stand still: the test does the dispatcher's work, and moves both clocks."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator

import sqlalchemy as sa

from harness.system import Bus
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import DeliveryState
from noticebus.store.tables import deliveries

SECOND = dt.timedelta(seconds=1)
LEASE = dt.timedelta(seconds=20)
BEHIND_THE_BUS = 3 * SECOND  # the sweep leaves to the bus what is younger
CHECK_VIOLATION = "23514"
CANNOT_CONNECT_NOW = "57P03"
REFUSAL = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the test refuses it' USING ERRCODE = '{sqlstate}'; END $$
"""


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


async def lose_claims(bus: Bus) -> None:
    """Take back the claims of what is being sent, as a crash of the database does to its last."""
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.state == DeliveryState.SENDING)
            .values(
                state=DeliveryState.QUEUED,
                attempts=deliveries.c.attempts - 1,
                lease_until=bus.desk.machine.now(),
            )
        )


@contextlib.asynccontextmanager
async def refusing(
    bus: Bus, event: str, *, table: str, when: str, sqlstate: str = CHECK_VIOLATION
) -> AsyncIterator[None]:
    """Let the database refuse what is written to a table, for the length of a block.

    By the usual `sqlstate` it is a value that it cannot hold; SQLite knows no other.
    """
    trigger = f"CREATE TRIGGER refusal BEFORE {event} ON {table}"
    if bus.desk.database.is_sqlite:
        begin = [f"{trigger} WHEN {when} BEGIN SELECT RAISE(ABORT, 'the test refuses it'); END"]
        end = "DROP TRIGGER refusal"
    else:
        each = f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        begin = [REFUSAL.format(sqlstate=sqlstate), f"{trigger} {each}"]
        end = f"DROP TRIGGER refusal ON {table}"
    await _run(bus, *begin)
    yield
    await _run(bus, end)


async def _run(bus: Bus, *statements: str) -> None:
    async with bus.desk.database.begin() as conn:
        for one in statements:
            await conn.execute(sa.text(one))

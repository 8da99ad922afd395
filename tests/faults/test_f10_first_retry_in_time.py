"""F10: the first retry waits for a log that is written in batches, and comes 30 s late.

Better: it goes at its second, from the delivery's own row and the notice; it reads no log.
"""

import datetime as dt

import sqlalchemy as sa

from harness import by_hand
from harness.receivers import Behaviour
from harness.system import Bus
from noticebus.contracts.vocabulary import DeliveryState, NoticeClass
from noticebus.store.tables import attempts

INSTANT = dt.timedelta(microseconds=1)


async def test_f10_the_first_retry_goes_at_its_time_and_needs_no_log(still_bus: Bus) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    county.receiver.then.append(Behaviour(status=503))
    notice = await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    failed_at = bus.world.now()
    (waiting,) = await bus.deliveries_of(notice)
    assert waiting.due_at is not None
    await _lose_the_log(bus)

    bus.world.move_to(waiting.due_at - INSTANT)
    early = await by_hand.sweep(bus)
    bus.world.move_to(waiting.due_at)
    in_time = await by_hand.sweep(bus)

    schedule = bus.desk.schedules[NoticeClass.B]
    first, last = (schedule.jittered(schedule.delays[0], drawn) for drawn in (0.0, 1.0))
    (delivered,) = await bus.deliveries_of(notice)
    assert first <= waiting.due_at - failed_at <= last
    assert (early, in_time) == (0, 1)
    assert delivered.state is DeliveryState.DELIVERED
    assert len({one.body for one in county.receiver.arrivals.all}) == 1


async def _lose_the_log(bus: Bus) -> None:
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.delete(attempts))

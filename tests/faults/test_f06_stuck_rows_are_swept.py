"""F6: a row is inserted, its enqueue fails, and nobody ever looks at it again.

Better: the row is the queue. Whatever stays queued or sending is claimed by the sweep.
"""

from harness import by_hand
from harness.by_hand import SECOND
from harness.system import Bus
from noticebus.contracts.vocabulary import DeliveryState


async def test_f06_a_row_that_no_dispatcher_ever_heard_of_is_swept(still_bus: Bus) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    (queued,) = await bus.deliveries_of(notice)

    await by_hand.sweep_unclaimed(bus)

    (delivered,) = await bus.deliveries_of(notice)
    assert queued.state is DeliveryState.QUEUED
    assert delivered.state is DeliveryState.DELIVERED
    assert len(county.receiver.arrivals.all) == 1


async def test_f06_a_row_that_a_dispatcher_took_and_never_brought_back_is_swept(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    (load,) = await bus.system.dispatcher._claim_due()  # and then it dies
    taken = load.delivery

    by_hand.machine(bus).advance(by_hand.LEASE - SECOND)
    assert await by_hand.sweep(bus) == 0, "its lease protects it"
    by_hand.machine(bus).advance(SECOND)
    assert await by_hand.sweep(bus) == 1

    (delivered,) = await bus.deliveries_of(notice)
    (arrived,) = county.receiver.arrivals.all
    assert (taken.state, delivered.state) == (DeliveryState.SENDING, DeliveryState.DELIVERED)
    assert arrived.headers["webhook-id"] == taken.id
    assert delivered.attempts == 2

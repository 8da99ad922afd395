"""F9: an attempt's record is lost, its retry needs the record, and cycles until it is dead.

Better: an outcome that cannot be stored ends its delivery, visibly; a claim outlived by its
dispatcher is repeated under the same id and recorded then.
"""

from harness import by_hand
from harness.by_hand import SECOND
from harness.system import Bus
from noticebus.contracts.vocabulary import DeliveryState, Outcome


async def test_f09_an_outcome_that_cannot_be_stored_ends_its_delivery_and_is_entered(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    (delivery,) = await bus.deliveries_of(notice)
    await by_hand.occupy_first_attempt(bus, delivery.id)

    await by_hand.sweep_unclaimed(bus)
    for _ in range(5):
        by_hand.machine(bus).advance(2 * by_hand.LEASE)
        bus.world.advance(600 * SECOND)
        await by_hand.sweep(bus)
    await bus.system.sequencer.sweep()

    (ended,) = await bus.deliveries_of(notice)
    entered = [
        one["data"]["reason"]
        for one in await bus.entries_of(notice.incident_id)
        if one["type"] == "delivery.exhausted"
    ]
    assert len(county.receiver.arrivals.all) == 1, "nothing loops"
    assert ended.state is DeliveryState.EXHAUSTED
    assert entered == ["its outcome could not be recorded"]


async def test_f09_an_attempt_whose_record_died_is_repeated_under_its_id_and_recorded(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    await bus.system.dispatcher.sweep()  # it is sent, and the process dies before it is recorded
    bus.system.dispatcher._tried.get_nowait()

    by_hand.machine(bus).advance(by_hand.LEASE)
    await by_hand.sweep(bus)

    (delivery,) = await bus.deliveries_of(notice)
    (attempt,) = await bus.attempts_of(delivery)
    arrived = county.receiver.arrivals.all
    assert delivery.state is DeliveryState.DELIVERED
    assert (attempt.number, attempt.outcome) == (2, Outcome.DELIVERED)
    assert len(arrived) == 2
    assert len({(one.headers["webhook-id"], one.body) for one in arrived}) == 1

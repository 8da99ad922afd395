"""F2: one endpoint's failure inside a batch sends the whole batch again.

Better: what succeeded is recorded by itself and not repeated, whatever is wrong with a neighbour.
"""

from harness import by_hand
from harness.by_hand import SECOND
from harness.receivers import Behaviour
from harness.system import Bus
from noticebus.contracts.vocabulary import DeliveryState


async def test_f02_when_one_endpoint_of_a_batch_fails_the_others_get_nothing_again(
    still_bus: Bus,
) -> None:
    bus = still_bus
    names = ("Scott County CPS", "Leake County CPS", "Newton County CPS")
    counties = [await bus.agency(name) for name in names]
    counties[1].receiver.then.extend([Behaviour(status=500), Behaviour(drop=True)])
    notice = await bus.post_notice()

    await by_hand.sweep_unclaimed(bus)
    for _ in range(3):
        bus.world.advance(5 * SECOND)
        await by_hand.sweep(bus)

    arrived = [len(one.receiver.arrivals.all) for one in counties]
    assert arrived == [1, 3, 1]
    assert len({one.headers["webhook-id"] for one in counties[1].receiver.arrivals.all}) == 1
    assert {one.state for one in await bus.deliveries_of(notice)} == {DeliveryState.DELIVERED}


async def test_f02_when_one_outcome_of_a_batch_cannot_be_stored_the_others_are(
    still_bus: Bus,
) -> None:
    bus = still_bus
    counties = [await bus.agency(name) for name in ("Scott County CPS", "Leake County CPS")]
    notice = await bus.post_notice()
    broken, sound = sorted(await bus.deliveries_of(notice), key=lambda one: one.id)

    of_broken = f"NEW.delivery_id = '{broken.id}'"
    async with by_hand.refusing(bus, "INSERT", table="attempts", when=of_broken):
        await by_hand.sweep_unclaimed(bus)
        by_hand.machine(bus).advance(2 * by_hand.LEASE)
        bus.world.advance(60 * SECOND)
        await by_hand.sweep(bus)

    states = {one.id: one.state for one in await bus.deliveries_of(notice)}
    assert states == {broken.id: DeliveryState.EXHAUSTED, sound.id: DeliveryState.DELIVERED}
    assert [len(one.receiver.arrivals.all) for one in counties] == [1, 1]

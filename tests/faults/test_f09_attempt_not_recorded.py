"""F9: an attempt's record is lost, its retry needs the record, and cycles until it is dead.

Better: an outcome that cannot be stored ends its delivery, visibly; a claim outlived by its
dispatcher, or lost with its database, is repeated under the same id and recorded then.
"""

import contextlib
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from harness import by_hand
from harness.by_hand import SECOND
from harness.member import Posted
from harness.receivers import Behaviour
from harness.system import Bus
from noticebus.contracts.vocabulary import Channel, DeliveryState, Outcome, Position


async def entered(bus: Bus, notice: Posted) -> list[tuple[str, str | int | None]]:
    """Give what the ledger says of an incident's deliveries, each with its reason or status.

    First those that reached their recipient first.
    """
    await bus.system.sequencer.sweep()
    told = [
        (one["type"], one["data"].get("reason", one["data"].get("status_code")))
        for one in await bus.entries_of(notice.incident_id)
        if one["type"].startswith("delivery.") or one["type"] == "obligation.delivered"
    ]
    return sorted(told, key=lambda one: one[0] != "obligation.delivered")


@contextlib.contextmanager
def breaking(bus: Bus, table: str) -> Iterator[None]:
    """Let our own code break whenever it stores rows of a table, for the length of a block."""
    stores = (f"INSERT INTO {table} ", f"COPY {table} ")
    engines = [one.sync_engine for one in bus.desk.database.engines]

    def break_(_conn: object, _cursor: object, sent: str, *_: object) -> None:
        assert not any(one in sent for one in stores), "the test breaks it"

    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", break_)
    yield
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", break_)


async def test_f09_an_outcome_that_cannot_be_stored_ends_its_delivery_and_is_entered(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    notice = await bus.post_notice()
    (delivery,) = await bus.deliveries_of(notice)

    of_this = f"NEW.delivery_id = '{delivery.id}'"
    async with by_hand.refusing(bus, "INSERT", table="attempts", when=of_this):
        await by_hand.sweep_unclaimed(bus)
        for _ in range(5):
            by_hand.machine(bus).advance(2 * by_hand.LEASE)
            bus.world.advance(600 * SECOND)
            await by_hand.sweep(bus)

    assert len(county.receiver.arrivals.all) == 1, "nothing loops"
    assert {one.channel: one.state for one in await bus.deliveries_of(notice)} == {
        Channel.WEBHOOK: DeliveryState.EXHAUSTED,
        Channel.EMAIL: DeliveryState.DELIVERED,
    }
    assert await entered(bus, notice) == [
        ("obligation.delivered", None),
        ("delivery.exhausted", "its outcome could not be recorded"),
    ]


@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "broken"])
async def test_f09_a_next_channel_that_cannot_start_ends_its_delivery_and_holds_up_no_other(
    still_bus: Bus, *, is_refused: bool
) -> None:
    bus = still_bus
    failing = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    sound = await bus.agency("Leake County CPS")
    failing.receiver.then.append(Behaviour(status=500))
    notice = await bus.post_notice()
    mail = "NEW.channel = 'email'"

    async with contextlib.AsyncExitStack() as block:
        if is_refused:
            refused = by_hand.refusing(bus, "INSERT", table="deliveries", when=mail)
            await block.enter_async_context(refused)
        else:
            block.enter_context(breaking(bus, "deliveries"))
        await by_hand.sweep_unclaimed(bus)
        by_hand.machine(bus).advance(2 * by_hand.LEASE)
        bus.world.advance(60 * SECOND)
        await by_hand.sweep(bus)
    states = {one.agency_id: one.state for one in await bus.deliveries_of(notice)}
    next_notice = await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)

    assert states == {
        failing.row.id: DeliveryState.EXHAUSTED,
        sound.row.id: DeliveryState.DELIVERED,
    }
    assert await entered(bus, notice) == [
        ("obligation.delivered", 200),
        ("delivery.exhausted", "its outcome could not be recorded, nor its next channel started"),
    ]
    assert {one.state for one in await bus.deliveries_of(next_notice)} == {DeliveryState.DELIVERED}


async def test_f09_a_delivery_that_cannot_even_be_ended_is_left_to_its_lease(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()

    with breaking(bus, "entries"):
        await by_hand.sweep_unclaimed(bus)
    (before,) = await bus.deliveries_of(notice)
    by_hand.machine(bus).advance(by_hand.LEASE)
    await by_hand.sweep(bus)

    (after,) = await bus.deliveries_of(notice)
    assert before.state is DeliveryState.SENDING
    assert after.state is DeliveryState.DELIVERED
    assert len(county.receiver.arrivals.all) == 2


async def test_f09_an_attempt_whose_record_died_is_repeated_under_its_id_and_recorded(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    await bus.system.dispatcher.sweep()  # it is sent, and the process dies before it is recorded
    bus.system.dispatcher._recorder._tried.get_nowait()

    by_hand.machine(bus).advance(by_hand.LEASE)
    await by_hand.sweep(bus)

    (delivery,) = await bus.deliveries_of(notice)
    (attempt,) = await bus.attempts_of(delivery)
    arrived = county.receiver.arrivals.all
    assert delivery.state is DeliveryState.DELIVERED
    assert (attempt.number, attempt.outcome) == (2, Outcome.DELIVERED)
    assert len(arrived) == 2
    assert len({(one.headers["webhook-id"], one.body) for one in arrived}) == 1


@pytest.mark.parametrize("first", [Behaviour(), Behaviour(status=500)], ids=["taken", "failed"])
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
async def test_f09_a_claim_lost_with_its_database_costs_one_repeat_under_the_same_id(
    still_bus: Bus, first: Behaviour, *, together: bool
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    county.receiver.then.append(first)
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)

    await bus.system.dispatcher.sweep()  # it is sent, and then the database restarts without it
    await by_hand.lose_claims(bus)
    if not together:
        await by_hand.record(bus, 1)
    await bus.system.dispatcher.sweep()
    await by_hand.record(bus, 2 if together else 1)

    (delivery,) = await bus.deliveries_of(notice)
    attempts = await bus.attempts_of(delivery)
    arrived = county.receiver.arrivals.all
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert [(one.number, one.outcome) for one in attempts] == [(1, Outcome.DELIVERED)]
    assert len(arrived) == 2
    assert len({(one.headers["webhook-id"], one.body) for one in arrived}) == 1
    told = [("obligation.delivered", 200)]
    if first.status == 200 and not together:  # its success was known before its record was ours
        told.append(("delivery.delivered", 200))
    assert await entered(bus, notice) == told


@pytest.mark.parametrize("first", [Behaviour(), Behaviour(status=500)], ids=["taken", "failed"])
async def test_f09_an_outcome_that_comes_after_that_of_the_repeat_changes_nothing(
    still_bus: Bus, first: Behaviour
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    county.receiver.then.append(first)
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    dispatcher = bus.system.dispatcher

    await dispatcher.sweep()
    # Another dispatcher's, that waits for its connection.
    late = dispatcher._recorder._tried.get_nowait()
    await by_hand.lose_claims(bus)
    await by_hand.sweep(bus)
    recorded = await bus.deliveries_of(notice)
    await dispatcher._recorder._tried.put(late)
    await by_hand.record(bus, 1)

    (delivery,) = await bus.deliveries_of(notice)
    assert [delivery] == recorded
    assert [one.outcome for one in await bus.attempts_of(delivery)] == [Outcome.DELIVERED]
    assert await entered(bus, notice) == [("obligation.delivered", 200)]


async def test_f09_a_batch_whose_commit_nobody_heard_of_is_entered_once(still_bus: Bus) -> None:
    """The database commits and dies before it says so; the recorder brings the batch again."""
    bus = still_bus
    counties = [await bus.agency(name) for name in ("Scott County CPS", "Leake County CPS")]
    counties[1].receiver.then.append(Behaviour(status=404))
    notice = await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    dispatcher = bus.system.dispatcher

    await dispatcher.sweep()
    batch = [dispatcher._recorder._tried.get_nowait() for _ in counties]
    for _ in range(2):
        for one in batch:
            await dispatcher._recorder._tried.put(one)
        await by_hand.record(bus, 2)

    states = sorted(one.state for one in await bus.deliveries_of(notice))
    assert states == [DeliveryState.DELIVERED, DeliveryState.QUEUED]
    assert await entered(bus, notice) == [
        ("obligation.delivered", 200),
        ("delivery.refused", 404),
    ]

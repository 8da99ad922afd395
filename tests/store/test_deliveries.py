"""Deliveries in the database: claimed by one, fenced by number, ended by what overtakes them."""

import asyncio
import datetime as dt
from dataclasses import replace

from harness import desk as furnish
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Cause, DeliveryState, Outcome
from noticebus.ids import DeliveryId
from noticebus.store import claims, deliveries
from noticebus.store.deliveries import Attempt, Delivery, Recording
from noticebus.store.notices import Notice

MACHINE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LEASE = dt.timedelta(seconds=20)
DIGEST = "d" * 64


async def queue(desk: Desk, count: int) -> tuple[Notice, list[DeliveryId]]:
    """Queue a mail to each of `count` agencies about one notice."""
    for number in range(count):
        agency = await furnish.add_agency(desk, f"CPS {number}")
        await furnish.add_contact(desk, agency, f"Duty {number}")
    poster = await furnish.add_agency(desk, "Field office", county_fips=None)
    notice = await furnish.post_notice(desk, poster, body=furnish.notice_body(desk))
    found = await stored(desk, notice)
    assert len(found) == count
    return notice, [one.id for one in found]


async def stored(desk: Desk, notice: Notice) -> list[Delivery]:
    async with desk.database.read() as conn:
        found = await deliveries.deliveries_of(conn, incident_id=notice.incident_id, limit=1000)
    return found[::-1]


async def claim(desk: Desk, *, at: dt.datetime, most: int = 500) -> list[Delivery]:
    async with desk.database.begin_relaxed() as conn:
        return await claims.claim_due(
            conn,
            now=desk.world.now(),
            machine_now=at,
            lease_until=at + LEASE,
            batch_size_max=most,
        )


def after_holds(desk: Desk) -> dt.datetime:
    """Give a machine time by which the bus's hold has ended."""
    return desk.machine.now() + dt.timedelta(seconds=3)


async def test_a_shard_is_claimed_once_and_only_what_nobody_has_tried(desk: Desk) -> None:
    _, ids = await queue(desk, 3)
    until = desk.machine.now() + LEASE
    async with desk.database.begin_relaxed() as conn:
        first = await claims.claim_shard(conn, ids[:2], lease_until=until)
    async with desk.database.begin_relaxed() as conn:
        second = await claims.claim_shard(conn, ids, lease_until=until)

    assert {one.id for one in first} == set(ids[:2])
    assert [one.id for one in second] == ids[2:]
    assert {one.attempts for one in (*first, *second)} == {1}
    assert {one.state for one in (*first, *second)} == {DeliveryState.SENDING}


async def test_the_sweep_leaves_what_the_bus_or_a_dispatcher_holds(desk: Desk) -> None:
    _, ids = await queue(desk, 2)
    late = after_holds(desk)

    held_by_bus = await claim(desk, at=desk.machine.now())
    claimed = await claim(desk, at=late, most=1)
    rest = await claim(desk, at=late)
    nothing = await claim(desk, at=late + LEASE - dt.timedelta(seconds=1))
    again = await claim(desk, at=late + LEASE)

    assert held_by_bus == []
    assert {one.id for one in (*claimed, *rest)} == set(ids)
    assert len(claimed) == len(rest) == 1
    assert nothing == []
    assert {(one.id, one.attempts) for one in again} == {(id_, 2) for id_ in ids}


async def test_two_sweeps_at_once_share_the_work(desk: Desk) -> None:
    _, ids = await queue(desk, 8)
    late = after_holds(desk)
    async with asyncio.TaskGroup() as tasks:
        sweeps = [tasks.create_task(claim(desk, at=late, most=3)) for _ in range(4)]

    claimed = [one.id for sweep in sweeps for one in sweep.result()]
    assert sorted(claimed) == sorted(set(claimed))
    left = await claim(desk, at=late)
    assert {*claimed, *(one.id for one in left)} == set(ids)


async def test_only_the_latest_claim_may_record_an_outcome(desk: Desk) -> None:
    notice, _ = await queue(desk, 1)
    late = after_holds(desk)
    (old,) = await claim(desk, at=late)
    (new,) = await claim(desk, at=late + LEASE)

    async with desk.database.begin() as conn:
        held = await deliveries.held_deliveries(
            conn, [(old.id, old.attempts), (new.id, new.attempts)]
        )
        await deliveries.record(conn, [_exhausted(old)], machine_now=late)
    (after_old,) = await stored(desk, notice)
    async with desk.database.begin() as conn:
        await deliveries.record(conn, [_exhausted(new)], machine_now=late)
    (after_new,) = await stored(desk, notice)

    assert held == {(new.id, 2)}
    assert after_old.state is DeliveryState.SENDING
    assert after_new.state is DeliveryState.EXHAUSTED


def _exhausted(claimed: Delivery) -> Recording:
    return Recording(
        delivery_id=claimed.id,
        attempts=claimed.attempts,
        state=DeliveryState.EXHAUSTED,
        due_at=None,
        recipient_attempts=1,
        first_failed_at=MACHINE,
        finished_at=MACHINE,
    )


async def test_moot_ends_what_is_queued_up_to_the_answered_version(desk: Desk) -> None:
    notice, _ = await queue(desk, 1)
    (first,) = await stored(desk, notice)
    assert first.obligation_id is not None

    async def moot(version_max: int) -> int:
        async with desk.database.begin() as conn:
            return await deliveries.make_moot(
                conn,
                [first.obligation_id] if first.obligation_id else [],
                finished_at=desk.world.now(),
                causes=[Cause.NOTICE],
                version_max=version_max,
            )

    assert [await moot(0), await moot(1), await moot(1)] == [0, 1, 0]
    (after,) = await stored(desk, notice)
    assert (after.state, after.due_at) == (DeliveryState.MOOT, None)


async def test_the_first_digest_is_that_of_the_first_attempt_that_sent_something(
    desk: Desk,
) -> None:
    _, (id_,) = await queue(desk, 1)
    async with desk.database.begin() as conn:
        for number, digest in ((1, ""), (3, DIGEST), (4, "e" * 64)):
            await deliveries.insert_attempts(conn, [_attempt(id_, number, digest)])
    async with desk.database.read() as conn:
        found = await claims.destinations_of(conn, [id_])

    assert found[id_].first_digest == DIGEST


async def test_an_attempt_that_is_there_stays_unless_its_claim_is_ours(desk: Desk) -> None:
    """It then keeps the digest of what went out, should nothing have gone out since."""
    _, (id_,) = await queue(desk, 1)
    first = _attempt(id_, 1, DIGEST)
    sent = replace(first, body_digest="e" * 64, outcome=Outcome.DELIVERED, provider_id="SM1")
    unsent = replace(first, body_digest="", outcome=Outcome.UNSENDABLE)
    found = []
    for write, attempt in (
        (deliveries.insert_attempts, first),
        (deliveries.insert_attempts, sent),
        (deliveries.write_attempts, unsent),
        (deliveries.write_attempts, sent),
    ):
        async with desk.database.begin() as conn:
            await write(conn, [attempt])
            await write(conn, [])
        async with desk.database.read() as conn:
            found.extend((await deliveries.attempts_of(conn, [id_]))[id_])

    assert found == [first, first, replace(unsent, body_digest=DIGEST), sent]


def _attempt(id_: DeliveryId, number: int, digest: str) -> Attempt:
    return Attempt(
        delivery_id=id_,
        number=number,
        started_at=MACHINE,
        finished_at=MACHINE,
        outcome=Outcome.FAILED,
        fault=None,
        status_code=None,
        body_digest=digest,
        response_excerpt="",
        error="",
        duration_ms=1,
    )


async def test_a_next_channel_that_was_started_is_not_started_again(desk: Desk) -> None:
    notice, _ = await queue(desk, 1)
    (first,) = await stored(desk, notice)
    again = copy_of(first)
    async with desk.database.begin() as conn:
        await deliveries.insert_missing(conn, [again])

    assert [one.id for one in await stored(desk, notice)] == [first.id]


def copy_of(first: Delivery) -> Delivery:
    """Make another delivery of the same thing to the same destination."""
    return replace(first, id=DeliveryId(first.id[:-1] + ("0" if first.id[-1] != "0" else "1")))

"""Obligations in the database: due ones, first deliveries, steps that happen once."""

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Notify, ObligationState
from noticebus.store import deliveries, obligations
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation, StepRow

HOUR = dt.timedelta(hours=1)


async def bind(
    desk: Desk, count: int = 1, *, notice_class: str = "B"
) -> tuple[Notice, list[Obligation]]:
    """Bind `count` agencies, each with a mailbox, by one notice."""
    for number in range(count):
        agency = await furnish.add_agency(desk, f"CPS {number}")
        await furnish.add_contact(desk, agency, f"Duty {number}")
    poster = await furnish.add_agency(desk, "Field office", county_fips=None)
    body = furnish.notice_body(desk, **{"class": notice_class})
    notice = await furnish.post_notice(desk, poster, body=body)
    return notice, await bound(desk, notice)


async def bound(desk: Desk, notice: Notice) -> list[Obligation]:
    async with desk.database.read() as conn:
        return await obligations.obligations_of(conn, incident_id=notice.incident_id, limit=100)


async def test_due_obligations_come_longest_due_first_and_not_before(desk: Desk) -> None:
    _, owed = await bind(desk, 3)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        early = await obligations.lock_due(conn, now=now, batch_size_max=10)
        last_first = [replace(one, next_step_at=now - n * HOUR) for n, one in enumerate(owed)]
        await obligations.save_all(conn, last_first)
        due = await obligations.lock_due(conn, now=now, batch_size_max=2)
        upcoming = await obligations.next_step_at(conn)

    assert early == []
    assert [one.id for one in due] == [owed[2].id, owed[1].id]
    assert upcoming == now - 2 * HOUR


async def test_a_step_is_a_row_that_exists_once(desk: Desk) -> None:
    _, (owed,) = await bind(desk)
    row = StepRow(
        obligation_id=owed.id,
        epoch=1,
        step=0,
        notify=Notify.ON_DUTY,
        skipped=False,
        contact_ids=[],
        planned_at=desk.world.now(),
        fired_at=desk.world.now(),
    )
    async with desk.database.begin() as conn:
        await obligations.insert_steps(conn, [row])

    with pytest.raises(sa.exc.IntegrityError):
        async with desk.database.begin() as conn:
            await obligations.insert_steps(conn, [row])


@pytest.mark.parametrize(("notice_class", "state"), [("B", "open"), ("D", "closed")])
async def test_the_first_delivery_is_noted_once_and_closes_class_d_alone(
    desk: Desk, notice_class: str, state: str
) -> None:
    notice, _ = await bind(desk, notice_class=notice_class)
    async with desk.database.begin() as conn:
        found = await deliveries.deliveries_of(conn, incident_id=notice.incident_id, limit=10)
        ids = [one.id for one in found]
        first = await obligations.mark_delivered(conn, ids, at=desk.world.now())
        second = await obligations.mark_delivered(conn, ids, at=desk.world.now() + HOUR)

    (owed,) = await bound(desk, notice)
    assert ([one.id for one in first], second) == ([owed.id], [])
    assert owed.delivered_at == desk.world.now()
    assert owed.state is ObligationState(state)


async def test_a_delivery_of_an_older_version_says_nothing_about_the_round(desk: Desk) -> None:
    notice, (owed,) = await bind(desk)
    async with desk.database.begin() as conn:
        await obligations.save_all(conn, [replace(owed, round_version=2, epoch=2)])
        found = await deliveries.deliveries_of(conn, incident_id=notice.incident_id, limit=10)
        marked = await obligations.mark_delivered(
            conn, [one.id for one in found], at=desk.world.now()
        )

    assert marked == []


async def test_a_change_of_what_has_changed_meanwhile_is_refused(desk: Desk) -> None:
    _, (owed,) = await bind(desk)
    closed = replace(owed, state=ObligationState.CLOSED, closed_at=desk.world.now())
    async with desk.database.begin() as conn:
        won = await obligations.save(conn, before=owed, after=closed)
        lost = await obligations.save(conn, before=owed, after=replace(owed, step=1))

    assert (won, lost) == (True, False)


async def test_obligations_are_counted_by_state(desk: Desk) -> None:
    notice, owed = await bind(desk, 3)
    async with desk.database.begin() as conn:
        await obligations.save_all(conn, [replace(owed[0], state=ObligationState.WITHDRAWN)])
        counts = await obligations.counts_by_state(conn, notice.incident_id)

    assert counts == {ObligationState.OPEN: 2, ObligationState.WITHDRAWN: 1}

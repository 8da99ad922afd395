"""The figures cut by kind, class and hour of day are what counting the rows gives."""

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.statements import statements_of
from noticebus.casework.desk import Desk
from noticebus.casework.figures_cuts import Cut, read_cuts
from noticebus.casework.figures_ranks import By, read_ranks
from noticebus.casework.reports import Asked
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    NoticeClass,
    ObligationState,
    Scope,
    Status,
    VerifiedBy,
)
from noticebus.ids import new_acknowledgement_id, new_obligation_id
from noticebus.ledger.sequencer import Sequencer
from noticebus.store import acknowledgements, ledger, obligations, report_ranks
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.ledger import History
from noticebus.store.obligations import Obligation, facts_of
from noticebus.store.tables import obligations as owed_rows

HOUR = dt.timedelta(hours=1)
OPERATOR = furnish.principal(Scope.OPERATE)


async def fall_due(desk: Desk, *, closed: int, silent: int, status: Status = Status.ACTUAL) -> None:
    """Let answers of one minute and silences fall due two hours ago, class B, with one county."""
    poster = await furnish.add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    county = await furnish.add_agency(desk, "Scott County CPS")
    notice = await furnish.post_notice(desk, poster, body=furnish.notice_body(desk))
    like = await furnish.obligation_of(desk, notice, county.id)
    started = desk.world.now() - 6 * HOUR
    made = [
        replace(
            like,
            id=new_obligation_id(),
            owed_for=str(number),
            status=status,
            round_started_at=started,
            due_at=started + 4 * HOUR,
            state=ObligationState.CLOSED if number < closed else ObligationState.OPEN,
            closed_at=started + dt.timedelta(seconds=60, microseconds=5),
            delivered_at=started + dt.timedelta(seconds=20) if number else None,
            step=0 if number < closed else 2,
        )
        for number in range(closed + silent)
    ]
    async with desk.database.begin() as conn:
        await obligations.insert_obligations(conn, made)
        entry = ledger.make_entry("obligation.changed", {}, at=desk.world.now())
        await ledger.append(conn, [entry])
        lines = [
            History(obligation_id=one.id, entry_id=entry.id, facts=facts_of(one)) for one in made
        ]
        await ledger.append_history(conn, lines)
    await Sequencer(desk).sweep()


async def end_by(desk: Desk, by_delivery: NoticeClass, by_answer: VerifiedBy) -> None:
    """Have one that is closed be of a class, and another closed by an answer not marked so."""
    async with desk.database.begin() as conn:
        found = await conn.execute(
            sa.select(owed_rows)
            .where(owed_rows.c.state == ObligationState.CLOSED)
            .order_by(owed_rows.c.id)
            .limit(2)
        )
        first, second = (Obligation(**row) for row in found.mappings())
        await obligations.save_all(conn, [replace(first, notice_class=by_delivery)])
        assert second.closed_at is not None
        made = Acknowledgement(
            id=new_acknowledgement_id(),
            obligation_id=second.id,
            notice_id=second.round_notice_id,
            version=second.round_version,
            answer=Answer.ACCEPTED,
            by_name="Jo Park",
            by_role="principal",
            note=None,
            eta=None,
            reason=None,
            reference=None,
            verified_by=by_answer,
            actor="cnt_1",
            how=None,
            on_behalf_of=None,
            late=False,
            closed=False,
            acted_at=second.closed_at,
            recorded_at=second.closed_at,
        )
        await acknowledgements.insert(conn, made)


async def test_eight_in_a_minute_and_two_silent_are_cut_as_they_are(desk: Desk) -> None:
    await fall_due(desk, closed=8, silent=2)
    due = desk.world.now() - 2 * HOUR

    cuts = await read_cuts(desk, OPERATOR, Asked())

    assert {(one.cut, one.name) for one in cuts} == {
        ("kind", "cps"),
        ("class", "B"),
        ("hour", f"{due:%H}"),
    }
    for one in cuts:
        assert (one.due, one.closed_within_target, one.share) == (10, 8, 0.8)
        assert one.p50 == dt.timedelta(minutes=1)
        assert one.p90 is None  # among the silent: not reached
        assert not one.is_few


async def test_exercise_is_cut_apart_and_what_is_old_or_to_come_is_not_in_it(desk: Desk) -> None:
    await fall_due(desk, closed=3, silent=0, status=Status.EXERCISE)

    assert await read_cuts(desk, OPERATOR, Asked()) == ()
    drill = await read_cuts(desk, OPERATOR, Asked(status=Status.EXERCISE))
    assert [one.due for one in drill] == [3, 3, 3]
    assert all(one.is_few for one in drill)
    furnish.world(desk).advance(dt.timedelta(days=31))
    assert await read_cuts(desk, OPERATOR, Asked(status=Status.EXERCISE)) == ()


async def test_who_does_not_see_every_agency_is_shown_no_cuts(desk: Desk) -> None:
    await fall_due(desk, closed=1, silent=0)
    other = await furnish.add_agency(desk, "Leake County CPS")
    caller = furnish.principal(Scope.ANSWER, agency=other)

    assert await read_cuts(desk, caller, Asked()) == ()


async def test_cuts_take_the_same_statements_however_much_fell_due(desk: Desk) -> None:
    await fall_due(desk, closed=1, silent=1)
    with statements_of(desk) as few:
        await read_cuts(desk, OPERATOR, Asked())
    await fall_due(desk, closed=20, silent=9)
    with statements_of(desk) as many:
        found: tuple[Cut, ...] = await read_cuts(desk, OPERATOR, Asked())

    assert len(few) == len(many) <= 3
    assert found[0].due == 31


async def test_rows_are_cut_by_place_recipient_ending_and_leg_with_the_silent_last(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fall_due(desk, closed=1, silent=0)
    await fall_due(desk, closed=8, silent=2)
    await fall_due(desk, closed=4, silent=0, status=Status.EXERCISE)
    await end_by(desk, NoticeClass.D, VerifiedBy.LINK)
    second = dt.timedelta(seconds=1)
    precise = 60 * second + dt.timedelta(microseconds=5)

    with statements_of(desk) as sent:
        cuts = await read_ranks(desk, OPERATOR, Asked(), by=tuple(By))
    assert len(sent) <= 3 + len(By) + 1
    (state,) = cuts.rows[By.AREA]
    assert (state.name, cuts.names[state.name]) == ("state:28", "Mississippi")
    assert (state.due, state.closed_within_target, state.share) == (11, 9, 0.8182)
    assert (state.p50, state.p90) == (precise, None)
    (worst,) = cuts.rows[By.AGENCY]  # of the other agency too few fell due
    assert (worst.due, worst.share, cuts.names[worst.name]) == (10, 0.8, "Scott County CPS")
    legs = {one.name: one for one in cuts.rows[By.LEG]}
    assert (legs["ours"].due, legs["ours"].p50, legs["ours"].p90) == (11, 20 * second, None)
    assert (legs["theirs"].p50, legs["theirs"].p90) == (precise - 20 * second, None)
    assert [(one.name, one.due, one.share) for one in cuts.portions[By.WAY]] == [
        ("delivery", 1, 0.0909),
        ("link", 1, 0.0909),
        ("unknown", 7, 0.6364),
        ("none", 2, 0.1818),
    ]
    assert [(one.name, one.closed_within_target) for one in cuts.portions[By.STEP]] == [
        ("0", 9),
        ("2", 0),
    ]

    few = await read_ranks(desk, OPERATOR, Asked(), by=tuple(By), rows_max=10)
    assert (few.due, few.is_too_many, few.rows) == (11, True, {})
    counties = await read_ranks(desk, OPERATOR, Asked(), by=[By.AREA], state="28")
    elsewhere = await read_ranks(desk, OPERATOR, Asked(), by=[By.AREA], state="22")
    drill = await read_ranks(desk, OPERATOR, Asked(status=Status.EXERCISE), by=[By.AREA])
    assert [one.name for one in counties.rows[By.AREA]] == [furnish.SCOTT]
    assert counties.names == {furnish.SCOTT: "Scott County, MS"}
    assert elsewhere.rows == {By.AREA: []}
    assert [one.due for one in drill.rows[By.AREA]] == [4]
    monkeypatch.setattr(report_ranks, "NAMES_MAX", 1)  # of areas, never of whom to choose from
    assert (await read_ranks(desk, OPERATOR, Asked(), by=[By.AGENCY])).rows == {By.AGENCY: [worst]}

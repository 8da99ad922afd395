import datetime as dt
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness.statements import statements_of
from noticebus.casework.desk import Desk
from noticebus.casework.report_upkeep import tend_areas
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    Fault,
    IncidentState,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    ObligationState,
    Outcome,
    Owed,
    Position,
    QuestionState,
    QuestionTopic,
    Role,
    Standing,
    Status,
    SubscriptionState,
)
from noticebus.domain.policies import default_policies, policy_to_record
from noticebus.ids import (
    AgencyId,
    NoticeId,
    first_notice_id,
    new_agency_id,
    new_contact_id,
    new_delivery_id,
    new_incident_id,
    new_notice_id,
    new_obligation_id,
    new_question_id,
    new_responsibility_id,
    new_subscription_id,
)
from noticebus.store import (
    failing_quality,
    report_areas,
    report_facts,
    report_history,
    report_quality,
    reports,
)
from noticebus.store.agencies import (
    Agency,
    Contact,
    Responsibility,
    insert_agency,
    insert_contact,
    insert_responsibility,
)
from noticebus.store.database import Database
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.hot import insert_all
from noticebus.store.ledger import History, append, append_history, make_entry
from noticebus.store.notices import Incident, Notice, incident_rows, insert_notices
from noticebus.store.obligations import Obligation, facts_of, insert_obligations
from noticebus.store.questions import Question
from noticebus.store.reports import Line, Scope, place_of
from noticebus.store.rows import values_of
from noticebus.store.tables import (
    attempts,
    entries,
    notice_areas,
    obligation_history,
    questions,
    subscriptions,
)

START = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
NOW = START + dt.timedelta(hours=3)
MINUTE = dt.timedelta(minutes=1)
POLICY = policy_to_record(default_policies()[0])
ACTUAL = Scope(status=Status.ACTUAL)


async def add_agency(
    conn: AsyncConnection, name: str = "Pine County CPS", kind: AgencyKind = AgencyKind.CPS
) -> AgencyId:
    agency_id = new_agency_id()
    agency = Agency(
        id=agency_id,
        name=name,
        kind=kind,
        zone="America/Chicago",
        holidays_state=None,
        revision=1,
        created_at=START,
    )
    await insert_agency(conn, agency)
    return agency_id


async def add_notice(
    conn: AsyncConnection,
    *,
    status: Status = Status.ACTUAL,
    poster: AgencyId | None = None,
    area_keys: list[str] | None = None,
    uncovered: list[dict[str, str]] | None = None,
    next_update_due: dt.datetime | None = None,
) -> Notice:
    poster = poster or await add_agency(conn, "Field office", AgencyKind.FEDERAL)
    incident_id, notice_id = new_incident_id(), new_notice_id()
    notice = Notice(
        id=notice_id,
        incident_id=incident_id,
        version=1,
        agency_id=poster,
        msg=Msg.ALERT,
        kind=NoticeKind.ENFORCEMENT_ACTION,
        status=status,
        notice_class=NoticeClass.B,
        state=NoticeState.RELEASED,
        material=True,
        change_reason=None,
        occurred_at=START,
        accepted_at=START,
        release_at=None,
        released_at=START,
        next_update_due=next_update_due,
        posted_by="key",
        body=b"{}",
        body_digest="",
        area_keys=area_keys or ["county:28123", "state:28", "nation:us"],
        uncovered=uncovered or [],
        refdata_version="test",
    )
    incident = Incident(
        id=incident_id,
        agency_id=poster,
        status=status,
        state=IncidentState.OPEN,
        latest_version=1,
        latest_notice_id=notice_id,
        created_at=START,
        ended_at=None,
    )
    await insert_all(conn, [incident_rows([incident])])
    await insert_notices(conn, [notice])
    return notice


def owed_to(notice: Notice, agency_id: AgencyId) -> Obligation:
    return Obligation(
        id=new_obligation_id(),
        incident_id=notice.incident_id,
        agency_id=agency_id,
        owed=Owed.NOTICE,
        owed_for="",
        standing=Standing.MANDATORY,
        role=Role.CPS,
        status=notice.status,
        state=ObligationState.OPEN,
        epoch=1,
        notice_class=NoticeClass.B,
        round_notice_id=notice.id,
        round_version=1,
        round_started_at=START,
        held_until=None,
        due_at=START + 60 * MINUTE,
        policy=POLICY,
        steps_at=[],
        step=0,
        next_step_at=None,
        delivered_at=None,
        opened_at=None,
        received_at=None,
        promised_until=None,
        more_time_used=False,
        reachable=True,
        unreachable_reason=None,
        closed_at=None,
        answered_version=0,
        created_at=START,
    )


async def add_many(conn: AsyncConnection, notice: Notice, count: int) -> list[Obligation]:
    return [owed_to(notice, await add_agency(conn, f"Agency {n}")) for n in range(count)]


async def read_all(conn: AsyncConnection, scope: Scope = ACTUAL, **narrowed: bool) -> list[Line]:
    return await reports.open_lines(
        conn, scope, overdue=narrowed.get("overdue"), now=NOW, after=None, limit=100
    )


async def test_lines_come_unreachable_first_then_by_step_and_time_overdue_then_due_soonest(
    database: Database,
) -> None:
    async with database.begin() as conn:
        owed = await add_many(conn, await add_notice(conn), 9)
        hours = [dt.timedelta(hours=h) for h in range(10)]
        wanted = [
            replace(owed[0], reachable=False, due_at=START + hours[1], step=1),
            replace(owed[1], reachable=False, due_at=START + hours[5]),
            replace(owed[2], reachable=False, due_at=None),
            replace(owed[3], step=3, due_at=START + hours[2]),
            replace(owed[4], step=1, due_at=START + hours[1]),
            replace(owed[5], step=1, due_at=START + hours[2]),
            replace(owed[6], step=0, due_at=START + hours[4]),
            replace(owed[7], step=2, due_at=START + hours[5]),
            replace(owed[8], due_at=None),
        ]
        await insert_obligations(conn, wanted[::-1])

    async with database.read() as conn:
        found = await read_all(conn)
        late = await read_all(conn, overdue=True)
        in_time = await read_all(conn, overdue=False)
    ids = [one.id for one in wanted]
    assert [one.id for one in found] == ids
    assert sorted(found, key=lambda line: place_of(line, now=NOW)) == found
    assert [one.id for one in late] == [ids[0], *ids[3:6]]
    assert [one.id for one in in_time] == [*ids[1:3], *ids[6:]]


async def test_pages_by_cursor_neither_repeat_nor_skip_a_line(database: Database) -> None:
    async with database.begin() as conn:
        owed = await add_many(conn, await add_notice(conn), 16)
        varied = [
            replace(
                one,
                reachable=number % 5 != 0,
                step=number % 3,
                due_at=None if number % 7 == 0 else START + dt.timedelta(hours=number % 6),
            )
            for number, one in enumerate(owed)
        ]
        await insert_obligations(conn, varied)

    async with database.read() as conn:
        whole = await read_all(conn)
        paged: list[Line] = []
        after = None
        while page := await reports.open_lines(
            conn, ACTUAL, overdue=None, now=NOW, after=after, limit=3
        ):
            paged += page
            after = place_of(page[-1], now=NOW)
    assert len(whole) == 16
    assert paged == whole


async def test_eight_answers_in_a_minute_and_two_silent_are_counted_as_they_are(
    database: Database,
) -> None:
    async with database.begin() as conn:
        notice = await add_notice(conn)
        owed = await add_many(conn, notice, 15)
        closed = [
            replace(one, state=ObligationState.CLOSED, closed_at=START + MINUTE) for one in owed[:8]
        ]
        others = [
            replace(owed[10], standing=Standing.ADVISORY),
            replace(owed[11], state=ObligationState.WAIVED, closed_at=NOW),
            replace(owed[12], state=ObligationState.WITHDRAWN, closed_at=START + MINUTE),
            replace(owed[13], due_at=NOW + MINUTE),
            replace(owed[14], round_started_at=None, due_at=None),
        ]
        drill = owed_to(
            await add_notice(conn, status=Status.EXERCISE), await add_agency(conn, "Drilled")
        )
        await insert_obligations(conn, [*closed, *owed[8:10], *others, drill])

    async with database.read() as conn:
        counted = await reports.count(conn, ACTUAL, now=NOW)
        found = [
            await reports.time_to_close_at(conn, ACTUAL, counted=counted, percent=percent, now=NOW)
            for percent in (50, 90)
        ]
        drilled = await reports.count(conn, Scope(status=Status.EXERCISE), now=NOW)
    assert (counted.open, counted.overdue, counted.due) == (3, 2, 10)
    assert (counted.closed, counted.closed_within) == (8, 8)
    assert counted.oldest_due_at == START + 60 * MINUTE
    assert found == [MINUTE, None]
    assert (drilled.open, drilled.due) == (1, 1)


async def test_late_answers_rank_by_how_long_they_took(database: Database) -> None:
    took = [MINUTE * 90, MINUTE, MINUTE * 61, MINUTE * 2 + dt.timedelta(microseconds=500)]
    async with database.begin() as conn:
        owed = await add_many(conn, await add_notice(conn), len(took))
        closed = [
            replace(one, state=ObligationState.CLOSED, closed_at=START + duration)
            for one, duration in zip(owed, took, strict=True)
        ]
        await insert_obligations(conn, closed)

    async with database.read() as conn:
        counted = await reports.count(conn, ACTUAL, now=NOW)
        ranked = [
            await reports.time_to_close_at(conn, ACTUAL, counted=counted, percent=percent, now=NOW)
            for percent in (25, 50, 75, 100)
        ]
    assert ranked == sorted(took)
    assert counted.closed_within == 2


async def test_filters_narrow_by_kind_class_area_and_who_may_see(database: Database) -> None:
    async with database.begin() as conn:
        poster = await add_agency(conn, "Office", AgencyKind.FEDERAL)
        here = await add_notice(conn, poster=poster)
        there = await add_notice(conn, area_keys=["county:28101", "state:28"])
        cps = await add_agency(conn)
        school = await add_agency(conn, "Pine Schools", AgencyKind.SCHOOL_DISTRICT)
        first = owed_to(here, cps)
        second = replace(owed_to(here, school), notice_class=NoticeClass.A)
        third = owed_to(there, cps)
        await insert_obligations(conn, [first, second, third])

    async with database.read() as conn:

        async def ids(scope: Scope) -> set[str]:
            return {line.id for line in await read_all(conn, scope)}

        assert await ids(replace(ACTUAL, kind=AgencyKind.SCHOOL_DISTRICT)) == {second.id}
        assert await ids(replace(ACTUAL, notice_class=NoticeClass.B)) == {first.id, third.id}
        assert await ids(replace(ACTUAL, area_key="county:28101")) == {third.id}
        assert await ids(replace(ACTUAL, area_key="county:2810")) == set()
        assert await ids(replace(ACTUAL, agency_id=cps)) == {first.id, third.id}
        assert await ids(replace(ACTUAL, agency_id=poster)) == set()
        assert await ids(replace(ACTUAL, agency_id=poster, posted=True)) == {first.id, second.id}


async def test_areas_of_notices_from_an_older_release_are_entered_a_few_at_a_time(
    database: Database,
) -> None:
    async with database.begin() as conn:
        for _ in range(3):
            notice = await add_notice(conn, area_keys=["county:28101", "state:28"])
            await insert_obligations(conn, [owed_to(notice, await add_agency(conn))])
        await conn.execute(sa.delete(notice_areas))  # it writes none
    there = replace(ACTUAL, area_key="county:28101")

    async with database.begin() as conn:
        assert await read_all(conn, there) == []
        assert await report_areas.is_any_missing(conn, since=None)
        assert await report_areas.add_missing(conn, since=None, limit=2) == 4
        assert len(await read_all(conn, there)) == 2
        assert await report_areas.add_missing(conn, since=None, limit=2) == 2
        assert len(await read_all(conn, there)) == 3
        assert not await report_areas.is_any_missing(conn, since=None)
        assert await report_areas.add_missing(conn, since=None, limit=2) == 0


async def test_areas_are_looked_at_whole_once_and_then_without_a_write_where_none_lacks(
    desk: Desk,
) -> None:
    async with desk.database.begin() as conn:
        for _ in range(2):
            await add_notice(conn, area_keys=["county:28101"])
        await conn.execute(sa.delete(notice_areas))
    await tend_areas(desk)  # enters
    await tend_areas(desk)  # notes that nothing lacks

    with statements_of(desk) as quiet:
        await tend_areas(desk)
    assert [one.split()[0] for one in quiet] == ["SELECT", "SELECT"]
    async with desk.database.begin() as conn:
        late = await add_notice(conn, area_keys=["county:28101"])
        await conn.execute(sa.delete(notice_areas).where(notice_areas.c.notice_id == late.id))
        soon = first_notice_id(SystemClock().now() + MINUTE)
        assert soon > late.id > first_notice_id(SystemClock().now() - MINUTE)
        assert not await report_areas.is_any_missing(conn, since=soon)
        assert await report_areas.is_any_missing(conn, since=late.id)
    await tend_areas(desk)
    async with desk.database.read() as conn:
        assert not await report_areas.is_any_missing(conn, since=None)


async def test_past_line_is_the_latest_history_by_then(database: Database) -> None:
    async with database.begin() as conn:
        owed = owed_to(await add_notice(conn), await add_agency(conn))
        later = replace(owed, step=2, state=ObligationState.CLOSED, closed_at=START + MINUTE)
        await insert_obligations(conn, [later])
        for index, version in enumerate([owed, replace(owed, step=1), later]):
            entry = make_entry("test.happened", {}, at=START + index * MINUTE)
            await append(conn, [entry])
            line = History(obligation_id=owed.id, entry_id=entry.id, facts=facts_of(version))
            await append_history(conn, [line])
            await conn.execute(
                sa.update(entries).where(entries.c.id == entry.id).values(index=index)
            )
            await conn.execute(
                sa.update(obligation_history)
                .where(obligation_history.c.entry_id == entry.id)
                .values(from_index=index)
            )

    async with database.read() as conn:
        seen = [
            [
                line
                for line, _ in await report_history.past_lines(
                    conn, ACTUAL, index=index, as_of=NOW, after="", limit=10
                )
            ]
            for index in (-1, 0, 1, 2)
        ]
    assert seen[0] == []
    assert [(lines[0].step, lines[0].state) for lines in seen[1:]] == [
        (0, ObligationState.OPEN),
        (1, ObligationState.OPEN),
        (2, ObligationState.CLOSED),
    ]
    assert seen[1][0].due_at == owed.due_at
    assert seen[3][0].closed_at == START + MINUTE


def to_endpoint(owed: Obligation, subscription_id: str | None, *, sequence: int) -> Delivery:
    return Delivery(
        id=new_delivery_id(),
        incident_id=owed.incident_id,
        obligation_id=owed.id,
        notice_id=owed.round_notice_id,
        subscription_id=subscription_id,  # type: ignore[arg-type]
        contact_id=None,
        agency_id=owed.agency_id,
        subject=owed.id,
        destination=f"somewhere {sequence}",
        channel=Channel.WEBHOOK,
        cause=Cause.NOTICE,
        version=1,
        round=1,
        step=0,
        notice_class=NoticeClass.B,
        content_level=ContentLevel.PUBLIC,
        sequence=sequence if subscription_id else None,
        answer_due_at=None,
        state=DeliveryState.QUEUED,
        attempts=0,
        recipient_attempts=0,
        due_at=START,
        lease_until=START,
        first_failed_at=None,
        finished_at=None,
        detail=None,
        created_at=START,
    )


async def add_attempt(
    conn: AsyncConnection,
    delivery: Delivery,
    number: int,
    *,
    at: dt.datetime,
    outcome: Outcome,
    fault: Fault | None = None,
) -> None:
    await conn.execute(
        attempts.insert().values(
            delivery_id=delivery.id,
            number=number,
            started_at=at,
            finished_at=at,
            outcome=outcome,
            fault=fault,
            status_code=None,
            body_digest="",
            response_excerpt="",
            error="",
            duration_ms=1,
        )
    )


async def test_attempts_are_counted_up_to_the_report_and_the_latest_is_shown(
    database: Database,
) -> None:
    async with database.begin() as conn:
        owed = owed_to(await add_notice(conn), await add_agency(conn))
        await insert_obligations(conn, [owed])
        sent = [to_endpoint(owed, None, sequence=n) for n in (1, 2)]
        await insert_deliveries(conn, sent)
        await add_attempt(conn, sent[0], 1, at=START, outcome=Outcome.FAILED)
        await add_attempt(conn, sent[1], 1, at=START + MINUTE, outcome=Outcome.TIMED_OUT)
        await add_attempt(conn, sent[0], 2, at=NOW + MINUTE, outcome=Outcome.DELIVERED)

    async with database.read() as conn:
        then = await report_facts.tries_of(conn, [owed.id], by=NOW)
        later = await report_facts.tries_of(conn, [owed.id], by=NOW + MINUTE)
    assert then[owed.id].count == 2
    assert then[owed.id].outcome is Outcome.TIMED_OUT
    assert then[owed.id].at == START + MINUTE
    assert (later[owed.id].count, later[owed.id].outcome) == (3, Outcome.DELIVERED)


async def test_uncovered_places_are_those_of_the_latest_released_version(
    database: Database,
) -> None:
    gap = [{"county_fips": "28123", "missing": "cps"}]
    async with database.begin() as conn:
        first = await add_notice(conn, uncovered=gap)
        second = await add_notice(conn, uncovered=gap)
        repaired = replace(
            second,
            id=new_notice_id(),
            version=2,
            uncovered=[],
            accepted_at=START + MINUTE,
            released_at=START + MINUTE,
        )
        await insert_notices(conn, [repaired])

    async with database.read() as conn:
        before = await report_facts.gaps(conn, ACTUAL, at=START)
        now = await report_facts.gaps(conn, ACTUAL, at=NOW)
        elsewhere = await report_facts.gaps(
            conn, replace(ACTUAL, area_key="county:28001", notice_class=NoticeClass.B), at=NOW
        )
        others = await report_facts.gaps(conn, replace(ACTUAL, agency_id=new_agency_id()), at=NOW)
    assert {one.notice_id for one in before} == {first.id, second.id}
    assert [(one.notice_id, one.uncovered) for one in now] == [(first.id, gap)]
    assert elsewhere == others == []


async def test_past_gaps_are_what_the_ledger_had_said_last(database: Database) -> None:
    cps, school = ({"county_fips": "28123", "missing": one} for one in ("cps", "school"))
    decided, repeated, returned = "routing.decided", "routing.repeated", "routing.returned"
    said: list[tuple[str, list[dict[str, str]] | None]] = [
        ("notice.accepted", None),
        (decided, [cps]),
        (decided, []),  # the rest of more recipients than an entry holds
        ("delivery.started", None),
        (decided, [cps]),  # whom a decline has added
        (repeated, [cps, school]),
        (returned, []),
        ("notice.accepted", None),
        (decided, [school]),
        ("notice.accepted", None),  # an all-clear has no places
    ]
    async with database.begin() as conn:
        notice = await add_notice(conn, uncovered=[cps])
        for index, (type_, gaps) in enumerate(said):
            body = {"notice_id": notice.id} | ({} if gaps is None else {"uncovered": gaps})
            await enter(conn, type_, body, notice=notice, index=index)

    async with database.read() as conn:
        seen = [await past_gaps_of(conn, index=index) for index in range(-1, len(said))]
    then = [[], [], [cps], [cps], [cps], [cps], [cps, school], [], [], [school], []]
    assert seen == [[(notice.id, one)] if one else [] for one in then]


async def test_past_gaps_are_of_the_row_where_the_ledger_knows_nothing_of_the_incident(
    database: Database,
) -> None:
    gap = [{"county_fips": "28123", "missing": "cps"}]
    async with database.begin() as conn:
        unknown = await add_notice(conn, uncovered=gap)
        await add_notice(conn, uncovered=[])
        not_yet = await add_notice(conn, uncovered=gap)
        await enter(conn, "notice.accepted", {}, notice=not_yet, index=None)

    async with database.read() as conn:
        assert await past_gaps_of(conn, index=0) == [(unknown.id, gap)]
        assert await past_gaps_of(conn, index=0, scope=replace(ACTUAL, area_key="lea:1")) == []


async def enter(
    conn: AsyncConnection,
    type_: str,
    body: dict[str, Any],
    *,
    notice: Notice,
    index: int | None,
) -> None:
    entry = make_entry(type_, body, at=START, incident_id=notice.incident_id)
    await append(conn, [entry])
    await conn.execute(sa.update(entries).where(entries.c.id == entry.id).values(index=index))


async def past_gaps_of(
    conn: AsyncConnection, *, index: int, scope: Scope = ACTUAL
) -> list[tuple[NoticeId, list[dict[str, str]]]]:
    found = await report_history.past_gaps(conn, scope, index=index, at=NOW)
    return [(one.notice_id, one.uncovered) for one in found]


async def test_poster_owes_open_questions_and_promised_updates(database: Database) -> None:
    async with database.begin() as conn:
        poster = await add_agency(conn, "Office", AgencyKind.FEDERAL)
        notice = await add_notice(conn, poster=poster, next_update_due=START + 90 * MINUTE)
        asker = await add_agency(conn)
        question_id = new_question_id()
        owed = replace(owed_to(notice, poster), owed=Owed.QUESTION, owed_for=question_id)
        await insert_obligations(conn, [owed])
        question = Question(
            id=question_id,
            incident_id=notice.incident_id,
            notice_id=notice.id,
            asked_by=asker,
            obligation_id=owed.id,
            topic=QuestionTopic.HOW_MANY_CHILDREN,
            text="How many children?",
            due_at=START + 60 * MINUTE,
            state=QuestionState.OPEN,
            answer=None,
            answered_at=None,
            created_at=START,
        )
        await conn.execute(questions.insert(), values_of(question))

    async with database.read() as conn:
        everything = await report_facts.debts(conn, ACTUAL, at=NOW)
        asked = await report_facts.debts(conn, replace(ACTUAL, agency_id=asker), at=NOW)
        early = await report_facts.debts(conn, ACTUAL, at=START + MINUTE)
        lines = await read_all(conn)
    assert [one.owed for one in everything] == [Owed.QUESTION, Owed.UPDATE]
    assert {one.agency_id for one in everything} == {poster}
    assert [one.question_id for one in asked] == [question_id]
    assert [one.owed for one in early] == [Owed.QUESTION]
    assert lines == []


async def add_person(conn: AsyncConnection, agency_id: AgencyId, *, verified: bool = True) -> None:
    contact = Contact(
        id=new_contact_id(),
        agency_id=agency_id,
        name="Desk",
        role="duty officer",
        position=Position.ON_DUTY,
        email="desk@agency.example",
        phone=None,
        email_verified_at=START if verified else None,
        phone_verified_at=None,
        ended_at=None,
        revision=1,
        created_at=START,
    )
    await insert_contact(conn, contact)


async def add_duty(conn: AsyncConnection, agency_id: AgencyId) -> None:
    duty = Responsibility(
        id=new_responsibility_id(),
        agency_id=agency_id,
        role=Role.CPS,
        area_keys=["county:28123"],
        created_at=START,
        ended_at=None,
    )
    await insert_responsibility(conn, duty)


async def add_subscription(conn: AsyncConnection, agency_id: AgencyId, *, verified: bool) -> str:
    subscription_id = new_subscription_id()
    state = SubscriptionState.ACTIVE if verified else SubscriptionState.PENDING_VERIFICATION
    await conn.execute(
        subscriptions.insert().values(
            id=subscription_id,
            agency_id=agency_id,
            name="Endpoint",
            state=state,
            channel=Channel.WEBHOOK,
            url="https://agency.example/hook",
            content_level=ContentLevel.PUBLIC,
            area_keys=[],
            kinds=[],
            secrets_sealed=[],
            challenge="",
            verified_at=START if verified else None,
            revision=1,
            created_at=START,
        )
    )
    return subscription_id


async def read_warnings(
    conn: AsyncConnection, *, agency_id: AgencyId | None = None
) -> list[report_quality.Warned]:
    return await report_quality.warnings(
        conn, agency_id=agency_id, status=Status.ACTUAL, now=NOW, telephone=False
    )


async def test_warnings_name_what_will_keep_a_notice_from_somebody(database: Database) -> None:
    async with database.begin() as conn:
        lonely, unverified, alone, whole = [await add_agency(conn, f"A{n}") for n in range(4)]
        notice = await add_notice(conn, poster=whole)
        for agency_id in (unverified, alone, whole):
            await add_duty(conn, agency_id)
            await add_person(conn, agency_id, verified=agency_id != unverified)
        await add_person(conn, unverified, verified=False)
        await add_person(conn, whole)
        never = await add_subscription(conn, whole, verified=False)
        failing = await add_subscription(conn, whole, verified=True)
        arriving = await add_subscription(conn, alone, verified=True)
        owed = owed_to(notice, alone)
        await insert_obligations(conn, [owed])
        sent = [to_endpoint(owed, failing, sequence=n) for n in (1, 2)]
        fine = to_endpoint(owed, arriving, sequence=7)
        await insert_deliveries(conn, [*sent, fine])
        await add_attempt(conn, sent[0], 1, at=START, outcome=Outcome.DELIVERED)
        await add_attempt(conn, sent[1], 1, at=START, outcome=Outcome.REFUSED)
        await add_attempt(conn, fine, 1, at=START, outcome=Outcome.FAILED)
        await add_attempt(conn, fine, 2, at=START, outcome=Outcome.DELIVERED)

    async with database.read() as conn:
        found = await read_warnings(conn)
        own = await read_warnings(conn, agency_id=alone)
    assert [(one.code, one.agency_id, one.subscription_id) for one in found] == [
        (report_quality.NO_CONTACT, lonely, None),
        (report_quality.NO_VERIFIED_CHANNEL, unverified, None),
        (report_quality.ENDPOINT_FAILING, whole, failing),
        (report_quality.NEVER_VERIFIED, whole, never),
        (report_quality.NO_SECOND_CONTACT, alone, None),
        *((report_quality.NEVER_EXERCISED, one, None) for one in (unverified, alone, whole)),
    ]
    assert [one.code for one in own] == [
        report_quality.NO_SECOND_CONTACT,
        report_quality.NEVER_EXERCISED,
    ]


async def test_an_endpoint_that_we_failed_is_counted_and_its_agency_not_named(
    database: Database,
) -> None:
    async with database.begin() as conn:
        notice = await add_notice(conn)
        ours, theirs, mended = [await add_agency(conn, f"A{n}") for n in range(3)]
        faults = {
            ours: (Fault.NETWORK, Fault.OURS),
            theirs: (Fault.OURS, Fault.RECIPIENT),
            mended: (Fault.OURS, None),
        }
        for agency_id, (first, last) in faults.items():
            subscription = await add_subscription(conn, agency_id, verified=True)
            owed = owed_to(notice, agency_id)
            await insert_obligations(conn, [owed])
            sent = to_endpoint(owed, subscription, sequence=1)
            await insert_deliveries(conn, [sent])
            ended = Outcome.DELIVERED if last is None else Outcome.FAILED
            await add_attempt(conn, sent, 1, at=START, outcome=Outcome.FAILED, fault=first)
            await add_attempt(conn, sent, 2, at=START, outcome=ended, fault=last)

    async with database.read() as conn:
        found = await read_warnings(conn)
        counts = [
            await failing_quality.count_failed_by_us(conn, agency_id=one)
            for one in (None, ours, theirs)
        ]
    failing = [one.agency_id for one in found if one.code == report_quality.ENDPOINT_FAILING]
    assert failing == [theirs]
    assert counts == [1, 1, 0]


async def test_warnings_are_bounded(database: Database) -> None:
    async with database.begin() as conn:
        for number in range(report_quality.WARNINGS_MAX + 1):
            await add_agency(conn, f"Agency {number}")

    async with database.read() as conn:
        found = await read_warnings(conn)
    assert len(found) == report_quality.WARNINGS_MAX

"""Timelines of what is easily missed: who is called when a matter comes back, or nobody has it."""

import asyncio
import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.desk import SCOTT
from harness.district import ZONE, state_calendar
from harness.member import Member, Posted
from harness.place import Place, production
from harness.system import Bus, minutes, open_bus
from noticebus.casework import speaking, step
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.casework.simulate import simulate
from noticebus.clock import ManualClock
from noticebus.contracts.policy import PolicySimulation
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    Cause,
    Channel,
    DeclineReason,
    DelegationHours,
    DeliveryState,
    How,
    NoticeClass,
    Notify,
    ObligationState,
    Position,
    Scope,
    Status,
)
from noticebus.domain.policies import default_policies
from noticebus.ids import new_delegation_id
from noticebus.store import delegations, obligations, policies
from noticebus.store.delegations import Delegation
from noticebus.store.obligations import Obligation
from noticebus.store.tables import obligations as obligation_rows
from noticebus.store.tables import steps as step_rows

NIGHT = dt.datetime(2019, 8, 7, 4, 0, tzinfo=dt.UTC)  # Tuesday, 11 in the evening in Mississippi
FRIDAY_AFTERNOON = dt.datetime(2019, 8, 9, 13, 50, tzinfo=ZONE).astimezone(dt.UTC)


async def held_by_operators(bus: Bus, notice: Posted) -> Obligation:
    async with bus.desk.database.begin() as conn:
        return (await obligations.lock_coverage(conn, [notice.incident_id]))[notice.incident_id]


async def operators_say(
    bus: Bus,
    owed: Obligation,
    answer: Answer = Answer.ACCEPTED,
    *,
    name: str = "Ann Operator",
    reason: DeclineReason | None = None,
) -> Answered:
    return await speaking.answer_obligation(
        bus.desk,
        furnish.principal(Scope.OPERATE),
        obligation_id=owed.id,
        given=GivenAnswer(answer=answer, by_name=name, by_role="duty", reason=reason),
        how=How.PHONE,
        on_behalf_of="the agency",
    )


# --- places that nobody answers for ---------------------------------------------------------------


async def test_operators_who_hold_a_second_place_of_one_version_can_close_it_again(
    bus: Bus,
) -> None:
    operators = await bus.operators(hold_gaps=True)
    district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await district.receives("notice", notice)
    await county.receives("notice", notice)
    await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
    await bus.expect_mail(operators)
    first = await operators_say(bus, await held_by_operators(bus, notice))

    await district.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
    await bus.expect_mail(operators)
    again = await operators_say(bus, await held_by_operators(bus, notice))
    await bus.fast_forward(minutes(300))

    assert first.obligation.state is ObligationState.CLOSED
    assert (again.fresh, again.obligation.state) == (True, ObligationState.CLOSED)
    assert again.obligation.epoch == first.obligation.epoch + 1


@pytest.mark.parametrize("reason", [DeclineReason.NO_CAPACITY, DeclineReason.OTHER])
async def test_whoever_declines_alone_leaves_the_place_to_the_operators_whatever_the_reason(
    bus: Bus, reason: DeclineReason
) -> None:
    operators = await bus.operators(hold_gaps=True)
    district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await district.receives("notice", notice)
    await county.receives("notice", notice)
    await district.answers(notice)

    await county.answers(notice, Answer.DECLINED, reason=reason)
    await bus.expect_mail(operators)

    assert await bus.uncovered(notice) == [{"county_fips": "28123", "missing": "cps"}]
    assert await bus.unacknowledged() == [(notice.incident_id, "Bus operators")]


async def test_whoever_takes_back_a_decline_covers_the_place_again(bus: Bus) -> None:
    operators = await bus.operators(hold_gaps=True)
    district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await district.receives("notice", notice)
    await county.receives("notice", notice)
    await district.answers(notice)
    await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_CAPACITY)
    await bus.expect_mail(operators)
    lost = await bus.uncovered(notice)

    await bus.fast_forward(minutes(1))
    back = await county.answers(notice)
    held = await held_by_operators(bus, notice)
    await bus.fast_forward(minutes(240))

    assert lost == [{"county_fips": "28123", "missing": "cps"}]
    assert back.obligation.state is ObligationState.CLOSED
    assert await bus.uncovered(notice) == []
    assert (held.state, held.next_step_at) == (ObligationState.CLOSED, None)
    assert await bus.unacknowledged() == []
    types = [one["type"] for one in await bus.entries_of(notice.incident_id)]
    assert types[-3:] == ["acknowledgement.recorded", "routing.returned", "coverage.found"]


async def test_what_still_waits_for_the_operators_is_moot_once_the_place_is_covered_again(
    place: Place,
) -> None:
    async with open_bus(place, roles=(), strict=False) as bus:
        await bus.operators(hold_gaps=True)
        await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT, endpoint=False)
        county = await bus.agency("Scott County CPS", endpoint=False)
        notice = await bus.post_notice(**{"class": "A"})
        await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_CAPACITY)
        bus.world.advance(minutes(30))
        await bus.system.engine.sweep()
        held = await held_by_operators(bus, notice)
        told = [one for one in await bus.deliveries_of(notice) if one.obligation_id == held.id]

        await county.answers(notice)

        after = [one for one in await bus.deliveries_of(notice) if one.obligation_id == held.id]
        assert {one.cause for one in told} == {Cause.COVERAGE, Cause.STEP}
        assert {one.state for one in told} == {DeliveryState.QUEUED}
        assert {one.state for one in after} == {DeliveryState.MOOT}


async def test_taking_back_one_decline_leaves_the_operators_the_other_place(bus: Bus) -> None:
    operators = await bus.operators(hold_gaps=True)
    district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await district.receives("notice", notice)
    await county.receives("notice", notice)
    for one in (county, district):
        await one.answers(notice, Answer.DECLINED, reason=DeclineReason.OTHER)
        await bus.expect_mail(operators)
    later = await bus.agency("State CPS", area_key="state:28")

    await district.answers(notice)
    await bus.settled()

    assert await bus.uncovered(notice) == [{"county_fips": "28123", "missing": "cps"}]
    assert (await held_by_operators(bus, notice)).state is ObligationState.OPEN
    assert later.received() == []  # nobody is told by an answer, and so it covers nothing


async def test_a_decline_locks_what_the_operators_hold_before_what_has_a_later_id(
    tmp_path: Path,
) -> None:
    """Another transaction that locks both in id order, as outcomes do, meets no deadlock."""
    async with production(tmp_path) as place, open_bus(place, roles=(), strict=False) as bus:
        await bus.operators(hold_gaps=True)
        notice = await bus.post_notice(**{"class": "A"})
        county = await bus.agency("Scott County CPS", endpoint=False)
        second = await bus.update(notice, notice_class="A")
        held, owed = await held_by_operators(bus, notice), await county.obligation(second)
        asked = asyncio.Event()

        def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
            if "obligations.owed =" in statement and "FOR NO KEY UPDATE" in statement:
                asked.set()

        async with asyncio.TaskGroup() as tasks, bus.desk.database.begin() as conn:
            await obligations.lock_obligations(conn, ids=[held.id])
            for engine in bus.desk.database.engines:
                sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
            declining = county.answers(second, Answer.DECLINED, reason=DeclineReason.NO_CAPACITY)
            given = tasks.create_task(declining)
            async with asyncio.timeout(30):
                await asked.wait()
            await obligations.lock_obligations(conn, ids=[owed.id])

        assert held.id < owed.id
        assert given.result().obligation.state is ObligationState.DECLINED


async def test_who_is_found_after_a_decline_owes_what_the_decliner_owed(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await county.receives("notice", notice)
    counted = await bus.update(notice, notice_class="D")
    await county.receives("notice", counted)
    state = await bus.agency("State CPS", area_key="state:28")

    await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
    await state.receives("notice", counted)
    await bus.settled()

    owed = await state.obligation(notice)
    assert (owed.notice_class, owed.state) == (NoticeClass.A, ObligationState.OPEN)
    assert owed.next_step_at is not None


async def test_who_is_added_by_an_update_of_words_owes_the_gravest_version(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await county.receives("notice", notice)
    state = await bus.agency("State CPS", area_key="state:28")

    counted = await bus.update(notice, notice_class="D")
    await county.receives("notice", counted)
    await state.receives("notice", counted)
    await bus.settled()

    owed = await state.obligation(notice)
    assert (owed.notice_class, owed.state) == (NoticeClass.A, ObligationState.OPEN)


async def test_a_milder_version_does_not_slow_what_the_operators_hold(bus: Bus) -> None:
    operators = await bus.operators(hold_gaps=True)
    notice = await bus.post_notice(**{"class": "A"})
    await bus.expect_mail(operators)

    wider = [{"county_fips": ["28123", "28089"]}]
    await bus.update(notice, notice_class="B", areas=wider)
    await bus.expect_mail(operators)

    held = await held_by_operators(bus, notice)
    assert (held.epoch, held.notice_class) == (2, NoticeClass.A)


# --- steps ----------------------------------------------------------------------------------------


async def policy_of(bus: Bus, policy_id: str, *, steps_from: str | None = None) -> None:
    """Give a default the steps of another, as an administrator may."""
    known = {str(one.id): one for one in default_policies()}
    steps = known[steps_from or policy_id]
    wanted = replace(
        known[policy_id], version=2, due_after=steps.due_after, hold=steps.hold, steps=steps.steps
    )
    async with bus.desk.database.begin() as conn:
        await policies.insert_policy(conn, wanted, agency_id=None, now=bus.world.now())


async def test_what_a_delivery_has_closed_takes_no_step(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=(Position.ON_DUTY,))
    await policy_of(bus, "default.cps.state_desk.D", steps_from="default.cps.state_desk.A")
    notice = await bus.post_notice(**{"class": "D"})
    await county.receives("notice", notice)
    await bus.settled()

    await bus.fast_forward(minutes(120))

    owed = await county.obligation(notice)
    assert (owed.state, owed.next_step_at) == (ObligationState.CLOSED, None)
    assert await county.steps(notice) == []


async def test_the_step_the_database_refuses_is_parked_and_no_other(place: Place) -> None:
    async with open_bus(place, roles=(), strict=False) as bus:
        broken = await bus.agency("Scott County CPS", endpoint=False)
        sound = await bus.agency("State CPS", area_key="state:28", endpoint=False)
        notice = await bus.post_notice()
        owed = await broken.obligation(notice)
        async with bus.desk.database.begin() as conn:
            taken = {"obligation_id": owed.id, "epoch": 1, "step": 0, "notify": Notify.ON_DUTY}
            when = {"planned_at": bus.world.now(), "fired_at": bus.world.now()}
            await conn.execute(
                step_rows.insert().values(**taken, **when, skipped=False, contact_ids=[])
            )
            earlier = sa.update(obligation_rows).where(obligation_rows.c.id == owed.id)
            await conn.execute(earlier.values(next_step_at=bus.world.now()))
        bus.world.advance(minutes(60))

        with pytest.raises(sa.exc.IntegrityError):
            await step.fire_due_steps(bus.desk)
        assert await step.fire_first_due(bus.desk) == 1
        assert await step.fire_due_steps(bus.desk) == 1
        assert await step.fire_first_due(bus.desk) == 0

        parked, fired = await broken.obligation(notice), await sound.obligation(notice)
        assert (parked.step, parked.next_step_at) == (0, None)
        assert fired.step == 1
        assert fired.next_step_at is not None


# --- school ---------------------------------------------------------------------------------------


async def stand_in(bus: Bus, agency: Member, by: Member, hours: DelegationHours) -> None:
    new = Delegation(
        id=new_delegation_id(),
        agency_id=agency.row.id,
        delegate_id=by.row.id,
        hours=hours,
        created_at=bus.world.now(),
        ended_at=None,
    )
    async with bus.desk.database.begin() as conn:
        await delegations.insert_delegation(conn, new)


async def district_and_dispatch(bus: Bus, hours: DelegationHours) -> tuple[Member, Member]:
    district = await bus.agency(
        "Scott District",
        kind=AgencyKind.SCHOOL_DISTRICT,
        contacts_at=(Position.ON_DUTY, Position.SECOND, Position.HEAD),
        endpoint=False,
    )
    dispatch = await bus.agency(
        "Scott dispatch",
        kind=AgencyKind.LAW_ENFORCEMENT,
        contacts_at=(Position.ON_DUTY,),
        area_key=None,
    )
    await state_calendar(bus.desk, district.row)
    await stand_in(bus, district, dispatch, hours)
    return district, dispatch


async def test_a_district_that_another_stands_in_for_is_chased_before_its_last_bus(
    place: Place,
) -> None:
    async with open_bus(place, world=ManualClock(FRIDAY_AFTERNOON), strict=False) as bus:
        district, _ = await district_and_dispatch(bus, DelegationHours.ALWAYS)

        notice = await bus.post_notice(**{"class": "B"})
        await bus.fast_forward(minutes(20))

        fired = await district.steps(notice)
        assert [one.notify for one in fired] == [Notify.FIRST_TWO, Notify.HEAD, Notify.OPERATORS]
        assert "Another agency stands in" in (await district.obligation(notice)).policy["note"]


async def test_after_an_outage_the_head_is_reminded_though_the_notice_went_to_it(
    place: Place,
) -> None:
    """The district's only person was told at 13:50; the engine comes back at 13:57."""
    async with open_bus(place, world=ManualClock(FRIDAY_AFTERNOON), roles=(), strict=False) as bus:
        district = await bus.agency(
            "Scott District",
            kind=AgencyKind.SCHOOL_DISTRICT,
            contacts_at=(Position.HEAD,),
            endpoint=False,
        )
        await state_calendar(bus.desk, district.row)
        notice = await bus.post_notice(**{"class": "A"})
        bus.world.advance(minutes(7))
        await step.fire_due_steps(bus.desk)

        fired = [(one.notify, one.skipped) for one in await district.steps(notice)]
        sent = [one for one in await bus.deliveries_of(notice) if one.cause == "step"]
        assert fired == [(Notify.FIRST_TWO, True), (Notify.HEAD, False)]
        assert len(sent) == 1


async def simulated(bus: Bus, agency: Member, notice_class: str) -> PolicySimulation:
    return await simulate(
        bus.desk,
        furnish.principal(Scope.OPERATE),
        agency_id=agency.row.id,
        notice_class=NoticeClass(notice_class),
        status=Status.ACTUAL,
        at=bus.world.now(),
    )


async def test_a_night_with_dispatch_standing_in_is_simulated_as_it_happens(place: Place) -> None:
    async with open_bus(place, world=ManualClock(NIGHT), strict=False) as bus:
        district, dispatch = await district_and_dispatch(bus, DelegationHours.OUT_OF_HOURS)
        await bus.subscribe(dispatch, area_key=SCOTT)
        said = await simulated(bus, district, "B")

        notice = await bus.post_notice(**{"class": "B"})
        owed = await district.obligation(notice)

        assert owed.held_until is None
        assert (said.held_until, said.due_at) == (owed.held_until, owed.due_at)
        assert [one.at for one in said.calls if one.kind == "step"] == [
            dt.datetime.fromisoformat(one) for one in owed.steps_at
        ]
        told = [one for one in await bus.deliveries_of(notice) if one.obligation_id == owed.id]
        first = said.calls[0]
        rung = {channel for one in first.contacts for channel in one.channels}
        assert {one.channel for one in told} == {*first.endpoints, *rung}
        assert rung == {Channel.EMAIL}, "dispatch's desk is told beside its server"


# --- answers --------------------------------------------------------------------------------------


async def test_accepting_a_later_version_of_what_is_closed_counts_as_answered(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    await county.answers(first)
    second = await bus.update(first, headline="Enforcement action: buses run late")
    await county.receives("notice", second)
    third = await bus.update(second, headline="Enforcement action: buses run on time")
    await county.receives("notice", third)

    await county.answers(third, Answer.RECEIVED)
    unchanged = await county.obligation(first)
    await county.answers(second)

    owed = await county.obligation(first)
    assert unchanged.answered_version == 1
    assert (owed.answered_version, owed.state) == (2, ObligationState.CLOSED)


async def test_an_answer_to_an_older_version_says_nothing_of_the_newer_round(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice(**{"class": "A"})
    await county.receives("notice", first)
    second = await bus.update(first, notice_class="B", material=True)
    await county.receives("notice", second)

    await county.answers(first)
    older = await county.obligation(first)
    third = await bus.update(second, notice_class="B", material=True)
    await county.receives("notice", third)

    assert (older.state, older.answered_version) == (ObligationState.OPEN, 1)
    assert older.received_at is None
    assert (await county.obligation(first)).notice_class is NoticeClass.B
    await county.answers(third)


async def test_a_decline_by_telephone_is_that_persons_in_a_quorum(bus: Bus) -> None:
    desk = await bus.agency(
        "State CPS", contacts_at=(Position.ON_DUTY, Position.SECOND), endpoint=False
    )
    (default,) = [one for one in default_policies() if one.id == "default.cps.state_desk.A"]
    wanted = replace(default, version=2, quorum=2)
    async with bus.desk.database.begin() as conn:
        await policies.insert_policy(conn, wanted, agency_id=None, now=bus.world.now())
    notice = await bus.post_notice(**{"class": "A"})
    await desk.mailed(Position.ON_DUTY)

    await operators_say(
        bus,
        await desk.obligation(notice),
        Answer.DECLINED,
        name="state cps SECOND",
        reason=DeclineReason.NO_CAPACITY,
    )
    await bus.settled()
    await desk.mailed(Position.ON_DUTY)

    assert len(await desk.steps(notice)) == 1  # at once: two can no longer accept

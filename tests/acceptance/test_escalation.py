"""Timelines of escalation: who is told when, and how far silence is chased."""

import datetime as dt

from harness.receivers import Behaviour
from harness.system import Bus, hours, minutes
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DeclineReason,
    DeliveryState,
    Notify,
    ObligationState,
    Position,
)
from noticebus.store.tables import policies, responsibility_areas

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


async def test_silent_county_is_reminded_then_second_then_head_then_operators(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=EVERY_LEVEL)
    operators = await bus.operators()
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    await bus.fast_forward(minutes(59))
    await bus.fast_forward(minutes(1))
    await county.receives("step", notice)
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(30))
    await county.mailed(Position.SECOND)
    await bus.fast_forward(minutes(30))
    await county.mailed(Position.HEAD)
    await bus.fast_forward(minutes(60))
    await bus.expect_mail(operators)
    await bus.fast_forward(hours(48))

    fired = await county.steps(notice)
    assert [one.notify for one in fired] == [
        Notify.ON_DUTY,
        Notify.SECOND,
        Notify.HEAD,
        Notify.OPERATORS,
    ]
    assert not any(one.skipped for one in fired)
    assert await bus.unacknowledged() == [(notice.incident_id, "Scott County CPS")]


async def test_nothing_more_fires_after_the_closing_answer(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=EVERY_LEVEL)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.fast_forward(minutes(60))
    await county.receives("step", notice)
    await county.mailed(Position.ON_DUTY)

    answered = await county.answers(notice)
    await bus.fast_forward(hours(72))

    assert answered.obligation.state is ObligationState.CLOSED
    assert len(await county.steps(notice)) == 1
    assert await bus.unacknowledged() == []


async def test_a_reminder_reaches_an_endpoint_though_nobody_has_a_mailbox(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    operators = await bus.operators()
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    await bus.fast_forward(minutes(60))

    await county.receives("step", notice)
    await bus.expect_mail(operators)


async def test_after_an_outage_only_the_step_that_applies_now_fires(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=EVERY_LEVEL)
    operators = await bus.operators()
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    await bus.fast_forward(minutes(125))
    await county.mailed(Position.HEAD)
    await bus.fast_forward(hours(48))
    await bus.expect_mail(operators)

    steps = await county.steps(notice)
    assert [(one.notify, one.skipped) for one in steps] == [
        (Notify.ON_DUTY, True),
        (Notify.SECOND, True),
        (Notify.HEAD, False),
        (Notify.OPERATORS, False),
    ]
    assert [bool(one.contact_ids) for one in steps] == [False, False, True, True]


async def test_mail_to_the_operators_does_not_count_as_told_to_the_recipient(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", endpoint=False)
    operators = await bus.operators()
    notice = await bus.post_notice()

    await bus.fast_forward(minutes(60))
    await bus.expect_mail(operators)

    assert (await county.obligation(notice)).delivered_at is None


async def test_a_late_answer_closes_and_is_marked_late(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.fast_forward(minutes(61))
    await county.receives("step", notice)

    answered = await county.answers(notice)
    await bus.settled()

    assert answered.acknowledgement.late
    assert answered.acknowledgement.closed
    assert answered.obligation.state is ObligationState.CLOSED


async def test_more_time_moves_the_next_step_and_keeps_the_deadline(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=EVERY_LEVEL)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    before = await county.obligation(notice)

    eta = bus.world.now() + hours(4)
    await county.answers(notice, Answer.NEED_MORE_TIME, eta=eta)
    await bus.fast_forward(minutes(239))
    quiet = await county.steps(notice)
    await bus.fast_forward(minutes(1))
    await county.receives("step", notice)
    await county.mailed(Position.ON_DUTY)

    after = await county.obligation(notice)
    assert quiet == []
    assert after.due_at == before.due_at
    assert after.promised_until == eta
    assert after.next_step_at == eta + minutes(30)


async def test_an_embargoed_notice_is_told_at_its_release_and_not_before(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    release_at = bus.world.now() + hours(2)
    notice = await bus.post_notice(release_at=release_at.isoformat())

    await bus.fast_forward(minutes(119))
    held = await county.obligation(notice)
    await bus.fast_forward(minutes(1))
    (event,) = await county.receives("notice", notice)

    running = await county.obligation(notice)
    assert held.round_started_at is None
    assert held.next_step_at is None
    assert running.due_at == release_at + hours(1)
    assert event["data"]["subscription"]["sequence"] == 1


async def test_an_embargo_holds_its_recipients_though_their_duty_ends_meanwhile(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=EVERY_LEVEL, endpoint=False)
    notice = await bus.post_notice(release_at=(bus.world.now() + hours(2)).isoformat())
    async with bus.desk.database.begin() as conn:
        await conn.execute(responsibility_areas.delete())

    await bus.fast_forward(hours(2))
    await county.mailed(Position.ON_DUTY)

    owed = await county.obligation(notice)
    assert owed.round_started_at == bus.world.now()
    assert owed.next_step_at is not None


async def test_a_cancelled_embargo_is_told_to_nobody(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(release_at=(bus.world.now() + hours(2)).isoformat())

    await bus.cancel(notice)
    await bus.fast_forward(hours(72))

    assert (await county.obligation(notice)).state is ObligationState.WITHDRAWN
    assert await bus.deliveries_of(notice) == []


async def test_a_material_update_opens_a_new_round_and_asks_again(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    await county.answers(first)

    await bus.fast_forward(minutes(10))
    second = await bus.update(first, notice_class="A")
    await county.receives("notice", second)
    reopened = await county.obligation(first)
    old = await county.answers(first, Answer.RECEIVED)
    await bus.settled()

    assert (reopened.state, reopened.epoch) == (ObligationState.OPEN, 2)
    assert reopened.due_at == bus.world.now() + minutes(10)
    assert old.obligation.state is ObligationState.OPEN
    assert await bus.unacknowledged() == [(first.incident_id, "Scott County CPS")]


async def test_an_update_of_words_alone_is_told_and_asks_nothing(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    before = await county.obligation(first)

    await bus.fast_forward(minutes(10))
    second = await bus.update(first, headline="Enforcement action near Morton: buses run late")
    await county.receives("notice", second)
    await bus.settled()

    after = await county.obligation(first)
    assert (after.epoch, after.due_at, after.steps_at) == (1, before.due_at, before.steps_at)


async def test_a_new_round_runs_under_the_policy_that_is_in_force(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    record = (await county.obligation(first)).policy
    quicker = {**record, "version": 2, "due_after_s": 300}
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            policies.insert().values(
                id=record["id"],
                version=2,
                recipient_kind="cps",
                notice_class="B",
                body={**quicker, "steps": [{**record["steps"][0], "after_s": 300}]},
                created_at=bus.world.now(),
            )
        )

    second = await bus.update(first, material=True)
    await county.receives("notice", second)
    await bus.settled()

    reopened = await county.obligation(first)
    assert reopened.policy["version"] == 2
    assert reopened.due_at == bus.world.now() + minutes(5)


async def test_an_answer_to_one_version_leaves_the_next_one_on_its_way(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.then.extend([Behaviour(status=503)] * 2)
    first = await bus.post_notice()
    await county.receives("notice", first)
    second = await bus.update(first, headline="Corrected: near Forest, not Morton")
    await county.receives("notice", second)

    await county.answers(first)
    await bus.fast_forward(minutes(5))
    await county.receives("notice", second)

    states = {one.version: one.state for one in await bus.deliveries_of(first)}
    assert states == {1: DeliveryState.MOOT, 2: DeliveryState.DELIVERED}


async def test_cancel_withdraws_what_is_open_and_makes_what_is_queued_moot(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
    county.receiver.then.append(Behaviour(status=503))
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await district.receives("notice", notice)
    await district.answers(notice)

    await bus.fast_forward(dt.timedelta(milliseconds=1))
    cancelled = await bus.cancel(notice)
    await county.receives("notice", cancelled)
    await district.receives("notice", cancelled)
    await bus.fast_forward(hours(72))

    moot = [one for one in await bus.deliveries_of(notice) if one.state is DeliveryState.MOOT]
    assert [(one.agency_id, one.version) for one in moot] == [(county.row.id, 1)]
    assert (await county.obligation(notice)).state is ObligationState.WITHDRAWN
    assert (await district.obligation(notice)).state is ObligationState.CLOSED
    assert await county.steps(notice) == []


async def test_a_decline_of_jurisdiction_finds_who_is_responsible_now(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    state = await bus.agency("State CPS", area_key="state:28")

    await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
    await state.receives("notice", notice)
    await bus.settled()

    assert (await county.obligation(notice)).state is ObligationState.DECLINED
    assert await bus.unacknowledged() == [(notice.incident_id, "State CPS")]


async def test_a_place_that_was_declined_stays_uncovered_after_an_update(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    await county.answers(first, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)

    second = await bus.update(first, headline="Enforcement action near Morton: buses run late")
    await county.receives("notice", second)

    missing = [one["missing"] for one in second.response["recipients"]["uncovered"]]
    assert "cps" in missing

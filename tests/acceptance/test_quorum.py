"""Timelines of a quorum: "two of our three people must accept"."""

from dataclasses import replace

from harness.member import Member
from harness.system import Bus, minutes
from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    NoticeClass,
    Notify,
    ObligationState,
    Position,
)
from noticebus.domain.policies import default_policies
from noticebus.store import policies

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


async def desk_of_three(bus: Bus) -> Member:
    """Add a state desk with three people, two of whom must accept what is of class A."""
    desk = await bus.agency("State CPS", contacts_at=EVERY_LEVEL, endpoint=False)
    (default,) = [
        one
        for one in default_policies()
        if one.id.startswith("default.cps.state_desk") and one.notice_class is NoticeClass.A
    ]
    wanted = replace(
        default,
        version=2,
        quorum=2,
        steps=(replace(default.steps[0], notify=Notify.ALL_CONTACTS), *default.steps[1:]),
    )
    async with bus.desk.database.begin() as conn:
        await policies.insert_policy(conn, wanted, agency_id=None, now=bus.world.now())
    return desk


async def test_two_of_three_people_must_accept_before_it_closes(bus: Bus) -> None:
    desk = await desk_of_three(bus)
    notice = await bus.post_notice(**{"class": "A"})
    await desk.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(10))
    mails = {who: (await desk.mailed(who))[-1] for who in EVERY_LEVEL}

    first = await bus.answer_by_mail(mails[Position.ON_DUTY])
    again = await bus.answer_by_mail(mails[Position.ON_DUTY])
    second = await bus.answer_by_mail(mails[Position.HEAD], name="Head of Desk")
    await bus.fast_forward(minutes(120))

    assert first.obligation.state is ObligationState.OPEN
    assert not again.fresh
    assert second.obligation.state is ObligationState.CLOSED
    assert [one.closed for one in await bus.answers_to(second.obligation.id)] == [False, True]
    assert len(await desk.steps(notice)) == 1


async def test_a_decline_that_makes_the_quorum_unreachable_moves_on_at_once(bus: Bus) -> None:
    desk = await desk_of_three(bus)
    notice = await bus.post_notice(**{"class": "A"})
    await desk.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(10))
    mails = {who: (await desk.mailed(who))[-1] for who in EVERY_LEVEL}

    no, why = Answer.DECLINED, DeclineReason.NO_CAPACITY
    one = await bus.answer_by_mail(mails[Position.ON_DUTY], no, reason=why)
    await bus.settled()
    waiting = await desk.steps(notice)
    await bus.answer_by_mail(mails[Position.HEAD], no, reason=why, name="Head of Desk")
    await bus.settled()
    await desk.mailed(Position.SECOND)

    assert one.obligation.state is ObligationState.OPEN
    assert [step.notify for step in waiting] == [Notify.ALL_CONTACTS]
    assert [step.notify for step in await desk.steps(notice)] == [
        Notify.ALL_CONTACTS,
        Notify.SECOND,
    ]
    assert (await desk.steps(notice))[-1].fired_at == bus.world.now()


async def test_when_every_person_declines_the_agency_has_declined(bus: Bus) -> None:
    desk = await desk_of_three(bus)
    notice = await bus.post_notice(**{"class": "A"})
    await desk.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(10))
    mails = {who: (await desk.mailed(who))[-1] for who in EVERY_LEVEL}

    for who in EVERY_LEVEL:
        await bus.answer_by_mail(
            mails[who], Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION, name=f"The {who}"
        )
        await bus.settled()
    if len(desk.mails_to(Position.SECOND)) > 1:
        await desk.mailed(Position.SECOND)

    assert (await desk.obligation(notice)).state is ObligationState.DECLINED
    assert {"county_fips": "28123", "missing": "cps"} in await bus.uncovered(notice)

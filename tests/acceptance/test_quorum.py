"""Timelines of a quorum: "two of our three people must accept"."""

from dataclasses import replace

from harness import desk as furnish
from harness.member import Member
from harness.place import Place
from harness.system import Bus, minutes, open_bus
from noticebus.casework import speaking
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    How,
    NoticeClass,
    Notify,
    ObligationState,
    Position,
    Scope,
)
from noticebus.domain.policies import default_policies
from noticebus.store import audit, policies
from noticebus.store.obligations import Obligation

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


async def desk_of_three(bus: Bus, notice_class: NoticeClass = NoticeClass.A) -> Member:
    """Add a state desk with three people, two of whom must answer what is of a class."""
    desk = await bus.agency("State CPS", contacts_at=EVERY_LEVEL, endpoint=False)
    (default,) = [
        one
        for one in default_policies()
        if one.id.startswith("default.cps.state_desk") and one.notice_class is notice_class
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


async def says(
    bus: Bus,
    owed: Obligation,
    who: Position,
    answer: Answer,
    reason: DeclineReason | None = None,
) -> Answered:
    """Let a person of the desk tell an operator their answer."""
    given = GivenAnswer(answer=answer, by_name=f"State CPS {who}", by_role="duty", reason=reason)
    made = await speaking.answer_obligation(
        bus.desk,
        furnish.principal(Scope.OPERATE),
        obligation_id=owed.id,
        given=given,
        how=How.PHONE,
        on_behalf_of="State CPS",
    )
    await bus.settled()
    return made


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


async def test_one_yes_after_everybody_declined_starts_no_clock_and_a_second_takes_it_on(
    place: Place,
) -> None:
    async with open_bus(place, strict=False) as bus:
        desk = await desk_of_three(bus)
        notice = await bus.post_notice(**{"class": "A"})
        owed = await desk.obligation(notice)
        for who in EVERY_LEVEL:
            await says(bus, owed, who, Answer.DECLINED, DeclineReason.NO_CAPACITY)
        declined, before = await desk.obligation(notice), await desk.steps(notice)

        one = await says(bus, owed, Position.HEAD, Answer.ACCEPTED)
        await bus.fast_forward(minutes(120))
        steps = await desk.steps(notice)
        async with bus.desk.database.read() as conn:
            wrong = await audit.stepped_after_end(conn, [notice.incident_id])
        two = await says(bus, owed, Position.SECOND, Answer.ACCEPTED)

        assert (declined.state, declined.next_step_at) == (ObligationState.DECLINED, None)
        assert (one.obligation.state, one.obligation.next_step_at) == (declined.state, None)
        assert one.acknowledgement.answer is Answer.ACCEPTED
        assert steps == before
        assert wrong == []
        assert two.obligation.state is ObligationState.CLOSED
        assert {"county_fips": "28123", "missing": "cps"} not in await bus.uncovered(notice)


async def test_in_class_c_two_people_who_received_it_are_a_quorum(place: Place) -> None:
    async with open_bus(place, strict=False) as bus:
        desk = await desk_of_three(bus, NoticeClass.C)
        notice = await bus.post_notice(**{"class": "C"})
        owed = await desk.obligation(notice)

        one = await says(bus, owed, Position.ON_DUTY, Answer.RECEIVED)
        again = await says(bus, owed, Position.ON_DUTY, Answer.ACCEPTED)
        two = await says(bus, owed, Position.HEAD, Answer.RECEIVED)

        states = [made.obligation.state for made in (one, again, two)]
        assert states == [ObligationState.OPEN, ObligationState.OPEN, ObligationState.CLOSED]

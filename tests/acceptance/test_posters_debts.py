"""Timelines of what posters owe: answers to questions, and updates they promised."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness import desk as furnish
from harness.desk import MORNING
from harness.member import Member, Posted
from harness.place import Place, embedded, production
from harness.system import Bus, hours, minutes, open_bus
from noticebus.casework import questions, reports
from noticebus.casework.questions import Seen
from noticebus.casework.reports import Asked
from noticebus.contracts.question import AnswerPost, QuestionPost
from noticebus.contracts.report import OwedItem
from noticebus.contracts.vocabulary import (
    AgencyKind,
    ContentLevel,
    Notify,
    ObligationState,
    Owed,
    Position,
    QuestionTopic,
    Scope,
    Status,
)
from noticebus.errors import ConflictError, InvalidError
from noticebus.store import obligations
from noticebus.store.obligations import Obligation, StepRow

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    async with open_bus(place) as opened:
        yield opened


async def field_office(bus: Bus) -> Member:
    """Add the poster, with an endpoint and a contact on every level."""
    office = await bus.agency("Field office", kind=AgencyKind.FEDERAL, contacts_at=EVERY_LEVEL)
    bus.poster = office.row
    return office


async def ask(
    bus: Bus, asker: Member, notice: Posted, *, topic: str = "how_many_children", text: str = ""
) -> Seen:
    post = QuestionPost.model_validate({"topic": topic, **({"text": text} if text else {})})
    who = furnish.principal(Scope.ANSWER, agency=asker.row)
    return await questions.ask(bus.desk, who, incident_id=notice.incident_id, post=post)


async def answer(bus: Bus, asked: Seen, **given: Any) -> Seen:
    return await questions.answer_question(
        bus.desk,
        furnish.principal(Scope.POST, agency=bus.poster),
        question_id=asked.question.id,
        post=AnswerPost.model_validate(given),
    )


async def debts_of(bus: Bus, notice: Posted, owed: Owed) -> list[Obligation]:
    async with bus.desk.database.read() as conn:
        found = await obligations.obligations_of(conn, incident_id=notice.incident_id, limit=100)
    return [one for one in found if one.owed is owed]


async def fired(bus: Bus, owed: Obligation) -> list[StepRow]:
    async with bus.desk.database.read() as conn:
        return await obligations.steps_of(conn, [owed.id])


async def owed_by_posters(bus: Bus, **asked: Any) -> tuple[OwedItem, ...]:
    read = await reports.read_report(
        bus.desk, furnish.principal(Scope.OPERATE), asked=Asked(**asked), output="json"
    )
    return read.report.owed_by_posters


async def test_unanswered_question_climbs_the_posters_own_line(bus: Bus) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    operators = await bus.operators()
    notice = await bus.post_notice(**{"class": "A"})
    await cps.receives("notice", notice)
    await cps.answers(notice)

    asked = await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(60))
    (event,) = await office.receives("step", notice)
    (mail,) = await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(60))
    await office.mailed(Position.SECOND)
    await bus.fast_forward(minutes(60))
    (to_head,) = await office.mailed(Position.HEAD)
    await bus.fast_forward(minutes(60))
    await bus.expect_mail(operators)
    await bus.fast_forward(hours(48))

    (debt,) = await debts_of(bus, notice, Owed.QUESTION)
    assert asked.question.due_at == debt.due_at == MORNING + hours(2)
    assert [one.notify for one in await fired(bus, debt)] == [
        Notify.ON_DUTY,
        Notify.SECOND,
        Notify.HEAD,
        Notify.OPERATORS,
    ]
    assert event["data"]["obligation"]["owed"] == "question"
    assert event["data"]["obligation"]["closes_with"] is None
    assert "Question to you, still unanswered" in mail.text
    assert "Escalation: Question to you, still unanswered" in to_head.text


async def test_question_unanswered_at_its_time_is_on_the_side_of_what_the_sender_owes(
    bus: Bus,
) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    school = await bus.agency("Scott County Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    notice = await bus.post_notice(**{"class": "A"})
    for one in (cps, school):
        await one.receives("notice", notice)
        await one.answers(notice)

    await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    (before,) = await owed_by_posters(bus)
    await bus.fast_forward(minutes(125))
    await office.mailed(Position.SECOND)
    (after,) = await owed_by_posters(bus)
    (then,) = await owed_by_posters(bus, as_of=MORNING + minutes(1))

    assert (before.owed, before.overdue_s, before.asks) == (Owed.QUESTION, None, 1)
    assert before.topic is QuestionTopic.HOW_MANY_CHILDREN
    assert before.agency.id == office.row.id
    assert after.overdue_s == 5 * 60
    assert after.contact is not None
    assert after.contact.name == "Field office second"
    assert after.next_action is not None
    assert (after.next_action.what, after.next_action.at) == (Notify.HEAD, MORNING + hours(3))
    assert (then.overdue_s, then.next_action, then.contact) == (None, None, None)


async def test_four_agencies_ask_the_same_and_one_answer_tells_them_all(bus: Bus) -> None:
    office = await field_office(bus)
    kinds = (AgencyKind.SCHOOL_DISTRICT, AgencyKind.FAITH, AgencyKind.COMMUNITY, AgencyKind.FAITH)
    askers = [await bus.agency(f"Asker {n}", kind=kind) for n, kind in enumerate(kinds)]
    notice = await bus.post_notice(**{"class": "A"})
    for one in askers:
        await one.receives("notice", notice)
        await one.answers(notice)

    first = await ask(bus, askers[0], notice, topic="other", text="Is the Oak Street line cut?")
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    joined = [
        await ask(bus, one, notice, topic="other", text="  is the oak street LINE cut? ")
        for one in askers[1:]
    ]
    again = await ask(bus, askers[3], notice, topic="other", text="Is the Oak Street line cut?")
    (debt,) = await owed_by_posters(bus)
    answered = await answer(bus, first, text="No.", by={"name": "Ana Officer", "role": "duty"})
    told = [(await one.next_events())[0] for one in askers]

    assert first.fresh
    assert [(one.fresh, one.asks) for one in joined] == [(False, 2), (False, 3), (False, 4)]
    assert {one.question.id for one in joined} == {first.question.id}
    assert (again.asks, again.receipt) == (4, None)
    assert debt.asks == 4
    assert answered.asks == 4
    for event in told:
        assert event["type"] == "org.noticebus.answer.v1"
        assert event["subject"] == first.question.id
        assert event["data"]["question"]["answer"] == {"text": "No."}
    (owed,) = await debts_of(bus, notice, Owed.QUESTION)
    assert (owed.state, owed.next_step_at) == (ObligationState.CLOSED, None)
    assert await owed_by_posters(bus) == ()


async def test_endpoint_below_the_tier_hears_that_there_is_an_answer_and_not_which(
    bus: Bus,
) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await cps.receives("notice", notice)
    await cps.answers(notice)

    asked = await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    await answer(bus, asked, number=32)
    (event,) = await cps.next_events()

    assert asked.question.tier is ContentLevel.CPS
    assert event["data"]["subscription"]["content_level"] == "partner"
    assert event["data"]["question"]["answer"] is None
    assert event["data"]["question"]["text"] is None


async def test_asker_with_a_mailbox_only_is_told_without_content(bus: Bus) -> None:
    office = await field_office(bus)
    church = await bus.agency(
        "First Church", kind=AgencyKind.FAITH, contacts_at=(Position.ON_DUTY,), endpoint=False
    )
    notice = await bus.post_notice()
    await church.mailed(Position.ON_DUTY)
    await church.answers(notice)

    asked = await ask(bus, church, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    await answer(bus, asked, text="About a hundred families.")
    (mail,) = await church.mailed(Position.ON_DUTY)

    assert "Answer to a question" in mail.text
    assert "hundred" not in mail.text


async def test_promise_to_report_moves_the_steps_once_and_within_bounds(bus: Bus) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await cps.receives("notice", notice)
    await cps.answers(notice)
    asked = await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)

    for wrong, code in ((MORNING - hours(1), "eta-past"), (MORNING + hours(3), "eta-too-far")):
        with pytest.raises(InvalidError) as refused:
            await answer(bus, asked, unknown_will_report_at=wrong.isoformat())
        assert refused.value.code == code
        assert refused.value.details[0].pointer == "/unknown_will_report_at"
    promised = await answer(bus, asked, unknown_will_report_at=(MORNING + minutes(110)).isoformat())
    with pytest.raises(InvalidError) as again:
        await answer(bus, asked, unknown_will_report_at=(MORNING + minutes(115)).isoformat())
    await bus.fast_forward(minutes(109))
    (waiting,) = await debts_of(bus, notice, Owed.QUESTION)
    await bus.fast_forward(minutes(1))
    await office.receives("step", notice)
    await office.mailed(Position.ON_DUTY)
    closed = await answer(bus, asked, cannot_share="5 U.S.C. 552a(b)")
    await cps.next_events()
    await bus.fast_forward(hours(24))

    assert promised.question.answered_at is None
    assert again.value.code == "more-time-used"
    assert (waiting.step, waiting.promised_until) == (0, MORNING + minutes(110))
    assert waiting.due_at == MORNING + hours(2)
    assert closed.question.answered_at == MORNING + minutes(110)
    (debt,) = await debts_of(bus, notice, Owed.QUESTION)
    assert debt.state is ObligationState.CLOSED
    assert len(await fired(bus, debt)) == 1


async def test_question_of_a_cancelled_incident_is_owed_no_more_and_may_still_be_answered(
    bus: Bus,
) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await cps.receives("notice", notice)
    await cps.answers(notice)
    asked = await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)

    cancelled = await bus.cancel(notice)
    await cps.receives("notice", cancelled)
    late = (MORNING + minutes(30)).isoformat()
    with pytest.raises(ConflictError):
        await answer(bus, asked, unknown_will_report_at=late)
    await answer(bus, asked, number=0)
    await cps.next_events()
    with pytest.raises(ConflictError):
        await ask(bus, cps, notice)
    await bus.fast_forward(hours(24))

    (debt,) = await debts_of(bus, notice, Owed.QUESTION)
    assert debt.state is ObligationState.WITHDRAWN
    assert await fired(bus, debt) == []
    assert await owed_by_posters(bus) == ()


async def test_answer_stands_until_a_newer_version_and_then_the_question_is_new(bus: Bus) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await cps.receives("notice", notice)
    await cps.answers(notice)
    first = await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(5))
    await answer(bus, first, number=32)
    await cps.next_events()

    same = await ask(bus, cps, notice)
    await bus.fast_forward(minutes(5))
    second = await bus.update(notice)
    await cps.receives("notice", second)
    new = await ask(bus, cps, second)
    await office.receives("question", second)
    await office.mailed(Position.ON_DUTY)

    assert (same.fresh, same.question.id, same.receipt) == (False, first.question.id, None)
    assert same.question.answer == {"number": 32}
    assert new.fresh
    assert new.question.id != first.question.id


async def test_question_about_a_b_notice_waits_for_the_posters_service_hours(bus: Bus) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await cps.receives("notice", notice)
    await cps.answers(notice)
    await bus.fast_forward(hours(12))  # eight in the evening

    await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    (debt,) = await debts_of(bus, notice, Owed.QUESTION)

    opens = MORNING + dt.timedelta(days=1)  # at eight the next morning
    assert debt.held_until == opens
    assert debt.due_at == opens + hours(8)
    assert debt.next_step_at == opens + minutes(240)


async def test_poster_that_nothing_reaches_is_said_to_be_so(bus: Bus) -> None:
    cps = await bus.agency("Scott County CPS")
    operators = await bus.operators()
    notice = await bus.post_notice(**{"class": "A"})
    await cps.receives("notice", notice)
    await cps.answers(notice)

    await ask(bus, cps, notice)
    (debt,) = await debts_of(bus, notice, Owed.QUESTION)
    await bus.fast_forward(minutes(60))
    await bus.expect_mail(operators)

    assert not debt.reachable


async def test_missed_update_is_chased_until_the_next_version(bus: Bus) -> None:
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    due = MORNING + hours(1)
    notice = await bus.post_notice(**{"class": "A"}, next_update_due=due.isoformat())
    await cps.receives("notice", notice)
    await cps.answers(notice)
    (promised,) = await debts_of(bus, notice, Owed.UPDATE)
    (listed,) = await owed_by_posters(bus)

    await bus.fast_forward(minutes(60))
    (event,) = await office.receives("step", notice)
    (mail,) = await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(60))
    await office.receives("step", notice)
    await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(60))
    await office.mailed(Position.SECOND)
    (late,) = await owed_by_posters(bus)
    again = await bus.update(notice, next_update_due=(MORNING + hours(9)).isoformat())
    await cps.receives("notice", again)

    assert notice.response["recipients"]["count"] == 1
    assert (promised.owed_for, promised.due_at) == (notice.id, due)
    assert (listed.owed, listed.overdue_s, listed.asks) == (Owed.UPDATE, None, None)
    assert "Update you promised, not posted yet" in mail.text
    assert event["data"]["obligation"]["owed"] == "update"
    assert late.overdue_s == 2 * 60 * 60
    assert late.contact is not None
    assert late.contact.name == "Field office second"
    kept, renewed = await debts_of(bus, notice, Owed.UPDATE)
    assert (kept.state, kept.closed_at) == (ObligationState.CLOSED, MORNING + hours(3))
    assert (renewed.state, renewed.owed_for) == (ObligationState.OPEN, again.id)
    async with bus.desk.database.read() as conn:
        counts = await obligations.counts_by_state(conn, notice.incident_id)
    assert sum(counts.values()) == 3  # the recipient's, and two promises (I2)


async def test_promise_made_under_embargo_counts_from_the_release(bus: Bus) -> None:
    await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(
        release_at=(MORNING + hours(1)).isoformat(),
        next_update_due=(MORNING + hours(4)).isoformat(),
    )
    before = await debts_of(bus, notice, Owed.UPDATE)

    await bus.fast_forward(hours(1))
    await cps.receives("notice", notice)
    await cps.answers(notice)

    assert before == []
    (promised,) = await debts_of(bus, notice, Owed.UPDATE)
    assert promised.created_at == MORNING + hours(1)
    assert promised.next_step_at == MORNING + hours(4)


async def test_cancel_withdraws_what_was_promised(bus: Bus) -> None:
    await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(next_update_due=(MORNING + hours(1)).isoformat())
    await cps.receives("notice", notice)
    await cps.answers(notice)

    cancelled = await bus.cancel(notice)
    await cps.receives("notice", cancelled)
    await bus.fast_forward(hours(24))

    (promised,) = await debts_of(bus, notice, Owed.UPDATE)
    assert promised.state is ObligationState.WITHDRAWN
    assert await fired(bus, promised) == []


async def test_debts_of_an_exercise_stay_out_of_the_live_report(bus: Bus) -> None:
    await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    due = (MORNING + hours(1)).isoformat()
    notice = await bus.post_notice(status="exercise", next_update_due=due)
    await cps.receives("notice", notice)
    await cps.answers(notice)

    assert await owed_by_posters(bus) == ()
    (drilled,) = await owed_by_posters(bus, status=Status.EXERCISE)
    assert drilled.owed is Owed.UPDATE

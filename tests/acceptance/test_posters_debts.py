"""Timelines of what posters owe: answers to questions, and updates they promised."""

import csv
import datetime as dt
import io
from dataclasses import replace
from typing import Any

import pytest

from harness import desk as furnish
from harness.api import Api, Caller, County, Json
from harness.desk import MORNING, notice_body, world
from harness.member import Member, Posted
from harness.statements import count_statements
from harness.system import Bus, hours, minutes
from noticebus.casework import intake, questions, reports
from noticebus.casework.drafts import first_version
from noticebus.casework.questions import Seen
from noticebus.casework.reports import Asked
from noticebus.casework.signs_of_life import read_signs
from noticebus.console.report import render_report
from noticebus.contracts.notice import NoticePost
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
from noticebus.ids import new_api_key_id, new_question_id
from noticebus.store import obligations
from noticebus.store import questions as rows
from noticebus.store.obligations import Obligation, StepRow

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


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
    await bus.fast_forward(minutes(2))  # what follows a message within two minutes is gathered
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


async def test_a_promise_made_after_the_last_step_is_called_in_when_it_ends(bus: Bus) -> None:
    """In class B the operators are called just when the answer is due; then the poster promises."""
    office = await field_office(bus)
    cps = await bus.agency("Scott County CPS")
    operators = await bus.operators()
    notice = await bus.post_notice()
    await cps.receives("notice", notice)
    await cps.answers(notice)
    asked = await ask(bus, cps, notice)
    await office.receives("question", notice)
    await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(hours(4))
    await office.receives("step", notice)
    await office.mailed(Position.ON_DUTY)
    await bus.fast_forward(hours(4))
    await bus.expect_mail(operators)

    until = bus.world.now() + hours(5)
    await answer(bus, asked, unknown_will_report_at=until.isoformat())
    await bus.fast_forward(hours(5) - minutes(1))
    (waiting,) = await debts_of(bus, notice, Owed.QUESTION)
    await bus.fast_forward(minutes(1))
    await bus.expect_mail(operators)
    await bus.fast_forward(hours(48))

    assert (waiting.promised_until, waiting.next_step_at) == (until, until)
    assert waiting.due_at == MORNING + hours(8)
    assert [one.notify for one in await fired(bus, waiting)] == [
        Notify.ON_DUTY,
        Notify.OPERATORS,
        Notify.OPERATORS,
    ]


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


# --- over HTTP ------------------------------------------------------------------------------------


def questions_of(accepted: Json) -> str:
    return f"/v1/incidents/{accepted['incident_id']}/questions"


async def test_tiers_do_not_merge_and_nobody_reads_above_its_own(api: Api, county: County) -> None:
    notice = await county.poster.post_notice(notice_body(api.desk))
    operator = await api.caller(Scope.OPERATE)
    body = {"topic": "ages"}

    of_cps = await county.cps.post(questions_of(notice), body)
    of_school = await county.school.post(questions_of(notice), body)
    joined = await county.church.post(questions_of(notice), body, status=200)
    again = await county.church.post(questions_of(notice), body, status=200)
    await county.poster.post(f"/v1/questions/{of_cps['id']}/answers", {"text": "Two to nine."})

    assert (of_cps["tier"], of_school["tier"]) == ("cps", "partner")
    assert joined["id"] == of_school["id"] != of_cps["id"]
    assert joined["asked_by"]["id"] == county.agencies["school"].id
    assert joined["askers"] == {"count": 2, "agencies": None}
    assert joined["receipt"] is not None
    assert (again["askers"]["count"], again["receipt"]) == (2, None)
    for reader, seen in (
        (county.cps, [of_cps["id"], of_school["id"]]),
        (county.school, [of_school["id"]]),
        (county.church, [of_school["id"]]),
        (county.poster, [of_cps["id"], of_school["id"]]),
        (operator, [of_cps["id"], of_school["id"]]),
    ):
        page = (await reader.get(questions_of(notice)))["items"]
        assert [one["id"] for one in page] == seen
    named = (await county.poster.get(questions_of(notice)))["items"][1]["askers"]
    assert named["count"] == 2
    assert [one["name"] for one in named["agencies"]] == [
        "Scott County school",
        "Scott County church",
    ]


async def test_other_questions_with_other_words_stand_apart(api: Api, county: County) -> None:
    notice = await county.poster.post_notice(notice_body(api.desk))
    path = questions_of(notice)

    one = await county.school.post(path, {"topic": "other", "text": "Who has the keys?"})
    two = await county.church.post(path, {"topic": "other", "text": "Who has the car keys?"})
    three = await county.church.post(path, {"topic": "ages"})

    assert len({one["id"], two["id"], three["id"]}) == 3


async def test_incident_takes_so_many_questions_and_no_more_but_they_may_be_joined(
    api: Api, county: County
) -> None:
    notice = await county.poster.post_notice(notice_body(api.desk))
    first = await county.school.post(questions_of(notice), {"topic": "ages"})
    async with api.desk.database.begin() as conn:
        stored = await rows.question_by_id(conn, first["id"])
        assert stored is not None
        for number in range(questions.QUESTIONS_PER_INCIDENT_MAX - 1):
            copy = replace(
                stored, id=new_question_id(), topic=QuestionTopic.OTHER, text=f"{number}"
            )
            await rows.insert_question(conn, copy)

    problem = await county.church.post(questions_of(notice), {"topic": "languages"}, status=409)
    joined = await county.church.post(questions_of(notice), {"topic": "ages"}, status=200)

    assert problem["code"] == "too-many-questions"
    assert joined["id"] == first["id"]


async def test_poster_sees_its_own_debts_and_an_asker_what_it_waits_for(
    api: Api, county: County
) -> None:
    due = (MORNING + hours(1)).isoformat()
    notice = await county.poster.post_notice(notice_body(api.desk, next_update_due=due))
    await county.school.post(questions_of(notice), {"topic": "ages"})
    await county.church.post(questions_of(notice), {"topic": "ages"}, status=200)

    async def owed(reader: Caller) -> list[str]:
        report = await reader.get("/v1/reports/unacknowledged")
        return [one["owed"] for one in report["owed_by_posters"]]

    assert await owed(county.poster) == ["update", "question"]
    assert await owed(county.school) == ["question"]
    assert await owed(county.church) == ["question"]
    assert await owed(county.cps) == []


async def test_spreadsheet_and_page_show_what_posters_owe(api: Api, county: County) -> None:
    operator = await api.caller(Scope.OPERATE)
    await furnish.add_contact(api.desk, county.agencies["poster"], "Duty officer")
    notice = await county.poster.post_notice(notice_body(api.desk))
    await county.school.post(questions_of(notice), {"topic": "ages"})
    await county.church.post(questions_of(notice), {"topic": "ages"}, status=200)
    world(api.desk).advance(hours(9))

    answer = await operator.send("GET", "/v1/reports/unacknowledged?format=csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))

    (debt,) = [one for one in lines if one["owed"] == "question"]
    assert (debt["recipient"], debt["asks"], debt["overdue_minutes"]) == ("Field office", "2", "60")
    assert debt["contact_name"] == "Duty officer"
    assert debt["next_action"] == "on_duty"
    assert {one["owed"] for one in lines} == {"notice", "question"}
    reader = furnish.principal(Scope.OPERATE)
    read = await reports.read_report(api.desk, reader, asked=Asked(), output="html")
    page = bytes(render_report(read, await read_signs(api.desk)).body).decode()
    assert "owes the answer to a question" in page
    assert "ages: 2 agencies ask this" in page
    assert "ring <strong>Duty officer</strong>" in page
    assert "next: remind the desk on duty" in page


async def test_statements_do_not_grow_with_those_who_ask(api: Api, county: County) -> None:
    asked = count_statements(api)
    callers = [county.school, county.church]
    for number in range(4):
        extra = await furnish.add_agency(api.desk, f"Desk {number}", kind=AgencyKind.FAITH)
        await furnish.add_contact(api.desk, extra, f"Desk {number} on duty")
        callers.append(await api.caller(Scope.ANSWER, agency=extra))

    async def statements(askers: list[Caller]) -> int:
        notice = await county.poster.post_notice(notice_body(api.desk))
        question = await askers[0].post(questions_of(notice), {"topic": "ages"})
        for one in askers[1:]:
            await one.post(questions_of(notice), {"topic": "ages"}, status=200)
        asked.clear()
        await county.poster.post(f"/v1/questions/{question['id']}/answers", {"text": "Young."})
        return len(asked)

    assert await statements(callers[:1]) == await statements(callers)


async def test_statements_of_intake_do_not_grow_with_what_is_promised(
    api: Api, county: County
) -> None:
    await county.poster.post_notice(notice_body(api.desk))
    asked = count_statements(api)
    poster = furnish.principal(Scope.POST, agency=county.agencies["poster"])

    async def statements(many: int) -> int:
        body = notice_body(api.desk, next_update_due=(MORNING + hours(1)).isoformat())
        drafts = [
            await first_version(
                api.desk, poster, post=NoticePost.model_validate(body), key=new_api_key_id()
            )
            for _ in range(many)
        ]
        asked.clear()
        await intake.take_in(api.desk, drafts)
        return len([one for one in asked if "obligation" in one or "polic" in one])

    assert await statements(1) <= await statements(8) == await statements(16)

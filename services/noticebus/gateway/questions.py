"""Questions to the poster over HTTP, and the poster's answers."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from noticebus.casework import questions as casework
from noticebus.casework import reading
from noticebus.casework.desk import Desk
from noticebus.casework.questions import Seen
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.answers import Page
from noticebus.contracts.question import (
    AnswerPost,
    AnswerView,
    AskersView,
    QuestionPost,
    QuestionView,
)
from noticebus.contracts.receipt import Receipt
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import QUESTION_ANSWER_EXAMPLES, QUESTION_EXAMPLES
from noticebus.gateway.problems import MADE, READ, responses
from noticebus.ids import AgencyId, IncidentId, QuestionId

THERE_ALREADY: dict[int | str, dict[str, Any]] = {
    200: {"model": QuestionView, "description": "The question is there; your agency joins it."}
}

router = APIRouter(prefix="/v1", tags=["questions"])


@router.post(
    "/incidents/{incident_id}/questions",
    status_code=201,
    responses={
        **THERE_ALREADY,
        **responses(*MADE, "not-found", "incident-cancelled", "too-many-questions"),
    },
)
async def ask(
    incident_id: str,
    post: Annotated[QuestionPost, Body(openapi_examples=QUESTION_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    response: Response,
) -> QuestionView:
    """Ask the poster something about an incident your agency must answer. Needs `answer`.

    The poster owes you an answer by `due_at`: 2 hours for class A, 8 for B, a day otherwise, in its
    service hours. If an agency of your content level has asked the same, 200 gives you that
    question and your agency joins it; if it was answered since the latest version, with its answer.
    When the answer comes, every agency that asks is told. No personal data in the text.
    """
    asked = await casework.ask(desk, caller, incident_id=IncidentId(incident_id), post=post)
    if not asked.fresh:
        response.status_code = 200
    (view,) = await _views(desk, [asked])
    return view


@router.get("/incidents/{incident_id}/questions", responses=responses(*READ))
async def list_questions(incident_id: str, desk: TheDesk, caller: Caller) -> Page[QuestionView]:
    """List the questions about an incident with their answers, oldest first.

    Everybody bound by the incident reads what was asked at their content level or a lower one, so
    that nobody asks twice. An incident takes at most 200, all on this page.
    """
    found = await casework.list_questions(desk, caller, incident_id=IncidentId(incident_id))
    return Page(items=tuple(await _views(desk, found)), next=None)


@router.post(
    "/questions/{question_id}/answers",
    status_code=201,
    responses=responses(
        *MADE,
        "not-found",
        "conflict",
        "question-answered",
        "more-time-used",
        "eta-past",
        "eta-too-far",
    ),
)
async def answer_question(
    question_id: str,
    post: Annotated[AnswerPost, Body(openapi_examples=QUESTION_ANSWER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> QuestionView:
    """Answer a question about your agency's own incident. Needs `post`.

    Give a value (`text`, `number` or both), or the ground on which it may not be shared: either
    closes the question, and all who asked are told. `unknown_will_report_at` is a promise: it moves
    the reminders once, by at most 2 hours in class A, 8 in B, 2 days in C; the question stays open.
    """
    answered = await casework.answer_question(
        desk, caller, question_id=QuestionId(question_id), post=post
    )
    (view,) = await _views(desk, [answered])
    return view


async def _views(desk: Desk, found: Sequence[Seen]) -> list[QuestionView]:
    """Show questions, with all their agencies' names read at once."""
    named = {one.question.asked_by for one in found}
    named |= {agency_id for one in found for agency_id in one.askers or ()}
    agencies = await reading.agency_refs(desk, named)
    return [_view(one, agencies) for one in found]


def _view(seen: Seen, agencies: Mapping[AgencyId, AgencyRef]) -> QuestionView:
    question = seen.question
    names = None if seen.askers is None else tuple(agencies[one] for one in seen.askers)
    return QuestionView(
        id=question.id,
        incident_id=question.incident_id,
        notice_id=question.notice_id,
        obligation_id=question.obligation_id,
        asked_by=agencies[question.asked_by],
        askers=AskersView(count=seen.asks, agencies=names),
        tier=question.tier,
        topic=question.topic,
        text=question.text,
        state=question.state,
        due_at=question.due_at,
        answer=None if question.answer is None else AnswerView.model_validate(question.answer),
        answered_at=question.answered_at,
        created_at=question.created_at,
        receipt=None if seen.receipt is None else Receipt.model_validate(seen.receipt),
    )

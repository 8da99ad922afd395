"""Questions to the poster over HTTP, and the poster's answers."""

from typing import Annotated

from fastapi import APIRouter, Body

from noticebus.casework import questions as casework
from noticebus.casework import reading
from noticebus.casework.desk import Desk
from noticebus.casework.questions import Asked
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.answers import Page
from noticebus.contracts.question import AnswerPost, AnswerView, QuestionPost, QuestionView
from noticebus.contracts.receipt import Receipt
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import QUESTION_ANSWER_EXAMPLES, QUESTION_EXAMPLES
from noticebus.gateway.problems import MADE, READ, responses
from noticebus.ids import IncidentId, QuestionId
from noticebus.store.acknowledgements import Question

router = APIRouter(prefix="/v1", tags=["questions"])


@router.post(
    "/incidents/{incident_id}/questions",
    status_code=201,
    responses=responses(*MADE, "not-found", "incident-cancelled", "too-many-questions"),
)
async def ask(
    incident_id: str,
    post: Annotated[QuestionPost, Body(openapi_examples=QUESTION_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> QuestionView:
    """Ask the poster something about an incident your agency must answer. Needs `answer`.

    The poster owes you an answer by `due_at`: 2 hours for class A, 8 for B, a day otherwise. Until
    then, and after, the question stands on the report. No personal data in the text.
    """
    asked = await casework.ask(desk, caller, incident_id=IncidentId(incident_id), post=post)
    return await _one(desk, asked)


@router.get("/incidents/{incident_id}/questions", responses=responses(*READ))
async def list_questions(incident_id: str, desk: TheDesk, caller: Caller) -> Page[QuestionView]:
    """List the questions about an incident with their answers, oldest first.

    Everybody bound by the incident reads them, so that nobody asks twice. An incident takes at
    most 200, all on this page.
    """
    found = await casework.list_questions(desk, caller, incident_id=IncidentId(incident_id))
    agencies = await reading.agency_refs(desk, {one.asked_by for one in found})
    return Page(items=tuple(_view(one, agencies[one.asked_by]) for one in found), next=None)


@router.post(
    "/questions/{question_id}/answers",
    status_code=201,
    responses=responses(*MADE, "not-found", "question-answered"),
)
async def answer_question(
    question_id: str,
    post: Annotated[AnswerPost, Body(openapi_examples=QUESTION_ANSWER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> QuestionView:
    """Answer a question about your agency's own incident. Needs `post`.

    Give a value (`text`, `number` or both), or the ground on which it may not be shared: either
    closes the question. `unknown_will_report_at` is a promise; the question stays open.
    """
    asked = await casework.answer_question(
        desk, caller, question_id=QuestionId(question_id), post=post
    )
    return await _one(desk, asked)


async def _one(desk: Desk, asked: Asked) -> QuestionView:
    question = asked.question
    agencies = await reading.agency_refs(desk, {question.asked_by})
    return _view(question, agencies[question.asked_by], receipt=asked.receipt)


def _view(
    question: Question, asked_by: AgencyRef, *, receipt: dict[str, str] | None = None
) -> QuestionView:
    return QuestionView(
        id=question.id,
        incident_id=question.incident_id,
        notice_id=question.notice_id,
        obligation_id=question.obligation_id,
        asked_by=asked_by,
        topic=question.topic,
        text=question.text,
        state=question.state,
        due_at=question.due_at,
        answer=None if question.answer is None else AnswerView.model_validate(question.answer),
        answered_at=question.answered_at,
        created_at=question.created_at,
        receipt=None if receipt is None else Receipt.model_validate(receipt),
    )

"""A poster answers what it was asked: with words or a number, a time, or why it may not say."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from noticebus.access.principals import own_agency
from noticebus.access.sessions import Visitor
from noticebus.casework import incident_changes, questions
from noticebus.casework.incident_changes import ToAnswer
from noticebus.console import etas
from noticebus.console.filled import (
    CONFLICT,
    INVALID,
    Filled,
    faults_of,
    read_version,
    without_faults,
)
from noticebus.console.forms import read_form
from noticebus.console.pages import PageRoute, enter_view, redirect, render
from noticebus.console.reading import read_whole
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.question import AnswerPost
from noticebus.contracts.vocabulary import ContentLevel, QuestionState, Scope
from noticebus.domain.mail import DRILL_WORDS
from noticebus.errors import ConflictError, InvalidError
from noticebus.ids import QuestionId

ID_MAX = 64
FIELDS = ("text", "number", "unknown_will_report_at", "cannot_share", "role")
READERS = {
    ContentLevel.CPS: "the child protection agencies of the incident, and the operators",
}
EVERYBODY = "every recipient of the incident, and the operators"
_SAID = {
    "text": "Shorten the answer to 500 characters of plain text.",
    "number": "Write a whole number in digits, up to 1,000,000.",
    "unknown_will_report_at": "Choose one of the times.",
    "cannot_share": "Write the legal ground on one line of up to 300 characters.",
    "role": "Write your role, in up to 120 characters: duty officer, supervisor …",
    "form": (
        "Give one of three: an answer in words or a number, the time at which you will answer,"
        " or the ground on which you may not."
    ),
}
_CONFLICTS = {
    "question-answered": (
        "It was answered meanwhile; the answer is below. Post an update if it has changed."
    ),
    "stale-version": (
        "A newer version was posted since you opened this page. Read it, then answer."
    ),
    "eta-past": "This time has passed. Choose a later one.",
    "eta-too-far": "This is later than the class of the notice allows. Choose an earlier time.",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)

QuestionPath = Annotated[QuestionId, Path(max_length=ID_MAX)]


@router.get("/questions/{question_id}/answer")
async def show(
    request: Request, question_id: QuestionPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show the question, who asks it and who will read the answer, and the form."""
    found = await incident_changes.read_question(desk, visitor.principal, question_id=question_id)
    return await _page(request, visitor, found, without_faults(FIELDS))


@router.post("/questions/{question_id}/answer")
async def answer(
    request: Request, question_id: QuestionPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Give the answer, or show the form again with what is wrong."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    own_agency(visitor.principal)
    typed = {name: form.text(name) for name in FIELDS}
    post: AnswerPost | None = None
    try:
        post = AnswerPost.model_validate(_wire(typed, name=visitor.principal.name))
        await questions.answer_question(
            desk,
            visitor.principal,
            question_id=question_id,
            post=post,
            base_version=read_version(form),
        )
    except (ValidationError, InvalidError, ConflictError) as error:
        found = await incident_changes.read_question(
            desk, visitor.principal, question_id=question_id
        )
        if post is None or not _is_given(found, post):
            faults = faults_of(error, said=_SAID, conflicts=_CONFLICTS)
            status = CONFLICT if isinstance(error, ConflictError) else INVALID
            filled = Filled(typed=typed, faults=faults)
            return await _page(request, visitor, found, filled, status=status)
    else:
        found = await incident_changes.read_question(
            desk, visitor.principal, question_id=question_id
        )
    promised = post.unknown_will_report_at is not None
    said = "question-promised" if promised else "question-answered"
    return redirect(f"/incidents/{found.incident.id}", said=said)


def _is_given(found: ToAnswer, post: AnswerPost) -> bool:
    """Say whether this very answer is recorded already: the button was pressed twice."""
    return found.question.answer == post.model_dump(mode="json", exclude_none=True)


async def _page(
    request: Request, visitor: Visitor, found: ToAnswer, filled: Filled, *, status: int = 200
) -> Response:
    await enter_view(
        request,
        visitor,
        "question_answer",
        incident_id=found.incident.id,
        question_id=found.question.id,
    )
    offered = etas.moments(
        found.owed, latest=None, now=found.now, chosen=filled.typed["unknown_will_report_at"]
    )
    return await render(
        request,
        "question_answer.html",
        visitor=visitor,
        status=status,
        title="Answer a question",
        found=found,
        question=found.question,
        is_answered=found.question.state is QuestionState.ANSWERED,
        readers=READERS.get(found.question.tier, EVERYBODY),
        late=found.now > found.question.due_at,
        zone=found.poster.zone,
        drill=DRILL_WORDS.get(found.incident.status, ""),
        etas=[(etas.written(one), one) for one in offered],
        typed=filled.typed,
        faults=filled.faults,
    )


def _wire(typed: Mapping[str, str], *, name: str) -> dict[str, object]:
    """Write the form as the interface's own body; who is signed in answers by that name."""
    number = read_whole(typed["number"])
    return {
        "text": typed["text"] or None,
        "number": (typed["number"] if number is None else number) if typed["number"] else None,
        "unknown_will_report_at": typed["unknown_will_report_at"] or None,
        "cannot_share": typed["cannot_share"] or None,
        "by": {"name": name, "role": typed["role"]},
    }

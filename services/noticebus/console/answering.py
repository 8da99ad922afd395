"""Writing down an answer in two clicks: what a recipient said on the telephone, or its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from noticebus.casework import call_sheets, speaking
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.call_sheets import CallSheet, Recorded
from noticebus.casework.views import place_names
from noticebus.casework.votes import quorum_of
from noticebus.console import etas
from noticebus.console.actions import BACK_MAX, ID_MAX, ObligationPath
from noticebus.console.forms import Form, read_form
from noticebus.console.pages import PageRoute, back_to, enter_view, redirect, render
from noticebus.console.reading import read_whole
from noticebus.console.texts import Language, text
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.console.wording import children_line
from noticebus.contracts.acknowledgement import OperatorAcknowledgementPost
from noticebus.contracts.faults import details
from noticebus.contracts.vocabulary import Answer, DeclineReason, How, ObligationState
from noticebus.domain.mail import CLASS_WORDS, DRILL_WORDS
from noticebus.domain.obligation import closing_answers
from noticebus.errors import ConflictError, InvalidError

FIELDS = ("answer", "how", "on_behalf_of", "name", "role", "note", "reference", "eta", "reason")
CONFLICT, INVALID = 409, 422
HOW_WORDS = {
    How.PHONE: "by telephone",
    How.RADIO: "by radio",
    How.IN_PERSON: "in person",
    How.MAIL: "by mail",
}
ANSWER_WORDS = {
    Answer.ACCEPTED: "They accept: they will act",
    Answer.RECEIVED: "They have received it",
    Answer.NEED_MORE_TIME: "They need more time",
    Answer.DECLINED: "They decline: it is not theirs",
}
OWN_WORDS = {one: text(Language.EN, f"answer_{one}") for one in Answer}
REASON_WORDS = {one: text(Language.EN, f"reason_{one}") for one in DeclineReason}
_FIELD_OF = {"/by/name": "name", "/by/role": "role"}

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Back = Annotated[str, Query(max_length=BACK_MAX)]
Short = Annotated[str, Query(max_length=ID_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The form as it is shown: what was typed, and what is wrong with which field."""

    typed: Mapping[str, str]
    faults: Mapping[str, str]


@router.get("/obligations/{obligation_id}/answer")
async def show(
    request: Request,
    obligation_id: ObligationPath,
    desk: TheDesk,
    visitor: TheVisitor,
    contact: Short = "",
    back: Back = "",
) -> Response:
    """Show what to read out and whom to ring, and the form that takes down what they say."""
    sheet = await call_sheets.call_sheet(desk, visitor.principal, obligation_id=obligation_id)
    typed = _prefilled(sheet, visitor, contact=contact)
    return await _page(request, visitor, sheet, Filled(typed=typed, faults={}), back=back)


@router.post("/obligations/{obligation_id}/answer")
async def record(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Record the answer on the form, or show it again with what is wrong."""
    form = await read_form(request, visitor)
    back = form.text("back")
    sheet = await call_sheets.call_sheet(desk, visitor.principal, obligation_id=obligation_id)
    typed = {name: form.text(name) for name in FIELDS}
    if not sheet.hears:
        typed["name"] = visitor.principal.name
    try:
        post = OperatorAcknowledgementPost.model_validate(_wire(typed, hears=sheet.hears))
        answered = await speaking.answer_obligation(
            desk,
            visitor.principal,
            obligation_id=obligation_id,
            given=_given(post, read_version=_version(form)),
            how=post.how,
            on_behalf_of=post.on_behalf_of,
        )
    except (ValidationError, InvalidError, ConflictError) as error:
        filled = Filled(typed=typed, faults=_faults(error))
        status = CONFLICT if isinstance(error, ConflictError) else INVALID
        return await _page(request, visitor, sheet, filled, back=back, status=status)
    again = "" if answered.fresh else "&again=1"
    asked = quote(back_to(back), safe="")
    made = answered.acknowledgement.id
    return redirect(f"/obligations/{obligation_id}/answers/{made}?back={asked}{again}")


@router.get("/obligations/{obligation_id}/answers/{acknowledgement_id}")
async def show_recorded(  # noqa: PLR0913, PLR0917  (what the address says)
    request: Request,
    obligation_id: ObligationPath,
    acknowledgement_id: Annotated[str, Path(max_length=ID_MAX)],
    desk: TheDesk,
    visitor: TheVisitor,
    again: Annotated[bool, Query()] = False,  # noqa: FBT002  (a query parameter)
    back: Back = "",
) -> Response:
    """Show what was recorded, with the numbers to quote, and what follows from it."""
    found = await call_sheets.recorded(
        desk,
        visitor.principal,
        obligation_id=obligation_id,
        acknowledgement_id=acknowledgement_id,
    )
    owed = found.sheet.owed
    await _enter(request, visitor, found.sheet, page="answer_receipt")
    return await render(
        request,
        "answer_receipt.html",
        visitor=visitor,
        title="It was recorded already" if again else "Recorded",
        again=again,
        owed=owed,
        agency=found.sheet.agency,
        zone=found.sheet.agency.zone,
        made=found.made,
        receipt=found.receipt,
        answer=ANSWER_WORDS[found.made.answer] if found.made.how else OWN_WORDS[found.made.answer],
        how=None if found.made.how is None else HOW_WORDS[found.made.how],
        reason=None if found.made.reason is None else REASON_WORDS[found.made.reason],
        drill=DRILL_WORDS.get(owed.status, ""),
        following=following(found),
        back_to=back_to(back),
    )


def following(found: Recorded) -> str:
    """Say what an answer sets off, and what is still left to do."""
    made, owed = found.made, found.sheet.owed
    if made.closed or owed.state is not ObligationState.OPEN:
        return _settled(found)
    if made.version < owed.round_version:
        return (
            f"It answers version {made.version}. Version {owed.round_version} still needs an"
            " answer: the bus goes on calling."
        )
    if made.answer in closing_answers(owed.notice_class) and quorum_of(owed) > 1:
        return (
            f"It takes {quorum_of(owed)} of their people to accept, and this is one. The bus goes"
            " on calling the others."
        )
    if made.answer is Answer.NEED_MORE_TIME:
        return "The next calls wait until then. The deadline stays where it was."
    return "It does not close this: they still have to accept or decline. The bus goes on calling."


def _settled(found: Recorded) -> str:
    made, owed = found.made, found.sheet.owed
    if owed.state is ObligationState.DECLINED:
        return (
            "They have declined. The bus has stopped calling them, and nobody has taken this on:"
            " look at the places without anybody, and ring who else can."
        )
    if made.closed or owed.closed_at == made.recorded_at:
        return "This is closed: the bus has stopped calling them."
    return "This had been settled before. It is recorded, and changes nothing else."


async def _page(
    request: Request,
    visitor: TheVisitor,
    sheet: CallSheet,
    filled: Filled,
    *,
    back: str,
    status: int = 200,
) -> Response:
    desk, owed = request.app.state.desk, sheet.owed
    await _enter(request, visitor, sheet, page="answer")
    offered = etas.moments(
        owed, latest=sheet.latest_eta, now=sheet.now, chosen=filled.typed.get("eta", "")
    )
    return await render(
        request,
        "answer.html",
        visitor=visitor,
        status=status,
        title=f"{'Record a call' if sheet.hears else 'Answer'}: {sheet.agency.name}",
        sheet=sheet,
        owed=owed,
        agency=sheet.agency,
        zone=sheet.agency.zone,
        content=sheet.content,
        class_words=CLASS_WORDS[owed.notice_class],
        drill=DRILL_WORDS.get(owed.status, ""),
        places=place_names(sheet.notice.area_keys, desk.places),
        children=children_line(sheet.content["children"], language=Language.EN),
        closing=closing_answers(owed.notice_class),
        quorum=quorum_of(owed),
        late=owed.due_at is not None and sheet.now > owed.due_at,
        words=ANSWER_WORDS if sheet.hears else OWN_WORDS,
        hows=HOW_WORDS,
        reasons=REASON_WORDS,
        etas=[(etas.written(one), one) for one in offered],
        typed=filled.typed,
        faults=filled.faults,
        back_to=back_to(back),
    )


async def _enter(request: Request, visitor: TheVisitor, sheet: CallSheet, *, page: str) -> None:
    await enter_view(
        request,
        visitor,
        page,
        incident_id=sheet.owed.incident_id,
        obligation_id=sheet.owed.id,
    )


def _prefilled(sheet: CallSheet, visitor: TheVisitor, *, contact: str) -> dict[str, str]:
    """Fill in whom the page says to ring; who is signed in answers by that name."""
    typed = dict.fromkeys(FIELDS, "")
    if not sheet.hears:
        return typed | {"name": visitor.principal.name}
    person = next(
        (one for one in sheet.contacts if one.id == contact), next(iter(sheet.contacts), None)
    )
    if person is not None:
        typed |= {"name": person.name, "role": person.role}
    return typed | {"how": How.PHONE.value, "on_behalf_of": sheet.agency.name}


def _wire(typed: Mapping[str, str], *, hears: bool) -> dict[str, object]:
    """Write the form as the interface's own body; what belongs to another answer is left out."""
    answer = typed["answer"]
    body: dict[str, object] = {
        "answer": answer,
        "by": {"name": typed["name"], "role": typed["role"]},
        "note": typed["note"] or None,
        "reference": typed["reference"] or None,
        "eta": (typed["eta"] or None) if answer == Answer.NEED_MORE_TIME else None,
        "reason": (typed["reason"] or None) if answer == Answer.DECLINED else None,
    }
    if hears:
        body |= {"how": typed["how"], "on_behalf_of": typed["on_behalf_of"]}
    return body


def _given(post: OperatorAcknowledgementPost, *, read_version: int) -> GivenAnswer:
    return GivenAnswer(
        answer=post.answer,
        by_name=post.by.name,
        by_role=post.by.role,
        note=post.note,
        eta=post.eta,
        reason=post.reason,
        reference=post.reference,
        read_version=read_version,
    )


def _version(form: Form) -> int:
    """Read the version that was on the page; what cannot be read is no version at all."""
    return read_whole(form.text("version")) or 0


_SAID = {
    "answer": "Choose an answer: use one of the buttons.",
    "name": "Write who said it: a name, up to 120 characters.",
    "role": "Write what that person is: principal, intake worker, parish office …",
    "how": "Choose how it reached you.",
    "on_behalf_of": "Write for whom the person spoke.",
    "eta": "Choose until when they need.",
    "reason": "Choose why they decline.",
    "note": "Shorten the note.",
    "reference": "Shorten their own number.",
}


def _faults(error: ValidationError | InvalidError | ConflictError) -> dict[str, str]:
    """Say what is wrong, field by field; what is of no field is said on top."""
    if isinstance(error, ConflictError):
        return {"form": error.message}
    if isinstance(error, InvalidError):
        return {_field(one.pointer): one.message for one in error.details}
    found: Sequence[str] = [_field(one.pointer) for one in details(error)]
    return {field: _SAID.get(field, "Look at this again.") for field in found}


def _field(pointer: str) -> str:
    return _FIELD_OF.get(pointer, pointer.removeprefix("/"))

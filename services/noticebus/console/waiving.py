"""Waiving an answer: an operator asks with a reason, and another one confirms on the same page."""

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from noticebus.access.sessions import Visitor
from noticebus.casework import waiving
from noticebus.casework.obligation_pages import ObligationPage, read_obligation
from noticebus.casework.second_person import is_second_person
from noticebus.console.actions import ObligationPath
from noticebus.console.filled import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    Filled,
    faults_of,
    without_faults,
)
from noticebus.console.forms import read_form, which_request
from noticebus.console.incidents import GROUPS
from noticebus.console.pages import PageRoute, enter_view, redirect, render
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import ObligationState, Scope
from noticebus.contracts.waiver import WaiverConfirmPost, WaiverPost
from noticebus.domain.mail import CLASS_WORDS, DRILL_WORDS, KIND_WORDS
from noticebus.errors import ConflictError, ForbiddenError
from noticebus.ids import ObligationId

FIELDS = ("reason",)
_SAID = {"reason": "Write why no answer is needed, in up to 500 characters."}
_CONFLICTS = {
    "no-waiver-requested": (
        "Nobody's request to waive it waits any more: it was taken back, or a newer version asks."
    ),
}
_SAME_PERSON = (
    "Whoever asked for the waiver cannot confirm it, and nobody of the same name can."
    " Let another operator sign in and confirm it."
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/obligations/{obligation_id}/waive")
async def show(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show what a waiver would do, and the form to ask for one or to confirm what waits."""
    allow(visitor, Scope.OPERATE)
    return await _page(request, desk, visitor, obligation_id, without_faults(FIELDS))


@router.post("/obligations/{obligation_id}/waive")
async def ask(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Ask for a waiver in one's own name; nothing changes until a second person confirms it."""
    allow(visitor, Scope.OPERATE)
    form = await read_form(request, visitor)
    typed = {name: form.text(name) for name in FIELDS}
    try:
        post = WaiverPost.model_validate({**typed, "by_name": visitor.principal.name})
        await waiving.ask(desk, visitor.principal, obligation_id=obligation_id, post=post)
    except (ValidationError, ConflictError) as error:
        filled = Filled(typed=typed, faults=faults_of(error, said=_SAID, conflicts=_CONFLICTS))
        return await _page(request, desk, visitor, obligation_id, filled, status=_status(error))
    return redirect(f"/obligations/{obligation_id}", said="waiver-asked")


@router.post("/obligations/{obligation_id}/waive/confirm")
async def confirm(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Waive it as the second person, exactly the request that was on the page."""
    allow(visitor, Scope.OPERATE)
    form = await read_form(request, visitor)
    try:
        await waiving.confirm(
            desk,
            visitor.principal,
            obligation_id=obligation_id,
            post=WaiverConfirmPost(
                by_name=visitor.principal.name, requested_at=which_request(form)
            ),
        )
    except ForbiddenError as error:
        if error.code != "second-person-needed":
            raise
        filled = Filled(typed=dict.fromkeys(FIELDS, ""), faults={"form": _SAME_PERSON})
        return await _page(request, desk, visitor, obligation_id, filled, status=FORBIDDEN)
    except ConflictError as error:
        faults = faults_of(error, said=_SAID, conflicts=_CONFLICTS)
        filled = Filled(typed=dict.fromkeys(FIELDS, ""), faults=faults)
        return await _page(request, desk, visitor, obligation_id, filled, status=CONFLICT)
    return redirect(f"/obligations/{obligation_id}", said="waived")


@router.post("/obligations/{obligation_id}/waive/take-back")
async def take_back(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Take a request back, or turn another's down; where none waits, nothing changes."""
    allow(visitor, Scope.OPERATE)
    await read_form(request, visitor)
    await waiving.take_back(desk, visitor.principal, obligation_id=obligation_id)
    return redirect(f"/obligations/{obligation_id}", said="waiver-taken-back")


async def _page(
    request: Request,
    desk: TheDesk,
    visitor: Visitor,
    obligation_id: ObligationId,
    filled: Filled,
    *,
    status: int = 200,
) -> Response:
    page = await read_obligation(desk, visitor.principal, obligation_id=obligation_id)
    await enter_view(
        request, visitor, "waive", incident_id=page.incident.id, obligation_id=page.owed.id
    )
    return await render(
        request,
        "waive.html",
        visitor=visitor,
        status=status,
        title="Waive this answer",
        page=page,
        owed=page.owed,
        zone=page.agency.zone,
        group=GROUPS[page.group],
        class_words=CLASS_WORDS[page.owed.notice_class],
        kind_words=KIND_WORDS[page.about.kind],
        drill=DRILL_WORDS.get(page.owed.status, ""),
        is_waived=page.owed.state is ObligationState.WAIVED,
        may_confirm=_may_confirm(page, visitor),
        asked_it=page.waiver is not None and page.waiver.requested_by == visitor.principal.id,
        typed=filled.typed,
        faults=filled.faults,
    )


def _may_confirm(page: ObligationPage, visitor: Visitor) -> bool:
    principal = visitor.principal
    return page.waiver is not None and is_second_person(page.waiver, principal, name=principal.name)


def _status(error: Exception) -> int:
    return CONFLICT if isinstance(error, ConflictError) else INVALID

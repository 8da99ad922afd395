"""What a poster does to its incident: cancels it with a second person, or says that it is over.

Each page says what will happen and to how many before anything is stored. An update needs the whole
notice anew and stays with the HTTP interface.
"""

import secrets
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from noticebus.access.principals import own_agency
from noticebus.access.sessions import Visitor
from noticebus.casework import all_clear as clearing
from noticebus.casework import cancel, incident_changes
from noticebus.casework.incident_changes import Prospect
from noticebus.casework.second_person import is_second_person
from noticebus.console.filled import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    Filled,
    faults_of,
    read_version,
    without_faults,
)
from noticebus.console.forms import KEY_FORM, read_form, which_request
from noticebus.console.pages import PageRoute, enter_view, redirect, render
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.notice import AllClearPost, CancelConfirmPost, CancelPost
from noticebus.contracts.vocabulary import IncidentState, Msg, Owed, Scope
from noticebus.domain.mail import CLASS_WORDS, DRILL_WORDS
from noticebus.errors import BadRequestError, ConflictError, ForbiddenError, InvalidError
from noticebus.ids import IncidentId
from noticebus.store.cancel_requests import LAPSES_AFTER

ID_MAX = 64
CANCEL_FIELDS = ("reason", "role")
CLEAR_FIELDS = ("headline", "description", "still_open", "nothing_open", "override_reason")
_SAID = {
    "reason": "Write why it should not stand, in up to 500 characters: everybody told reads it.",
    "role": "Write your role, in up to 120 characters: duty officer, supervisor …",
    "headline": "Write one line of up to 160 characters: what is over, and where.",
    "description": "Shorten what was done to 8,000 characters of plain text.",
    "still_open": "Write at most 20 matters, one a line, each of up to 500 characters.",
    "override_reason": "Write why it is over all the same, in up to 500 characters.",
}
_CONFLICTS = {
    "incident-cancelled": "It was cancelled meanwhile, and takes nothing more.",
    "stale-version": (
        "A newer version was posted since you opened this page. Read it; this page is about it now."
    ),
    "no-cancel-requested": (
        "Nobody's request to cancel it waits any more: it was taken back, or has lapsed."
    ),
    "class-a-open": "Matters of class A are still open: they are named below.",
}
_SAME_PERSON = (
    "Whoever asked for the cancel cannot confirm it, and nobody of the same name can."
    " Let another person sign in and confirm it."
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)

IncidentPath = Annotated[IncidentId, Path(max_length=ID_MAX)]


@router.get("/incidents/{incident_id}/cancel")
async def show_cancel(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show what a cancel would withdraw and whom it would tell; where one waits, show that."""
    found = await incident_changes.read_prospect(desk, visitor.principal, incident_id=incident_id)
    if found.pending is not None:
        return redirect(f"/incidents/{incident_id}/cancel/confirm")
    return await _cancel_page(request, visitor, found, without_faults(CANCEL_FIELDS))


@router.post("/incidents/{incident_id}/cancel")
async def ask_for_cancel(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Ask for a cancel in one's own name; nobody is told until a second person confirms it."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    own_agency(visitor.principal)
    typed = {name: form.text(name) for name in CANCEL_FIELDS}
    try:
        post = CancelPost.model_validate(
            {
                "base_version": read_version(form),
                "reason": typed["reason"],
                "by": _by(visitor, typed["role"]),
            }
        )
        await cancel.request_cancel(desk, visitor.principal, incident_id=incident_id, post=post)
    except (ValidationError, InvalidError, ConflictError) as error:
        filled = Filled(typed=typed, faults=faults_of(error, said=_SAID, conflicts=_CONFLICTS))
        found = await incident_changes.read_prospect(
            desk, visitor.principal, incident_id=incident_id
        )
        return await _cancel_page(request, visitor, found, filled, status=_status(error))
    return redirect(f"/incidents/{incident_id}", said="cancel-asked")


@router.get("/incidents/{incident_id}/cancel/confirm")
async def show_confirm(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show who asked for a cancel, why, and what confirming it would do to how many."""
    found = await _prospect_of_either(desk, visitor, incident_id)
    return await _confirm_page(request, visitor, found, without_faults(("role",)))


@router.post("/incidents/{incident_id}/cancel/confirm")
async def confirm(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Cancel an incident as the second person, exactly the request that was on the page."""
    form = await read_form(request, visitor)
    found = await _prospect_of_either(desk, visitor, incident_id)
    if _was_ended_by(found, visitor, Msg.CANCEL):
        return redirect(f"/incidents/{incident_id}", said="cancelled")  # pressed twice
    typed = {"role": form.text("role")}
    try:
        post = CancelConfirmPost.model_validate({"by": _by(visitor, typed["role"])})
        await cancel.confirm_cancel(
            desk,
            visitor.principal,
            incident_id=incident_id,
            post=post,
            requested_at=which_request(form),
        )
    except ForbiddenError as error:
        if error.code != "second-person-needed":
            raise
        filled = Filled(typed=typed, faults={"form": _SAME_PERSON})
        return await _confirm_page(request, visitor, found, filled, status=FORBIDDEN)
    except (ValidationError, InvalidError, ConflictError) as error:
        filled = Filled(typed=typed, faults=faults_of(error, said=_SAID, conflicts=_CONFLICTS))
        found = await _prospect_of_either(desk, visitor, incident_id)
        return await _confirm_page(request, visitor, found, filled, status=_status(error))
    return redirect(f"/incidents/{incident_id}", said="cancelled")


@router.post("/incidents/{incident_id}/cancel/take-back")
async def take_back(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Take back a cancel that waits; where none does, nothing changes."""
    await read_form(request, visitor)
    await cancel.take_back_cancel(desk, visitor.principal, incident_id=incident_id)
    return redirect(f"/incidents/{incident_id}", said="cancel-taken-back")


@router.get("/incidents/{incident_id}/all-clear")
async def show_all_clear(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show whom an all-clear would tell, what stays open, and what stands against it."""
    found = await incident_changes.read_prospect(desk, visitor.principal, incident_id=incident_id)
    filled = without_faults(CLEAR_FIELDS)
    return await _clear_page(request, visitor, found, filled, key=secrets.token_urlsafe(24))


@router.post("/incidents/{incident_id}/all-clear")
async def give_all_clear(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Say that it is over; one form is one all-clear, however often it is sent."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    own_agency(visitor.principal)
    key = form.text("key")
    if KEY_FORM.fullmatch(key) is None:
        raise BadRequestError("The form cannot be read. Go back and load the page again.")
    typed = {name: form.text(name) for name in CLEAR_FIELDS}
    faults = _unsaid(typed)
    try:
        post = AllClearPost.model_validate(_clear_body(typed, base_version=read_version(form)))
        if not faults:
            await clearing.all_clear(
                desk, visitor.principal, incident_id=incident_id, post=post, key=key
            )
            return redirect(f"/incidents/{incident_id}", said="cleared")
        status = INVALID
    except (ValidationError, InvalidError, ConflictError) as error:
        faults = faults_of(error, said=_SAID, conflicts=_CONFLICTS) | faults
        status = _status(error)
    filled = Filled(typed=typed, faults=faults)
    found = await incident_changes.read_prospect(desk, visitor.principal, incident_id=incident_id)
    return await _clear_page(request, visitor, found, filled, key=key, status=status)


async def _cancel_page(
    request: Request, visitor: Visitor, found: Prospect, filled: Filled, *, status: int = 200
) -> Response:
    return await _page(
        request,
        visitor,
        found,
        filled,
        template="incident_cancel.html",
        title="Cancel this incident",
        status=status,
        until=found.now + LAPSES_AFTER,
    )


async def _confirm_page(
    request: Request, visitor: Visitor, found: Prospect, filled: Filled, *, status: int = 200
) -> Response:
    principal, asked = visitor.principal, found.pending
    return await _page(
        request,
        visitor,
        found,
        filled,
        template="incident_cancel_confirm.html",
        title="Confirm the cancel of this incident",
        status=status,
        may_confirm=asked is not None and is_second_person(asked, principal, name=principal.name),
        asked_it=asked is not None and asked.requested_by == principal.id,
    )


async def _clear_page(
    request: Request,
    visitor: Visitor,
    found: Prospect,
    filled: Filled,
    *,
    key: str,
    status: int = 200,
) -> Response:
    return await _page(
        request,
        visitor,
        found,
        filled,
        template="incident_all_clear.html",
        title="Give the all-clear",
        status=status,
        key=key,
    )


async def _page(  # noqa: PLR0913  (a page, and what was typed on it)
    request: Request,
    visitor: Visitor,
    found: Prospect,
    filled: Filled,
    *,
    template: str,
    title: str,
    status: int,
    **facts: object,
) -> Response:
    page = template.removesuffix(".html")
    await enter_view(request, visitor, page, incident_id=found.incident.id)
    return await render(
        request,
        template,
        visitor=visitor,
        status=status,
        title=title,
        found=found,
        is_cancelled=found.incident.state is IncidentState.CANCELLED,
        questions_open=found.open_debts(Owed.QUESTION),
        updates_open=found.open_debts(Owed.UPDATE),
        zone=found.poster.zone,
        class_words=CLASS_WORDS[found.latest.notice_class],
        drill=DRILL_WORDS.get(found.incident.status, ""),
        typed=filled.typed,
        faults=filled.faults,
        **facts,
    )


async def _prospect_of_either(desk: TheDesk, visitor: Visitor, incident_id: IncidentId) -> Prospect:
    """Read an incident for its poster's people or an operator: whoever may confirm its cancel."""
    return await incident_changes.read_prospect(
        desk, visitor.principal, incident_id=incident_id, operates=True
    )


def _by(visitor: Visitor, role: str) -> dict[str, str]:
    """Name who is signed in: nobody asks, or confirms, in another's name."""
    return {"name": visitor.principal.name, "role": role}


def _was_ended_by(found: Prospect, visitor: Visitor, msg: Msg) -> bool:
    return found.latest.msg is msg and found.latest.posted_by == visitor.principal.id


def _unsaid(typed: Mapping[str, str]) -> dict[str, str]:
    """Say that what is still open must be said, one way or the other."""
    if bool(typed["still_open"]) != bool(typed["nothing_open"]):
        return {}
    said = "Write what is still open, or tick that nothing is" + (
        ": not both." if typed["still_open"] else "."
    )
    return {"still_open": said}


def _clear_body(typed: Mapping[str, str], *, base_version: int) -> dict[str, object]:
    return {
        "base_version": base_version,
        "headline": typed["headline"],
        "description": typed["description"] or None,
        "still_open": [one.strip() for one in typed["still_open"].split("\n") if one.strip()],
        "override_reason": typed["override_reason"] or None,
    }


def _status(error: Exception) -> int:
    return CONFLICT if isinstance(error, ConflictError) else INVALID

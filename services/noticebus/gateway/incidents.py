"""Incidents over HTTP: the next version, the cancel, who must answer."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import cancel, reading, revise
from noticebus.contracts.answers import NoticeAccepted, ObligationView, Page
from noticebus.contracts.incident import IncidentView
from noticebus.contracts.notice import CancelPost, UpdatePost
from noticebus.gateway.dependencies import (
    Caller,
    OptionalKey,
    TheDesk,
    ThePage,
    cut,
    link_next,
)
from noticebus.gateway.examples import CANCEL_EXAMPLES, UPDATE_EXAMPLES
from noticebus.gateway.notices import posted
from noticebus.gateway.problems import LISTED, MADE, READ, responses
from noticebus.ids import IncidentId

FOLLOWED = (*MADE, "not-found", "stale-version", "incident-cancelled")

router = APIRouter(prefix="/v1", tags=["incidents"])


@router.get("/incidents/{incident_id}", responses=responses(*READ))
async def get_incident(incident_id: str, desk: TheDesk, caller: Caller) -> IncidentView:
    """Read an incident: its versions, oldest first, and for its poster how many have answered."""
    return await reading.get_incident(desk, caller, incident_id=incident_id)


@router.post(
    "/incidents/{incident_id}/updates",
    status_code=201,
    response_model=NoticeAccepted,
    responses=responses(
        *FOLLOWED, "embargoed", "idempotency-key-reused", "invalid-update", "unknown-place"
    ),
)
async def post_update(
    incident_id: str,
    post: Annotated[UpdatePost, Body(openapi_examples=UPDATE_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    key: OptionalKey,
) -> Response:
    """Post the next version: the whole state again, written against `base_version`.

    Needs `post`, and the incident must be your agency's. Everybody bound is told. A change that
    matters to children (class, phase, places, sites, or the number of children) asks everybody for
    a new answer; so does `material: true`. Totals may not fall unless `change_reason` is
    `correction`. A place you leave out stays addressed.
    """
    answered = await revise.update(
        desk, caller, incident_id=IncidentId(incident_id), post=post, key=key
    )
    return posted(answered)


@router.post(
    "/incidents/{incident_id}/cancel",
    status_code=201,
    response_model=NoticeAccepted,
    responses=responses(*FOLLOWED),
)
async def cancel_incident(
    incident_id: str,
    post: Annotated[CancelPost, Body(openapi_examples=CANCEL_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> Response:
    """Cancel an incident that should not stand: what is open is withdrawn, everybody told hears it.

    Needs `post`, and the incident must be your agency's. It is a version like any other and stays
    readable; the incident takes no further one.
    """
    answered = await cancel.cancel(desk, caller, incident_id=IncidentId(incident_id), post=post)
    return posted(answered)


@router.get("/incidents/{incident_id}/obligations", responses=responses(*LISTED, "not-found"))
async def list_obligations(
    incident_id: str,
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
) -> Page[ObligationView]:
    """List who must answer: state, deadlines, steps, attempts and answers of each.

    For the poster, and with `operate`, `admin` or `audit`: all of them. A recipient sees its own.
    Delivered, opened and acknowledged are three facts: none of them implies another.
    """
    found = await reading.list_obligations(
        desk, caller, incident_id=incident_id, after=page.after, limit=page.limit + 1
    )
    shown, last = cut(found, page)
    return Page(items=tuple(shown), next=link_next(request, response, last=last))


@router.get("/obligations/{obligation_id}", responses=responses(*READ))
async def get_obligation(obligation_id: str, desk: TheDesk, caller: Caller) -> ObligationView:
    """Read one obligation: for the agency that owes it, the poster, and the bus's operators."""
    return await reading.get_obligation(desk, caller, obligation_id=obligation_id)

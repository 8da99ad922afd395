"""Incidents over HTTP: the next version, the cancel, the all-clear, who must answer."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import all_clear as clearing
from noticebus.casework import cancel, reading, revise
from noticebus.contracts.answers import NoticeAccepted, ObligationView, Page
from noticebus.contracts.incident import CancelRequestView, IncidentView
from noticebus.contracts.notice import AllClearPost, CancelConfirmPost, CancelPost, UpdatePost
from noticebus.gateway.dependencies import (
    Caller,
    OptionalKey,
    TheDesk,
    ThePage,
    cut,
    link_next,
)
from noticebus.gateway.examples import (
    ALL_CLEAR_EXAMPLES,
    CANCEL_EXAMPLES,
    CONFIRM_EXAMPLES,
    UPDATE_EXAMPLES,
)
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
    status_code=202,
    responses=responses(*FOLLOWED, "cancel-pending"),
)
async def request_cancel(
    incident_id: str,
    post: Annotated[CancelPost, Body(openapi_examples=CANCEL_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> CancelRequestView:
    """Ask for the cancel of an incident that should not stand; a second person confirms it.

    Needs `post`, and the incident must be your agency's. Nobody is told and nothing changes until
    another person confirms it at `…/cancel/confirm`. The request lapses after 24 hours, and with
    the next version. The same request again is answered the same.
    """
    return await cancel.request_cancel(desk, caller, incident_id=IncidentId(incident_id), post=post)


@router.post(
    "/incidents/{incident_id}/cancel/confirm",
    status_code=201,
    response_model=NoticeAccepted,
    responses=responses(*FOLLOWED, "no-cancel-requested", "second-person-needed"),
)
async def confirm_cancel(
    incident_id: str,
    post: Annotated[CancelConfirmPost, Body(openapi_examples=CONFIRM_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> Response:
    """Cancel an incident as the second person: what is open is withdrawn, all told hear of it.

    Needs `post` of the agency that posted it, or `operate`; another key and another name than the
    request's. It is a version like any other and stays readable; the incident takes no further one.
    """
    answered = await cancel.confirm_cancel(
        desk, caller, incident_id=IncidentId(incident_id), post=post
    )
    return posted(answered)


@router.delete("/incidents/{incident_id}/cancel", responses=responses(*READ))
async def take_back_cancel(incident_id: str, desk: TheDesk, caller: Caller) -> IncidentView:
    """Take back a cancel that waits for its second person; where none waits nothing changes.

    Needs `post` of the agency that posted the incident, or `operate`.
    """
    await cancel.take_back_cancel(desk, caller, incident_id=IncidentId(incident_id))
    return await reading.get_incident(desk, caller, incident_id=incident_id)


@router.post(
    "/incidents/{incident_id}/all-clear",
    status_code=201,
    response_model=NoticeAccepted,
    responses=responses(*FOLLOWED, "class-a-open", "embargoed", "idempotency-key-reused"),
)
async def post_all_clear(
    incident_id: str,
    post: Annotated[AllClearPost, Body(openapi_examples=ALL_CLEAR_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    key: OptionalKey,
) -> Response:
    """Say that an incident is over, and what is still open of it.

    Needs `post`, and the incident must be your agency's. Everybody bound is told; nobody is asked
    for an answer. While a mandatory matter of class A is open it is refused, unless
    `override_reason` says why it stands all the same. What is open stays open and goes on; a later
    update opens the incident again.
    """
    answered = await clearing.all_clear(
        desk, caller, incident_id=IncidentId(incident_id), post=post, key=key
    )
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

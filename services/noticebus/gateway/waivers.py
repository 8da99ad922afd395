"""Waivers over HTTP: one operator asks with a reason, another confirms."""

from typing import Annotated

from fastapi import APIRouter, Body

from noticebus.casework import reading, waiving
from noticebus.contracts.answers import ObligationView
from noticebus.contracts.waiver import WaiverConfirmPost, WaiverPost, WaiverView
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import WAIVER_CONFIRM_EXAMPLES, WAIVER_EXAMPLES
from noticebus.gateway.problems import MADE, READ, responses
from noticebus.ids import ObligationId

router = APIRouter(prefix="/v1", tags=["waivers"])


@router.post(
    "/obligations/{obligation_id}/waiver",
    status_code=202,
    responses=responses(*MADE, "not-found", "conflict", "waiver-pending"),
)
async def request_waiver(
    obligation_id: str,
    post: Annotated[WaiverPost, Body(openapi_examples=WAIVER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> WaiverView:
    """Ask that an open answer be waived; a second person confirms it. Needs the scope `operate`.

    Nothing changes until then: the bus goes on calling. The request ends when the obligation is
    answered or a new round begins. The same request again is answered the same.
    """
    return await waiving.ask(desk, caller, obligation_id=ObligationId(obligation_id), post=post)


@router.post(
    "/obligations/{obligation_id}/waiver/confirmation",
    responses=responses(
        *MADE,
        "not-found",
        "conflict",
        "no-waiver-requested",
        "waiver-pending",
        "second-person-needed",
    ),
)
async def confirm_waiver(
    obligation_id: str,
    post: Annotated[WaiverConfirmPost, Body(openapi_examples=WAIVER_CONFIRM_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> WaiverView:
    """Waive an obligation as the second person: the bus stops calling, and it is in no figure.

    Needs `operate`, with another key and under another name than the request's. The recipient may
    still answer, and its answer undoes the waiver; so does a version that asks for a new answer.
    """
    return await waiving.confirm(desk, caller, obligation_id=ObligationId(obligation_id), post=post)


@router.delete("/obligations/{obligation_id}/waiver", responses=responses(*READ))
async def take_back_waiver(obligation_id: str, desk: TheDesk, caller: Caller) -> ObligationView:
    """Take back a waiver that waits for its second person, or turn another's down.

    Needs `operate`. Where none waits nothing changes; one that was confirmed stays.
    """
    await waiving.take_back(desk, caller, obligation_id=ObligationId(obligation_id))
    return await reading.get_obligation(desk, caller, obligation_id=obligation_id)

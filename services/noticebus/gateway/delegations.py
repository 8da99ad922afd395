"""Delegations over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import delegations as casework
from noticebus.contracts.answers import Page
from noticebus.contracts.delegation import DelegationPost, DelegationView
from noticebus.gateway.dependencies import Caller, TheDesk, ThePage, cut, link_next
from noticebus.gateway.examples import DELEGATION_EXAMPLES
from noticebus.gateway.problems import LISTED, MADE, READ, responses
from noticebus.store.delegations import Delegation
from noticebus.store.rows import values_of

router = APIRouter(prefix="/v1/agencies", tags=["agencies"])


@router.post(
    "/{agency_id}/delegations",
    status_code=201,
    responses=responses(*MADE, "not-found", "conflict", "delegation-loop"),
)
async def create_delegation(
    agency_id: str,
    post: Annotated[DelegationPost, Body(openapi_examples=DELEGATION_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> DelegationView:
    """Let another agency answer for this one, always or out of hours. Needs `admin` or `operate`.

    An agency has one delegate at most. What the delegate answers is recorded as on behalf of it.
    """
    return _delegation(
        await casework.create_delegation(desk, caller, agency_id=agency_id, post=post)
    )


@router.get("/{agency_id}/delegations", responses=responses(*LISTED, "not-found"))
async def list_delegations(
    agency_id: str,
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
) -> Page[DelegationView]:
    """List who answers for the agency, and for whom it answers, as long as they have not ended."""
    found = await casework.list_delegations(
        desk, caller, agency_id=agency_id, after=page.after, limit=page.limit + 1
    )
    shown, last = cut(found, page)
    items = tuple(_delegation(one) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.delete("/{agency_id}/delegations/{delegation_id}", responses=responses(*READ, "conflict"))
async def end_delegation(
    agency_id: str, delegation_id: str, desk: TheDesk, caller: Caller
) -> DelegationView:
    """End a delegation: the agency answers for itself again. Needs `admin` or `operate`."""
    return _delegation(
        await casework.end_delegation(
            desk, caller, agency_id=agency_id, delegation_id=delegation_id
        )
    )


def _delegation(found: Delegation) -> DelegationView:
    return DelegationView(**values_of(found))

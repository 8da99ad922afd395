"""Escalation policies over HTTP, and what one would do."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response

from noticebus.casework import policies as casework
from noticebus.casework import simulate
from noticebus.contracts.answers import Page
from noticebus.contracts.base import Instant
from noticebus.contracts.policy import (
    AppliedPolicies,
    AppliedPolicy,
    PolicyPut,
    PolicySimulation,
    PolicyView,
    PolicyWarning,
)
from noticebus.contracts.vocabulary import NoticeClass, Status
from noticebus.domain.policies import policy_to_record
from noticebus.errors import Detail
from noticebus.gateway.dependencies import (
    Caller,
    IfMatch,
    TheDesk,
    ThePage,
    cut,
    link_next,
    set_etag,
)
from noticebus.gateway.examples import POLICY_EXAMPLES
from noticebus.gateway.problems import EDITED, LISTED, READ, responses
from noticebus.store.policies import StoredPolicy

POLICY_PUT = (*EDITED, "conflict", "policy-loop", "policy-reaches-nobody")

router = APIRouter(prefix="/v1", tags=["policies"])


@router.get("/policies", responses=responses(*LISTED))
async def list_policies(
    desk: TheDesk, caller: Caller, page: ThePage, request: Request, response: Response
) -> Page[PolicyView]:
    """List the policies in force: the defaults, and agencies' own as far as you may see them."""
    found = await casework.list_policies(desk, caller, after=page.after, limit=page.limit + 1)
    shown, last = cut(found, page)
    items = tuple(_view(one) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.get("/policies/{policy_id}", responses=responses(*READ))
async def get_policy(
    policy_id: str, desk: TheDesk, caller: Caller, response: Response
) -> PolicyView:
    """Read the version of a policy that is in force. Its `ETag` is what a change sends back."""
    found = await casework.get_policy(desk, caller, policy_id=policy_id)
    set_etag(response, found.policy.version)
    return _view(found)


@router.put("/policies/{policy_id}", responses=responses(*POLICY_PUT))
async def change_policy(
    policy_id: str,
    put: Annotated[PolicyPut, Body(openapi_examples=POLICY_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> PolicyView:
    """Store the next version of a default or of an agency's own. Needs `admin` or `operate`.

    Rounds that run keep the version they began with; those that begin from now on take this one.
    `warnings` say which steps will not do what they say with the contacts there are now.
    """
    changed = await casework.change_policy(
        desk, caller, policy_id=policy_id, put=put, revision=if_match
    )
    set_etag(response, changed.stored.policy.version)
    return _view(changed.stored, changed.warnings)


@router.get("/agencies/{agency_id}/policies", responses=responses(*READ))
async def list_applied_policies(agency_id: str, desk: TheDesk, caller: Caller) -> AppliedPolicies:
    """Say which policy applies to an agency now, class by class, and why that one."""
    found = await casework.applied_policies(desk, caller, agency_id=agency_id)
    return AppliedPolicies(
        items=tuple(
            AppliedPolicy(notice_class=one.notice_class, why=one.why, policy=_view(one.stored))
            for one in found
        )
    )


@router.put("/agencies/{agency_id}/policies/{notice_class}", responses=responses(*POLICY_PUT))
async def set_own_policy(  # noqa: PLR0913, PLR0917 - the parts of a request
    agency_id: str,
    notice_class: NoticeClass,
    put: Annotated[PolicyPut, Body(openapi_examples=POLICY_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> PolicyView:
    """Give an agency a policy of its own for a class, as agreed with it, before the default.

    Needs `admin` or `operate`; and `If-Match`, where it has one already.
    """
    changed = await casework.set_own_policy(
        desk,
        caller,
        agency_id=agency_id,
        notice_class=notice_class,
        put=put,
        revision=if_match,
    )
    set_etag(response, changed.stored.policy.version)
    return _view(changed.stored, changed.warnings)


@router.delete(
    "/agencies/{agency_id}/policies/{notice_class}", responses=responses(*READ, "stale-revision")
)
async def end_own_policy(
    agency_id: str,
    notice_class: NoticeClass,
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
) -> PolicyView:
    """End an agency's own policy: the default applies again. Needs `admin` or `operate`."""
    ended = await casework.end_own_policy(
        desk, caller, agency_id=agency_id, notice_class=notice_class, revision=if_match
    )
    return _view(ended)


@router.get("/agencies/{agency_id}/policy-simulation", responses=responses(*READ))
async def simulate_policy(
    agency_id: str,
    notice_class: Annotated[NoticeClass, Query(alias="class", description="The notice's class.")],
    desk: TheDesk,
    caller: Caller,
    at: Annotated[
        Instant | None,
        Query(description="When the notice comes, with its zone; now where left out."),
    ] = None,
    status: Annotated[Status, Query(description="What the notice would be.")] = Status.ACTUAL,
) -> PolicySimulation:
    """Say minute by minute what would happen if a notice came then and nobody answered.

    The rules, rosters and calendars are those that would really be asked; nothing is stored or
    sent.
    """
    moment: dt.datetime = at if at is not None else desk.world.now()
    return await simulate.simulate(
        desk, caller, agency_id=agency_id, notice_class=notice_class, status=status, at=moment
    )


def _view(stored: StoredPolicy, warnings: Sequence[Detail] = ()) -> PolicyView:
    record = policy_to_record(stored.policy)
    hold_at = record["hold_at"]
    return PolicyView.model_validate(
        {
            **record,
            "hold_at": None if hold_at is None else hold_at[:5],
            "agency_id": stored.agency_id,
            "created_at": stored.created_at,
            "ended_at": stored.ended_at,
            "warnings": [
                PolicyWarning(pointer=one.pointer, message=one.message) for one in warnings
            ],
        }
    )

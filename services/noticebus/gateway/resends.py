"""Telling the silent again, over HTTP: counted first, then confirmed by the count."""

from typing import Annotated

from fastapi import APIRouter, Body

from noticebus.casework import resend as casework
from noticebus.casework.resend import Asked, Hindrance, Plan, Resent
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.resend import (
    NotToldAgain,
    ResendCount,
    ResendPost,
    ResentView,
    ToldAgain,
)
from noticebus.errors import ConflictError, Detail, InvalidError, NoticebusError
from noticebus.gateway.dependencies import Caller, OptionalKey, TheDesk
from noticebus.gateway.examples import RESEND_EXAMPLES
from noticebus.gateway.problems import MADE, READ, responses
from noticebus.ids import AgencyId, IncidentId

NAMED_MAX = 200

router = APIRouter(prefix="/v1", tags=["incidents"])


@router.get("/incidents/{incident_id}/resend", responses=responses(*READ))
async def count_resend(incident_id: str, desk: TheDesk, caller: Caller) -> ResendCount:
    """Count whom a resend would tell again, and who is out of reach. Needs the scope `operate`.

    Nothing is sent. `count`, `mark` and `after` go into the post that confirms it.
    """
    plan = await casework.plan_resend(desk, caller, incident_id=IncidentId(incident_id))
    return _view(plan)


@router.post(
    "/incidents/{incident_id}/resend",
    status_code=202,
    responses=responses(
        *MADE, "not-found", "conflict", "resend-changed", "resend-soon", "idempotency-key-reused"
    ),
)
async def post_resend(
    incident_id: str,
    post: Annotated[ResendPost, Body(openapi_examples=RESEND_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    key: OptionalKey,
) -> ResentView:
    """Tell everybody of an incident who is silent again. Needs the scope `operate`.

    Reminders go to the desk on duty and the endpoints; no step, deadline or version moves. It is
    refused where somebody has answered or resent since the count. With `Idempotency-Key` the same
    request again gets the same answer.
    """
    asked = Asked(count=post.count, mark=post.mark, after=post.after, again=post.again)
    outcome = await casework.resend(
        desk, caller, incident_id=IncidentId(incident_id), asked=asked, key=key
    )
    if isinstance(outcome, Resent):
        return ResentView(
            incident_id=IncidentId(incident_id), number=outcome.number, count=outcome.count
        )
    raise _refusal(outcome, asked)


def _refusal(plan: Plan, asked: Asked) -> NoticebusError:
    """Say why nothing was sent, as a problem."""
    match casework.hindrance(plan, asked):
        case Hindrance.COUNT:
            fault = Detail(pointer="/count", message=f"{plan.count} would be told; send this count")
            return InvalidError("The count is not right. Nothing was sent.", details=(fault,))
        case Hindrance.NOBODY:
            return ConflictError("There is nobody to send this to: see `not_told` of the count.")
        case Hindrance.SOON:
            return ConflictError(
                "They were told again less than ten minutes ago. Nothing was sent.",
                code="resend-soon",
            )
        case _:
            return ConflictError(
                "Since the count somebody answered, or somebody else sent it. Nothing was sent.",
                code="resend-changed",
            )


def _view(plan: Plan) -> ResendCount:
    return ResendCount(
        incident_id=plan.incident.id,
        count=plan.count,
        mark=plan.mark,
        after=plan.before.count,
        last_at=plan.before.last_at,
        soon=plan.is_soon,
        told=tuple(
            ToldAgain(
                obligation_id=one.owed.id,
                agency=_agency(plan, one.owed.agency_id),
                channels=tuple(one.channels),
            )
            for one in plan.told[:NAMED_MAX]
        ),
        not_told_count=len(plan.not_told),
        not_told=tuple(
            NotToldAgain(
                obligation_id=one.owed.id,
                agency=_agency(plan, one.owed.agency_id),
                reason=one.reason,
            )
            for one in plan.not_told[:NAMED_MAX]
        ),
        heard=len(plan.heard),
    )


def _agency(plan: Plan, agency_id: AgencyId) -> AgencyRef:
    facts = plan.agencies[agency_id]
    return AgencyRef(id=facts.id, name=facts.name, kind=facts.kind)

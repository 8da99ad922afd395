"""Resend to the silent: exactly who would be told again, and over what; then the count confirms."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from noticebus.casework.resend import (
    NOT_AGAIN_FOR,
    Asked,
    Hindrance,
    Plan,
    Resent,
    hindrance,
    plan_resend,
    resend,
)
from noticebus.console.actions import ID_MAX
from noticebus.console.forms import Form, read_form
from noticebus.console.pages import PageRoute, enter_view, redirect, render
from noticebus.console.reading import read_count
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import Channel, Scope, UnreachableReason
from noticebus.domain.mail import DRILL_WORDS
from noticebus.ids import IncidentId

ROWS_MAX = 200
CONFLICT, INVALID = 409, 422
CHANNEL_WORDS = {
    Channel.WEBHOOK: "webhook",
    Channel.KAFKA: "its topic",
    Channel.EMAIL: "mail",
    Channel.SMS: "text message",
    Channel.VOICE: "call by the bus",
    Channel.INBOX: "feed",
}
REASON_WORDS = {
    UnreachableReason.NO_VERIFIED_CHANNEL: "no verified mail address, telephone or endpoint",
    UnreachableReason.SUBSCRIPTION_PAUSED: "its subscription is paused",
    UnreachableReason.MAIL_NOT_CONFIGURED: "the bus has no mail server",
    None: "it reads its feed; nothing is sent to it",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)

IncidentPath = Annotated[IncidentId, Path(max_length=ID_MAX)]


@router.get("/incidents/{incident_id}/resend")
async def show(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show who would be told again, and change nothing."""
    allow(visitor, Scope.OPERATE)
    plan = await plan_resend(desk, visitor.principal, incident_id=incident_id)
    return await _page(request, visitor, plan)


@router.post("/incidents/{incident_id}/resend")
async def confirm(
    request: Request, incident_id: IncidentPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Send, if the count is right and nothing has changed; else show how it is now."""
    allow(visitor, Scope.OPERATE)
    form = await read_form(request, visitor)
    asked = _asked(form)
    outcome = await resend(desk, visitor.principal, incident_id=incident_id, asked=asked)
    if isinstance(outcome, Resent):
        return redirect(f"/incidents/{incident_id}", said="resent")
    fault, status = _fault(outcome, asked)
    return await _page(request, visitor, outcome, fault=fault, status=status)


def _fault(plan: Plan, asked: Asked) -> tuple[str, int]:
    """Say why nothing was sent."""
    match hindrance(plan, asked):
        case Hindrance.SENT_MEANWHILE:
            return "Somebody has sent this again meanwhile, or you clicked twice.", CONFLICT
        case Hindrance.CHANGED:
            return "Who is silent has changed meanwhile. This is how it is now.", CONFLICT
        case Hindrance.COUNT:
            return f"The number was not right. Type {plan.count} to send.", INVALID
        case Hindrance.NOBODY:
            return "There is nobody to send this to.", INVALID
        case _:
            return (
                "They were told again a few minutes ago. Tick the box to send once more.",
                INVALID,
            )


def _asked(form: Form) -> Asked:
    return Asked(
        count=read_count(form.text("count")),
        mark=form.text("mark"),
        after=read_count(form.text("after")),
        again=form.text("again") == "yes",
    )


async def _page(
    request: Request, visitor: TheVisitor, plan: Plan, *, fault: str = "", status: int = 200
) -> Response:
    await enter_view(request, visitor, "resend", incident_id=plan.incident.id)
    return await render(
        request,
        "resend.html",
        visitor=visitor,
        status=status,
        title="Resend to the silent",
        plan=plan,
        rows_max=ROWS_MAX,
        fault=fault,
        drill=DRILL_WORDS.get(plan.incident.status, ""),
        channels=CHANNEL_WORDS,
        reasons=REASON_WORDS,
        not_again_for=NOT_AGAIN_FOR,
    )

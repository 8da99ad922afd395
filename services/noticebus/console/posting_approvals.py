"""The second person for a notice to many: reads the same check, approves it or sends it back."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from noticebus.access.principals import own_agency
from noticebus.casework import approvals, posting
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.casework.policies import zone_of
from noticebus.casework.post_drafts import Kept
from noticebus.casework.posting import Checked, Confirmed
from noticebus.console import posting_form
from noticebus.console.forms import read_form
from noticebus.console.pages import PageRoute, enter_view, redirect, render
from noticebus.console.posting_pages import fault_of, shown_of, typed_of
from noticebus.console.posting_templates import TEMPLATES
from noticebus.console.reading import read_count, read_instant
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import BadRequestError, ConflictError

REASON_MAX = 500
INVALID = 422
DIGEST_DIGITS = 16

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Owner = Annotated[str, Path(max_length=64)]
Key = Annotated[str, Path(max_length=64)]


@router.get("/post/approvals/{owner}/{key}")
async def show_request(
    request: Request, owner: Owner, key: Key, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show what waits for approval: exactly who gets what."""
    allow(visitor, Scope.POST)
    incident_id = await approvals.find_approved(desk, visitor.principal, owner=owner, key=key)
    if incident_id is not None:
        return redirect(f"/incidents/{incident_id}", said="posted-already")
    kept = await approvals.find_waiting(desk, visitor.principal, owner=owner, key=key)
    asker = approvals.as_asker(visitor.principal, kept)
    post = await _post_of(desk, visitor, kept)
    checked = await posting.check(desk, asker, post=post)
    return await _page(request, desk, visitor, kept, checked)


@router.post("/post/approvals/{owner}/{key}")
async def approve(
    request: Request, owner: Owner, key: Key, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Post it as the second person, if it still is what was shown; one draft is one notice."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    found = await approvals.find_approved(desk, visitor.principal, owner=owner, key=key)
    if found is not None:  # pressed twice, or its writer was first
        return redirect(f"/incidents/{found}", said="posted-already")
    kept = await approvals.find_waiting(desk, visitor.principal, owner=owner, key=key)
    intake: Intake = request.app.state.intake
    confirmed = Confirmed(count=read_count(form.text("count")), mark=form.text("mark"))
    now = await approvals.approve(
        desk,
        intake,
        visitor.principal,
        kept=kept,
        post=await _post_of(desk, visitor, kept),
        confirmed=confirmed,
    )
    if now is not None:
        fault, status = fault_of(now, confirmed)
        return await _page(request, desk, visitor, kept, now, fault=fault, status=status)
    incident_id = await approvals.find_approved(desk, visitor.principal, owner=owner, key=key)
    return redirect(f"/incidents/{incident_id}", said="approved")


@router.post("/post/approvals/{owner}/{key}/back")
async def send_back(
    request: Request, owner: Owner, key: Key, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Send it back with a reason, which its writer reads."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    reason = form.text("reason")
    if not 0 < len(reason) <= REASON_MAX:
        kept = await approvals.find_waiting(desk, visitor.principal, owner=owner, key=key)
        asker = approvals.as_asker(visitor.principal, kept)
        post = await _post_of(desk, visitor, kept)
        checked = await posting.check(desk, asker, post=post)
        fault = f"Write why you send it back, in up to {REASON_MAX} characters."
        return await _page(request, desk, visitor, kept, checked, fault=fault, status=INVALID)
    try:
        asked_at = read_instant(form.text("asked_at"))
    except ValueError as error:
        raise BadRequestError("The form cannot be read. Load the page again.") from error
    await approvals.send_back(
        desk, visitor.principal, owner=owner, key=key, asked_at=asked_at, reason=reason
    )
    return redirect("/post", said="sent-back")


async def _post_of(desk: Desk, visitor: TheVisitor, kept: Kept) -> NoticePost:
    """Read the draft as the notice it stands for, its times those of the agency's zone."""
    zone = await zone_of(desk, visitor.principal, agency_id=own_agency(visitor.principal))
    read = posting_form.read(typed_of(kept), zone=zone)
    if read.post is None:
        raise ConflictError(
            "It can no longer be posted as it stands. Whoever wrote it must go on with the draft:"
            " tell them."
        )
    return read.post


def _digest(key: str) -> str:
    """Tell a draft from another of its writer in the ledger, which does not hold its key."""
    return hashlib.sha256(key.encode()).hexdigest()[:DIGEST_DIGITS]


async def _page(  # noqa: PLR0913  (a page, and what was wrong on it)
    request: Request,
    desk: Desk,
    visitor: TheVisitor,
    kept: Kept,
    checked: Checked,
    *,
    fault: str = "",
    status: int = 200,
) -> Response:
    await enter_view(
        request, visitor, "post_approval", requested_by=kept.owner, draft=_digest(kept.key)
    )
    zone = await zone_of(desk, visitor.principal, agency_id=own_agency(visitor.principal))
    return await render(
        request,
        "post_approve.html",
        visitor=visitor,
        title="Approve a notice",
        status=status,
        kept=kept,
        fault=fault,
        started_from=TEMPLATES[kept.written.template],
        zone=zone,
        now=desk.world.now(),
        reason_max=REASON_MAX,
        **shown_of(checked, zone=zone, places=desk.places),
    )

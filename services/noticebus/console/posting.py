"""Post a notice, step by step, each a plain form: nobody is told before the count is typed.

The steps answer a POST with a page, not with a redirect: what was typed travels on in hidden
fields, and is kept as a draft. The one that posts ends in a redirect to its receipt.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse

from noticebus.access.principals import own_agency
from noticebus.access.sessions import Visitor
from noticebus.casework import approvals, post_drafts, posting
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.casework.policies import zone_of
from noticebus.casework.posting import Checked, Confirmed, PostedAlreadyError
from noticebus.console import posting_form
from noticebus.console.forms import KEY_FORM, Form, read_form
from noticebus.console.pages import HEADERS, PageRoute, enter_view, redirect, render
from noticebus.console.posting_form import STEPS, Read, Typed
from noticebus.console.posting_pages import (
    CONFLICT,
    Writing,
    fault_of,
    gap_of,
    saved_line,
    typed_of,
    writing,
)
from noticebus.console.posting_templates import TEMPLATES
from noticebus.console.reading import read_count
from noticebus.console.visitors import TheDesk, TheVisitor, allow, find_visitor
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import BadRequestError, ForbiddenError, InvalidError
from noticebus.ids import IncidentId

COUNTIES_MAX = 500
OK = 200
# The buttons that lead to a step, whatever is typed so far.
_SHOWS = {"show": "where", **{step: step for step in STEPS if step != "check"}}
_ALONE = (
    "It goes to so many that a second person approves it: ask one."
    " Only class A may be sent alone, and only with the tick that you can reach nobody."
)
_POSTED_ALREADY = "✗ Posted already, as it stood then: this is neither saved nor sent."
_DOES = ("post", "ask")  # the buttons that do something for good

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/post")
async def choose(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Show what a notice can be started from, what was begun, and what waits for approval."""
    allow(visitor, Scope.POST)
    drafts = await post_drafts.list_own(desk, visitor.principal)
    return await render(
        request,
        "post_choose.html",
        visitor=visitor,
        title="Post a notice",
        templates=TEMPLATES,
        drafts=drafts,
        drafts_max=post_drafts.DRAFTS_MAX,
        waiting=await approvals.list_waiting(desk, visitor.principal),
        zone=await zone_of(desk, visitor.principal, agency_id=own_agency(visitor.principal)),
        now=desk.world.now(),
    )


@router.get("/post/new")
async def begin(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    template: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show the first step, with a key that makes whatever is posted with it one notice."""
    allow(visitor, Scope.POST)
    if template not in TEMPLATES:
        return redirect("/post")
    typed = Typed(
        template=template,
        key=secrets.token_urlsafe(24),
        counties=(),
        values=TEMPLATES[template].filled,
    )
    return await (await writing(request, desk, visitor, typed)).page("where")


@router.post("/post")
async def go_on(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Go from step to step; the last one posts, if the count is right and nothing has changed."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    written = await writing(request, desk, visitor, _typed(form), keeps=True)
    step, go = form.text("step"), form.text("go")
    if step not in STEPS:
        raise _unreadable()
    read = posting_form.read(written.typed, zone=written.zone)
    principal, key = visitor.principal, written.typed.key
    try:
        if await posting.was_posted(desk, principal, key=key, post=read.post):
            return redirect(f"/post/posted/{key}")
        return await _go(written, read, form, step=step, go=go)
    except PostedAlreadyError as error:
        return await _receipt(request, desk, visitor, error.posted, changed=True)


async def _go(written: Writing, read: Read, form: Form, *, step: str, go: str) -> Response:
    if go == "leave":
        return await _leave(written, step)
    if go in _SHOWS:
        return await written.page(_SHOWS[go])
    if step != "check" and (faults := read.of_step(step)):
        return await written.page(step, faults=faults)
    following = _following(step)
    if following != "check":
        return await written.page(following)
    if read.post is None:
        return await _first_fault(written, read.faults)
    return await _check(written, read.post, form, go=go)


@router.post("/post/drafts")
async def save_draft(
    request: Request,
    desk: TheDesk,
    visitor: Annotated[Visitor | None, Depends(find_visitor)],
) -> Response:
    """Save what is being typed, which a page with a script asks for by itself."""
    if visitor is None:  # sent on to the sign-in page, it would lose what is on the page
        raise ForbiddenError(
            "You are signed out, and nothing is saved any more. Copy what you typed since, sign in"
            " and go on with the draft."
        )
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST)
    written = await writing(request, desk, visitor, _typed(form))
    if form.text("step") not in STEPS:
        raise _unreadable()
    kept = await post_drafts.save(
        desk,
        visitor.principal,
        key=written.typed.key,
        written=written.written(form.text("step")),
    )
    said = _POSTED_ALREADY if kept is None else saved_line(kept, zone=written.zone)
    return PlainTextResponse(said, headers=HEADERS)


@router.get("/post/drafts/{key}")
async def show_draft(
    request: Request,
    key: Annotated[str, Path(max_length=64)],
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Go on with a draft where its writer left it."""
    allow(visitor, Scope.POST)
    kept = await post_drafts.find_own(desk, visitor.principal, key=key)
    written = await writing(request, desk, visitor, typed_of(kept), draft=kept)
    step, read = kept.written.step, posting_form.read(written.typed, zone=written.zone)
    if step == "check" and read.post is not None:
        return await written.check(await posting.check(desk, visitor.principal, post=read.post))
    await enter_view(request, visitor, "post_draft")
    if step == "check":
        return await _first_fault(written, read.faults)
    return await written.page(step)


@router.post("/post/drafts/{key}/throw-away")
async def throw_away(
    request: Request,
    key: Annotated[str, Path(max_length=64)],
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Throw a draft away; where there is none, nothing changes."""
    await read_form(request, visitor)
    await post_drafts.throw_away(desk, visitor.principal, key=key)
    return redirect("/post", said="draft-gone")


@router.get("/post/posted/{key}")
async def show_receipt(
    request: Request,
    key: Annotated[str, Path(max_length=64)],
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Show what was posted, to whoever posted it, with its number, time and receipt."""
    allow(visitor, Scope.POST)
    posted = await posting.get_posted(desk, visitor.principal, key=key)
    return await _receipt(request, desk, visitor, posted)


async def _receipt(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    posted: Mapping[str, Any],
    *,
    changed: bool = False,
) -> Response:
    """Show a receipt; `changed`: to somebody who has changed what had gone out already."""
    incident_id = posted["incident_id"]
    await enter_view(request, visitor, "post_receipt", incident_id=incident_id)
    zone = await zone_of(desk, visitor.principal, agency_id=own_agency(visitor.principal))
    return await render(
        request,
        "post_receipt.html",
        visitor=visitor,
        title="This change was not sent" if changed else "Posted",
        status=CONFLICT if changed else OK,
        changed=changed,
        posted=posted,
        approval=await posting.find_approval(desk, incident_id=IncidentId(incident_id)),
        zone=zone,
        gaps=[gap_of(one, desk.places) for one in posted["recipients"]["uncovered"]],
    )


async def _leave(written: Writing, step: str) -> Response:
    """Save what was typed, right or wrong, and leave it for later."""
    principal, key = written.visitor.principal, written.typed.key
    await post_drafts.save(written.desk, principal, key=key, written=written.written(step))
    return redirect("/post")


async def _check(written: Writing, post: NoticePost, form: Form, *, go: str) -> Response:
    """Show the check, or do what it showed before; a place that is none goes back to its step."""
    confirmed = Confirmed(
        count=read_count(form.text("count")),
        mark=form.text("mark"),
        alone=form.text("alone") == "yes",
    )
    principal = written.visitor.principal
    try:
        if go not in _DOES:
            return await written.check(await posting.check(written.desk, principal, post=post))
        now = await _do(written, post, confirmed, go=go)
    except InvalidError as error:
        if not error.details:  # of no field: the key was another notice's meanwhile
            raise
        return await _first_fault(written, posting_form.beside(error.details))
    except ForbiddenError as error:
        if error.code != "second-person-needed":
            raise
        checked = await posting.check(written.desk, principal, post=post)
        return await written.check(checked, fault=_ALONE, status=403, count=form.text("count"))
    if now is None:
        return await _done(written)
    fault, status = fault_of(now, confirmed)
    return await written.check(now, fault=fault, status=status, count=form.text("count"))


async def _done(written: Writing) -> Response:
    """Lead to the receipt, or where it is said that a second person is asked."""
    desk, principal, key = written.desk, written.visitor.principal, written.typed.key
    if await posting.find_posted(desk, principal, key=key) is None:
        return redirect("/post", said="approval-asked")
    return redirect(f"/post/posted/{key}")


async def _do(
    written: Writing, post: NoticePost, confirmed: Confirmed, *, go: str
) -> Checked | None:
    """Post it, or ask a second person; nothing, where it is not what was confirmed."""
    desk, principal, key = written.desk, written.visitor.principal, written.typed.key
    if go == "ask":
        return await approvals.ask(
            desk,
            principal,
            key=key,
            written=written.written("check"),
            post=post,
            confirmed=confirmed,
        )
    intake: Intake = written.request.app.state.intake
    return await posting.post_confirmed(
        desk, intake, principal, post=post, key=key, confirmed=confirmed
    )


async def _first_fault(written: Writing, faults: Mapping[str, str]) -> Response:
    """Show the step that holds the first fault, with all of them."""
    first = next(iter(faults), "form")
    return await written.page(posting_form.step_of(first), faults=faults or {"form": "Check it."})


def _typed(form: Form) -> Typed:
    """Read what was typed so far. Only a key and a template of ours go on."""
    template, key = form.text("template"), form.text("key")
    if template not in TEMPLATES or KEY_FORM.fullmatch(key) is None:
        raise _unreadable()
    chosen = dict.fromkeys(one for one in form.every("county") if re.fullmatch(r"\d{5}", one))
    return Typed(
        template=template,
        key=key,
        counties=tuple(chosen)[:COUNTIES_MAX],
        values={name: form.text(name) for names in STEPS.values() for name in names},
    )


def _following(step: str) -> str:
    order = list(STEPS)
    return order[min(order.index(step) + 1, len(order) - 1)]


def _unreadable() -> BadRequestError:
    return BadRequestError("The form cannot be read. Begin again at Post a notice.")

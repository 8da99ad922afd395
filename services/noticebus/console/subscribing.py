"""A new webhook, step by step: who stands behind it, the order, its secret once, its first answer.

The order answers its POST with a page and not with a redirect: the secret is in that answer alone.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from noticebus.access.sessions import Visitor
from noticebus.casework import delivery_pages, subscriptions
from noticebus.casework.desk import Desk
from noticebus.casework.endpoint_pages import read_endpoint
from noticebus.casework.first_endpoint import Start, first_answer, read_start
from noticebus.casework.inspection import shown_address
from noticebus.casework.orders import WithSecret
from noticebus.casework.subscriptions import MadeAlreadyError
from noticebus.console import subscribe_form
from noticebus.console.endpoints import MANAGES, of_whose
from noticebus.console.forms import read_form
from noticebus.console.pages import SAYINGS, PageRoute, enter_view, redirect, render
from noticebus.console.posting_pages import states
from noticebus.console.snippets import snippets_for
from noticebus.console.subscribe_form import LEVEL_WORDS, Typed, places_of, typed_in
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import Channel, NoticeKind, Outcome
from noticebus.domain import delivery_words
from noticebus.domain.egress_rules import Network
from noticebus.domain.masking import mask
from noticebus.errors import ConflictError, InvalidError, NotFoundError

ID_MAX = 64
INVALID = 422
SAYINGS["endpoint-made-before"] = (
    "This webhook was made already, by the same form. Its secret was shown once: whoever has not"
    " seen it makes a new one below."
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)

AgencyQuery = Annotated[str, Query(max_length=ID_MAX)]


@router.get("/endpoints/new")
async def begin(
    request: Request, desk: TheDesk, visitor: TheVisitor, agency: AgencyQuery = ""
) -> Response:
    """Show the form, where somebody stands behind the agency; else what comes first."""
    allow(visitor, *MANAGES)
    agency_id = agency or visitor.principal.agency_id
    if agency_id is None:
        return redirect("/agencies")
    start = await read_start(desk, visitor.principal, agency_id=agency_id)
    values = {"key": secrets.token_urlsafe(24), "content_level": start.levels[-1].value}
    return await _form(request, desk, visitor, start, Typed(values=values))


@router.post("/endpoints/new")
async def make(
    request: Request, desk: TheDesk, visitor: TheVisitor, agency: AgencyQuery = ""
) -> Response:
    """Look counties up, or make the webhook and show its secret once."""
    form = await read_form(request, visitor)
    allow(visitor, *MANAGES)
    agency_id = agency or visitor.principal.agency_id or ""
    start = await read_start(desk, visitor.principal, agency_id=agency_id)
    typed = typed_in(form)
    if form.text("go") != "make":
        return await _form(request, desk, visitor, start, typed)
    post, faults = subscribe_form.read(typed, agency_id=agency_id)
    if post is None:
        return await _form(request, desk, visitor, start, typed, faults=faults)
    allowed: Sequence[Network] = request.app.state.egress_allow
    try:
        made = await subscriptions.create_subscription(
            desk, visitor.principal, post=post, allow=allowed, once=typed["key"]
        )
    except MadeAlreadyError as error:
        return redirect(f"/endpoints/{error.subscription_id}", said="endpoint-made-before")
    except (ConflictError, InvalidError) as error:
        faults = subscribe_form.beside(error.details) or {"form": error.message}
        return await _form(request, desk, visitor, start, typed, faults=faults, status=error.status)
    return await _made(request, visitor, start, made)


@router.get("/endpoints/{subscription_id}/first-answer")
async def wait(
    request: Request,
    subscription_id: Annotated[str, Path(max_length=ID_MAX)],
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Show what the new webhook's server answered to its handshake; ask again until it is right."""
    read = await read_endpoint(desk, visitor.principal, subscription_id=subscription_id)
    if read.order.channel is not Channel.WEBHOOK:
        raise NotFoundError("There is no webhook here that you may see. Check the id.")
    await enter_view(request, visitor, "endpoint", subscription_id=read.order.id)
    attempt, say = first_answer(read.attempts), of_whose(visitor, read.agency.id)
    status = None if attempt is None else attempt.status_code
    explained = "" if attempt is None else delivery_pages.explained(attempt, read.order.channel)
    return await render(
        request,
        "endpoint_first_answer.html",
        visitor=visitor,
        title=f"First answer: {read.order.name}",
        read=read,
        attempt=attempt,
        outcomes=delivery_words.OUTCOMES,
        is_taken=status is not None and status // 100 == 2,  # noqa: PLR2004 - any success
        is_echoed=attempt is not None and attempt.outcome is Outcome.DELIVERED,
        explained=say(mask(explained)),
        sentence=say(read.sentence),
        snippets=snippets_for(subscription_id=read.order.id, url=shown_address(read.order) or ""),
        zone=read.agency.zone,
    )


async def _form(  # noqa: PLR0913 - the parts of a page
    request: Request,
    desk: Desk,
    visitor: Visitor,
    start: Start,
    typed: Typed,
    *,
    faults: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    return await render(
        request,
        "subscribe.html",
        visitor=visitor,
        status=INVALID if faults and status == 200 else status,  # noqa: PLR2004
        title=f"New webhook: {start.agency.name}",
        start=start,
        typed=typed,
        faults=faults or {},
        places=places_of(typed, desk.places),
        states=states(desk.places),
        kinds=list(NoticeKind),
        levels=LEVEL_WORDS,
        calls_from=desk.calls_from,
    )


async def _made(request: Request, visitor: Visitor, start: Start, made: WithSecret) -> Response:
    order = made.subscription
    return await render(
        request,
        "endpoint_made.html",
        visitor=visitor,
        title="Your webhook and its secret",
        order=order,
        start=start,
        secret=made.secret,
        snippets=snippets_for(subscription_id=order.id, url=shown_address(order) or ""),
    )

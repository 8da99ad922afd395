"""One endpoint, for operators and an agency's own technicians: how it does, and its controls."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response

from noticebus.access.principals import Principal
from noticebus.access.sessions import Visitor
from noticebus.casework import (
    delivery_pages,
    endpoints,
    leases,
    pauses,
    probes,
    replays,
    subscriptions,
)
from noticebus.casework.desk import Desk
from noticebus.casework.endpoint_pages import (
    EndpointRead,
    credentials_of,
    has_secret,
    read_endpoint,
)
from noticebus.casework.inspection import shown_address
from noticebus.casework.replays import Wanted
from noticebus.console.endpoint_forms import (
    local_field,
    number_in,
    overlap_in,
    revision_in,
    since_in,
)
from noticebus.console.forms import Form, read_form
from noticebus.console.pages import SAYINGS, PageRoute, enter_view, local, redirect, render
from noticebus.console.presses import presses_of
from noticebus.console.snippets import snippets_for
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import Channel, HeldBack, Scope
from noticebus.domain import delivery_words
from noticebus.domain.masking import mask
from noticebus.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    NoticebusError,
    PreconditionError,
)

ID_MAX = 64
CHALLENGE_MAX = 100
REPLAY_OFFERED = dt.timedelta(hours=24)  # what the form for a replay says before anybody types
MANAGES = (Scope.SUBSCRIBE, Scope.OPERATE, Scope.ADMIN)
SAYINGS.update(
    {
        "endpoint-approved": "Approved. What it takes next is said below.",
        "endpoint-confirmed": "Confirmed: the topic is read. Notices go to it from now on.",
        "endpoint-asked": "The handshake is on its way. Its answer is shown below.",
        "endpoint-paused": "Paused. What comes meanwhile is numbered and kept.",
        "endpoint-probed": "One delivery goes now, to find out whether it works again.",
        "endpoint-renewed": "The lease is renewed.",
        "endpoint-resumed": "It goes on. What was held back is sent in its turn.",
        "endpoint-left": "It goes on. What was held back stays in the inbox and is not sent.",
        "endpoint-revoked": "Revoked. Only the newest secret signs from now on.",
        "replay-begun": "It has begun. How far it is, is shown below.",
        "replay-cancelled": "Cancelled. What is on its way arrives, nothing follows.",
        "replay-nothing": "There was nothing to send again.",
    }
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SubscriptionPath = Annotated[str, Path(max_length=ID_MAX)]
Do = Callable[[Desk, Principal, str, Form], Awaitable[str]]


@router.get("/endpoints/{subscription_id}")
async def show_endpoint(
    request: Request,
    subscription_id: SubscriptionPath,
    desk: TheDesk,
    visitor: TheVisitor,
    test: Annotated[str, Query(max_length=ID_MAX)] = "",
) -> Response:
    """Show one endpoint, and what came of the test that was sent last."""
    read = await read_endpoint(desk, visitor.principal, subscription_id=subscription_id)
    return await _page(request, desk, visitor, read, test=test)


@router.get("/endpoints/{subscription_id}/replay")
async def count_replay(
    request: Request,
    subscription_id: SubscriptionPath,
    desk: TheDesk,
    visitor: TheVisitor,
    since: Annotated[str, Query(max_length=40)] = "",
    after: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Count what a replay would send; the page's form confirms that number."""
    allow(visitor, *MANAGES)
    read = await read_endpoint(desk, visitor.principal, subscription_id=subscription_id)
    _refuse_others(read)
    try:
        wanted = Wanted(
            after=number_in(after, name="after") if after else None,
            since=None if after else since_in(since, zone=read.agency.zone),
            until=None,
        )
        span = await replays.count_replay(
            desk, visitor.principal, subscription_id=subscription_id, wanted=wanted
        )
    except (ConflictError, InvalidError) as error:
        return await _page(request, desk, visitor, read, problem=error)
    await enter_view(request, visitor, "endpoint", subscription_id=read.order.id)
    return await render(
        request,
        "endpoint_replay.html",
        visitor=visitor,
        title=f"Send again: {read.order.name}",
        read=read,
        span=span,
        since=wanted.since,
        zone=read.agency.zone,
    )


@router.post("/endpoints/{subscription_id}/replay")
async def begin_replay(
    request: Request, subscription_id: SubscriptionPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Begin the replay whose number was confirmed; where it is another now, nothing begins."""
    form = await read_form(request, visitor)

    async def begin(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
        begun = await replays.begin_replay(
            desk,
            principal,
            subscription_id=subscription_id,
            wanted=Wanted(
                after=number_in(form.text("after"), name="after"),
                since=None,
                until=number_in(form.text("until"), name="until"),
            ),
            counted=number_in(form.text("total"), name="total"),
        )
        return "said=replay-begun" if begun.replay.total else "said=replay-nothing"

    return await _did(request, desk, visitor, subscription_id, form, begin)


@router.post("/endpoints/{subscription_id}/replays/{replay_id}/cancel")
async def cancel_replay(
    request: Request,
    subscription_id: SubscriptionPath,
    replay_id: SubscriptionPath,
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Cancel a replay that runs."""
    form = await read_form(request, visitor)

    async def cancel(desk: Desk, principal: Principal, subscription_id: str, _: Form) -> str:
        await replays.cancel_replay(
            desk, principal, subscription_id=subscription_id, replay_id=replay_id
        )
        return "said=replay-cancelled"

    return await _did(request, desk, visitor, subscription_id, form, cancel)


@router.post("/endpoints/{subscription_id}/rotate-secret")
async def rotate_secret(
    request: Request, subscription_id: SubscriptionPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Make a new secret and show it once: in this answer, which no browser keeps."""
    allow(visitor, *MANAGES)
    form = await read_form(request, visitor)
    read = await read_endpoint(desk, visitor.principal, subscription_id=subscription_id)
    presses = presses_of(request)
    press = (visitor.principal.id, "secret", subscription_id, form.text("revision"))
    twice = presses.begin(press, now=desk.machine.now())
    try:
        made = await endpoints.rotate_secret(
            desk,
            visitor.principal,
            subscription_id=subscription_id,
            overlap=overlap_in(form),
            revision=revision_in(form),
        )
    except (ConflictError, InvalidError, PreconditionError) as error:
        read = await read_endpoint(desk, visitor.principal, subscription_id=subscription_id)
        hid = presses.hid(press, twice=twice) and not isinstance(error, InvalidError)
        problem = _lost(desk, read) if hid else error
        return await _page(request, desk, visitor, read, problem=problem)
    now = desk.machine.now()
    return await render(
        request,
        "endpoint_secret.html",
        visitor=visitor,
        title="The new secret",
        read=read,
        secret=made.secret,
        previous_until=endpoints.previous_valid_until(made.subscription, now=now),
        now=now,
        zone=read.agency.zone,
    )


@router.post("/endpoints/{subscription_id}/{action}")
async def act(
    request: Request,
    subscription_id: SubscriptionPath,
    action: SubscriptionPath,
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Do what a button of the page says."""
    form = await read_form(request, visitor)
    if action not in _ACTIONS:
        raise NotFoundError("There is no such button. Go back to the endpoint's page.")
    return await _did(request, desk, visitor, subscription_id, form, _ACTIONS[action])


async def _did(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    subscription_id: str,
    form: Form,
    do: Do,
) -> Response:
    """Do something and show the page again; where it is refused, with the reason on it."""
    allow(visitor, *MANAGES)
    try:
        after = await do(desk, visitor.principal, subscription_id, form)
    except (ConflictError, InvalidError, PreconditionError) as error:
        read = await read_endpoint(desk, visitor.principal, subscription_id=subscription_id)
        return await _page(request, desk, visitor, read, problem=error)
    return redirect(f"/endpoints/{subscription_id}?{after}")


async def _send_test(desk: Desk, principal: Principal, subscription_id: str, _: Form) -> str:
    sent = await endpoints.send_test(desk, principal, subscription_id=subscription_id)
    return urlencode({"test": sent.id})


async def _verify(desk: Desk, principal: Principal, subscription_id: str, _: Form) -> str:
    await endpoints.verify_subscription(desk, principal, subscription_id=subscription_id)
    return "said=endpoint-asked"


async def _confirm(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
    await endpoints.verify_subscription(
        desk,
        principal,
        subscription_id=subscription_id,
        challenge=form.text("challenge")[:CHALLENGE_MAX],
    )
    return "said=endpoint-confirmed"


async def _approve(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
    await subscriptions.approve_subscription(
        desk, principal, subscription_id=subscription_id, revision=revision_in(form)
    )
    return "said=endpoint-approved"


async def _pause(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
    await pauses.pause_subscription(
        desk, principal, subscription_id=subscription_id, revision=revision_in(form)
    )
    return "said=endpoint-paused"


async def _resume(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
    held = form.text("held")
    if held not in set(HeldBack):
        raise InvalidError("Say what becomes of what was held back: send it, or leave it.")
    await pauses.resume_subscription(
        desk,
        principal,
        subscription_id=subscription_id,
        held_back=HeldBack(held),
        revision=revision_in(form),
    )
    return "said=endpoint-resumed" if held == HeldBack.SEND else "said=endpoint-left"


async def _renew(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
    await leases.renew_subscription(
        desk, principal, subscription_id=subscription_id, revision=revision_in(form)
    )
    return "said=endpoint-renewed"


async def _probe(desk: Desk, principal: Principal, subscription_id: str, _: Form) -> str:
    await probes.force_probe(desk, principal, subscription_id=subscription_id)
    return "said=endpoint-probed"


async def _revoke(desk: Desk, principal: Principal, subscription_id: str, form: Form) -> str:
    await endpoints.revoke_old_secrets(
        desk, principal, subscription_id=subscription_id, revision=revision_in(form)
    )
    return "said=endpoint-revoked"


_ACTIONS: Mapping[str, Do] = {
    "test": _send_test,
    "verify": _verify,
    "confirm": _confirm,
    "approve": _approve,
    "pause": _pause,
    "resume": _resume,
    "renew": _renew,
    "probe": _probe,
    "revoke-old-secrets": _revoke,
}


def of_whose(visitor: Visitor, agency_id: str) -> Callable[[str], str]:
    """Give how to speak to a visitor of an agency's server: as its own, or as a recipient's."""
    own = visitor.principal.agency_id == agency_id
    return str if own else delivery_words.of_theirs


async def _page(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    read: EndpointRead,
    *,
    test: str = "",
    problem: NoticebusError | None = None,
) -> Response:
    order, say = read.order, of_whose(visitor, read.agency.id)
    await enter_view(request, visitor, "endpoint", subscription_id=order.id)
    tested = await delivery_pages.find_test(desk, order, delivery_id=test) if test else None
    address = shown_address(order)
    return await render(
        request,
        "endpoint.html",
        visitor=visitor,
        status=200 if problem is None else problem.status,
        title=order.name,
        back=f"/endpoints/{order.id}" + (f"?{urlencode({'test': test})}" if test else ""),
        read=read,
        address=address,
        tested=tested,
        problem=problem,
        zone=read.agency.zone,
        now=desk.world.now(),
        machine_now=desk.machine.now(),
        backlog_rate=desk.backlog_rate,
        calls_from=desk.calls_from,
        since=local_field(desk.world.now() - REPLAY_OFFERED, zone=read.agency.zone),
        shown_to_them=credentials_of(order) if read.may.manage else (),
        has_secret=has_secret(order),
        snippets=snippets_for(subscription_id=order.id, url=address or "")
        if order.channel is Channel.WEBHOOK
        else (),
        outcomes=delivery_words.OUTCOMES,
        states=delivery_words.STATES,
        causes=delivery_words.CAUSES,
        faults=delivery_words.FAULTS,
        explain=lambda attempt: say(mask(delivery_pages.explained(attempt, order.channel))),
        sentence=say(read.sentence),
    )


def _lost(desk: Desk, read: EndpointRead) -> ConflictError:
    """Say that a second press hid the secret that the first one made, and how long there is."""
    until = endpoints.previous_valid_until(read.order, now=desk.machine.now())
    left = (
        "The secret before it signs no more."
        if until is None
        else f"The secret before it signs until {local(until, read.agency.zone)}."
    )
    return ConflictError(
        "You clicked twice: a new secret was made, and shown to nobody. Make another now, and wait"
        f" for the page that shows it. {left}"
    )


def _refuse_others(read: EndpointRead) -> None:
    if not read.may.manage:
        raise NotFoundError("There is no subscription here that you may change. Check the id.")

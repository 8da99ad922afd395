"""One delivery, whatever carries it: what went, what came back, what it means, and once more."""

import json
import shlex
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from noticebus.access.sessions import Visitor
from noticebus.casework import delivery_pages
from noticebus.casework.delivery_pages import DeliveryRead
from noticebus.casework.desk import Desk
from noticebus.casework.inspection import Sent
from noticebus.casework.reading import READERS
from noticebus.console.endpoint_forms import number_in
from noticebus.console.endpoints import MANAGES, of_whose
from noticebus.console.forms import read_form
from noticebus.console.pages import PageRoute, enter_view, redirect, render
from noticebus.console.spent_time import spent_time
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.domain import delivery_words
from noticebus.domain.masking import mask
from noticebus.errors import ConflictError, InvalidError, NoticebusError

ID_MAX = 64
ONE = 1  # deliveries that a page of one delivery sends again
PAGE = "delivery"

router = APIRouter(include_in_schema=False, route_class=PageRoute)

DeliveryPath = Annotated[str, Path(max_length=ID_MAX)]


@router.get("/deliveries/{delivery_id}")
async def show_delivery(
    request: Request, delivery_id: DeliveryPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Show one delivery with every attempt."""
    read = await delivery_pages.read_delivery(desk, visitor.principal, delivery_id=delivery_id)
    return await _page(request, desk, visitor, read)


@router.post("/deliveries/{delivery_id}/send-again")
async def send_again(
    request: Request, delivery_id: DeliveryPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Send this one number again; its progress is on the endpoint's page."""
    allow(visitor, *MANAGES)
    form = await read_form(request, visitor)
    read = await delivery_pages.read_delivery(desk, visitor.principal, delivery_id=delivery_id)
    try:
        begun = await delivery_pages.send_again(
            desk,
            visitor.principal,
            delivery_id=delivery_id,
            counted=number_in(form.text("total"), name="total"),
        )
    except (ConflictError, InvalidError) as error:
        return await _page(request, desk, visitor, read, problem=error)
    return redirect(
        f"/endpoints/{begun.replay.subscription_id}", said="replay-begun", fragment="replays"
    )


async def _page(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    read: DeliveryRead,
    *,
    problem: NoticebusError | None = None,
) -> Response:
    delivery = read.delivery
    say = of_whose(visitor, read.agency.id)
    if read.contact is not None or (read.sent is not None and read.sent.body is not None):
        about: dict[str, str] = {"delivery_id": delivery.id}
        if delivery.incident_id is not None:
            about["incident_id"] = delivery.incident_id
        await enter_view(request, visitor, PAGE, **about)
    return await render(
        request,
        "delivery.html",
        visitor=visitor,
        status=200 if problem is None else problem.status,
        title=f"Delivery: {delivery_words.CAUSES[delivery.cause]}",
        back=f"/deliveries/{delivery.id}",
        read=read,
        problem=problem,
        zone=read.agency.zone,
        said_of=delivery_words.said_of(delivery.state, failed=bool(read.attempts)),
        outcomes=delivery_words.OUTCOMES,
        causes=delivery_words.CAUSES,
        faults=delivery_words.FAULTS,
        whose={fault: say(text) for fault, text in delivery_words.WHOSE.items()},
        explain=lambda attempt: say(mask(delivery_pages.explained(attempt, delivery.channel))),
        diagnosis=say(mask(read.diagnosis)),
        mask=mask,
        spent_time=spent_time,
        body=None if read.sent is None else _body(read.sent),
        curl=None if read.sent is None else curl_of(read.sent),
        reads_notices=not visitor.principal.scopes.isdisjoint(READERS),
        total=ONE,
    )


def _body(sent: Sent) -> str | None:
    """Write the body for people, if the reader may see it: indented, where it is JSON."""
    if sent.body is None:
        return None
    return json.dumps(json.loads(sent.body), indent=2, ensure_ascii=False)


def curl_of(sent: Sent) -> str | None:
    """Write the request as a command; what a secret made is left for its owner to fill in."""
    if sent.url is None:
        return None
    parts = ["curl --request POST", shlex.quote(sent.url)]
    parts += [f"--header {shlex.quote(f'{name}: {sent.headers[name]}')}" for name in sent.headers]
    body = "@body.json" if sent.body is None else shlex.quote(sent.body.decode())
    return " \\\n  ".join([*parts, f"--data-binary {body}"])

"""What runs and what it stands on; the statement on accessibility; the interface for programs."""

import sys
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from noticebus.access.principals import sees_every_agency
from noticebus.access.sessions import Visitor
from noticebus.casework.status import read_state
from noticebus.console.pages import POLICY, PageRoute, render
from noticebus.console.visitors import TheDesk, TheVisitor, find_visitor

COMPONENTS = {
    "gateway": ("Gateway", "takes notices and answers"),
    "dispatcher": ("Dispatcher", "sends"),
    "engine": ("Escalation clock", "calls on the next one when nobody answers"),
    "sequencer": ("Sequencer", "writes the ledger in its order"),
    "orders": ("Orders", "replays, and lets go what was held back"),
    "auditor": ("Auditor", "recounts everything, apart from those above"),
}
# Swagger UI carries small images in its style sheet. Nothing else may.
DOCS_POLICY = POLICY.replace("img-src 'self'", "img-src 'self' data:")

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MaybeVisitor = Annotated[Visitor | None, Depends(find_visitor)]


@router.get("/status")
async def show_status(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Show what runs; which machines run it is for those who watch over the bus."""
    state = await read_state(desk)
    return await render(
        request,
        "status.html",
        visitor=visitor,
        title="Status",
        state=state,
        watches=sees_every_agency(visitor.principal),
        names=COMPONENTS,
        python=".".join(map(str, sys.version_info[:3])),
    )


@router.get("/accessibility")
async def show_accessibility(request: Request, visitor: MaybeVisitor) -> Response:
    """Say how accessible these pages are, what is tested, and what is known to be missing."""
    return await render(request, "accessibility.html", visitor=visitor, title="Accessibility")


@router.get("/docs")
async def show_docs(request: Request, visitor: MaybeVisitor) -> Response:
    """Show the interface for programs, as /openapi.json describes it; nothing is sent from here."""
    page = await render(request, "docs.html", visitor=visitor, title="Interface for programs")
    page.headers["Content-Security-Policy"] = DOCS_POLICY
    return page

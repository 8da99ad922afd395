"""Who is working on what: two operators do not ring the same principal."""

import contextlib
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response

from noticebus.casework import attendance
from noticebus.casework.attendance import Held, Seen
from noticebus.console.forms import Form, read_form
from noticebus.console.pages import PageRoute, back_to, enter_view, redirect, render
from noticebus.console.reading import read_instant
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import NotFoundError
from noticebus.ids import ObligationId
from noticebus.store import attendances, matching, obligations

ID_MAX = 64
BACK_MAX = 2000

router = APIRouter(include_in_schema=False, route_class=PageRoute)

ObligationPath = Annotated[ObligationId, Path(max_length=ID_MAX)]
Back = Annotated[str, Query(max_length=BACK_MAX)]


@router.get("/obligations/{obligation_id}/attend")
async def show_attendance(
    request: Request,
    obligation_id: ObligationPath,
    desk: TheDesk,
    visitor: TheVisitor,
    back: Back = "",
) -> Response:
    """Show who works on an obligation; whoever wants to take it over says so here."""
    allow(visitor, Scope.OPERATE)
    now = desk.world.now()
    async with desk.database.read() as conn:
        owed = await obligations.obligation_by_id(conn, obligation_id)
        if owed is None:
            raise NotFoundError(f"There is no obligation {obligation_id}. Check the id.")
        agency = (await matching.agencies_by_id(conn, [owed.agency_id]))[owed.agency_id]
        held = (await attendances.of(conn, [owed.id], now=now)).get(owed.id)
    await enter_view(
        request, visitor, "attend", incident_id=owed.incident_id, obligation_id=owed.id
    )
    target = back_to(back)
    return await render(
        request,
        "attend.html",
        visitor=visitor,
        title="Who is on this",
        owed=owed,
        agency=agency,
        zone=agency.zone,
        attendance=held,
        now=now,
        lasts=attendance.LASTS,
        back=target,
        back_to=target,
    )


@router.post("/obligations/{obligation_id}/attend")
async def attend(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Say that the visitor works on an obligation; where another does, show who."""
    allow(visitor, Scope.OPERATE)
    form = await read_form(request, visitor)
    outcome = await attendance.attend(
        desk, visitor.principal, obligation_id=obligation_id, taking_over=_seen(form)
    )
    if isinstance(outcome, Held):
        asked = quote(back_to(form.text("back")), safe="")
        return redirect(f"/obligations/{obligation_id}/attend?back={asked}", said="not-yours")
    return _back(form, obligation_id, said="attending")


@router.post("/obligations/{obligation_id}/leave")
async def leave(
    request: Request, obligation_id: ObligationPath, desk: TheDesk, visitor: TheVisitor
) -> Response:
    """Say that the visitor works on it no more."""
    allow(visitor, Scope.OPERATE)
    form = await read_form(request, visitor)
    left = await attendance.leave(desk, visitor.principal, obligation_id=obligation_id)
    return _back(form, obligation_id, said="left" if left else "not-on-it")


def _seen(form: Form) -> Seen | None:
    """Read whom the form takes over from; what cannot be read takes over from nobody."""
    with contextlib.suppress(ValueError):
        return Seen(actor=form.text("from"), began_at=read_instant(form.text("since")))
    return None


def _back(form: Form, obligation_id: ObligationId, *, said: str) -> Response:
    return redirect(back_to(form.text("back")), said=said, fragment=f"actions-{obligation_id}")

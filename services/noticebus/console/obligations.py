"""One obligation: whom to ring now, everything that happened to it, and what comes by itself."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from noticebus.casework.obligation_pages import ObligationPage, read_obligation
from noticebus.console.drawings import Point, points_between
from noticebus.console.incidents import GROUPS
from noticebus.console.pages import PageRoute, enter_view, render
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.domain.mail import CLASS_WORDS, KIND_WORDS
from noticebus.domain.obligation import closes_with
from noticebus.domain.timeline import LEVELS, MARK_WORDS

ID_MAX = 64
OWED_WORDS = {
    Owed.NOTICE: "an answer to this notice",
    Owed.QUESTION: "the answer to a question",
    Owed.UPDATE: "an update it promised",
    Owed.COVERAGE: "somebody for a place that nobody answers for",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/obligations/{obligation_id}")
async def show_obligation(
    request: Request,
    obligation_id: Annotated[str, Path(max_length=ID_MAX)],
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Show one obligation: to who owes it, to the poster, and to the bus's people."""
    page = await read_obligation(desk, visitor.principal, obligation_id=obligation_id)
    await enter_view(
        request,
        visitor,
        "obligation",
        incident_id=page.incident.id,
        obligation_id=page.owed.id,
    )
    return await render(
        request,
        "obligation.html",
        visitor=visitor,
        title=_title(page),
        page=page,
        owed=page.owed,
        zone=page.agency.zone,
        group=GROUPS[page.group],
        classes=CLASS_WORDS,
        kinds=KIND_WORDS,
        levels=LEVELS,
        marks=MARK_WORDS,
        closes_with=closes_with(page.owed.notice_class) if page.is_for_recipient else None,
        strip_points=clock_points(page),
        now=page.now,
    )


def _title(page: ObligationPage) -> str:
    """Say who owes what; what has ended is owed no more."""
    verb = " owes" if page.owed.state is ObligationState.OPEN else ":"
    return f"{page.agency.name}{verb} {OWED_WORDS[page.owed.owed]}"


def clock_points(page: ObligationPage) -> list[Point]:
    """Place what matters of the present round on one line: start, deadline, now, steps, end."""
    owed = page.owed
    if owed.round_started_at is None:
        return []
    moments: list[tuple[str, str, dt.datetime]] = [
        ("posted", "its clock started", owed.round_started_at)
    ]
    if owed.due_at is not None:
        moments.append(("due", "the answer is due", owed.due_at))
    if owed.closed_at is not None:
        late = owed.due_at is not None and owed.closed_at > owed.due_at
        closed = owed.state is ObligationState.CLOSED
        mark = ("late" if late else "answered") if closed else "noted"
        moments.append((mark, f"it was {owed.state}", owed.closed_at))
    else:
        moments.append(("now", "now", page.now))
    moments += [
        ("ahead", f"step {one.planned.number}: {LEVELS[one.planned.step.notify]}", one.planned.at)
        for one in page.next_steps
    ]
    return points_between(moments)

"""Incidents: the list, and one with everybody who must answer, where, and what comes next."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from noticebus.casework import incident_lists, incident_pages
from noticebus.casework.incident_lists import Asked, ListedPage
from noticebus.casework.incident_pages import IncidentPage, Pages, Recipient
from noticebus.console.drawings import draw_states, lanes_of, number_places
from noticebus.console.pages import PageRoute, enter_view, render
from noticebus.console.paging import MarkQuery, read_instant, read_mark, read_number, write_mark
from noticebus.console.people import people_lines
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.vocabulary import IncidentState, Owed, Standing, Status
from noticebus.domain.delivery_words import OUTCOMES
from noticebus.domain.mail import CLASS_WORDS, KIND_WORDS
from noticebus.domain.recipient_groups import Group
from noticebus.domain.timeline import HEARD, LEVELS
from noticebus.errors import BadRequestError, InvalidError
from noticebus.ids import IncidentId, ObligationId
from noticebus.store.incident_lists import Place as ListPlace
from noticebus.store.incident_recipients import Place

ID_MAX = 64
AGENCY_MAX = 80
PAGE = 50
GROUPS: Mapping[Group, tuple[str, str]] = {
    Group.UNREACHABLE: ("✗", "unreachable"),
    Group.OVERDUE: ("⚠", "overdue"),
    Group.OPEN: ("…", "open"),
    Group.ANSWERED_LATE: ("◐", "answered late"),
    Group.ANSWERED: ("✓", "answered"),
    Group.DECLINED: ("⊘", "declined"),
    Group.WAIVED: ("○", "waived"),
    Group.WITHDRAWN: ("○", "withdrawn"),
}
STATES = {
    IncidentState.OPEN: "○ open",
    IncidentState.CLEARED: "✓ all-clear given",
    IncidentState.CANCELLED: "✗ cancelled",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The recipients of a page that stand alike."""

    group: Group
    symbol: str
    word: str
    rows: Sequence[Recipient]


async def get_asked(
    status: Status = Status.ACTUAL,
    state: Annotated[str, Query(max_length=ID_MAX)] = "",
    agency: Annotated[str, Query(max_length=AGENCY_MAX)] = "",
    after: MarkQuery = "",
) -> Asked:
    """Read which incidents are asked for."""
    place, ranked_at = _after(after)
    return Asked(
        status=status,
        state=_state(state),
        agency=agency.strip(),
        after=place,
        ranked_at=ranked_at,
        limit=PAGE,
    )


@router.get("/incidents")
async def list_incidents(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    asked: Annotated[Asked, Depends(get_asked)],
) -> Response:
    """List incidents: those in which somebody is overdue first, then the newest."""
    page = await incident_lists.list_incidents(desk, visitor.principal, asked=asked)
    await enter_view(request, visitor, "incidents")
    return await render(
        request,
        "incidents.html",
        visitor=visitor,
        title="Incidents",
        page=page,
        asked=asked,
        statuses=tuple(Status),
        states=STATES,
        classes=CLASS_WORDS,
        kinds=KIND_WORDS,
        groups=GROUPS,
        next=_list_mark(page),
    )


@router.get("/incidents/{incident_id}")
async def show_incident(
    request: Request,
    incident_id: Annotated[str, Path(max_length=ID_MAX)],
    desk: TheDesk,
    visitor: TheVisitor,
    after: MarkQuery = "",
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Show one incident."""
    page = await incident_pages.read_incident(
        desk, visitor.principal, incident_id=incident_id, pages=_pages(after, before)
    )
    await enter_view(request, visitor, "incident", incident_id=page.incident.id)
    places = number_places(page.places)
    maps = await asyncio.to_thread(draw_states, places, desk.places)
    zone = zone_of(page)
    return await render(
        request,
        "incident.html",
        visitor=visitor,
        title=page.content["headline"],
        page=page,
        zone=zone,
        sections=_sections(page.recipients),
        ring_of=_ring(page),
        figures=_figures(page, Standing.MANDATORY),
        advisory=_figures(page, Standing.ADVISORY),
        people=people_lines(page.content),
        places=places,
        maps=maps,
        lanes=lanes_of(page.recipients, now=page.now),
        happenings=page.told.happenings(page.agencies, _debts(page), page.people),
        classes=CLASS_WORDS,
        kinds=KIND_WORDS,
        states=STATES,
        levels=LEVELS,
        heard=HEARD,
        outcomes=OUTCOMES,
        next=_recipients_mark(page, after),
        now=page.now,
    )


def _debts(page: IncidentPage) -> dict[str, Owed]:
    return {owed.id: owed.owed for owed, _ in page.others}


def zone_of(page: IncidentPage) -> str:
    """Choose the zone of a page's times: that of most of its recipients, else the poster's."""
    zones = Counter(one.agency.zone for one in page.recipients)
    return zones.most_common(1)[0][0] if zones else page.poster.zone


def _sections(recipients: Sequence[Recipient]) -> list[Section]:
    return [
        Section(group=group, symbol=GROUPS[group][0], word=GROUPS[group][1], rows=tuple(rows))
        for group, rows in groupby(recipients, key=lambda one: one.group)
    ]


def _figures(page: IncidentPage, standing: Standing) -> list[tuple[str, str, int]]:
    """Count the recipients of a standing by group: mandatory and advisory ones are never added."""
    counts = page.counts.get(standing, {})
    return [(*GROUPS[group], counts[group]) for group in Group if counts.get(group)]


def _ring(page: IncidentPage) -> tuple[int, int] | None:
    """Give how many of the mandatory recipients have closed it, waived and withdrawn left out."""
    if not page.whole:
        return None
    counts = page.counts.get(Standing.MANDATORY, {})
    done = counts.get(Group.ANSWERED, 0) + counts.get(Group.ANSWERED_LATE, 0)
    aside = counts.get(Group.WAIVED, 0) + counts.get(Group.WITHDRAWN, 0)
    return done, sum(counts.values()) - aside


def _state(text: str) -> IncidentState | None:
    """Read a state; a form whose field is left at "any" sends nothing."""
    if text and text not in set(IncidentState):
        raise InvalidError(
            f"There is no state {text!r}. Choose one of: {', '.join(IncidentState)}, or any."
        )
    return IncidentState(text) if text else None


def _after(text: str) -> tuple[ListPlace | None, dt.datetime | None]:
    if not text:
        return None, None
    overdue, ranked_at, id_ = read_mark(text, parts=3)
    if overdue not in {"overdue", "rest"}:
        raise BadRequestError("This address leads to no page of the list. Go to its first page.")
    place = ListPlace(overdue=overdue == "overdue", id=IncidentId(id_))
    return place, read_instant(ranked_at)


def _list_mark(page: ListedPage) -> str | None:
    if not page.more:
        return None
    last = page.rows[-1]
    tier = "overdue" if last.overdue else "rest"
    return write_mark(tier, page.ranked_at, last.incident.id)


def _pages(after: str, before: int | None) -> Pages:
    if not after:
        return Pages(entries_before=before)
    group, due_at, id_, ranked_at = read_mark(after, parts=4)
    place = Place(
        group=read_number(group, Group), due_at=read_instant(due_at), id=ObligationId(id_)
    )
    return Pages(after=place, ranked_at=read_instant(ranked_at), entries_before=before)


def _recipients_mark(page: IncidentPage, after: str) -> str | None:
    if page.more is None:
        return None
    ranked_at = read_instant(read_mark(after, parts=4)[3]) if after else page.now
    return write_mark(int(page.more.group), page.more.due_at, page.more.id, ranked_at)

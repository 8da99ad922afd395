"""The list of incidents as each reader may see it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, visible_agency
from noticebus.casework.accepted import body_of
from noticebus.casework.desk import Desk
from noticebus.casework.reading import READERS
from noticebus.casework.views import place_line
from noticebus.contracts.vocabulary import IncidentState, Status
from noticebus.domain.recipient_groups import Group, group_of
from noticebus.ids import AgencyId, IncidentId
from noticebus.store import incident_lists, report_facts
from noticebus.store.incident_lists import Place, Selection
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import Named


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for. `ranked_at` is when the first page was read, so that none is missed."""

    status: Status
    state: IncidentState | None
    agency: str
    after: Place | None
    ranked_at: dt.datetime | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One incident: its newest version as the reader may see it, and how its answers stand.

    `counts` are of the mandatory recipients, for who sees them; `own` is how the reader's agency
    itself stands, where it must answer.
    """

    incident: Incident
    overdue: bool
    latest: Notice
    poster: Named
    where: str
    counts: Mapping[Group, int] | None
    own: tuple[Obligation, Group] | None

    @property
    def headline(self) -> str:
        return str(body_of(self.latest)["headline"])

    @property
    def done(self) -> int:
        counts = self.counts or {}
        return counts.get(Group.ANSWERED, 0) + counts.get(Group.ANSWERED_LATE, 0)

    @property
    def bound(self) -> int:
        counts = self.counts or {}
        aside = counts.get(Group.WAIVED, 0) + counts.get(Group.WITHDRAWN, 0)
        return sum(counts.values()) - aside


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPage:
    """One page of the list."""

    now: dt.datetime
    ranked_at: dt.datetime
    rows: Sequence[Row]
    more: bool


async def list_incidents(desk: Desk, principal: Principal, *, asked: Asked) -> ListedPage:
    """List what the reader may see: six statements at most, however many incidents."""
    require(principal, *READERS)
    now = desk.world.now()
    ranked_at = asked.ranked_at or now
    visible_to = visible_agency(principal)
    selection = Selection(
        status=asked.status, state=asked.state, agency=asked.agency, visible_to=visible_to
    )
    async with desk.database.read() as conn:
        found = await incident_lists.incident_page(
            conn, selection, now=ranked_at, after=asked.after, limit=asked.limit + 1
        )
        shown = found[: asked.limit]
        rows = await _rows(conn, desk, shown, visible_to=visible_to, now=now) if shown else []
    return ListedPage(now=now, ranked_at=ranked_at, rows=rows, more=len(found) > asked.limit)


async def _rows(
    conn: AsyncConnection,
    desk: Desk,
    shown: Sequence[incident_lists.Listed],
    *,
    visible_to: AgencyId | None,
    now: dt.datetime,
) -> list[Row]:
    ids = [one.incident.id for one in shown]
    latest = await incident_lists.latest_seen(conn, ids, visible_to=visible_to)
    posters = await report_facts.named(conn, {one.incident.agency_id for one in shown})
    counts = await incident_lists.counts_of(conn, ids, now=now)
    own: Mapping[IncidentId, Obligation] = {}
    if visible_to is not None:
        own = await incident_lists.owed_in(conn, ids, agency_id=visible_to)
    return [
        Row(
            incident=one.incident,
            overdue=one.overdue,
            latest=latest[one.incident.id],
            poster=posters[one.incident.agency_id],
            where=place_line(latest[one.incident.id].area_keys, desk.places),
            counts=counts.get(one.incident.id, {})
            if visible_to in {None, one.incident.agency_id}
            else None,
            own=(owed, group_of(owed, now=now)) if (owed := own.get(one.incident.id)) else None,
        )
        for one in shown
    ]

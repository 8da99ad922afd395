"""What the first page needs: the most pressing lines of the report, and what surrounds them.

It reads what `reports.read_report` reads. A page that keeps itself fresh is one view in five
minutes, so that its reading is entered as that and not as a report each time (see `page_views`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, visible_agency
from noticebus.casework import incident_lists, report_beside
from noticebus.casework.desk import Desk
from noticebus.casework.reading import READERS
from noticebus.casework.report_views import TO_DO
from noticebus.casework.reports import Asked, ReportRead, basis_of, read_basis, wanted_for
from noticebus.contracts.report import DataQualityItem
from noticebus.contracts.vocabulary import IncidentState, Scope, Status
from noticebus.ids import ObligationId
from noticebus.store import attendances, overview, waivers
from noticebus.store.attendances import Attendance
from noticebus.store.exercises import Exercise
from noticebus.store.report_quality import ENDPOINT_DOWN, ENDPOINT_FAILING
from noticebus.store.waivers import Waiting

LINES_MAX = 10
INCIDENTS_MAX = 10
EXERCISES_MAX = 3
WAIVERS_MAX = 5
TODAY = dt.timedelta(hours=24)
WATCHERS = frozenset({Scope.OPERATE, Scope.ADMIN, Scope.AUDIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of things for one reader. `last_answer_at` None: nobody has answered anything.

    `unreached` counts all open lines that no channel reaches, shown or not.
    """

    now: dt.datetime
    read: ReportRead
    unreached: int
    attendances: Mapping[ObligationId, Attendance]
    waivers: Sequence[Waiting]
    incidents: Sequence[incident_lists.Row]
    exercises: Sequence[Exercise]
    last_answer_at: dt.datetime | None

    @property
    def headlines(self) -> Mapping[str, str]:
        """Give the newest headline of each incident that is shown, by its id."""
        return {row.incident.id: row.headline for row in self.incidents}

    @property
    def failing(self) -> tuple[DataQualityItem, ...]:
        """Give the endpoints that fail now."""
        codes = {ENDPOINT_DOWN, ENDPOINT_FAILING}
        return tuple(one for one in self.read.report.data_quality if one.code in codes)

    @property
    def to_repair(self) -> int:
        """Count what else keeps a notice from somebody, or leaves it with nobody."""
        return len(self.read.report.data_quality) - len(self.failing) - self.to_do

    @property
    def to_do(self) -> int:
        """Count what is to be done before it keeps a notice from somebody."""
        return sum(one.code in TO_DO for one in self.read.report.data_quality)


async def read_overview(desk: Desk, principal: Principal) -> Overview:
    """Read the first page as `principal` may see it, in a constant number of statements."""
    require(principal, *READERS)
    now = desk.world.now()
    wanted = wanted_for(desk, principal, Asked(limit=LINES_MAX), now=now)
    async with desk.database.read() as conn:
        basis = await basis_of(conn, wanted)
        read = await read_basis(conn, desk, principal, wanted=wanted, basis=basis)
        unreached = await report_beside.count_unreached(conn, wanted, basis)
        working: Mapping[ObligationId, Attendance] = {}
        asked: Sequence[Waiting] = ()
        if not principal.scopes.isdisjoint(WATCHERS):
            ids = {ObligationId(one.obligation_id) for one in read.report.items}
            working = await attendances.of(conn, ids, now=now)
            asked = await waivers.waiting(conn, status=Status.ACTUAL, limit=WAIVERS_MAX)
        drills = await _exercises(conn, principal, now=now)
        answered_at = await overview.last_answer_at(
            conn, agency_id=visible_agency(principal), posted=Scope.POST in principal.scopes
        )
    listed = await incident_lists.list_incidents(
        desk,
        principal,
        asked=incident_lists.Asked(
            status=Status.ACTUAL,
            state=IncidentState.OPEN,
            agency="",
            after=None,
            ranked_at=None,
            limit=INCIDENTS_MAX,
        ),
    )
    return Overview(
        now=now,
        read=read,
        unreached=unreached,
        attendances=working,
        waivers=asked,
        incidents=listed.rows,
        exercises=drills,
        last_answer_at=answered_at,
    )


async def _exercises(
    conn: AsyncConnection, principal: Principal, *, now: dt.datetime
) -> Sequence[Exercise]:
    """Read today's exercises: for who watches, and a poster's own. Who is drilled is not warned."""
    if principal.scopes.isdisjoint(WATCHERS | {Scope.POST}):
        return ()
    return await overview.exercises_between(
        conn,
        agency_id=visible_agency(principal),
        now=now,
        until=now + TODAY,
        limit=EXERCISES_MAX,
    )

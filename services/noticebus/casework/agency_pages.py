"""One recipient as its page shows it: its people, its paths, its record, and what is wrong."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework import calendars, delegations, policies, rosters
from noticebus.casework.agencies import visible_agency_row
from noticebus.casework.agency_lists import paths_to
from noticebus.casework.calendars import CalendarRead
from noticebus.casework.desk import Desk
from noticebus.casework.figures_ranks import ROWS_MAX
from noticebus.casework.policies import Applied
from noticebus.casework.reading import READERS
from noticebus.casework.report_views import TO_DO, data_quality_view
from noticebus.casework.rosters import RosterRead, Span
from noticebus.casework.silent_policies import silent_policies
from noticebus.contracts.vocabulary import ObligationState, Position, Status
from noticebus.domain import paths
from noticebus.domain.paths import TESTED_WITHIN, Order, Path
from noticebus.ids import AgencyId, ExerciseId, IncidentId, SubscriptionId
from noticebus.store import (
    agencies,
    agency_lists,
    endpoint_attempts,
    endpoints,
    exercise_proofs,
    report_facts,
    report_quality,
    report_ranks,
    reports,
    roster_quality,
    terms_quality,
)
from noticebus.store.agencies import Agency, Contact, Responsibility
from noticebus.store.agency_lists import Owing
from noticebus.store.delegations import Delegation
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import Named
from noticebus.store.report_ranks import Ranked
from noticebus.store.reports import Counts

SHOWN_OWED = 50
SHOWN_EXERCISES = 10
SHOWN_MAX = 100
ROSTER_FOR = dt.timedelta(days=7)
FIGURES_FROM = 10  # with fewer that fell due, the list says more than a figure
LEGS_FOR = dt.timedelta(days=365)
_UP_THE_LINE = tuple(Position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How an agency has answered: all that fell due, counted, and the silent ranked last.

    `legs` tell our time to its first delivery apart from its own to the answer, of the last
    `LEGS_FOR`; empty where too few fell due in it.
    """

    counted: Counts
    p50: dt.timedelta | None
    p90: dt.timedelta | None
    legs: Mapping[str, Ranked]
    latest: Sequence[Obligation]
    exercises: Sequence[Obligation]
    certificates: Mapping[IncidentId, ExerciseId]

    @property
    def has_figures(self) -> bool:
        return self.counted.due >= FIGURES_FROM

    @property
    def completed_exercise(self) -> bool:
        return any(one.state is ObligationState.CLOSED for one in self.exercises)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyRead:
    """Everything the page of one agency shows; `never_exercised` is said of who must answer.

    `record` is None for who may not read obligations, as whoever came by a link.
    """

    agency: Agency
    contacts: Sequence[Contact]
    owing: Owing
    orders: Sequence[Order]
    held: Mapping[str, int]
    paths: Sequence[Path]
    reach: str
    responsibilities: Sequence[Responsibility]
    delegations: Sequence[Delegation]
    named: Mapping[AgencyId, Named]
    roster: RosterRead
    calendar: CalendarRead
    policies: Sequence[Applied]
    record: Record | None
    warnings: Sequence[tuple[str, str]]  # code and sentence
    now: dt.datetime

    @property
    def keeping(self) -> list[str]:
        """Say what keeps a notice from it, or leaves it with nobody there."""
        return [said for code, said in self.warnings if code not in TO_DO]

    @property
    def to_do(self) -> list[str]:
        """Say what is to be done before it does."""
        return [said for code, said in self.warnings if code in TO_DO]

    @property
    def never_exercised(self) -> bool:
        codes = {code for code, _ in self.warnings}
        return report_quality.NEVER_EXERCISED in codes


async def read_agency(desk: Desk, principal: Principal, *, agency_id: str) -> AgencyRead:
    """Read one agency that the principal may see, in a constant number of statements; or 404."""
    now = desk.world.now()
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        id_ = agency.id
        people = (await agency_lists.contacts_of(conn, [id_])).get(id_, [])
        orders = (await agency_lists.orders_of(conn, [id_])).get(id_, [])
        order_ids = [SubscriptionId(one.id) for one in orders]
        owing = (await agency_lists.owing_of(conn, [id_], now=now)).get(id_, Owing())
        held = await endpoints.held_counts(conn, order_ids)
        arrived = await endpoint_attempts.last_arrivals(
            conn,
            subscription_ids=order_ids,
            contact_ids=[one.id for one in people],
            since=now - TESTED_WITHIN,
        )
        duties = await agencies.list_responsibilities(
            conn, agency_id=id_, after="", limit=SHOWN_MAX
        )
        record = None
        if not principal.scopes.isdisjoint(READERS):
            record = await _record(conn, id_, now=now)
        warnings = await _warnings(conn, desk, agency, now=now)
    stands_in = await delegations.list_delegations(
        desk, principal, agency_id=id_, after="", limit=SHOWN_MAX
    )
    found = paths_to(desk, people, orders, now=now, arrived=arrived)
    return AgencyRead(
        agency=agency,
        contacts=sorted(people, key=lambda one: (_UP_THE_LINE.index(one.position), one.id)),
        owing=owing,
        orders=orders,
        held={str(one): count for one, count in held.items()},
        paths=found,
        reach=paths.summary_of(found, now=now),
        responsibilities=duties,
        delegations=stands_in,
        named=await _named(desk, stands_in),
        roster=await rosters.get_roster(
            desk, principal, agency_id=id_, span=Span(start=now, end=now + ROSTER_FOR)
        ),
        calendar=await calendars.get_calendar(desk, principal, agency_id=id_),
        policies=await policies.applied_policies(desk, principal, agency_id=id_),
        record=record,
        warnings=warnings,
        now=now,
    )


async def _record(conn: AsyncConnection, agency_id: AgencyId, *, now: dt.datetime) -> Record:
    scope = reports.Scope(status=Status.ACTUAL, agency_id=agency_id)
    counted = await reports.count(conn, scope, now=now)
    p50, p90 = [
        await reports.time_to_close_at(conn, scope, counted=counted, percent=percent, now=now)
        for percent in (50, 90)
    ]
    legs: Sequence[Ranked] = ()
    if FIGURES_FROM <= counted.due <= ROWS_MAX:  # more is seconds of the database
        span = report_ranks.Span(since=now - LEGS_FOR, until=now)
        legs = await report_ranks.by_leg(conn, scope, span)
    drilled = await agency_lists.latest_owed(
        conn, agency_id, status=Status.EXERCISE, limit=SHOWN_EXERCISES
    )
    done = {one.incident_id for one in drilled if one.state is ObligationState.CLOSED}
    return Record(
        counted=counted,
        p50=p50,
        p90=p90,
        legs={one.name: one for one in legs if one.due >= FIGURES_FROM},
        latest=await agency_lists.latest_owed(
            conn, agency_id, status=Status.ACTUAL, limit=SHOWN_OWED
        ),
        exercises=drilled,
        certificates=await exercise_proofs.exercises_of(conn, done),
    )


async def _warnings(
    conn: AsyncConnection, desk: Desk, agency: Agency, *, now: dt.datetime
) -> list[tuple[str, str]]:
    """Say what in the records of one agency keeps a notice from it, or will if nothing is done."""
    id_, telephone = agency.id, desk.dials
    warned = [
        *await report_quality.warnings(
            conn, agency_id=id_, status=Status.ACTUAL, now=now, telephone=telephone
        ),
        *await roster_quality.warnings(conn, agency_id=id_, now=now, telephone=telephone),
        *await terms_quality.warnings(conn, agency_id=id_, now=now),
        *await silent_policies(conn, desk, agency_id=id_, now=now),
    ]
    return [(one.code, _of_it(data_quality_view(one).message, agency)) for one in warned]


def _of_it(sentence: str, agency: Agency) -> str:
    """Say a warning on the agency's own page, without its name again."""
    return f"It{sentence.removeprefix(agency.name)}"


async def _named(desk: Desk, found: Sequence[Delegation]) -> Mapping[AgencyId, Named]:
    async with desk.database.read() as conn:
        ids = {id_ for one in found for id_ in (one.agency_id, one.delegate_id)}
        return await report_facts.named(conn, ids)

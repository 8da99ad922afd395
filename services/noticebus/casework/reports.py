"""The unacknowledged report: who has not answered, as things stand or as they stood.

A past report says what the ledger can prove. Whom to ring and what is wrong with the records are
questions about now, so in a past report `contact` is null and `data_quality` empty; agencies carry
their present names.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, sees_every_agency
from noticebus.casework import report_places
from noticebus.casework.desk import Desk
from noticebus.casework.report_basis import Basis, Wanted, live, past
from noticebus.casework.report_cursor import read_cursor, write_cursor
from noticebus.casework.report_views import (
    Debtors,
    Page,
    data_quality,
    debt_view,
    item_view,
    offer_view,
    summary,
)
from noticebus.casework.silent_policies import silent_policies
from noticebus.contracts.report import (
    DataQualityItem,
    HeldView,
    OfferItem,
    ReportFilter,
    UnacknowledgedReport,
    UncoveredItem,
)
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Scope, Status
from noticebus.domain.places import NATION_KEY, county_key
from noticebus.errors import Detail, InvalidError
from noticebus.ids import AgencyId
from noticebus.store import (
    failing_quality,
    ledger,
    obligations,
    offers,
    report_facts,
    report_quality,
    roster_quality,
    terms_quality,
)
from noticebus.store.report_facts import Debt
from noticebus.store.reports import Scope as Selection
from noticebus.store.reports import place_of

LIMIT_MAX = 200
AREA_FORM = re.compile(
    r"county:[0-9]{5}|state:[0-9]{2}|lea:[0-9]{7}|tribe:[a-z0-9][a-z0-9-]{0,79}|nation:us", re.ASCII
)
COUNTY_FORM = re.compile(r"[0-9]{5}", re.ASCII)
ENTRY_TYPE = "report.read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is asked for; None is "any", and without `as_of` it is the present one."""

    kind: AgencyKind | None = None
    area: str | None = None
    notice_class: NoticeClass | None = None
    overdue: bool | None = None
    status: Status = Status.ACTUAL
    as_of: dt.datetime | None = None
    limit: int = LIMIT_MAX
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRead:
    """A report and who asked for it; by id, agencies' zones and what no channel reaches."""

    report: UnacknowledgedReport
    asked_by: str
    zones: Mapping[str, str]
    unreachable: frozenset[str]
    is_past: bool
    is_first: bool = True


async def read_report(desk: Desk, principal: Principal, *, asked: Asked, output: str) -> ReportRead:
    """Read one page of the report as `principal` may see it, and enter that it was read.

    `output` names the form it is given out in: json, csv or html.
    """
    now = desk.world.now()
    wanted = _wanted(desk, principal, asked, now=now)
    async with desk.database.read() as conn:
        if asked.as_of is None:
            basis = await live(conn, wanted)
        else:
            basis = await past(conn, wanted)
        read = await _read(conn, desk, principal, wanted=wanted, basis=basis)
    await _enter(desk, principal, read.report, output=output)
    return read


def selection_for(principal: Principal, asked: Asked, *, area_key: str | None) -> Selection:
    """Limit what is asked to what the caller may see.

    Operators, administrators and auditors see all; an agency sees its own lines, and a poster those
    of the incidents it posted as well.
    """
    everything = sees_every_agency(principal)
    return Selection(
        status=asked.status,
        kind=asked.kind,
        notice_class=asked.notice_class,
        area_key=area_key,
        agency_id=None if everything else own_agency(principal),
        posted=Scope.POST in principal.scopes,
    )


def _wanted(desk: Desk, principal: Principal, asked: Asked, *, now: dt.datetime) -> Wanted:
    if asked.as_of is not None and asked.as_of > now:
        raise _refused(
            "as_of",
            "The time lies in the future, which no report can show."
            " Leave 'as_of' out for the present report, or give a time that has passed.",
        )
    at = asked.as_of or now
    cursor = read_cursor(asked.cursor) if asked.cursor else None
    return Wanted(
        selection=selection_for(principal, asked, area_key=_area_key(desk, asked.area)),
        overdue=asked.overdue,
        at=at,
        ranked_at=cursor.ranked_at if cursor and asked.as_of is None else at,
        is_past=asked.as_of is not None,
        after=cursor.place if cursor else None,
        limit=asked.limit,
    )


def _area_key(desk: Desk, area: str | None) -> str | None:
    """Read an area: a routing key, or a county's bare FIPS code."""
    if area is None:
        return None
    key = county_key(area) if COUNTY_FORM.fullmatch(area) else area
    if AREA_FORM.fullmatch(key) is None:
        raise _refused(
            "area",
            "This is no area. Give a county's FIPS code like 28123, or county:28123, state:28,"
            f" lea:2803060, tribe:choctaw or {NATION_KEY}.",
        )
    prefix, _, code = key.partition(":")
    unknown = (prefix == "county" and _no_county(desk, code)) or (
        prefix == "state" and desk.places.state(code) is None
    )
    if unknown:
        raise _refused("area", f"There is no {prefix} with the code {code}. Check the code.")
    return key


def _no_county(desk: Desk, code: str) -> bool:
    return desk.places.county(code) is None and desk.places.retired_county(code) is None


async def _read(
    conn: AsyncConnection, desk: Desk, principal: Principal, *, wanted: Wanted, basis: Basis
) -> ReportRead:
    page = await _page(conn, desk, principal, wanted=wanted, basis=basis)
    gaps = await report_facts.gaps(conn, wanted.selection, at=wanted.at)
    owed = await report_facts.debts(conn, wanted.selection, at=wanted.at)
    debtors = await _debtors(conn, principal, owed, wanted=wanted)
    offered = await _offered(conn, wanted)
    quality = () if wanted.is_past else await _quality(conn, desk, wanted)
    report = UnacknowledgedReport(
        as_of=wanted.at,
        index=basis.index,
        filter=_filter(wanted),
        summary=summary(basis.figures, now=wanted.at),
        items=tuple(item_view(line, page) for line in basis.lines),
        uncovered=tuple(_uncovered(desk, gaps, is_past=wanted.is_past)),
        owed_by_posters=tuple(debt_view(one, debtors) for one in owed),
        offers_unanswered=offered,
        data_quality=quality,
        next=_next(wanted, basis),
    )
    return ReportRead(
        report=report,
        asked_by=principal.name,
        zones={one.id: one.zone for one in (*page.agencies.values(), *debtors.agencies.values())},
        unreachable=frozenset(line.id for line in basis.lines if not line.reachable),
        is_past=wanted.is_past,
        is_first=wanted.after is None,
    )


async def _quality(
    conn: AsyncConnection, desk: Desk, wanted: Wanted
) -> tuple[DataQualityItem, ...]:
    """Say what is wrong with the records now, in a constant number of statements."""
    agency_id, now, telephone = wanted.selection.agency_id, wanted.at, desk.dials
    status = wanted.selection.status
    warned = [
        *await report_quality.warnings(
            conn, agency_id=agency_id, status=status, now=now, telephone=telephone
        ),
        *await roster_quality.warnings(conn, agency_id=agency_id, now=now, telephone=telephone),
        *await terms_quality.warnings(conn, agency_id=agency_id, now=now),
        *await silent_policies(conn, desk, agency_id=agency_id, now=now),
    ]
    failed_by_us = await failing_quality.count_failed_by_us(conn, agency_id=agency_id)
    return data_quality(warned, mail_missing=not desk.sends_mail, failed_by_us=failed_by_us)


async def _debtors(
    conn: AsyncConnection, principal: Principal, owed: Sequence[Debt], *, wanted: Wanted
) -> Debtors:
    """Read what the lines of what posters owe need, each kind of fact in one statement."""
    agency_ids = {one.agency_id for one in owed}
    ids = {one.obligation_id for one in owed if one.obligation_id is not None}
    callable_ = frozenset() if wanted.is_past else _whose_contacts(principal, agency_ids)
    return Debtors(
        now=wanted.at,
        is_past=wanted.is_past,
        agencies=await report_facts.named(conn, agency_ids),
        contacts=await report_facts.living_contacts(conn, callable_, at=wanted.at),
        steps=await obligations.steps_of(conn, ids) if callable_ and ids else [],
    )


async def _offered(conn: AsyncConnection, wanted: Wanted) -> tuple[OfferItem, ...]:
    """Read the offers that nobody has decided on: for those who see every agency."""
    if wanted.selection.agency_id is not None:
        return ()
    found = await offers.unanswered(
        conn, status=wanted.selection.status, at=wanted.at, limit=report_facts.SHOWN_MAX
    )
    named = await report_facts.named(conn, {one.agency_id for one in found}) if found else {}
    return tuple(offer_view(one, named[one.agency_id]) for one in found)


async def _page(
    conn: AsyncConnection, desk: Desk, principal: Principal, *, wanted: Wanted, basis: Basis
) -> Page:
    """Read what the page's lines need, each kind of fact in one statement."""
    lines = basis.lines
    ids, agency_ids = {line.id for line in lines}, {line.agency_id for line in lines}
    callable_ = frozenset() if wanted.is_past else _whose_contacts(principal, agency_ids)
    return Page(
        now=wanted.at,
        places=desk.places,
        agencies=await report_facts.named(conn, agency_ids),
        tries=await report_facts.tries_of(conn, ids, by=wanted.at),
        areas=await report_facts.areas_of_notices(conn, {line.round_notice_id for line in lines}),
        answering=await report_facts.areas_answered_for(conn, agency_ids, at=wanted.at),
        contacts=await report_facts.living_contacts(conn, callable_, at=wanted.at),
        steps=await obligations.steps_of(conn, ids) if callable_ else [],
        latest=await report_facts.latest_versions(
            conn, {line.incident_id for line in lines}, at=wanted.at
        ),
    )


def _whose_contacts(principal: Principal, agency_ids: set[AgencyId]) -> frozenset[AgencyId]:
    """Choose the agencies whose people's numbers the caller may see: a poster rings operators."""
    if sees_every_agency(principal):
        return frozenset(agency_ids)
    return frozenset(one for one in agency_ids if one == principal.agency_id)


def _next(wanted: Wanted, basis: Basis) -> str | None:
    if not basis.more:
        return None
    ranked_at = wanted.ranked_at
    return write_cursor(place_of(basis.lines[-1], now=ranked_at), ranked_at=ranked_at)


def _filter(wanted: Wanted) -> ReportFilter:
    return ReportFilter(
        kind=wanted.selection.kind,
        area=wanted.selection.area_key,
        notice_class=wanted.selection.notice_class,
        overdue=wanted.overdue,
        status=wanted.selection.status,
    )


def _uncovered(desk: Desk, gaps: list[report_facts.Gaps], *, is_past: bool) -> list[UncoveredItem]:
    return [
        UncoveredItem(
            incident_id=one.incident_id,
            notice_id=one.notice_id,
            county_fips=place.get("county_fips"),
            lea_id=place.get("lea_id"),
            name=report_places.county_name(desk.places, place.get("county_fips")),
            missing=place["missing"],
            held=None if is_past else _held(one),
        )
        for one in gaps
        for place in one.uncovered
    ]


def _held(gaps: report_facts.Gaps) -> HeldView | None:
    if gaps.held_id is None or gaps.held_state is None:
        return None
    return HeldView(obligation_id=gaps.held_id, state=gaps.held_state, due_at=gaps.held_due_at)


async def _enter(
    desk: Desk, principal: Principal, report: UnacknowledgedReport, *, output: str
) -> None:
    """Enter who read which report in which form; apart, so that reading stays reading."""
    entry = ledger.make_entry(
        ENTRY_TYPE,
        {
            "by": principal.key_id,
            "report": "unacknowledged",
            "format": output,
            "filter": report.filter.model_dump(mode="json"),
            "as_of": report.as_of.isoformat(),
            "index": report.index,
            "rows": len(report.items),
        },
        at=desk.world.now(),
    )
    async with desk.database.begin() as conn:
        await ledger.append(conn, [entry])
    desk.committed()


def _refused(name: str, sentence: str) -> InvalidError:
    return InvalidError(sentence, details=(Detail(pointer=f"/query:{name}", message=sentence),))

"""The unacknowledged report: who has not answered, as things stand or as they stood.

A past report says what the ledger can prove. Whom to ring and what is wrong with the records are
questions about now, so in a past report `contact` is null and `data_quality` empty; agencies carry
their present names.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require, sees_every_agency
from noticebus.casework import report_places
from noticebus.casework.desk import Desk
from noticebus.casework.kept_quality import Found
from noticebus.casework.reading import READERS
from noticebus.casework.report_basis import Basis, Wanted, live, past
from noticebus.casework.report_beside import Beside, read_beside
from noticebus.casework.report_cursor import read_cursor, write_cursor
from noticebus.casework.report_page import owing_of, page_of
from noticebus.casework.report_trusted import trusted
from noticebus.casework.report_views import (
    data_quality,
    items_of,
    summary,
)
from noticebus.casework.silent_policies import silent_policies
from noticebus.contracts.report import (
    Age,
    DataQualityItem,
    HeldView,
    ReportFilter,
    UnacknowledgedReport,
    UncoveredItem,
)
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Scope, Status
from noticebus.domain.places import NATION_KEY, county_key
from noticebus.errors import Detail, InvalidError
from noticebus.store import (
    failing_quality,
    ledger,
    report_facts,
    report_history,
    report_quality,
    roster_quality,
    terms_quality,
)
from noticebus.store.reports import Line, place_of
from noticebus.store.reports import Scope as Selection

LIMIT_MAX = 200
AREA_FORM = re.compile(
    r"county:[0-9]{5}|state:[0-9]{2}|lea:[0-9]{7}|tribe:[a-z0-9][a-z0-9-]{0,79}|nation:us", re.ASCII
)
COUNTY_FORM = re.compile(r"[0-9]{5}", re.ASCII)
ENTRY_TYPE = "report.read"
PAGE_OUTPUT = "html"


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
    age: Age | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRead:
    """A report and who asked for it; by id, agencies' zones and what no channel reaches.

    Whoever watches sees every agency; whoever neither watches nor posts sees its own lines alone.
    """

    report: UnacknowledgedReport
    asked_by: str
    zones: Mapping[str, str]
    unreachable: frozenset[str]
    is_past: bool
    is_first: bool = True
    watches: bool = True
    posts: bool = True
    beside: Beside | None = None  # of what goes out as a page


async def read_report(desk: Desk, principal: Principal, *, asked: Asked, output: str) -> ReportRead:
    """Read one page of the report as `principal` may see it, and enter that it was read.

    `output` names the form it is given out in: json or html; of files see `report_export`.
    """
    wanted = wanted_for(desk, principal, asked, now=desk.world.now())
    async with desk.database.read() as conn:
        basis = await basis_of(conn, wanted)
        read = await read_basis(conn, desk, principal, wanted=wanted, basis=basis)
        if output == PAGE_OUTPUT:
            beside = await read_beside(conn, wanted, basis, read.report.items)
            read = replace(read, beside=beside)
    await enter(desk, principal, read.report, output=output, rows=len(read.report.items))
    return read


async def basis_of(conn: AsyncConnection, wanted: Wanted) -> Basis:
    """Read what a report stands on: its first lines and its figures, live or rebuilt."""
    return await (past(conn, wanted) if wanted.is_past else live(conn, wanted))


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


def wanted_for(desk: Desk, principal: Principal, asked: Asked, *, now: dt.datetime) -> Wanted:
    """Bound what is asked for; InvalidError where it names no area, or a time to come.

    ForbiddenError for who may read no notice either, like a technician with the scope `subscribe`.
    """
    require(principal, *READERS)
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
        age=asked.age,
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


async def read_basis(
    conn: AsyncConnection, desk: Desk, principal: Principal, *, wanted: Wanted, basis: Basis
) -> ReportRead:
    """Read everything that stands beside a report's lines, in a constant number of statements."""
    owing = await owing_of(conn, wanted, index=basis.index)
    page = await page_of(conn, desk, principal, wanted=wanted, lines=basis.lines, owing=owing)
    gaps = await _gaps(conn, wanted, index=basis.index)
    quality = await _quality(conn, desk, wanted)
    report = UnacknowledgedReport(
        as_of=wanted.at,
        index=basis.index,
        filter=_filter(wanted),
        summary=summary(basis.figures, now=wanted.at),
        items=await asyncio.to_thread(items_of, basis.lines, page),
        uncovered=tuple(_uncovered(desk, gaps)),
        owed_by_posters=owing.debt_items(page, is_past=wanted.is_past),
        offers_unanswered=owing.offer_items(page),
        data_quality=() if quality is None else quality.items,
        data_quality_as_of=None if quality is None else quality.as_of,
        next=next_of(wanted, basis.lines, more=basis.more),
    )
    return ReportRead(
        report=report,
        asked_by=principal.name,
        zones={one.id: one.zone for one in page.who.agencies.values()},
        unreachable=frozenset(line.id for line in basis.lines if not line.reachable),
        is_past=wanted.is_past,
        is_first=wanted.after is None,
        watches=sees_every_agency(principal),
        posts=Scope.POST in principal.scopes,
    )


async def _gaps(conn: AsyncConnection, wanted: Wanted, *, index: int) -> list[report_facts.Gaps]:
    """Read the places that nobody answers for, now or as of then."""
    scope, at = wanted.selection, wanted.at
    if wanted.is_past:
        return await report_history.past_gaps(conn, scope, index=index, at=at)
    return await report_facts.gaps(conn, scope, at=at)


async def _quality(conn: AsyncConnection, desk: Desk, wanted: Wanted) -> Found | None:
    """Say what is wrong with the records now, or as it was a moment ago."""
    if wanted.is_past:
        return None

    async def read() -> tuple[DataQualityItem, ...]:
        return await _read_quality(conn, desk, wanted)

    of = (wanted.selection.status, wanted.selection.agency_id)
    return await desk.quality.read(of, read, as_of=wanted.at, now=desk.machine.now)


async def _read_quality(
    conn: AsyncConnection, desk: Desk, wanted: Wanted
) -> tuple[DataQualityItem, ...]:
    """Read it in a constant number of statements."""
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


def next_of(wanted: Wanted, lines: Sequence[Line], *, more: bool) -> str | None:
    """Write the cursor of what follows `lines`, None where nothing does."""
    if not more:
        return None
    ranked_at = wanted.ranked_at
    return write_cursor(place_of(lines[-1], now=ranked_at), ranked_at=ranked_at)


def _filter(wanted: Wanted) -> ReportFilter:
    return ReportFilter(
        kind=wanted.selection.kind,
        area=wanted.selection.area_key,
        notice_class=wanted.selection.notice_class,
        overdue=wanted.overdue,
        status=wanted.selection.status,
        age=wanted.age,
    )


def _uncovered(desk: Desk, gaps: list[report_facts.Gaps]) -> list[UncoveredItem]:
    return [
        trusted(
            UncoveredItem,
            incident_id=one.incident_id,
            notice_id=one.notice_id,
            county_fips=place.get("county_fips"),
            lea_id=place.get("lea_id"),
            name=report_places.county_name(desk.places, place.get("county_fips")),
            missing=place["missing"],
            held=_held(one),
        )
        for one in gaps
        for place in one.uncovered
    ]


def _held(gaps: report_facts.Gaps) -> HeldView | None:
    if gaps.held_id is None or gaps.held_state is None:
        return None
    return trusted(
        HeldView, obligation_id=gaps.held_id, state=gaps.held_state, due_at=gaps.held_due_at
    )


async def enter(
    desk: Desk, principal: Principal, report: UnacknowledgedReport, *, output: str, rows: int
) -> None:
    """Enter who read which report in which form; apart, so that reading stays reading."""
    entry = ledger.make_entry(
        ENTRY_TYPE,
        {
            "by": principal.id,
            "report": "unacknowledged",
            "format": output,
            "filter": report.filter.model_dump(mode="json"),
            "as_of": report.as_of.isoformat(),
            "index": report.index,
            "rows": rows,
        },
        at=desk.world.now(),
    )
    async with desk.database.begin() as conn:
        await ledger.append(conn, [entry])
    desk.committed()


def _refused(name: str, sentence: str) -> InvalidError:
    return InvalidError(sentence, details=(Detail(pointer=f"/query:{name}", message=sentence),))

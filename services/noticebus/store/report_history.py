"""The report's lines, gaps and offers as they were at a ledger index: from history and entries."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    NoticeClass,
    ObligationState,
    OfferState,
    Standing,
    Status,
)
from noticebus.ids import AgencyId, IncidentId, NoticeId
from noticebus.store.offers import Offer
from noticebus.store.report_facts import SHOWN_MAX, Gaps, latest_going_on
from noticebus.store.reports import COLUMNS, Line, Scope, about
from noticebus.store.tables import (
    entries,
    incidents,
    notices,
    obligation_history,
    obligations,
    offers,
)

_INSTANTS = frozenset({"round_started_at", "due_at", "next_step_at", "closed_at"})
_WORDS: Mapping[str, type[Any]] = {
    "standing": Standing,
    "state": ObligationState,
    "notice_class": NoticeClass,
}

_ACCEPTED, _DECIDED = "notice.accepted", "routing.decided"
_ROUTING = (_ACCEPTED, _DECIDED, "routing.repeated", "routing.returned", "routing.waived")
_OFFERED = ("offer.made", "offer.held", "offer.reopened")  # after these an answer is awaited
_DECIDED_ON = ("offer.accepted", "offer.declined", "offer.lapsed")
_HAS_GAPS = b'"uncovered":[{'  # of an entry's body, which is RFC 8785: no space, and no other form


async def past_lines(
    conn: AsyncConnection,
    scope: Scope,
    *,
    index: int,
    as_of: dt.datetime,
    after: str,
    limit: int,
) -> list[tuple[Line, dict[str, Any]]]:
    """Read at most `limit` obligations in id order as they were at ledger index `index`.

    The scope's class and area belong to the line as it was: whoever calls compares those.
    """
    history = obligation_history.alias()
    latest = (
        sa.select(sa.func.max(history.c.position))
        .where(history.c.obligation_id == obligations.c.id, history.c.from_index <= index)
        .correlate(obligations)
        .scalar_subquery()
    )
    was = sa.select(*COLUMNS, obligation_history.c.facts).select_from(
        obligations.join(obligation_history, obligation_history.c.position == latest)
    )
    unfiltered = Scope(
        status=scope.status, kind=scope.kind, agency_id=scope.agency_id, posted=scope.posted
    )
    statement = (
        was.where(*about(unfiltered, started=False))
        .where(obligations.c.created_at <= as_of, obligations.c.id > after)
        .order_by(obligations.c.id)
        .limit(limit)
    )
    rows = (await conn.execute(statement)).mappings().all()
    return [_as_it_was(dict(row)) for row in rows]


def begun(lines: Iterable[tuple[Line, dict[str, Any]]]) -> list[Line]:
    """Keep the lines whose round runs: what is embargoed is no line of any report."""
    return [line for line, facts in lines if facts["round_started_at"] is not None]


async def past_gaps(
    conn: AsyncConnection, scope: Scope, *, index: int, at: dt.datetime
) -> list[Gaps]:
    """Read the places nobody answered for in incidents going on at `at`, as of index `index`.

    Declines overwrite what a notice's row says of them, so the entries are read. Only an incident
    that the ledger knows nothing of is shown by its row. At most `SHOWN_MAX` incidents, the latest
    event first. What the operators held for them then is not told.
    """
    going_on = (
        sa.select(
            notices.c.incident_id,
            notices.c.id,
            notices.c.uncovered,
            notices.c.occurred_at,
        )
        .join(incidents, incidents.c.id == notices.c.incident_id)
        .where(*latest_going_on(scope, at=at))
        .cte("going_on")
    )
    said = _said_last(going_on, index=index)
    known = entries.alias()
    unknown = ~sa.exists().where(
        known.c.incident_id == going_on.c.incident_id, known.c.type.in_(_ROUTING)
    )
    of_row = sa.type_coerce(going_on.c.uncovered, sa.Text) != "[]"
    statement = (
        sa.select(going_on.c.incident_id, going_on.c.id, going_on.c.uncovered, entries.c.body)
        .outerjoin(said, said.c.incident_id == going_on.c.incident_id)
        .outerjoin(entries, entries.c.index == said.c.index)
        .where(sa.case((said.c.index.is_(None), of_row & unknown), else_=_has_gaps(conn)))
        .order_by(going_on.c.occurred_at.desc(), going_on.c.id)
        .limit(SHOWN_MAX)
    )
    return [_gaps_of(*row) for row in await conn.execute(statement)]


async def past_offers(
    conn: AsyncConnection, status: Status, *, index: int, at: dt.datetime, limit: int
) -> list[Offer]:
    """Read at most `limit` offers that waited for an answer at `index`, the first to lapse first.

    Each as the ledger's last entry on it up to `index` says; an answer's own words are not told.
    """
    entry = entries.alias("said")
    last = (
        sa.select(sa.func.max(entry.c.index))
        .where(
            entry.c.incident_id == offers.c.incident_id,
            entry.c.index <= index,
            entry.c.type.in_((*_OFFERED, *_DECIDED_ON)),
            _holds(conn, entry.c.body, _bytes_of(conn, offers.c.id)),
        )
        .correlate(offers)
        .scalar_subquery()
    )
    statement = (
        sa.select(*offers.c, entries.c.body.label("entry_body"))
        .select_from(offers.join(entries, entries.c.index == last))
        .where(
            offers.c.status == status,
            offers.c.created_at <= at,
            offers.c.lapses_at > at,
            entries.c.type.in_(_OFFERED),
        )
        .order_by(offers.c.lapses_at, offers.c.id)
        .limit(limit)
    )
    return [_offer_as_it_was(dict(row)) for row in (await conn.execute(statement)).mappings()]


def _offer_as_it_was(row: dict[str, Any]) -> Offer:
    said = json.loads(row.pop("entry_body"))["data"]
    by, until = said["answered_by"], said["held_until"]
    return replace(
        Offer(**row),
        state=OfferState(said["state"]),
        held_until=None if until is None else dt.datetime.fromisoformat(until),
        answered_by=None if by is None else AgencyId(by),
        answer=None,
        answered_at=None,
    )


def _said_last(going_on: sa.CTE, *, index: int) -> sa.Subquery:
    """Select, by incident, the newest entry up to `index` that says which places have nobody.

    Of the entries that bind recipients only the one right after its notice's own says it whole:
    those that follow have the rest of the recipients, or are what a decline has added. A notice
    that binds nobody anew, an all-clear or a cancel, has no places.
    """
    before = sa.func.lag(entries.c.type).over(
        partition_by=entries.c.incident_id, order_by=entries.c.index
    )
    routed = (
        sa.select(entries.c.incident_id, entries.c.index, entries.c.type, before.label("before"))
        .where(
            entries.c.incident_id.in_(sa.select(going_on.c.incident_id)),
            entries.c.type.in_(_ROUTING),
            entries.c.index <= index,
        )
        .subquery()
    )
    return (
        sa.select(routed.c.incident_id, sa.func.max(routed.c.index).label("index"))
        .where((routed.c.type != _DECIDED) | (routed.c.before == _ACCEPTED))
        .group_by(routed.c.incident_id)
        .subquery()
    )


def _has_gaps(conn: AsyncConnection) -> sa.ColumnElement[bool]:
    """Say that an entry names places; LIKE does not look into bytes everywhere."""
    return _holds(conn, entries.c.body, sa.literal(_HAS_GAPS, sa.LargeBinary))


def _holds(
    conn: AsyncConnection, body: sa.ColumnElement[bytes], needle: sa.ColumnElement[bytes]
) -> sa.ColumnElement[bool]:
    if conn.dialect.name == "sqlite":
        return sa.func.instr(body, needle) > 0
    return sa.func.position(needle.op("IN")(body)) > 0


def _bytes_of(conn: AsyncConnection, text: sa.ColumnElement[Any]) -> sa.ColumnElement[bytes]:
    if conn.dialect.name == "sqlite":
        return sa.cast(text, sa.LargeBinary)
    return sa.func.convert_to(text, "UTF8", type_=sa.LargeBinary)


def _gaps_of(
    incident_id: IncidentId,
    notice_id: NoticeId,
    uncovered: list[dict[str, str]],
    body: bytes | None,
) -> Gaps:
    if body is not None:
        said = json.loads(body)["data"]
        notice_id, uncovered = NoticeId(said["notice_id"]), said["uncovered"]
    return Gaps(
        incident_id=incident_id,
        notice_id=notice_id,
        uncovered=uncovered,
        held_id=None,
        held_state=None,
        held_due_at=None,
    )


def _as_it_was(row: dict[str, Any]) -> tuple[Line, dict[str, Any]]:
    facts: dict[str, Any] = row.pop("facts")
    for name, value in facts.items():
        if name in row:
            row[name] = _read(name, value)
    return Line(**row), facts


def _read(name: str, value: Any) -> Any:
    if name in _INSTANTS:
        return None if value is None else dt.datetime.fromisoformat(value)
    return _WORDS[name](value) if name in _WORDS else value

"""Who will have nobody on duty in the coming days: the report's warnings about rosters."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Position
from noticebus.ids import AgencyId
from noticebus.store.columns import Instant
from noticebus.store.matching import reached, valid_at
from noticebus.store.report_quality import WARNINGS_MAX, Warned
from noticebus.store.tables import agencies, contacts, responsibilities, rosters, shifts

NOBODY_ON_DUTY = "nobody_on_duty"
ROSTER_ENDS = "roster_ends"
ROSTER_GAP = "roster_gap"
LOOK_AHEAD = dt.timedelta(days=7)
GAP_MAX = dt.timedelta(hours=12)
GAPS_READ_MAX = 2_000


async def warnings(
    conn: AsyncConnection, *, agency_id: AgencyId | None, now: dt.datetime, telephone: bool
) -> list[Warned]:
    """Read at most `WARNINGS_MAX` agencies that will be missing somebody, in three statements.

    Of those that must answer: nobody on duty in the coming seven days, or a roster that ends within
    them or leaves more than twelve hours empty. Without a roster, whoever stands on duty suffices.
    A shift counts while its contact is valid and reached: by telephone only where the bus has a
    provider (`telephone`).
    """
    found: dict[AgencyId, Warned] = {}
    people = reached(telephone=sa.literal(telephone))
    for code, statement in (
        (NOBODY_ON_DUTY, _without_anybody(now, people)),
        (ROSTER_ENDS, _without_coming_shift(now, people)),
    ):
        narrowed = statement.limit(WARNINGS_MAX)
        if agency_id is not None:
            narrowed = narrowed.where(agencies.c.id == agency_id)
        for row in (await conn.execute(narrowed)).mappings():
            warned = Warned(code=code, **row)
            found.setdefault(warned.agency_id, warned)
    gaps = _gaps(now, people)
    if agency_id is not None:
        gaps = gaps.where(agencies.c.id == agency_id)
    for row in (await conn.execute(gaps)).mappings():
        values = dict(row)
        gap = _gap_of(values.pop("ends_at"), starts_at=values.pop("starts_at"), row=values, at=now)
        if gap is not None:
            warned = Warned(code=gap, **values)
            found.setdefault(warned.agency_id, warned)
    ordered = sorted(found.values(), key=_gravest)
    return ordered[:WARNINGS_MAX]


_AGENCY = (
    agencies.c.id.label("agency_id"),
    agencies.c.name.label("agency_name"),
    agencies.c.kind.label("agency_kind"),
)


def _answers() -> sa.ColumnElement[bool]:
    return sa.exists().where(
        responsibilities.c.agency_id == agencies.c.id, responsibilities.c.ended_at.is_(None)
    )


def _contact(at: dt.datetime, *more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(contacts.c.agency_id == agencies.c.id, valid_at(at), *more)


def _starts_at() -> sa.ColumnElement[dt.datetime]:
    """Give when a shift begins to count: not before its contact is valid."""
    begun = contacts.c.valid_from > shifts.c.starts_at
    return sa.case((begun, contacts.c.valid_from), else_=shifts.c.starts_at)


def _ends_at() -> sa.ColumnElement[dt.datetime]:
    """Give when a shift stops counting: with its contact's validity at the latest."""
    over = contacts.c.valid_until < shifts.c.ends_at
    return sa.case((over, contacts.c.valid_until), else_=shifts.c.ends_at)


def _on_duty(at: dt.datetime, people: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
    """Select shifts on duty that run within the days ahead, of `people` while they are valid."""
    starts_at, ends_at = _starts_at(), _ends_at()
    return (
        shifts.c.position == Position.ON_DUTY,
        shifts.c.ends_at > at,  # what the index holds
        contacts.c.id == shifts.c.contact_id,
        contacts.c.ended_at.is_(None),
        ends_at > at,
        starts_at < at + LOOK_AHEAD,
        starts_at < ends_at,
        people,
    )


def _shift(at: dt.datetime, people: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(shifts.c.agency_id == agencies.c.id, *_on_duty(at, people))


def _without_anybody(
    at: dt.datetime, people: sa.ColumnElement[bool]
) -> sa.Select[tuple[object, ...]]:
    """Select who has contacts, and neither a shift ahead nor anybody who stands on duty."""
    standing = _contact(at, contacts.c.position == Position.ON_DUTY, people)
    return (
        sa.select(*_AGENCY)
        .where(_answers(), _contact(at), ~standing, ~_shift(at, people))
        .order_by(agencies.c.id)
    )


def _without_coming_shift(
    at: dt.datetime, people: sa.ColumnElement[bool]
) -> sa.Select[tuple[object, ...]]:
    has_roster = sa.exists().where(rosters.c.agency_id == agencies.c.id)
    return (
        sa.select(*_AGENCY)
        .where(_answers(), has_roster, ~_shift(at, people))
        .order_by(agencies.c.id)
    )


def _gaps(at: dt.datetime, people: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    """Select shifts ahead that the one before or after them does not touch, with both.

    A whole roster has none in it but its last shift, so that few rows are read.
    """
    starts_at, ends_at = _starts_at(), _ends_at()
    ahead = (
        sa.select(
            shifts.c.agency_id.label("of_agency"),
            starts_at.label("starts_at"),
            ends_at.label("ends_at"),
            sa.func.lag(ends_at, type_=Instant)
            .over(partition_by=shifts.c.agency_id, order_by=starts_at)
            .label("before"),
            sa.func.lead(starts_at, type_=Instant)
            .over(partition_by=shifts.c.agency_id, order_by=starts_at)
            .label("following"),
        )
        .where(*_on_duty(at, people))
        .subquery()
    )
    return (
        sa.select(*_AGENCY, ahead.c.starts_at, ahead.c.ends_at, ahead.c.before, ahead.c.following)
        .join(ahead, ahead.c.of_agency == agencies.c.id)
        .where(
            _answers(),
            (ahead.c.before.is_(None) & (ahead.c.starts_at > at))
            | (ahead.c.following.is_(None) & (ahead.c.ends_at < at + LOOK_AHEAD))
            | (ahead.c.following > ahead.c.ends_at),
        )
        .order_by(agencies.c.id, ahead.c.starts_at)
        .limit(GAPS_READ_MAX)
    )


def _gap_of(
    ends_at: dt.datetime, *, starts_at: dt.datetime, row: dict[str, Any], at: dt.datetime
) -> str | None:
    """Say what is wrong around one shift; None where the hole is a short one."""
    before, following = row.pop("before"), row.pop("following")
    if following is None and ends_at < at + LOOK_AHEAD:
        return ROSTER_ENDS
    late = before is None and starts_at - at > GAP_MAX
    hole = following is not None and following - ends_at > GAP_MAX
    return ROSTER_GAP if late or hole else None


def _gravest(warned: Warned) -> tuple[int, str]:
    return (NOBODY_ON_DUTY, ROSTER_GAP, ROSTER_ENDS).index(warned.code), warned.agency_id

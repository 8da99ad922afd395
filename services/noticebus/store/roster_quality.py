"""Who will have nobody on duty in the coming days: the report's warnings about rosters."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Position
from noticebus.ids import AgencyId
from noticebus.store.columns import Instant
from noticebus.store.report_quality import WARNINGS_MAX, Warned
from noticebus.store.tables import agencies, contacts, responsibilities, rosters, shifts

NOBODY_ON_DUTY = "nobody_on_duty"
ROSTER_ENDS = "roster_ends"
ROSTER_GAP = "roster_gap"
LOOK_AHEAD = dt.timedelta(days=7)
GAP_MAX = dt.timedelta(hours=12)
GAPS_READ_MAX = 2_000


async def warnings(
    conn: AsyncConnection, *, agency_id: AgencyId | None, now: dt.datetime
) -> list[Warned]:
    """Read at most `WARNINGS_MAX` agencies that will be missing somebody, in three statements.

    Of those that must answer: nobody on duty in the coming seven days, or a roster that ends within
    them or leaves more than twelve hours empty. Without a roster, whoever stands on duty suffices.
    """
    found: dict[AgencyId, Warned] = {}
    for code, statement in (
        (NOBODY_ON_DUTY, _without_anybody(now)),
        (ROSTER_ENDS, _without_coming_shift(now)),
    ):
        narrowed = statement.limit(WARNINGS_MAX)
        if agency_id is not None:
            narrowed = narrowed.where(agencies.c.id == agency_id)
        for row in (await conn.execute(narrowed)).mappings():
            warned = Warned(code=code, **row)
            found.setdefault(warned.agency_id, warned)
    gaps = _gaps(now)
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


def _contact(*more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        contacts.c.agency_id == agencies.c.id, contacts.c.ended_at.is_(None), *more
    )


def _on_duty(at: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Select shifts on duty that run within the days ahead, of people whom something reaches."""
    return (
        shifts.c.position == Position.ON_DUTY,
        shifts.c.ends_at > at,
        shifts.c.starts_at < at + LOOK_AHEAD,
        contacts.c.id == shifts.c.contact_id,
        *_reached(),
    )


def _reached() -> tuple[sa.ColumnElement[bool], ...]:
    return (
        contacts.c.ended_at.is_(None),
        contacts.c.email_verified_at.is_not(None) | contacts.c.phone_verified_at.is_not(None),
    )


def _shift(at: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.exists().where(shifts.c.agency_id == agencies.c.id, *_on_duty(at))


def _without_anybody(at: dt.datetime) -> sa.Select[tuple[object, ...]]:
    """Select who has contacts, and neither a shift ahead nor anybody who stands on duty."""
    standing = _contact(contacts.c.position == Position.ON_DUTY, *_reached())
    return (
        sa.select(*_AGENCY)
        .where(_answers(), _contact(), ~standing, ~_shift(at))
        .order_by(agencies.c.id)
    )


def _without_coming_shift(at: dt.datetime) -> sa.Select[tuple[object, ...]]:
    has_roster = sa.exists().where(rosters.c.agency_id == agencies.c.id)
    return sa.select(*_AGENCY).where(_answers(), has_roster, ~_shift(at)).order_by(agencies.c.id)


def _gaps(at: dt.datetime) -> sa.Select[tuple[object, ...]]:
    """Select shifts ahead that the one before or after them does not touch, with both.

    A whole roster has none in it but its last shift, so that few rows are read.
    """
    ahead = (
        sa.select(
            shifts.c.agency_id.label("of_agency"),
            shifts.c.starts_at,
            shifts.c.ends_at,
            sa.func.lag(shifts.c.ends_at, type_=Instant)
            .over(partition_by=shifts.c.agency_id, order_by=shifts.c.starts_at)
            .label("before"),
            sa.func.lead(shifts.c.starts_at, type_=Instant)
            .over(partition_by=shifts.c.agency_id, order_by=shifts.c.starts_at)
            .label("following"),
        )
        .where(*_on_duty(at))
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

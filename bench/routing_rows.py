"""A country's agencies, duties and subscriptions, made by SQL on either database.

Each agency has a contact on duty and one subscription: an endpoint, or a mailbox where it is a
congregation. Counties' agencies and districts answer for their county, a state's for the state;
congregations only read.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.nation import Nation
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    ContentLevel,
    Position,
    Role,
    SubscriptionState,
)
from noticebus.store import tables
from noticebus.store.columns import Instant
from noticebus.store.matching import ANY_KIND

ID_DIGITS = 26
ZONE = "America/Chicago"
_own = sa.MetaData()
_groups = sa.Table(
    "bench_groups",
    _own,
    sa.Column("first", sa.Integer, primary_key=True),  # the number of its first agency, less one
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("area_key", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("role", sa.Text),
    prefixes=["TEMPORARY"],
)
_numbers = sa.Table(
    "bench_numbers", _own, sa.Column("n", sa.Integer, primary_key=True), prefixes=["TEMPORARY"]
)


Value = sa.ColumnElement[Any]
Row = dict[str, Value]
Made = tuple[sa.Table, Row, list[sa.ColumnElement[bool]]]  # rows of a table, and of which agencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Agencies of one kind for one area."""

    count: int
    area_key: str
    state: str
    kind: AgencyKind
    role: Role | None


async def fill(
    conn: AsyncConnection,
    nation: Nation,
    *,
    now: dt.datetime,
    readers: Channel = Channel.EMAIL,
) -> None:
    """Make every agency of `nation` in an open transaction: a statement a table.

    Congregations read by `readers`, mail or webhook.
    """
    if conn.dialect.name == "postgresql":  # what is made for the first time needs no checks
        await conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
        await conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
    await conn.run_sync(_own.create_all, checkfirst=False)
    await _help(conn, list(groups_of(nation)))
    since = sa.literal(now - dt.timedelta(days=300), Instant)
    for table, columns, chosen in _rows(since, readers):
        rows = sa.select(*columns.values()).select_from(_every()).where(*chosen)
        await conn.execute(table.insert().from_select(list(columns), rows))
    await conn.run_sync(_own.drop_all, checkfirst=False)


def groups_of(nation: Nation) -> Iterator[Group]:
    """List who there is: for each state one agency, for each county one, its districts, readers."""
    for state in nation.states:
        yield Group(
            count=1,
            area_key=f"state:{state}",
            state=state,
            kind=AgencyKind.CPS,
            role=Role.CPS,
        )
    for place in nation.places:
        for count, kind, role in (
            (1, AgencyKind.CPS, Role.CPS),
            (place.districts, AgencyKind.SCHOOL_DISTRICT, Role.SCHOOL),
            (place.congregations, AgencyKind.FAITH, None),
        ):
            if count:
                yield Group(
                    count=count,
                    area_key=f"county:{place.fips}",
                    state=place.state,
                    kind=kind,
                    role=role,
                )


async def _help(conn: AsyncConnection, groups: Sequence[Group]) -> None:
    rows: list[dict[str, Any]] = []
    first = 0
    for one in groups:
        rows.append(
            {
                "first": first,
                "count": one.count,
                "area_key": one.area_key,
                "state": one.state,
                "kind": one.kind.value,
                "role": None if one.role is None else one.role.value,
            }
        )
        first += one.count
    await conn.execute(_groups.insert(), rows)
    most = max(one.count for one in groups)
    up = sa.select(sa.literal(1, sa.Integer).label("n")).cte("up", recursive=True)
    up = up.union_all(sa.select(up.c.n + 1).where(up.c.n < most))
    await conn.execute(_numbers.insert().from_select(["n"], sa.select(up.c.n)))
    for table in (_groups, _numbers):
        await conn.exec_driver_sql(f"ANALYZE {table.name}")


def _every() -> sa.FromClause:
    """Give a row for each agency."""
    return _groups.join(_numbers, _numbers.c.n <= _groups.c.count)


def _id(prefix: str) -> sa.ColumnElement[str]:
    """Make an id of an agency's number, the same on both databases."""
    number = sa.cast(_groups.c.first + _numbers.c.n, sa.Text)
    padded = sa.literal("0" * ID_DIGITS, sa.Text).concat(number)
    return sa.literal(f"{prefix}_", sa.Text).concat(
        sa.func.substr(padded, sa.func.length(number) + 1)
    )


def _rows(since: Value, readers: Channel) -> list[Made]:
    """Write what each table gets of each agency, and of which."""
    answers: list[sa.ColumnElement[bool]] = [_groups.c.role.is_not(None)]
    area: Row = {"area_key": _groups.c.area_key}
    counter: Row = {"subscription_id": _id("sub"), "last_sequence": sa.literal(0)}
    reads: Row = {"kind": _text(ANY_KIND), "subscription_id": _id("sub")}
    return [
        (tables.agencies, _agency(since), []),
        (tables.contacts, _contact(since), []),
        (tables.responsibilities, _duty(since), answers),
        (tables.responsibility_areas, area | {"responsibility_id": _id("rsp")}, answers),
        (tables.subscriptions, _subscription(since, readers), []),
        (tables.subscription_areas, area | reads, []),
        (tables.subscription_counters, counter, []),
    ]


def _agency(since: Value) -> Row:
    return {
        "id": _id("agy"),
        "name": _text("Agency ").concat(_id("agy")),
        "kind": _groups.c.kind,
        "zone": _text(ZONE),
        "revision": sa.literal(1),
        "created_at": since,
    }


def _contact(since: Value) -> Row:
    return {
        "id": _id("cnt"),
        "agency_id": _id("agy"),
        "name": _text("Duty desk"),
        "role": _text("duty officer"),
        "position": _text(Position.ON_DUTY.value),
        "email": _id("desk").concat("@agency.example"),
        "email_verified_at": since,
        "revision": sa.literal(1),
        "created_at": since,
    }


def _duty(since: Value) -> Row:
    return {
        "id": _id("rsp"),
        "agency_id": _id("agy"),
        "role": _groups.c.role,
        "area_keys": _area_keys(),
        "created_at": since,
    }


def _subscription(since: Value, readers: Channel) -> Row:
    congregation = _groups.c.kind == AgencyKind.FAITH.value
    mailed = congregation if readers is Channel.EMAIL else sa.literal(value=False)
    return {
        "id": _id("sub"),
        "agency_id": _id("agy"),
        "name": _text("Duty desk"),
        "state": _text(SubscriptionState.ACTIVE.value),
        "channel": sa.case((mailed, Channel.EMAIL.value), else_=Channel.WEBHOOK.value),
        "url": sa.case((mailed, sa.null()), else_=_text("https://agency.example/")),
        "contact_id": sa.case((mailed, _id("cnt")), else_=sa.null()),
        "content_level": _text(ContentLevel.PUBLIC.value),
        "area_keys": _area_keys(),
        "kinds": _text("[]"),
        "secrets_sealed": _text("[]"),
        "challenge": _text(""),
        "approved_at": since,
        "verified_at": since,
        "revision": sa.literal(1),
        "created_at": since,
    }


def _area_keys() -> Value:
    return _text('["').concat(_groups.c.area_key).concat('"]')


def _text(value: str) -> Value:
    return sa.literal(value, sa.Text())

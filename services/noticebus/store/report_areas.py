"""Which notices touch an area, for reports of one: looked up, never read out of each notice."""

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.ids import NoticeId
from noticebus.store.tables import markers, notice_areas, notices

LOOKED = "report.areas.looked"  # a marker: up to when no notice lacks its areas
_KEYS = sa.type_coerce(notices.c.area_keys, sa.Text)


async def touching(
    conn: AsyncConnection, notice_ids: Collection[NoticeId], *, area_key: str
) -> frozenset[NoticeId]:
    """Say which of `notice_ids` touch an area."""
    statement = sa.select(notice_areas.c.notice_id).where(
        notice_areas.c.area_key == area_key, notice_areas.c.notice_id.in_(sorted(set(notice_ids)))
    )
    return frozenset((await conn.execute(statement)).scalars())


def touches(area_key: str) -> sa.ColumnElement[bool]:
    """Say that a notice touches an area."""
    there = sa.select(notice_areas.c.notice_id).where(notice_areas.c.area_key == area_key)
    return notices.c.id.in_(there)


async def looked_until(conn: AsyncConnection) -> dt.datetime | None:
    """Say up to when all notices were found to have their areas entered; None for never."""
    statement = sa.select(markers.c.value).where(markers.c.name == LOOKED)
    found: str | None = (await conn.execute(statement)).scalar_one_or_none()
    return None if found is None else dt.datetime.fromisoformat(found)


async def note_look(conn: AsyncConnection, *, until: dt.datetime) -> None:
    """Note that all notices up to `until` have their areas entered; two may note it at once."""
    make: Any = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    noted = make(markers).values(name=LOOKED, value=until.isoformat())
    await conn.execute(
        noted.on_conflict_do_update(
            index_elements=[markers.c.name], set_={"value": noted.excluded.value}
        )
    )


async def is_any_missing(conn: AsyncConnection, *, since: NoticeId | None) -> bool:
    """Say whether a notice has no areas entered, of those from an id on or of all."""
    statement = sa.select(notices.c.id).where(*_missing(since)).limit(1)
    return (await conn.execute(statement)).first() is not None


async def add_missing(conn: AsyncConnection, *, since: NoticeId | None, limit: int) -> int:
    """Enter the areas of at most `limit` notices that have none entered, the newest first.

    Of those from the id `since` on, or of all. They were accepted by an older release while this
    one was being brought in. Says how many areas were entered; another process may enter them at
    the same time.
    """
    without = (
        sa.select(notices.c.id, _KEYS.label("area_keys"))
        .where(*_missing(since))
        .order_by(notices.c.id.desc())
        .limit(limit)
        .subquery("without")
    )
    if conn.dialect.name == "sqlite":
        each: Any = sa.func.json_each(without.c.area_keys)
        make: Any = sqlite.insert
    else:
        each = sa.func.jsonb_array_elements_text(sa.cast(without.c.area_keys, postgresql.JSONB))
        make = postgresql.insert
    keys = each.table_valued("value", name="keys")
    found = (
        sa.select(keys.c.value, without.c.id).select_from(without).join(keys, sa.true()).distinct()
    )
    statement = make(notice_areas).from_select(["area_key", "notice_id"], found)
    added = await conn.execute(statement.on_conflict_do_nothing())
    return int(added.rowcount)


def _missing(since: NoticeId | None) -> list[sa.ColumnElement[bool]]:
    """Say that a notice has no areas: looked up one by one, never by reading all areas there are.

    PostgreSQL makes a join of an `EXISTS`, and may read the whole table for it.
    """
    entered = (
        sa.select(notice_areas.c.notice_id)
        .where(notice_areas.c.notice_id == notices.c.id)
        .limit(1)
        .scalar_subquery()
    )
    recent = [] if since is None else [notices.c.id >= since]
    return [*recent, entered.is_(None)]

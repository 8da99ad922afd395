"""What people have begun to post in the console: theirs alone, until a second person is asked."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, fields

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import UserRole
from noticebus.ids import ActorId, AgencyId
from noticebus.store.rows import values_of
from noticebus.store.tables import post_drafts, users


@dataclass(frozen=True, slots=True, kw_only=True)
class PostDraft:
    """One draft, sealed. With `asked_at` it waits for a second person of the same agency."""

    owner: ActorId
    key: str
    agency_id: AgencyId
    sealed: str
    saved_at: dt.datetime
    expires_at: dt.datetime
    asked_at: dt.datetime | None
    asked_by_name: str | None
    recipients: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A draft that was deleted; `asked_at` says that it waited for a second person."""

    owner: ActorId
    agency_id: AgencyId
    asked_at: dt.datetime | None


async def put_draft(conn: AsyncConnection, draft: PostDraft) -> None:
    """Store a draft in the place of what was saved of it before."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    values = values_of(draft)
    changed = {name: values[name] for name in values if name not in {"owner", "key"}}
    statement = insert(post_drafts).values(values)
    await conn.execute(
        statement.on_conflict_do_update(index_elements=post_drafts.primary_key, set_=changed)
    )


async def find_draft(
    conn: AsyncConnection, *, owner: str, key: str, now: dt.datetime, lock: bool = False
) -> PostDraft | None:
    """Read a person's draft that has not expired; `lock` keeps others from changing it."""
    statement = sa.select(post_drafts).where(_is(owner, key), post_drafts.c.expires_at > now)
    statement = statement.with_for_update() if lock else statement  # SQLite: its single writer
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else PostDraft(**row)


async def drafts_of(
    conn: AsyncConnection, *, owner: str, agency_id: str, now: dt.datetime, limit: int
) -> list[PostDraft]:
    """Read at most `limit` drafts of a person for an agency, the one saved last first."""
    statement = (
        sa.select(post_drafts)
        .where(
            post_drafts.c.owner == owner,
            post_drafts.c.agency_id == agency_id,
            post_drafts.c.expires_at > now,
        )
        .order_by(post_drafts.c.saved_at.desc(), post_drafts.c.key)
        .limit(limit)
    )
    return [PostDraft(**row) for row in (await conn.execute(statement)).mappings()]


async def waiting_for(
    conn: AsyncConnection, *, agency_id: str, other_than: str, now: dt.datetime, limit: int
) -> list[tuple[tuple[UserRole, ...], PostDraft]]:
    """Read at most `limit` drafts that wait for somebody of an agency, the longest first.

    Each after its writer's roles. Not those of the person who looks, nor those of whoever has left
    the agency meanwhile.
    """
    statement = (
        sa.select(post_drafts, users.c.roles)
        .join(users, users.c.id == post_drafts.c.owner)
        .where(
            post_drafts.c.agency_id == agency_id,
            post_drafts.c.asked_at.is_not(None),
            post_drafts.c.expires_at > now,
            post_drafts.c.owner != other_than,
            users.c.agency_id == agency_id,
            users.c.disabled_at.is_(None),
        )
        .order_by(post_drafts.c.asked_at, post_drafts.c.owner, post_drafts.c.key)
        .limit(limit)
    )
    found = [dict(row) for row in (await conn.execute(statement)).mappings()]
    return [(tuple(map(UserRole, row.pop("roles"))), PostDraft(**row)) for row in found]


async def roles_of_others(
    conn: AsyncConnection, *, agency_id: str, other_than: str, limit: int
) -> list[tuple[UserRole, ...]]:
    """Give the roles of at most `limit` other people of an agency who can sign in."""
    statement = (
        sa.select(users.c.roles)
        .where(
            users.c.agency_id == agency_id, users.c.id != other_than, users.c.disabled_at.is_(None)
        )
        .limit(limit)
    )
    found = (await conn.execute(statement)).scalars()
    return [tuple(UserRole(role) for role in roles) for roles in found]


async def delete_drafts(conn: AsyncConnection, pairs: Collection[tuple[str, str]]) -> list[Gone]:
    """Delete the drafts under these (owner, key) pairs, posted or thrown away; give what went."""
    if not pairs:
        return []
    columns = sa.tuple_(post_drafts.c.owner, post_drafts.c.key)
    return await _delete(conn, columns.in_(sorted(pairs)))


async def delete_waiting(
    conn: AsyncConnection, asked: Collection[tuple[str, str, dt.datetime]]
) -> int:
    """Delete the drafts that still wait as they were asked for: (owner, key, asked at).

    Say how many did; what was changed, sent back or thrown away is none.
    """
    if not asked:
        return 0
    same = [sa.and_(_is(owner, key), post_drafts.c.asked_at == at) for owner, key, at in asked]
    return (await conn.execute(sa.delete(post_drafts).where(sa.or_(*same)))).rowcount


async def keep_newest(conn: AsyncConnection, *, owner: str, drafts_max: int) -> None:
    """Delete what a person has saved beyond `drafts_max`, the oldest; what waits is kept."""
    newest = (
        sa.select(post_drafts.c.key)
        .where(post_drafts.c.owner == owner)
        .order_by(post_drafts.c.saved_at.desc(), post_drafts.c.key)
        .limit(drafts_max)
    )
    await conn.execute(
        sa.delete(post_drafts).where(
            post_drafts.c.owner == owner,
            post_drafts.c.asked_at.is_(None),
            post_drafts.c.key.not_in(newest),
        )
    )


async def prune_drafts(
    conn: AsyncConnection, *, before: dt.datetime, batch_size_max: int
) -> list[Gone]:
    """Delete at most `batch_size_max` drafts that expired by `before`; give what went."""
    old = (
        sa.select(post_drafts.c.owner, post_drafts.c.key)
        .where(post_drafts.c.expires_at <= before)
        .order_by(post_drafts.c.expires_at)
        .limit(batch_size_max)
    )
    columns = sa.tuple_(post_drafts.c.owner, post_drafts.c.key)
    return await _delete(conn, columns.in_(old))


async def _delete(conn: AsyncConnection, which: sa.ColumnElement[bool]) -> list[Gone]:
    told = [post_drafts.c[one.name] for one in fields(Gone)]
    statement = sa.delete(post_drafts).where(which).returning(*told)
    return [Gone(**row) for row in (await conn.execute(statement)).mappings()]


def _is(owner: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(post_drafts.c.owner == owner, post_drafts.c.key == key)

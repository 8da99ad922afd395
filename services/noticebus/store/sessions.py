"""Who is signed in: only the SHA-256 of each session's secret is stored. Times are machine time."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import AgencyKind, SignInMethod
from noticebus.ids import AgencyId, SessionId, UserId
from noticebus.store.tables import agencies, sessions, users
from noticebus.store.users import User, user_of

_makers = users.alias("makers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in: of a person, or (without `user_id`) of whoever opened a link to an agency."""

    id: SessionId
    user_id: UserId | None
    agency_id: AgencyId | None
    name: str
    method: SignInMethod
    granted_by: str | None
    created_at: dt.datetime
    seen_at: dt.datetime
    expires_at: dt.datetime
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSession:
    """A session found by its secret, with its person and the kind of the agency it is bound to.

    `maker` is who made the link that it began with, where it is a link's.
    """

    session: Session
    user: User | None
    maker: User | None
    agency_kind: AgencyKind | None


async def insert_session(conn: AsyncConnection, session: Session, *, secret_hash: str) -> None:
    """Store a new session under the hex SHA-256 of its secret."""
    values = {name: getattr(session, name) for name in Session.__dataclass_fields__}
    await conn.execute(sessions.insert().values(secret_hash=secret_hash, **values))


async def find_session(conn: AsyncConnection, *, secret_hash: str) -> KnownSession | None:
    """Find a session, an ended or expired one too, by the hex SHA-256 of its secret."""
    agency_id = sa.func.coalesce(users.c.agency_id, sessions.c.agency_id)
    joined = (
        sessions.outerjoin(users, users.c.id == sessions.c.user_id)
        .outerjoin(_makers, _makers.c.id == sessions.c.granted_by)
        .outerjoin(agencies, agencies.c.id == agency_id)
    )
    statement = (
        sa.select(
            *(sessions.c[name] for name in Session.__dataclass_fields__),
            *(users.c[name].label(f"found_{name}") for name in User.__dataclass_fields__),
            *(_makers.c[name].label(f"maker_{name}") for name in User.__dataclass_fields__),
            agencies.c.kind.label("agency_kind"),
        )
        .select_from(joined)
        .where(sessions.c.secret_hash == secret_hash)
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    if row is None:
        return None
    return KnownSession(
        session=_session(row),
        user=_person(row, "found"),
        maker=_person(row, "maker"),
        agency_kind=row["agency_kind"],
    )


async def touch_session(conn: AsyncConnection, session_id: str, *, now: dt.datetime) -> None:
    """Note that a session is in use."""
    await conn.execute(sessions.update().where(sessions.c.id == session_id).values(seen_at=now))


async def end_session(conn: AsyncConnection, session_id: str, *, now: dt.datetime) -> None:
    """End a session, once."""
    living = (sessions.c.id == session_id) & sessions.c.ended_at.is_(None)
    await conn.execute(sessions.update().where(living).values(ended_at=now))


async def end_sessions_of(conn: AsyncConnection, user_id: str, *, now: dt.datetime) -> int:
    """End every session of a person, and those of the links that the person made; say how many."""
    theirs = (sessions.c.user_id == user_id) | (sessions.c.granted_by == user_id)
    living = theirs & sessions.c.ended_at.is_(None)
    return (await conn.execute(sessions.update().where(living).values(ended_at=now))).rowcount


async def prune_sessions(conn: AsyncConnection, *, before: dt.datetime, batch_size_max: int) -> int:
    """Delete at most `batch_size_max` sessions that expired before `before`; say how many went."""
    old = (
        sa.select(sessions.c.id)
        .where(sessions.c.expires_at < before)
        .order_by(sessions.c.expires_at)
        .limit(batch_size_max)
    )
    return (await conn.execute(sa.delete(sessions).where(sessions.c.id.in_(old)))).rowcount


def _session(row: Any) -> Session:
    return Session(**{name: row[name] for name in Session.__dataclass_fields__})


def _person(row: Any, prefix: str) -> User | None:
    if row[f"{prefix}_id"] is None:
        return None
    return user_of({name: row[f"{prefix}_{name}"] for name in User.__dataclass_fields__})

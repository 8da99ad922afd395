"""People who sign in. A password is stored as its argon2id hash and nothing else."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import UserRole
from noticebus.ids import AgencyId, UserId
from noticebus.store.tables import markers, users

FIRST_USER_MARKER = "first_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. `locked_until` is machine time; the other times are the world's."""

    id: UserId
    login: str
    name: str
    agency_id: AgencyId | None
    roles: tuple[UserRole, ...]
    password_hash: str | None
    issuer: str | None
    subject: str | None
    failed_tries: int
    locked_until: dt.datetime | None
    disabled_at: dt.datetime | None
    signed_in_at: dt.datetime | None
    revision: int
    created_at: dt.datetime


async def insert_user(conn: AsyncConnection, user: User) -> None:
    """Store a new person."""
    await conn.execute(users.insert().values(**_row(user)))


async def find_user(conn: AsyncConnection, *, login: str) -> User | None:
    """Find a person by login, in lower case."""
    return await _one(conn, users.c.login == login)


async def user_by_id(conn: AsyncConnection, user_id: str) -> User | None:
    """Find a person by id."""
    return await _one(conn, users.c.id == user_id)


async def user_by_subject(conn: AsyncConnection, *, issuer: str, subject: str) -> User | None:
    """Find a person by who they are at an identity provider."""
    return await _one(conn, (users.c.issuer == issuer) & (users.c.subject == subject))


async def lock_users(conn: AsyncConnection, ids: Collection[str]) -> list[User]:
    """Lock people, in id order, as they are from now on; who is nobody is left out."""
    statement = sa.select(users).where(users.c.id.in_(ids)).order_by(users.c.id).with_for_update()
    return [user_of(row) for row in (await conn.execute(statement)).mappings()]


async def list_users(conn: AsyncConnection, *, after: str, limit: int) -> list[User]:
    """List at most `limit` people with logins after `after`, by login; disabled ones too."""
    statement = sa.select(users).where(users.c.login > after).order_by(users.c.login).limit(limit)
    return [user_of(row) for row in (await conn.execute(statement)).mappings()]


async def change_user(conn: AsyncConnection, old: User, new: User) -> bool:
    """Store what differs under the next revision; False where another change was first."""
    before, after = _row(old), _row(new)
    values = {name: after[name] for name in after if after[name] != before[name]}
    same = (users.c.id == old.id) & (users.c.revision == old.revision)
    statement = users.update().where(same).values({**values, "revision": old.revision + 1})
    return (await conn.execute(statement)).rowcount == 1


async def charge_try(
    conn: AsyncConnection,
    user_id: str,
    *,
    now: dt.datetime,
    tries_max: int,
    locked_until: dt.datetime,
) -> int | None:
    """Count a try before it is made, so that many at once are as many; give which in a row it is.

    None, and nothing counted, where there is no such person or they are locked at `now`. The try
    that reaches `tries_max` locks; a lock that has ended begins the count again.
    """
    lock = users.c.locked_until
    tries = sa.case((lock.is_not(None), 1), else_=users.c.failed_tries + 1)
    locked = sa.case((tries >= tries_max, sa.literal(locked_until, lock.type)), else_=sa.null())
    statement = (
        users.update()
        .where(users.c.id == user_id, lock.is_(None) | (lock <= now))
        .values(failed_tries=tries, locked_until=locked)
        .returning(users.c.failed_tries)
    )
    counted: int | None = (await conn.execute(statement)).scalar_one_or_none()
    return counted


async def record_sign_in(
    conn: AsyncConnection, user: User, *, at: dt.datetime, forgives: bool
) -> bool:
    """Note that a person has signed in, and (`forgives`) forget failed tries.

    False where the person was disabled or the password changed since `user` was read.
    """
    same = users.c.password_hash.is_not_distinct_from(user.password_hash)
    forgiven = {"failed_tries": 0, "locked_until": None} if forgives else {}
    statement = (
        users.update()
        .where(users.c.id == user.id, users.c.disabled_at.is_(None), same)
        .values({**forgiven, "signed_in_at": at})
    )
    return (await conn.execute(statement)).rowcount == 1


async def forgive_tries(conn: AsyncConnection, user_id: str) -> None:
    """Forget failed tries, and end a lock."""
    forgiven = {"failed_tries": 0, "locked_until": None}
    await conn.execute(users.update().where(users.c.id == user_id).values(forgiven))


async def store_password(conn: AsyncConnection, user_id: str, *, before: str, fresh: str) -> bool:
    """Store a password's hash in the place of `before`; False where that is no longer there."""
    same = (users.c.id == user_id) & (users.c.password_hash == before)
    statement = users.update().where(same).values(password_hash=fresh)
    return (await conn.execute(statement)).rowcount == 1


async def any_user_exists(conn: AsyncConnection) -> bool:
    """Say whether anybody was ever entered."""
    return (await conn.execute(sa.select(users.c.id).limit(1))).first() is not None


async def anybody_has(conn: AsyncConnection, role: UserRole) -> bool:
    """Say whether somebody who is not disabled has a role."""
    held = sa.cast(users.c.roles, sa.Text).like(f'%"{role}"%')
    statement = sa.select(users.c.id).where(users.c.disabled_at.is_(None), held).limit(1)
    return (await conn.execute(statement)).first() is not None


async def claim_first_user(conn: AsyncConnection) -> bool:
    """Take the one right to enter the first person; False where another process has it."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        insert(markers)
        .values(name=FIRST_USER_MARKER, value="made")
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return (await conn.execute(statement)).rowcount == 1


async def _one(conn: AsyncConnection, condition: sa.ColumnElement[bool]) -> User | None:
    row = (await conn.execute(sa.select(users).where(condition))).mappings().one_or_none()
    return None if row is None else user_of(row)


def user_of(row: Any) -> User:
    """Read a row of the table."""
    values = {name: row[name] for name in User.__dataclass_fields__}
    return User(**{**values, "roles": tuple(UserRole(role) for role in row["roles"])})


def _row(user: User) -> dict[str, Any]:
    values = {name: getattr(user, name) for name in User.__dataclass_fields__}
    return {**values, "roles": [str(role) for role in user.roles]}

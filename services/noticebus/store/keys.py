"""API keys: only the SHA-256 of each is stored, so a copy of the database opens nothing."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.ids import AgencyId, ApiKeyId
from noticebus.store.tables import agencies, api_keys, markers

FIRST_KEY_MARKER = "first_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is listed: the key itself is nowhere."""

    id: ApiKeyId
    name: str
    agency_id: AgencyId | None
    scopes: tuple[Scope, ...]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key found by its hash, with the kind of the agency it belongs to."""

    key: ApiKey
    agency_kind: AgencyKind | None


_LISTED = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.agency_id,
    api_keys.c.scopes,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
)


async def insert_key(conn: AsyncConnection, key: ApiKey, *, secret_hash: str) -> None:
    """Store a new key under the hex SHA-256 of its secret."""
    await conn.execute(
        api_keys.insert().values(
            id=key.id,
            name=key.name,
            secret_hash=secret_hash,
            agency_id=key.agency_id,
            scopes=[str(scope) for scope in key.scopes],
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )
    )


async def find_key_by_hash(conn: AsyncConnection, *, secret_hash: str) -> KnownKey | None:
    """Find a key, revoked and expired ones too, by the hex SHA-256 of its secret."""
    statement = (
        sa.select(*_LISTED, agencies.c.kind.label("agency_kind"))
        .select_from(api_keys.outerjoin(agencies, agencies.c.id == api_keys.c.agency_id))
        .where(api_keys.c.secret_hash == secret_hash)
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else KnownKey(key=_key(row), agency_kind=row["agency_kind"])


async def find_key(conn: AsyncConnection, *, key_id: str) -> ApiKey | None:
    """Find a key by its id."""
    row = (
        (await conn.execute(sa.select(*_LISTED).where(api_keys.c.id == key_id)))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _key(row)


async def list_keys(
    conn: AsyncConnection, *, agency_id: str | None, after: str, limit: int
) -> list[ApiKey]:
    """List at most `limit` keys with ids after `after`, of one agency or of all, by id."""
    statement = (
        sa.select(*_LISTED).where(api_keys.c.id > after).order_by(api_keys.c.id).limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(api_keys.c.agency_id == agency_id)
    return [_key(row) for row in (await conn.execute(statement)).mappings()]


async def revoke_key(conn: AsyncConnection, *, key_id: str, now: dt.datetime) -> bool:
    """Revoke a living key at `now`; False where it is unknown or already revoked."""
    statement = (
        api_keys.update()
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return (await conn.execute(statement)).rowcount == 1


async def any_key_exists(conn: AsyncConnection) -> bool:
    """Say whether any key was ever made: if not, this installation has no administrator yet."""
    return (await conn.execute(sa.select(api_keys.c.id).limit(1))).first() is not None


async def claim_first_key(conn: AsyncConnection) -> bool:
    """Take the one right to make the first key; False where another process has it."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        insert(markers)
        .values(name=FIRST_KEY_MARKER, value="made")
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return (await conn.execute(statement)).rowcount == 1


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row["id"]),
        name=row["name"],
        agency_id=None if row["agency_id"] is None else AgencyId(row["agency_id"]),
        scopes=tuple(Scope(scope) for scope in row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )

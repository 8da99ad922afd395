"""Escalation policies in their versions: the defaults, and those of an agency's own."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.domain.policies import Policy, policy_from_record, policy_to_record
from noticebus.ids import AgencyId
from noticebus.store import prepared
from noticebus.store.rows import among_given
from noticebus.store.tables import policies


class TakenError(Exception):
    """Two changes of one policy came together, and the other was first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """One version as stored. An ended one is an agency's own that the default has replaced."""

    policy: Policy
    agency_id: AgencyId | None
    created_at: dt.datetime
    ended_at: dt.datetime | None

    @property
    def id(self) -> str:
        return self.policy.id


_NEWEST = sa.select(policies.c.id, sa.func.max(policies.c.version).label("version")).group_by(
    policies.c.id
)


def _in_force() -> sa.Select[Any]:
    newest = _NEWEST.where(among_given(policies.c.id, "policy_ids")).subquery()
    return (
        sa.select(policies.c.body)
        .join(newest, (policies.c.id == newest.c.id) & (policies.c.version == newest.c.version))
        .where(policies.c.ended_at.is_(None))
    )


_IN_FORCE = _in_force()


async def latest_policies(conn: AsyncConnection, policy_ids: Collection[str]) -> dict[str, Policy]:
    """Read the version in force of each policy; one that has ended is in force no more."""
    bodies = await prepared.rows(conn, _IN_FORCE, {"policy_ids": policy_ids})
    found = [policy_from_record(body) for (body,) in bodies]
    return {one.id: one for one in found}


async def list_policies(
    conn: AsyncConnection, *, agency_id: str | None, after: str, limit: int
) -> list[StoredPolicy]:
    """List at most `limit` policies in force with ids after `after`.

    With `agency_id` only the defaults and that agency's own.
    """
    newest = _NEWEST.where(policies.c.id > after).subquery()
    statement = (
        sa.select(policies)
        .join(newest, (policies.c.id == newest.c.id) & (policies.c.version == newest.c.version))
        .where(policies.c.ended_at.is_(None))
        .order_by(policies.c.id)
        .limit(limit)
    )
    if agency_id is not None:
        seen = policies.c.agency_id.is_(None) | (policies.c.agency_id == agency_id)
        statement = statement.where(seen)
    return [_stored(row) for row in await conn.execute(statement)]


async def own_policies(
    conn: AsyncConnection, *, agency_id: str | None, limit: int
) -> list[StoredPolicy]:
    """Read at most `limit` agencies' own policies in force, of one agency or of all."""
    newest = _NEWEST.where(policies.c.agency_id.is_not(None)).subquery()
    statement = (
        sa.select(policies)
        .join(newest, (policies.c.id == newest.c.id) & (policies.c.version == newest.c.version))
        .where(policies.c.ended_at.is_(None))
        .order_by(policies.c.id)
        .limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(policies.c.agency_id == agency_id)
    return [_stored(row) for row in await conn.execute(statement)]


async def find_policy(
    conn: AsyncConnection, policy_id: str, *, lock: bool = False
) -> StoredPolicy | None:
    """Read the newest version of a policy, ended or not.

    With `lock` all its versions are locked first, so that of two changes one waits for the other.
    """
    of_it = policies.c.id == policy_id
    if lock:
        held = sa.select(policies.c.version).where(of_it).order_by(policies.c.version)
        await conn.execute(held.with_for_update(key_share=True))  # SQLite: the single writer
    statement = sa.select(policies).where(of_it).order_by(policies.c.version.desc()).limit(1)
    row = (await conn.execute(statement)).one_or_none()
    return None if row is None else _stored(row)


async def versions_of(conn: AsyncConnection, policy_id: str, *, limit: int) -> list[StoredPolicy]:
    """Read at most `limit` versions of a policy, the newest first."""
    statement = (
        sa.select(policies)
        .where(policies.c.id == policy_id)
        .order_by(policies.c.version.desc())
        .limit(limit)
    )
    return [_stored(row) for row in await conn.execute(statement)]


async def policies_at(
    conn: AsyncConnection, keys: Collection[tuple[str, int]]
) -> dict[tuple[str, int], StoredPolicy]:
    """Read policies at given versions: one statement, however many."""
    if not keys:
        return {}
    statement = sa.select(policies).where(
        sa.tuple_(policies.c.id, policies.c.version).in_(sorted(keys))
    )
    found = [_stored(row) for row in await conn.execute(statement)]
    return {(one.id, one.policy.version): one for one in found}


async def insert_policy(
    conn: AsyncConnection, policy: Policy, *, agency_id: AgencyId | None, now: dt.datetime
) -> None:
    """Store a version; TakenError where another transaction has stored it."""
    try:
        await conn.execute(policies.insert().values(_values(policy, agency_id=agency_id, now=now)))
    except sa.exc.IntegrityError as error:
        raise TakenError(policy.id) from error


async def end_policy(conn: AsyncConnection, policy: Policy, *, now: dt.datetime) -> bool:
    """End an agency's own policy at its newest version; False where it has ended before."""
    statement = (
        sa.update(policies)
        .where(
            policies.c.id == policy.id,
            policies.c.version == policy.version,
            policies.c.ended_at.is_(None),
        )
        .values(ended_at=now)
    )
    return bool((await conn.execute(statement)).rowcount)


async def seed_policies(
    conn: AsyncConnection, defaults: Sequence[Policy], *, now: dt.datetime
) -> int:
    """Insert those defaults the installation does not have yet; say how many."""
    known = set((await conn.execute(sa.select(policies.c.id).distinct())).scalars())
    missing = [one for one in defaults if one.id not in known]
    if missing:
        rows = [_values(one, agency_id=None, now=now) for one in missing]
        await conn.execute(policies.insert(), rows)
    return len(missing)


def _values(policy: Policy, *, agency_id: AgencyId | None, now: dt.datetime) -> dict[str, object]:
    return {
        "id": policy.id,
        "version": policy.version,
        "recipient_kind": policy.recipient_kind,
        "notice_class": policy.notice_class,
        "body": policy_to_record(policy),
        "created_at": now,
        "agency_id": agency_id,
    }


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredPolicy:
    return StoredPolicy(
        policy=policy_from_record(row.body),
        agency_id=row.agency_id,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )

"""What a page of the report's lines needs beside them, each for the whole page in one statement.

A page has hundreds of ids: PostgreSQL is given them as one value, not as a parameter each.
"""

import datetime as dt
import functools
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Position
from noticebus.domain.policies import PolicyRecord
from noticebus.ids import AgencyId, ContactId, NoticeId, ObligationId
from noticebus.store.matching import valid_at
from noticebus.store.obligations import StepRow
from noticebus.store.rows import among
from noticebus.store.tables import contacts, notices, obligations, steps

CONTACTS_MAX = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class OfNotice:
    """The keys of the places that a notice touches, and its incident's newest version."""

    area_keys: Sequence[str]
    latest_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Of somebody who speaks for an agency, what says whom to ring."""

    id: ContactId
    agency_id: AgencyId
    name: str
    role: str
    position: Position
    phone: str | None


class KnownPolicy(sa.types.TypeDecorator[PolicyRecord]):
    """A policy's record, for reading: thousands of rows have the same few, each is parsed once."""

    impl = sa.Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> PolicyRecord | None:
        return None if value is None else _policy(value)


@functools.lru_cache(maxsize=2048)
def _policy(text: str) -> PolicyRecord:
    record: PolicyRecord = json.loads(text)
    return record


POLICY = sa.type_coerce(obligations.c.policy, KnownPolicy).label("policy")
_EVERY = notices.alias("every")  # made once: it has all the columns of its table
_CALLEE = tuple(contacts.c[field.name] for field in fields(Callee))
_STEP = tuple(steps.c[field.name] for field in fields(StepRow))


async def notices_of(
    conn: AsyncConnection, notice_ids: Collection[NoticeId], *, at: dt.datetime
) -> dict[NoticeId, OfNotice]:
    """Read which places notices touch, and the newest version of their incidents at `at`."""
    every = _EVERY
    latest = (
        sa.select(sa.func.max(every.c.version))
        .where(every.c.incident_id == notices.c.incident_id, every.c.accepted_at <= at)
        .scalar_subquery()
    )
    statement = sa.select(notices.c.id, notices.c.area_keys, latest).where(
        among(notices.c.id, notice_ids)
    )
    return {
        id_: OfNotice(area_keys=area_keys, latest_version=version)
        for id_, area_keys, version in (await conn.execute(statement)).all()
    }


async def callees_of(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], *, at: dt.datetime
) -> Mapping[AgencyId, Sequence[Callee]]:
    """Read who speaks for agencies at `at`, in id order, at most `CONTACTS_MAX` of all."""
    found: defaultdict[AgencyId, list[Callee]] = defaultdict(list)
    if not agency_ids:
        return found
    statement = (
        sa.select(*_CALLEE)
        .where(among(contacts.c.agency_id, agency_ids), valid_at(at))
        .order_by(contacts.c.agency_id, contacts.c.id)
        .limit(CONTACTS_MAX)
    )
    for id_, agency_id, name, role, position, phone in (await conn.execute(statement)).all():
        found[agency_id].append(
            Callee(
                id=id_, agency_id=agency_id, name=name, role=role, position=position, phone=phone
            )
        )
    return found


async def steps_of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> Mapping[ObligationId, Sequence[StepRow]]:
    """Read the fired and skipped steps of obligations, in order."""
    found: defaultdict[ObligationId, list[StepRow]] = defaultdict(list)
    if not obligation_ids:
        return found
    statement = (
        sa.select(*_STEP)
        .where(among(steps.c.obligation_id, obligation_ids))
        .order_by(steps.c.obligation_id, steps.c.epoch, steps.c.step)
    )
    for row in (await conn.execute(statement)).mappings():
        one = StepRow(**row)
        found[one.obligation_id].append(one)
    return found

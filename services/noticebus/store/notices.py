"""Incidents, their notices, and the idempotency records that commit with them."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    ChangeReason,
    IncidentState,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    Status,
)
from noticebus.ids import AgencyId, IncidentId, NoticeId
from noticebus.records import lean
from noticebus.store import prepared
from noticebus.store.hot import Rows, insert_all
from noticebus.store.rows import among_given, records_of, values_of
from noticebus.store.tables import (
    idempotency_records,
    incidents,
    notice_areas,
    notices,
    obligations,
)


@lean
class Incident:
    """The thread of everything posted about one event."""

    id: IncidentId
    agency_id: AgencyId
    status: Status
    state: IncidentState
    latest_version: int
    latest_notice_id: NoticeId
    created_at: dt.datetime
    ended_at: dt.datetime | None


@lean
class Notice:
    """One posted message, as stored. `body` is the canonical JSON of what was posted (RFC 8785)."""

    id: NoticeId
    incident_id: IncidentId
    version: int
    agency_id: AgencyId
    msg: Msg
    kind: NoticeKind
    status: Status
    notice_class: NoticeClass
    state: NoticeState
    material: bool
    change_reason: ChangeReason | None
    occurred_at: dt.datetime
    accepted_at: dt.datetime
    release_at: dt.datetime | None
    released_at: dt.datetime | None
    next_update_due: dt.datetime | None
    posted_by: str
    body: bytes
    body_digest: str
    area_keys: list[str]
    uncovered: list[dict[str, str]]
    refdata_version: str


@lean
class IdempotencyRecord:
    """What one client was answered under one key."""

    client_id: str
    key: str
    fingerprint: str
    response: dict[str, Any]
    created_at: dt.datetime


def incident_rows(new: Sequence[Incident]) -> Rows:
    """Write down `new` incidents."""
    return incidents, new


def notice_rows(new: Sequence[Notice]) -> list[Rows]:
    """Write down `new` notices, and which areas they touch; their incidents come before."""
    keys = [
        {"area_key": key, "notice_id": one.id} for one in new for key in sorted({*one.area_keys})
    ]
    return [(notices, new), (notice_areas, keys)]


async def insert_notices(conn: AsyncConnection, new: Sequence[Notice]) -> None:
    """Insert `new` notices, and which areas they touch; their incidents are there."""
    await insert_all(conn, notice_rows(new))


async def lock_incidents(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> dict[IncidentId, Incident]:
    """Lock incidents in id order.

    The first lock of every transaction that changes one of their obligations.
    """
    statement = (
        sa.select(incidents)
        .where(incidents.c.id.in_(sorted(incident_ids)))
        .order_by(incidents.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    found = records_of(await conn.execute(statement), Incident)
    return {one.id: one for one in found}


async def incident_by_id(conn: AsyncConnection, incident_id: IncidentId) -> Incident | None:
    """Read one incident."""
    statement = sa.select(incidents).where(incidents.c.id == incident_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Incident(**row)


async def advance_incident(
    conn: AsyncConnection, *, notice: Notice, state: IncidentState, ended_at: dt.datetime | None
) -> bool:
    """Make `notice` its incident's latest version; false where another version was first."""
    statement = (
        sa.update(incidents)
        .where(
            incidents.c.id == notice.incident_id, incidents.c.latest_version == notice.version - 1
        )
        .values(
            latest_version=notice.version,
            latest_notice_id=notice.id,
            state=state,
            ended_at=ended_at,
        )
    )
    return bool((await conn.execute(statement)).rowcount)


_BY_ID = sa.select(notices).where(among_given(notices.c.id, "notice_ids"))


async def notices_by_id(
    conn: AsyncConnection, notice_ids: Collection[NoticeId]
) -> dict[NoticeId, Notice]:
    """Read notices whole."""
    found = await prepared.records(conn, _BY_ID, {"notice_ids": notice_ids}, Notice)
    return {one.id: one for one in found}


async def latest_of(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> dict[IncidentId, Notice]:
    """Read the latest version of each incident."""
    statement = (
        sa.select(notices)
        .join(incidents, incidents.c.latest_notice_id == notices.c.id)
        .where(incidents.c.id.in_(sorted(incident_ids)))
    )
    found = records_of(await conn.execute(statement), Notice)
    return {one.incident_id: one for one in found}


async def first_ids_of(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> dict[IncidentId, NoticeId]:
    """Read the id of each incident's first version."""
    statement = sa.select(notices.c.incident_id, notices.c.id).where(
        notices.c.incident_id.in_(sorted(incident_ids)), notices.c.version == 1
    )
    return {IncidentId(one): NoticeId(id_) for one, id_ in await conn.execute(statement)}


async def versions_of(conn: AsyncConnection, incident_id: IncidentId) -> list[Notice]:
    """Read every version of an incident, oldest first."""
    statement = (
        sa.select(notices).where(notices.c.incident_id == incident_id).order_by(notices.c.version)
    )
    return records_of(await conn.execute(statement), Notice)


async def newest_told(conn: AsyncConnection, incident_id: IncidentId) -> Notice | None:
    """Read the newest released version that says what happened, not that it is over."""
    statement = (
        sa.select(notices)
        .where(
            notices.c.incident_id == incident_id,
            notices.c.released_at.is_not(None),
            notices.c.msg != Msg.CANCEL,
            notices.c.kind != NoticeKind.ALL_CLEAR,
        )
        .order_by(notices.c.version.desc())
        .limit(1)
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Notice(**row)


async def notice_page(
    conn: AsyncConnection,
    *,
    visible_to: AgencyId | None,
    before: NoticeId | None,
    limit: int,
) -> list[Notice]:
    """Read at most `limit` notices, newest first: all, or what `visible_to` posted or was told."""
    statement = sa.select(notices).order_by(notices.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(notices.c.id < before)
    if visible_to is not None:
        statement = statement.where(_visible_to(visible_to))
    return records_of(await conn.execute(statement), Notice)


def _visible_to(agency_id: AgencyId) -> sa.ColumnElement[bool]:
    owes = (
        sa.select(sa.literal(1))
        .where(
            obligations.c.incident_id == notices.c.incident_id,
            obligations.c.agency_id == agency_id,
        )
        .exists()
    )
    released = notices.c.released_at.is_not(None)  # what was cancelled before is nobody's business
    return (notices.c.agency_id == agency_id) | (owes & released)


async def lock_due_releases(
    conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int
) -> list[Notice]:
    """Lock at most `batch_size_max` embargoed notices to be released at `now`, oldest first.

    Their incidents are locked with them: a cancel comes before the release or after it.
    """
    statement = (
        sa.select(notices)
        .join(incidents, incidents.c.id == notices.c.incident_id)
        .where(notices.c.state == NoticeState.SCHEDULED, notices.c.release_at <= now)
        .order_by(notices.c.release_at)
        .limit(batch_size_max)
        .with_for_update(  # SQLite: the single writer
            skip_locked=True, key_share=True, of=[incidents, notices]
        )
    )
    return records_of(await conn.execute(statement), Notice)


def next_release() -> sa.Select[Any]:
    """Ask when the next embargoed notice is to be released."""
    return sa.select(sa.func.min(notices.c.release_at)).where(
        notices.c.state == NoticeState.SCHEDULED
    )


async def next_release_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell when the next embargoed notice is to be released."""
    found: dt.datetime | None = (await conn.execute(next_release())).scalar_one_or_none()
    return found


async def mark_notices(
    conn: AsyncConnection,
    notice_ids: Collection[NoticeId],
    *,
    state: NoticeState,
    released_at: dt.datetime | None,
) -> None:
    """Set the state of notices that are still scheduled."""
    statement = (
        sa.update(notices)
        .where(notices.c.id.in_(sorted(notice_ids)), notices.c.state == NoticeState.SCHEDULED)
        .values(state=state, released_at=released_at)
    )
    await conn.execute(statement)


async def set_uncovered(
    conn: AsyncConnection, notice_id: NoticeId, uncovered: Sequence[dict[str, str]]
) -> None:
    """Store which places of a notice nobody answers for, as declines have left it."""
    statement = sa.update(notices).where(notices.c.id == notice_id)
    await conn.execute(statement.values(uncovered=list(uncovered)))


# Keys are their clients' own, seldom the same: what two clients call alike is left out afterwards.
_ANSWERED = sa.select(idempotency_records).where(
    among_given(idempotency_records.c.client_id, "client_ids"),
    among_given(idempotency_records.c.key, "keys"),
)


async def find_idempotency_records(
    conn: AsyncConnection, pairs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], IdempotencyRecord]:
    """Read what was answered under these (client, key) pairs."""
    if not pairs:
        return {}
    client_ids, keys = zip(*pairs, strict=True)
    given = {"client_ids": client_ids, "keys": keys}
    found = await prepared.records(conn, _ANSWERED, given, IdempotencyRecord)
    by_pair = {(one.client_id, one.key): one for one in found}
    return {one: by_pair[one] for one in pairs if one in by_pair}


def idempotency_rows(new: Sequence[IdempotencyRecord]) -> Rows:
    """Write down records; a key taken meanwhile is an integrity error, and all is tried again."""
    return idempotency_records, new


async def insert_idempotency_records(
    conn: AsyncConnection, new: Sequence[IdempotencyRecord]
) -> None:
    """Insert records."""
    await insert_all(conn, [idempotency_rows(new)])


async def claim_idempotency_record(conn: AsyncConnection, new: IdempotencyRecord) -> bool:
    """Insert a record; False where its key was taken, after waiting for whoever takes it now."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = insert(idempotency_records).values(values_of(new)).on_conflict_do_nothing()
    return (await conn.execute(statement)).rowcount == 1


async def prune_idempotency_records(
    conn: AsyncConnection, *, before: dt.datetime, batch_size_max: int
) -> int:
    """Delete at most `batch_size_max` records created before `before`; say how many went."""
    old = (
        sa.select(idempotency_records.c.client_id, idempotency_records.c.key)
        .where(idempotency_records.c.created_at < before)
        .limit(batch_size_max)
    )
    columns = sa.tuple_(idempotency_records.c.client_id, idempotency_records.c.key)
    return (await conn.execute(sa.delete(idempotency_records).where(columns.in_(old)))).rowcount

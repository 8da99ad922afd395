"""The full audit, part by part: incidents recounted, entries hashed again, counters compared.

A part is a few short transactions, so that an audit of a large bus holds nothing up and needs no
more memory than one part.
"""

import asyncio
import datetime as dt
import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework.audit import READERS, last_verdict, recount
from noticebus.casework.desk import Desk
from noticebus.casework.findings import LATE, Finding, of_ids, views
from noticebus.contracts.audit import AuditView, Check
from noticebus.errors import BadRequestError
from noticebus.store import audit, audit_counters, counters
from noticebus.store.audit import COUNT_MAX, Leaf
from noticebus.store.database import Database

INCIDENTS_PER_PART = 200
INCIDENTS_AT_ONCE = 20
ENTRIES_PER_PART = 2_000
ENTRIES_AT_ONCE = 200
LEAF_PREFIX = b"\x00"  # RFC 6962, section 2.1
COUNTERS = "counters:"
_CURSOR = re.compile(r"(incidents|entries|counters):([0-9a-z_]{0,40})")
_OBLIGATION = re.compile(rb'"(obl_[0-9a-z]{26})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a full audit: what it found, how much it recounted, where the next begins."""

    findings: Sequence[Finding]
    incidents: int = 0
    entries: int = 0
    next: str | None


async def read_part(desk: Desk, principal: Principal, *, cursor: str) -> AuditView:
    """Recount one part for auditors, operators and administrators.

    The first part also says what the auditor that runs last found late.
    """
    require(principal, *READERS)
    part = await audit_part(desk.database, cursor=cursor)
    findings = list(part.findings)
    if not cursor and (last := await last_verdict(desk)) is not None:
        findings += [one for one in last.findings if one.check in LATE]
    return await view_of(desk.database, part, findings=findings, at=desk.world.now())


async def view_of(
    database: Database, part: Part, *, findings: Sequence[Finding], at: dt.datetime
) -> AuditView:
    """Show a part, with how much there is in all."""
    async with database.read() as conn:
        incidents = await audit.count_incidents(conn)
        newest, _ = await audit.newest_indexes(conn)
    return AuditView(
        at=at,
        ok=not findings,
        full=True,
        checks=views(findings, checks=Check, ids_max=COUNT_MAX),
        incidents=part.incidents,
        incidents_in_all=incidents,
        entries=part.entries,
        entries_in_all=newest + 1,
        next=part.next,
    )


async def audit_part(database: Database, *, cursor: str) -> Part:
    """Recount the part at `cursor`.

    First all incidents in id order, then all entries by index, and the report's counters at last.
    """
    found = _CURSOR.fullmatch(cursor or "incidents:")
    if found is None or (found[1] == "entries" and not found[2].isdecimal()):
        raise BadRequestError(
            "The cursor is not one the bus gave out. Start again without it and follow 'next'."
        )
    if found[1] == "incidents":
        return await _incidents(database, after=found[2])
    if found[1] == "counters":
        return await _counters(database)
    return await _entries(database, first=int(found[2]))


async def _incidents(database: Database, *, after: str) -> Part:
    findings: list[Finding] = []
    done = 0
    while done < INCIDENTS_PER_PART:
        async with database.read() as conn:
            ids = await audit.incidents_after(conn, after=after, limit=INCIDENTS_AT_ONCE)
            if not ids:
                return Part(findings=_merged(findings), incidents=done, next="entries:0")
            found, _ = await recount(conn, frozenset(ids))
            findings += [*found, *of_ids(Check.CONSERVATION, await _unnamed(conn, ids))]
        after, done = ids[-1], done + len(ids)
    return Part(findings=_merged(findings), incidents=done, next=f"incidents:{after}")


async def _unnamed(conn: AsyncConnection, incident_ids: Sequence[str]) -> list[str]:
    """Find incidents whose obligations are not the ones that their entries name."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    async for incident_id, body in audit.bodies_of(conn, incident_ids):
        named[incident_id].update(one.decode() for one in _OBLIGATION.findall(body))
    stored: defaultdict[str, set[str]] = defaultdict(set)
    for incident_id, obligation_id in await audit.ids_in_rows(conn, incident_ids):
        stored[incident_id].add(obligation_id)
    return [one for one in incident_ids if named[one] != stored[one]]


async def _entries(database: Database, *, first: int) -> Part:
    changed: list[str] = []
    missing = done = 0
    while done < ENTRIES_PER_PART:
        async with database.read() as conn:
            leaves = await audit.leaves_after(conn, after_index=first - 1, limit=ENTRIES_AT_ONCE)
        changed += await asyncio.to_thread(_changed, leaves)
        if leaves:
            missing += leaves[-1].index + 1 - first - len(leaves)
            first = leaves[-1].index + 1
        done += len(leaves)
        if len(leaves) < ENTRIES_AT_ONCE:
            break
    findings = of_ids(Check.LEAVES, changed)
    if missing:
        findings.append(Finding(check=Check.INDEX_GAPS, count=missing))
    return Part(
        findings=findings,
        entries=done,
        next=f"entries:{first}" if done >= ENTRIES_PER_PART else COUNTERS,
    )


async def _counters(database: Database) -> Part:
    """Compare the report's counters with the rows; those not counted yet are read by nobody."""
    async with database.read() as conn:
        if await counters.are_stale(conn):
            return Part(findings=[], next=None)
        different = await audit_counters.differences(conn)
    return Part(findings=of_ids(Check.COUNTERS, different), next=None)


def _changed(leaves: Sequence[Leaf]) -> list[str]:
    return [
        one.id
        for one in leaves
        if hashlib.sha256(LEAF_PREFIX + one.salt + one.body).digest() != one.leaf_hash
    ]


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """Make one finding of each check's."""
    ids: dict[Check, set[str]] = {}
    for one in findings:
        ids.setdefault(one.check, set()).update(one.ids)
    return [merged for check, named in ids.items() for merged in of_ids(check, named)]

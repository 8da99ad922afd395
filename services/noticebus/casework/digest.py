"""The digest: counts and a link by mail to the operators on duty, exactly once for each occasion.

How far it has got is one row; whoever holds it decides, writes the mails and moves it on in one
transaction. So two processes make one digest, and a crash in between makes it again as a whole.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    NoticeClass,
    Position,
    Status,
)
from noticebus.domain import digest as rules
from noticebus.domain.digest import Digest, DigestKind, Tally, Told
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.heartbeats import minute_of
from noticebus.domain.mail import ComposedMail
from noticebus.ids import AgencyId, new_delivery_id
from noticebus.store import digests as rows
from noticebus.store import ledger, matching, report_facts
from noticebus.store.claims import Destination
from noticebus.store.deliveries import Delivery, insert_missing
from noticebus.store.matching import AgencyFacts
from noticebus.store.reports import Scope

STATUSES = (Status.ACTUAL, Status.EXERCISE)  # their order numbers them
ENTRY_TYPE = "digest.made"
_PAGE = "/reports/unacknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the digest has got: since when, when it looks again, what the operators know."""

    looked_at: dt.datetime
    next_at: dt.datetime
    told: Mapping[Status, Told] = field(default_factory=dict)

    def of(self, status: Status) -> Told:
        """Give what the operators know of one status."""
        return self.told.get(status, Told())

    def written(self) -> str:
        """Write it as it is stored."""
        return json.dumps(
            {
                "looked_at": self.looked_at.isoformat(),
                "next_at": self.next_at.isoformat(),
                "told": {status: asdict(told) for status, told in self.told.items()},
            }
        )


def read_progress(text: str | None) -> Progress | None:
    """Read what was stored; None where it was never begun."""
    if not text:
        return None
    found = json.loads(text)
    return Progress(
        looked_at=dt.datetime.fromisoformat(found["looked_at"]),
        next_at=dt.datetime.fromisoformat(found["next_at"]),
        told={Status(status): Told(**told) for status, told in found["told"].items()},
    )


async def look(desk: Desk, *, times: Sequence[dt.time]) -> dt.datetime:
    """Make the digests that are due; say when the next occasion is.

    A quiet second costs one statement, and two while the operators know of something overdue.
    """
    now = desk.world.now()
    async with desk.database.read() as conn:
        progress = read_progress(await rows.read_progress(conn))
        if progress is not None and not await _is_due(conn, progress, now=now):
            return progress.next_at
    return await _settle(desk, times=times)


def digest_text(delivery: Delivery, destination: Destination, *, base_url: str) -> ComposedMail:
    """Write the mail of a digest, from what was true when it was queued."""
    told = delivery.detail or {}
    tally = dict(told["tally"])
    oldest = tally.pop("oldest_due_at")
    status = Status(told["status"])
    only = "" if status is Status.ACTUAL else f"&status={status}"
    return rules.compose_digest(
        Digest(
            kind=DigestKind(told["kind"]),
            status=status,
            at=dt.datetime.fromisoformat(told["at"]),
            number=told["number"],
            tally=Tally(
                oldest_due_at=None if oldest is None else dt.datetime.fromisoformat(oldest), **tally
            ),
        ),
        zone=destination.zone,
        address=f"{base_url.rstrip('/')}{_PAGE}?overdue=true{only}",
    )


async def _has_cleared(conn: AsyncConnection, progress: Progress, *, now: dt.datetime) -> bool:
    """Tell whether the last of what the operators know to be overdue has answered."""
    for status, told in progress.told.items():
        if told.overdue and not await rows.is_overdue(conn, status=status, now=now):
            return True
    return False


async def _settle(desk: Desk, *, times: Sequence[dt.time]) -> dt.datetime:
    """Decide under the lock, and move on; whoever came second finds nothing left to do."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        before = read_progress(await rows.lock_progress(conn))
        if before is not None and not await _is_due(conn, before, now=now):
            return before.next_at
        since = now if before is None else before.looked_at
        operators = await matching.first_operators(conn)
        shift_at, next_shift_at = await _shifts(conn, operators, times=times, since=since, now=now)
        told: Mapping[Status, Told] = {}
        if operators is not None and before is not None:
            told = await _tell(conn, desk, before, operators, shift_at=shift_at)
        upcoming = [rules.next_hour(now), *([next_shift_at] if next_shift_at else [])]
        progress = Progress(looked_at=now, next_at=min(upcoming), told=told)
        await rows.write_progress(conn, progress.written())
    desk.committed_many(steps_by=None, deliveries_by=now)
    return progress.next_at


async def _is_due(conn: AsyncConnection, progress: Progress, *, now: dt.datetime) -> bool:
    """Tell whether there is anything to decide: an occasion has come, or silence has ended."""
    return now >= progress.next_at or await _has_cleared(conn, progress, now=now)


async def _tell(
    conn: AsyncConnection,
    desk: Desk,
    before: Progress,
    operators: AgencyFacts,
    *,
    shift_at: dt.datetime | None,
) -> Mapping[Status, Told]:
    """Queue what is due of each status; give what the operators know then."""
    told = dict(before.told)
    for status in STATUSES:
        digest = await _due(conn, before, status, shift_at=shift_at, now=desk.world.now())
        if digest is not None:
            told[status] = rules.after(digest.kind, before.of(status), digest.tally)
            await _mail(conn, desk, digest, operators)
    return told


async def _shifts(
    conn: AsyncConnection,
    operators: AgencyFacts | None,
    *,
    times: Sequence[dt.time],
    since: dt.datetime,
    now: dt.datetime,
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Find the last change of shift since the last look, and the next one.

    Without a roster that goes on, they change at the times of day of the settings.
    """
    roster = await rows.shift_changes(conn, since=since, now=now)
    if roster.until is not None and roster.until > now:
        return roster.last, roster.next
    if operators is None:
        return None, None
    zone = operators.zone
    last = rules.last_time(times, zone=zone, since=since, until=now)
    return last, rules.next_time(times, zone=zone, now=now)


async def _due(
    conn: AsyncConnection,
    before: Progress,
    status: Status,
    *,
    shift_at: dt.datetime | None,
    now: dt.datetime,
) -> Digest | None:
    """Decide about one status; an exercise has digests of its own (I9)."""
    told = before.of(status)
    tally = await _tally(conn, status, now=now)
    kind = rules.due_kind(
        tally,
        told,
        shift_changed=shift_at is not None,
        hour_passed=now >= rules.next_hour(before.looked_at),
        is_real=status is Status.ACTUAL,
    )
    if kind is None:
        return None
    return Digest(kind=kind, status=status, at=now, number=told.hourly + 1, tally=tally)


async def _tally(conn: AsyncConnection, status: Status, *, now: dt.datetime) -> Tally:
    counted = await rows.count_open(conn, status=status, now=now)
    scope = Scope(status=status)
    gaps = await report_facts.gaps(conn, scope, at=now)
    debts = await report_facts.debts(conn, scope, at=now)
    return Tally(
        open=counted.open,
        overdue=counted.overdue,
        oldest_due_at=counted.oldest_due_at,
        unreachable=counted.unreachable,
        uncovered=sum(len(one.uncovered) for one in gaps),
        owed=sum(one.due_at <= now for one in debts),
    )


async def _mail(conn: AsyncConnection, desk: Desk, digest: Digest, operators: AgencyFacts) -> None:
    """Queue the mails of a digest, in the place of those of its status that still wait."""
    points = await matching.operator_points(conn, at=digest.at, telephone=False)
    readers = _on_duty(points)
    step = STATUSES.index(digest.status)
    await rows.moot_digests(conn, agency_id=operators.id, step=step, finished_at=desk.world.now())
    mails = [_delivery(desk, digest, contact=one, agency_id=operators.id) for one in readers]
    await insert_missing(conn, mails)
    facts = {**_facts(digest), "agency_id": operators.id, "mails": len(mails)}
    await ledger.append(conn, [ledger.make_entry(ENTRY_TYPE, facts, at=digest.at)])


def _on_duty(points: Sequence[ContactPoint]) -> list[ContactPoint]:
    """Give whoever is on duty and has mail; where nobody is, everybody with mail."""
    mailed = [one for one in points if one.email]
    on_duty = [one for one in mailed if one.position is Position.ON_DUTY]
    return list({one.id: one for one in on_duty or mailed}.values())


def _facts(digest: Digest) -> dict[str, object]:
    oldest = digest.tally.oldest_due_at
    tally = asdict(digest.tally) | {"oldest_due_at": None if oldest is None else oldest.isoformat()}
    return {
        "kind": str(digest.kind),
        "status": str(digest.status),
        "at": digest.at.isoformat(),
        "number": digest.number,
        "tally": tally,
    }


def _delivery(
    desk: Desk, digest: Digest, *, contact: ContactPoint, agency_id: AgencyId
) -> Delivery:
    return Delivery(
        id=new_delivery_id(),
        contact_id=contact.id,
        agency_id=agency_id,
        subject=agency_id,
        destination=f"{contact.id}:{Channel.EMAIL}",
        channel=Channel.EMAIL,
        cause=Cause.DIGEST,
        version=list(DigestKind).index(digest.kind) + 1,
        round=minute_of(digest.at),
        step=STATUSES.index(digest.status),
        notice_class=NoticeClass.D,
        content_level=ContentLevel.ID_ONLY,
        due_at=digest.at,
        lease_until=desk.machine.now(),
        detail=_facts(digest),
        created_at=digest.at,
    )

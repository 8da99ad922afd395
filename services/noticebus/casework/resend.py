"""Telling the silent again, by an operator's decision: counted first, and apart from the clock.

Nothing about a round moves: no step, no deadline, no version. What goes out are reminders to the
desk on duty and the agency's endpoints, as a notice goes, with a number below zero in the place of
a step's (docs/decisions/0023).
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework import accepted, shards
from noticebus.casework.binding import Moment, notice_deliveries
from noticebus.casework.bodies import REMINDER, SHOWN_STEP
from noticebus.casework.desk import Desk
from noticebus.casework.recipients import Found, find_for, route_notice
from noticebus.casework.report_views import ranked_to_call
from noticebus.casework.spacing import spaced
from noticebus.contracts.canonical import canonical
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    Notify,
    ObligationState,
    Owed,
    Scope,
    UnreachableReason,
)
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.domain.routing import Recipient
from noticebus.errors import NotFoundError
from noticebus.ids import AgencyId, IncidentId, NoticeId
from noticebus.store import matching, notices, obligations, resends
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import append, make_entry
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import IdempotencyRecord, Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import living_contacts
from noticebus.store.resends import Resends

NOT_AGAIN_FOR: Final = dt.timedelta(minutes=10)
ENTERED_MAX: Final = 500  # obligations that one ledger entry names
_MARK_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One silent recipient, and what would be sent to it: each destination with its channel."""

    owed: Obligation
    deliveries: Sequence[Delivery]

    @property
    def channels(self) -> list[Channel]:
        """Give the channels that would carry it, each once, in the order of `Channel`."""
        used = {one.channel for one in self.deliveries}
        return [one for one in Channel if one in used]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTold:
    """One silent recipient that nothing would reach, why, and whom of it to ring.

    Without a reason it reads its feed, to which nothing is sent.
    """

    owed: Obligation
    reason: UnreachableReason | None
    to_ring: Contact | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a resend would do now. `mark` changes with whom it tells and over what."""

    incident: Incident
    told: Sequence[Told]
    not_told: Sequence[NotTold]
    heard: Sequence[Obligation]  # still open, and their people have said that they have it
    agencies: Mapping[AgencyId, AgencyFacts]
    notices: Mapping[NoticeId, Notice]
    before: Resends
    now: dt.datetime

    @property
    def count(self) -> int:
        return len(self.told)

    @property
    def mark(self) -> str:
        facts = sorted(
            f"{one.obligation_id}/{one.version}/{one.round}/{one.destination}"
            for told in self.told
            for one in told.deliveries
        )
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:_MARK_DIGITS]

    @property
    def is_soon(self) -> bool:
        """Say whether the last one was so lately that another needs a second word."""
        last = self.before.last_at
        return last is not None and self.now - last < NOT_AGAIN_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody confirmed: the count, the mark and how many there had been, as they saw them.

    `again` says it once more where the last one was less than `NOT_AGAIN_FOR` ago.
    """

    count: int
    mark: str
    after: int
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """It was done: the `number`-th of the incident."""

    number: int
    count: int


class Hindrance(Enum):
    """Why nothing was sent, the gravest reason first."""

    SENT_MEANWHILE = auto()
    CHANGED = auto()
    COUNT = auto()
    NOBODY = auto()
    SOON = auto()


async def plan_resend(desk: Desk, principal: Principal, *, incident_id: IncidentId) -> Plan:
    """Count what a resend would do, and change nothing."""
    require(principal, Scope.OPERATE)
    async with desk.database.read() as conn:
        incident = await notices.incident_by_id(conn, incident_id)
        if incident is None:
            raise _nothing(incident_id)
        owed = await resends.open_obligations(conn, incident_id)
        return await _plan(conn, desk, incident, owed)


async def resend(
    desk: Desk,
    principal: Principal,
    *,
    incident_id: IncidentId,
    asked: Asked,
    key: str | None = None,
) -> Resent | Plan:
    """Tell the silent again if it is still what was confirmed; else give what it would be now.

    Whoever comes second at the same time, or clicks twice, finds that there has been one. Under an
    idempotency `key` the same request again is answered as the first was.
    """
    require(principal, Scope.OPERATE)
    async with desk.database.begin() as conn:
        incident = (await notices.lock_incidents(conn, [incident_id])).get(incident_id)
        if incident is None:
            raise _nothing(incident_id)
        if key is not None:
            records = await notices.find_idempotency_records(conn, [(principal.id, key)])
            for record in records.values():
                return Resent(**accepted.replayed(record, _fingerprint(incident_id, asked)))
        waiting = {one.id for one in await resends.open_obligations(conn, incident_id)}
        owed = await obligations.lock_obligations(conn, ids=waiting) if waiting else []
        plan = await _plan(conn, desk, incident, owed)
        if hindrance(plan, asked) is not None:
            return plan
        sent = [one for told in plan.told for one in told.deliveries]
        await insert_deliveries(conn, await spaced(conn, sent, now=plan.now))
        await _enter(conn, plan, by=principal)
        done: dict[str, Any] = {"number": plan.before.count + 1, "count": plan.count}
        if key is not None:
            record = IdempotencyRecord(
                client_id=principal.id,
                key=key,
                fingerprint=_fingerprint(incident_id, asked),
                response=done,
                created_at=plan.now,
            )
            await notices.insert_idempotency_records(conn, [record])
        handed = shards.of_many(plan.notices, sent)
    desk.committed(handed)
    return Resent(**done)


def hindrance(plan: Plan, asked: Asked) -> Hindrance | None:
    """Say what keeps a plan from being sent as it was asked; None where nothing does."""
    if plan.before.count != asked.after:
        return Hindrance.SENT_MEANWHILE
    if plan.mark != asked.mark:
        return Hindrance.CHANGED
    if plan.count != asked.count:
        return Hindrance.COUNT
    if plan.count == 0:
        return Hindrance.NOBODY
    return Hindrance.SOON if plan.is_soon and not asked.again else None


def _fingerprint(incident_id: IncidentId, asked: Asked) -> str:
    said = canonical({"resend": incident_id, **asdict(asked)})
    return hashlib.sha256(said).hexdigest()


async def _plan(
    conn: AsyncConnection, desk: Desk, incident: Incident, owed: Sequence[Obligation]
) -> Plan:
    """Sort out who would be told: as many statements however many there are."""
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    running = [one for one in owed if _owes(one)]
    silent = [one for one in running if one.received_at is None]
    about = await notices.notices_by_id(conn, {one.round_notice_id for one in silent})
    found = await find_for(conn, desk, list(about.values())) if about else None
    before = await resends.resends_of(conn, incident.id)
    told: list[Told] = []
    lost: list[Obligation] = []
    ways = await _ways(conn, desk, silent, about, found, at=at)
    for one in silent:
        sent = _again(one, about[one.round_notice_id], ways[one.id], number=before.count + 1, at=at)
        if sent:
            told.append(Told(owed=one, deliveries=sent))
        else:
            lost.append(one)
    people = await living_contacts(conn, {one.agency_id for one in lost}, at=at.world)
    return Plan(
        incident=incident,
        told=told,
        not_told=[_not_told(one, ways[one.id], people) for one in lost],
        heard=[one for one in running if one.received_at is not None],
        agencies=await matching.agencies_by_id(conn, {one.agency_id for one in running}),
        notices=about,
        before=before,
        now=at.world,
    )


def _owes(owed: Obligation) -> bool:
    answers = owed.owed is Owed.NOTICE and owed.state is ObligationState.OPEN
    return answers and owed.round_started_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one recipient is reached now: by what routing finds, else by its desk on duty."""

    recipient: Recipient | None
    desk: Sequence[ContactPoint]
    sends_mail: bool


async def _ways(
    conn: AsyncConnection,
    desk: Desk,
    silent: Sequence[Obligation],
    about: Mapping[NoticeId, Notice],
    found: Found | None,
    *,
    at: Moment,
) -> dict[str, Way]:
    routed = {
        id_: {one.agency_id: one for one in route_notice(notice, found).recipients}
        for id_, notice in about.items()
        if found is not None
    }
    recipients = {one.id: routed[one.round_notice_id].get(one.agency_id) for one in silent}
    lost = {one.agency_id for one in silent if recipients[one.id] is None}
    points = await matching.contact_points(conn, lost, at=at.world, telephone=False) if lost else {}
    return {
        one.id: Way(
            recipient=recipients[one.id],
            desk=resolve(Notify.ON_DUTY, points.get(one.agency_id, ())).contacts,
            sends_mail=desk.sends_mail,
        )
        for one in silent
    }


def _again(
    owed: Obligation, notice: Notice, way: Way, *, number: int, at: Moment
) -> list[Delivery]:
    """Make the reminders to one recipient; a feed is fetched, and what is paused gets nothing."""
    recipient = way.recipient
    channels = recipient.first_channels if recipient else (Channel.EMAIL,)
    made = notice_deliveries(
        owed,
        notice=notice,
        orders=recipient.subscriptions if recipient else (),
        desk=recipient.contacts if recipient else way.desk,
        channels=channels if way.sends_mail else [one for one in channels if one != Channel.EMAIL],
        at=at,
    )
    detail = {
        "notify": Notify.ON_DUTY.value,
        REMINDER: owed.step + number,
        SHOWN_STEP: max(owed.step - 1, 0),
    }
    return [
        replace(one, cause=Cause.STEP, step=-number, detail=detail)
        for one in made
        if one.due_at is not None
    ]


def _not_told(owed: Obligation, way: Way, people: Mapping[AgencyId, Sequence[Contact]]) -> NotTold:
    reason = way.recipient.unreachable_reason if way.recipient else None
    if way.recipient is None:
        no_mail = way.desk and not way.sends_mail
        reason = (
            UnreachableReason.MAIL_NOT_CONFIGURED
            if no_mail
            else UnreachableReason.NO_VERIFIED_CHANNEL
        )
    ranked = ranked_to_call(people.get(owed.agency_id, ()), reached=())
    return NotTold(owed=owed, reason=reason, to_ring=ranked[0] if ranked else None)


async def _enter(conn: AsyncConnection, plan: Plan, *, by: Principal) -> None:
    """Enter who was told again, `ENTERED_MAX` recipients an entry."""
    entries = [
        make_entry(
            "incident.resent",
            {
                "by": by.id,
                "number": plan.before.count + 1,
                "count": plan.count,
                "told": {
                    one.owed.id: [delivery.id for delivery in one.deliveries]
                    for one in plan.told[start : start + ENTERED_MAX]
                },
            },
            at=plan.now,
            incident_id=plan.incident.id,
        )
        for start in range(0, plan.count, ENTERED_MAX)
    ]
    await append(conn, entries)


def _nothing(incident_id: IncidentId) -> NotFoundError:
    return NotFoundError(f"There is no incident {incident_id}. Check the id.")

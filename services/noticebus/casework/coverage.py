"""Places that nobody answers for: the operators owe the incident somebody for them (I6).

One obligation an incident, whose debtor is the bus's own operators. It opens with the first such
place, opens again with each further one, and closes when somebody is found or an operator says that
they have it. It escalates among the operators like any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.binding import Moment, bind, notice_deliveries
from noticebus.casework.desk import Desk
from noticebus.casework.first_rounds import FirstRounds
from noticebus.casework.in_force import policy_ids
from noticebus.casework.rounds import begin
from noticebus.casework.spacing import spaced
from noticebus.casework.tracing import obligation_entry
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    NoticeClass,
    NoticeState,
    Notify,
    ObligationState,
    Owed,
    Standing,
)
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.domain.routing import PUSHED, Recipient
from noticebus.ids import IncidentId
from noticebus.store import deliveries, ledger, matching, obligations
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import Entry, History
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation
from noticebus.store.policies import latest_policies

PLACES_TOLD_MAX = 50
DONE_WITH = (Cause.COVERAGE, Cause.STEP)

Gaps = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A version with the places that nobody answers for, now and before it."""

    notice: Notice
    before: Gaps = ()

    @property
    def added(self) -> list[dict[str, str]]:
        return [one for one in self.notice.uncovered if one not in self.before]


@dataclass(slots=True, kw_only=True)
class Written:
    """What holding a batch of places writes."""

    new: list[Obligation] = field(default_factory=list)
    changed: list[Obligation] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    traces: list[tuple[Entry, History]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """The bus's own operators: the agency they are, and whom of it to tell."""

    facts: AgencyFacts
    on_duty: Sequence[ContactPoint]

    def as_recipient(self, notice_class: NoticeClass) -> Recipient:
        """Give the operators as a recipient of what nobody else answers."""
        channels = PUSHED if notice_class is NoticeClass.A else (Channel.EMAIL, Channel.SMS)
        return Recipient(
            agency_id=self.facts.id,
            kind=self.facts.kind,
            standing=Standing.MANDATORY,
            role=None,
            responsibilities=(),
            subscriptions=(),
            contacts=tuple(self.on_duty),
            first_channels=channels,
            fallback_channels=(),
            unreachable_reason=None,
        )


async def hold(
    conn: AsyncConnection, desk: Desk, holdings: Sequence[Holding], *, at: Moment
) -> list[Delivery]:
    """Let the operators hold what nobody answers for; give what tells them, stored already.

    The incidents are new or locked. Nothing is read where no place lacks anybody.
    """
    touched = [
        one for one in holdings if (one.notice.uncovered or one.before) and _asks(one.notice)
    ]
    operators = await _operators(conn, desk, at=at) if touched else None
    if operators is None:
        return []
    held = await obligations.lock_coverage(conn, {one.notice.incident_id for one in touched})
    written = await _written(conn, touched, operators, held, at=at)
    await obligations.insert_obligations(conn, written.new)
    await obligations.save_all(conn, written.changed)
    found = [one.id for one in written.changed if one.state is ObligationState.CLOSED]
    if found:
        await deliveries.make_moot(conn, found, finished_at=at.world, causes=DONE_WITH)
    await insert_deliveries(conn, await spaced(conn, written.deliveries, now=at.world))
    await ledger.append(conn, [entry for entry, _ in written.traces])
    await ledger.append_history(conn, [line for _, line in written.traces])
    return written.deliveries


def _asks(notice: Notice) -> bool:
    """Say whether a version asks anybody for anything: class D and an embargo do not."""
    return notice.state is NoticeState.RELEASED and notice.notice_class is not NoticeClass.D


async def _operators(conn: AsyncConnection, desk: Desk, *, at: Moment) -> Operators | None:
    """Find who holds what nobody answers for: the operators registered first."""
    facts = await matching.first_operators(conn)
    if facts is None:
        return None
    points = await matching.contact_points(conn, [facts.id], at=at.world, telephone=desk.dials)
    return Operators(
        facts=facts, on_duty=resolve(Notify.ON_DUTY, points.get(facts.id, ())).contacts
    )


async def _written(
    conn: AsyncConnection,
    touched: Sequence[Holding],
    operators: Operators,
    held: Mapping[IncidentId, Obligation],
    *,
    at: Moment,
) -> Written:
    facts = operators.facts
    classes = {one.notice.notice_class for one in touched} | {
        one.notice_class for one in held.values()
    }
    wanted = {id_ for one in classes for id_ in policy_ids(facts, one, at=at.world)}
    policies = await latest_policies(conn, wanted)
    rounds = FirstRounds(policies, at=at.world)
    written = Written()
    for one in touched:
        owed = held.get(one.notice.incident_id)
        recipient = operators.as_recipient(one.notice.notice_class)
        if owed is None and one.notice.uncovered:
            fresh = bind(recipient, notice=one.notice, facts=facts, rounds=rounds, at=at.world)
            owed = replace(fresh, owed=Owed.COVERAGE)
            written.new.append(owed)
        elif owed is not None and one.added:
            again = _reopened(owed, one.notice)
            recipient = operators.as_recipient(again.notice_class)
            owed = begin(again, facts, policies=policies, recipient=recipient, at=at.world)
            written.changed.append(owed)
        else:
            _found(written, owed, one, at=at)
            continue
        _tell(written, owed, one, recipient, at=at)
    return written


def _reopened(owed: Obligation, notice: Notice) -> Obligation:
    still_open = [owed.notice_class] if owed.state is ObligationState.OPEN else []
    return replace(
        owed,
        state=ObligationState.OPEN,
        epoch=owed.epoch + 1,
        notice_class=min([notice.notice_class, *still_open]),
        round_notice_id=notice.id,
        round_version=notice.version,
        step=0,
        delivered_at=None,
        opened_at=None,
        received_at=None,
        promised_until=None,
        more_time_used=False,
        closed_at=None,
    )


def _found(written: Written, owed: Obligation | None, one: Holding, *, at: Moment) -> None:
    """Close what the operators held once somebody answers for every place."""
    if owed is None or one.notice.uncovered or owed.state is not ObligationState.OPEN:
        return
    closed = replace(owed, state=ObligationState.CLOSED, closed_at=at.world, next_step_at=None)
    written.changed.append(closed)
    written.traces.append(obligation_entry("coverage.found", closed, {}, at=at.world))


def _tell(
    written: Written, owed: Obligation, one: Holding, recipient: Recipient, *, at: Moment
) -> None:
    told = notice_deliveries(
        owed,
        notice=one.notice,
        orders=(),
        desk=recipient.contacts,
        channels=recipient.first_channels,
        at=at,
    )
    detail: dict[str, Any] = {"uncovered": one.notice.uncovered[:PLACES_TOLD_MAX]}
    written.deliveries += [
        replace(delivery, cause=Cause.COVERAGE, detail=detail) for delivery in told
    ]
    data = {"uncovered": one.notice.uncovered, "added": len(one.added)}
    written.traces.append(obligation_entry("coverage.held", owed, data, at=at.world))

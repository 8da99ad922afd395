"""Answering: what an acknowledgement does, whoever gives it and however it arrives.

One transaction.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.bus.port import Shard
from noticebus.casework import accepted, more_time, reroute, votes
from noticebus.casework.binding import is_live, round_of, with_last_step_again, with_round
from noticebus.casework.desk import Desk
from noticebus.casework.reach import people
from noticebus.casework.tracing import obligation_entry
from noticebus.contracts.vocabulary import (
    Answer,
    Cause,
    DeclineReason,
    How,
    ObligationState,
    Owed,
    Standing,
    VerifiedBy,
)
from noticebus.domain import obligation as rules
from noticebus.domain.escalation import extended, hastened
from noticebus.errors import ConflictError, Detail, InvalidError, NotFoundError
from noticebus.ids import AgencyId, NoticeId, ObligationId, new_acknowledgement_id
from noticebus.store import acknowledgements, deliveries, ledger, notices, obligations
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.agencies import contacts_by_id
from noticebus.store.obligations import Obligation

log = structlog.get_logger(__name__)

MOOT_CAUSES = (Cause.NOTICE, Cause.STEP, Cause.CORRECTION, Cause.COVERAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswer:
    """An answer as it was given, and by whom; `read_version` is what a page had shown before."""

    answer: Answer
    by_name: str
    by_role: str
    note: str | None = None
    eta: dt.datetime | None = None
    reason: DeclineReason | None = None
    reference: str | None = None
    read_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The notice an answer names, and its version."""

    notice_id: NoticeId
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who or what identified the answering person (I4)."""

    verified_by: VerifiedBy
    id: str
    how: How | None = None
    on_behalf_of: str | None = None
    agency_id: AgencyId | None = None  # whose person it is, where that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of an answer. `fresh` is false for the same answer to the same version again."""

    acknowledgement: Acknowledgement
    obligation: Obligation
    receipt: dict[str, str]
    fresh: bool


async def answer(
    desk: Desk, *, obligation_id: ObligationId, about: About, given: GivenAnswer, actor: Actor
) -> Answered:
    """Record an identified actor's answer to a version and do what it does (I4, I5)."""
    async with desk.database.begin() as conn:
        before = await _locked(conn, obligation_id, given=given)
        now = desk.world.now()  # once it is locked: a step that came before it is not after it
        several = votes.quorum_of(before) > 1
        same = await acknowledgements.find_same(
            conn,
            obligation_id=obligation_id,
            version=about.version,
            said=(given.answer, given.reason, given.eta),
            by=(actor.id, given.by_name) if several else None,
        )
        if same is not None and not _before_the_round(same, before):
            return await _again(conn, desk, same, before)
        latest = None if given.eta is None else await more_time.latest_eta(conn, before, now=now)
        decision = _decide(before, given, version=about.version, now=now, latest_eta=latest)
        if several and isinstance(decision, rules.Closes | rules.Declines):
            decision = await _weighed(conn, desk, before, decision, given=given, actor=actor)
        after = _apply(before, decision, version=about.version, answer=given.answer, now=now)
        closed = after.state is not before.state and after.state is not ObligationState.OPEN
        made = _acknowledgement(
            before.id, given, actor, about, outcome=(decision.late, closed), now=now
        )
        entry, line = obligation_entry("acknowledgement.recorded", after, _data(made), at=now)
        if not await obligations.save(conn, before=before, after=after):
            raise _changed_meanwhile()
        await acknowledgements.insert(conn, made)
        (recorded,) = await ledger.append(conn, [entry])
        await ledger.append_history(conn, [line])
        handed = await _rerouted(conn, desk, decision, before=before, after=after)
        if after.state is not ObligationState.OPEN:
            await deliveries.make_moot(
                conn,
                [obligation_id],
                finished_at=now,
                causes=MOOT_CAUSES,
                version_max=about.version,
            )
    desk.committed(handed)
    _measure(desk, before, made)
    return Answered(
        acknowledgement=made,
        obligation=after,
        receipt=accepted.receipt(desk.keyring, recorded),
        fresh=True,
    )


def _changed_meanwhile() -> ConflictError:
    return ConflictError(
        "The obligation changed meanwhile; nothing was stored. Send the answer again."
    )


def _measure(desk: Desk, before: Obligation, made: Acknowledgement) -> None:
    """Note how long the answer took, and say in the log that there was one."""
    log.info(
        "acknowledgement.recorded",
        acknowledgement_id=made.id,
        obligation_id=before.id,
        outcome=made.answer.value,
    )
    first = made.closed and before.state is ObligationState.OPEN  # what undoes a decline is second
    if first and is_live(before.status) and before.round_started_at is not None:
        desk.metrics.observe_answer(made.recorded_at - before.round_started_at)


async def _again(
    conn: AsyncConnection, desk: Desk, same: Acknowledgement, owed: Obligation
) -> Answered:
    """Answer a repeat with what was recorded the first time, and its receipt."""
    recorded = await ledger.entry_of_acknowledgement(
        conn, obligation_id=owed.id, acknowledgement_id=same.id
    )
    assert recorded is not None, "an answer and its entry commit together"
    receipt = accepted.receipt(desk.keyring, recorded)
    return Answered(acknowledgement=same, obligation=owed, receipt=receipt, fresh=False)


async def _locked(
    conn: AsyncConnection, obligation_id: ObligationId, *, given: GivenAnswer
) -> Obligation:
    """Lock an obligation, and its incident before it where the answer may route it again.

    Declines and waivers of one incident, and what takes them back, come one after the other: the
    last one sees who is left. What the operators hold of the incident may change with them, and is
    locked with the obligation, in id order and before any delivery (lock order).
    """
    seen = await obligations.obligation_by_id(conn, obligation_id)
    if seen is None:
        raise NotFoundError(f"There is no obligation {obligation_id} to answer. Check the id.")
    routes = given.answer is Answer.DECLINED or seen.state in _GIVEN_UP
    if routes:
        await notices.lock_incidents(conn, [seen.incident_id])
        return await obligations.lock_with_coverage(
            conn, obligation_id, incident_id=seen.incident_id
        )
    (found,) = await obligations.lock_obligations(conn, ids=[obligation_id])
    if found.state in _GIVEN_UP:
        raise _changed_meanwhile()  # its incident cannot be locked after it
    return found


def _before_the_round(same: Acknowledgement, owed: Obligation) -> bool:
    """Say whether an answer closed what is open again for the same version.

    So it is where the operators come to hold a further place of the same version.
    """
    again = owed.state is ObligationState.OPEN and same.version >= owed.round_version
    return same.closed and again


def rules_view(stored: Obligation) -> rules.Obligation:
    """Give the rules what they need of a stored obligation."""
    return rules.Obligation(
        state=stored.state,
        epoch=stored.epoch,
        notice_class=stored.notice_class,
        owed=stored.owed,
        standing=stored.standing,
        round_version=stored.round_version,
        due_at=stored.due_at,
        promised_until=stored.promised_until,
        more_time_used=stored.more_time_used,
    )


_GIVEN_UP = frozenset({ObligationState.DECLINED, ObligationState.WAIVED})

Taken = rules.Closes | rules.Declines | rules.Extends | rules.Hastens | rules.Notes


async def _weighed(
    conn: AsyncConnection,
    desk: Desk,
    owed: Obligation,
    decision: rules.Closes | rules.Declines,
    *,
    given: GivenAnswer,
    actor: Actor,
) -> Taken:
    """Weigh one person's answer where the policy asks for several."""
    found = await people(conn, desk, [owed.agency_id], at=desk.world.now())
    named = await contacts_by_id(conn, {one.id for one in found.of(owed.agency_id) if one.channels})
    return await votes.weighed(
        conn,
        owed,
        decision,
        voter=votes.Voter(verified_by=actor.verified_by, actor=actor.id, name=given.by_name),
        answer=given.answer,
        contacts={one.id: one.name for one in named.values()},
    )


async def _rerouted(
    conn: AsyncConnection, desk: Desk, decision: Taken, *, before: Obligation, after: Obligation
) -> Sequence[Shard]:
    """Look again at who has the places, where an answer gives them away or takes them back."""
    if isinstance(decision, rules.Declines) and decision.reroute:
        return await reroute.after_decline(conn, desk, after)
    back = (
        before.state in _GIVEN_UP
        and after.state is ObligationState.CLOSED
        and after.owed is Owed.NOTICE
        and after.standing is Standing.MANDATORY
    )
    return await reroute.after_return(conn, desk, after) if back else ()


def _decide(
    before: Obligation,
    given: GivenAnswer,
    *,
    version: int,
    now: dt.datetime,
    latest_eta: dt.datetime | None,
) -> Taken:
    answered = rules.Given(answer=given.answer, version=version, eta=given.eta, reason=given.reason)
    facts = replace(rules_view(before), latest_eta=latest_eta)
    decision = rules.decide(obligation=facts, answer=answered, now=now)
    if isinstance(decision, rules.Refused):
        field = "/eta" if given.answer is Answer.NEED_MORE_TIME else "/reason"
        raise InvalidError(
            decision.sentence,
            code=decision.code,
            details=(Detail(pointer=field, message=decision.sentence),),
        )
    return decision


def _apply(
    before: Obligation, decision: Taken, *, version: int, answer: Answer, now: dt.datetime
) -> Obligation:
    """Write a decision onto the obligation."""
    match decision:
        case rules.Closes():
            stopped = replace(
                before, state=ObligationState.CLOSED, closed_at=now, next_step_at=None
            )
            return replace(
                stopped,
                received_at=before.received_at or now,
                answered_version=max(before.answered_version, version),
            )
        case rules.Declines():
            return replace(
                before,
                state=ObligationState.DECLINED,
                closed_at=now,
                next_step_at=None,
                received_at=before.received_at or now,
                answered_version=max(before.answered_version, version),
            )
        case rules.Extends(promised_until=until):
            waiting = with_last_step_again(before, until=until)
            moved = extended(round_of(waiting), step_index=waiting.step, until=until)
            waiting = with_round(waiting, moved)
            return replace(
                waiting,
                promised_until=until,
                more_time_used=True,
                received_at=before.received_at or now,
            )
        case rules.Hastens():
            sooner = hastened(round_of(before), step_index=before.step, now=now)
            return replace(with_round(before, sooner), received_at=before.received_at or now)
        case rules.Notes():
            return _noted(before, decision.why, version=version, answer=answer, now=now)
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(decision)


def _noted(
    before: Obligation,
    why: rules.NoteReason,
    *,
    version: int,
    answer: Answer,
    now: dt.datetime,
) -> Obligation:
    """Keep the facts of an answer that moves no state: what it heard of, and what it answered."""
    answers = answer in {Answer.ACCEPTED, rules.closes_with(before.notice_class)}
    older = why is rules.NoteReason.OLDER_VERSION
    if answer is Answer.DECLINED:
        return before
    heard = before if older else replace(before, received_at=before.received_at or now)
    if answers and (why is rules.NoteReason.ALREADY_CLOSED or (older and _one_is_enough(before))):
        return replace(heard, answered_version=max(before.answered_version, version))
    return heard


def _one_is_enough(owed: Obligation) -> bool:
    return votes.quorum_of(owed) == 1


def _acknowledgement(
    obligation_id: ObligationId,
    given: GivenAnswer,
    actor: Actor,
    about: About,
    *,
    outcome: tuple[bool, bool],
    now: dt.datetime,
) -> Acknowledgement:
    late, closed = outcome
    return Acknowledgement(
        id=new_acknowledgement_id(),
        obligation_id=obligation_id,
        notice_id=about.notice_id,
        version=about.version,
        answer=given.answer,
        by_name=given.by_name,
        by_role=given.by_role,
        note=given.note,
        eta=given.eta,
        reason=given.reason,
        reference=given.reference,
        verified_by=actor.verified_by,
        actor=actor.id,
        how=actor.how,
        on_behalf_of=actor.on_behalf_of,
        late=late,
        closed=closed,
        acted_at=now,
        recorded_at=now,
        by_agency_id=actor.agency_id,
    )


def _data(made: Acknowledgement) -> dict[str, object]:
    """Say in the ledger what was answered.

    The person's name stays in the row, which can be erased.
    """
    return {
        "acknowledgement_id": made.id,
        "version": made.version,
        "answer": made.answer,
        "reason": made.reason,
        "eta": accepted.wire_instant(made.eta),
        "verified_by": made.verified_by,
        "actor": made.actor,
        "how": made.how,
        "late": made.late,
        "closed": made.closed,
    }

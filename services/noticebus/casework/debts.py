"""What posters owe: the answer to a question, and the update that a notice promised.

Each is an obligation whose debtor is the poster. It runs under the poster's own policy, frozen like
any other, and the same clock fires its steps.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.answer import rules_view
from noticebus.casework.binding import Moment, round_of, with_last_step_again, with_round
from noticebus.casework.rounds import begin, policies_in_force
from noticebus.casework.tracing import obligation_entry
from noticebus.contracts.vocabulary import (
    Answer,
    Cause,
    Channel,
    NoticeClass,
    NoticeState,
    Notify,
    ObligationState,
    Owed,
    Standing,
)
from noticebus.domain import obligation as rules
from noticebus.domain.escalation import extended
from noticebus.domain.policies import (
    ENDPOINTS,
    Policy,
    PolicyRecord,
    Step,
    policy_from_record,
    policy_to_record,
)
from noticebus.errors import ConflictError, Detail, InvalidError
from noticebus.ids import AgencyId, NoticeId, QuestionId, new_obligation_id
from noticebus.store import deliveries, ledger, matching, obligations
from noticebus.store.ledger import Entry, History
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation

ANSWER_WITHIN = {  # research/domain.md, section 4.5
    NoticeClass.A: dt.timedelta(hours=2),
    NoticeClass.B: dt.timedelta(hours=8),
}
ANSWER_WITHIN_OTHERWISE = dt.timedelta(days=1)
DONE_WITH = (Cause.QUESTION, Cause.STEP)  # what a poster's answer or update makes pointless
_REFUSED = {
    "more-time-used": "A time was promised already. Answer the question, or say on which ground"
    " the answer may not be shared.",
    "eta-past": "`unknown_will_report_at` has passed; send a time in the future.",
    "eta-too-far": "`unknown_will_report_at` is later than the class of the notice allows;"
    " send an earlier time.",
}


async def owe_answer(
    conn: AsyncConnection,
    notice: Notice,
    poster: AgencyFacts,
    *,
    question_id: QuestionId,
    at: Moment,
) -> Obligation:
    """Make the poster's obligation to answer a question about `notice`; it is not stored yet.

    It is due a while after it was asked, or after the poster's next opening where its policy waits
    for that.
    """
    debt = _debt(notice, owed=Owed.QUESTION, owed_for=question_id, now=at.world)
    policies = await _policies(conn, [debt], {poster.id: poster}, at=at)
    running = begin(debt, poster, policies=policies, recipient=None, at=at.world)
    within = ANSWER_WITHIN.get(notice.notice_class, ANSWER_WITHIN_OTHERWISE)
    return replace(
        running,
        due_at=(running.held_until or at.world) + within,
        policy=_frozen(running.policy, due_after=within),
    )


async def promise(
    conn: AsyncConnection, posted: Sequence[Notice], *, at: Moment
) -> list[Obligation]:
    """Store what posters owe for the `next_update_due` of notices that are out.

    A constant number of statements however many there are, and none where nothing is promised.
    """
    promising = [
        one
        for one in posted
        if one.next_update_due is not None and one.state is NoticeState.RELEASED
    ]
    if not promising:
        return []
    posters = await matching.agencies_by_id(conn, {one.agency_id for one in promising})
    debts = {
        one.id: _debt(one, owed=Owed.UPDATE, owed_for=one.id, now=at.world) for one in promising
    }
    policies = await _policies(conn, list(debts.values()), posters, at=at)
    made = [
        _promised(debts[one.id], one, posters[one.agency_id], policies, now=at.world)
        for one in promising
    ]
    await obligations.insert_obligations(conn, made)
    await _trace(conn, [_promise_line(one, now=at.world) for one in made])
    return made


async def follow(conn: AsyncConnection, notice: Notice, *, at: Moment) -> None:
    """Let a new version keep what earlier ones promised, and store what it promises itself.

    The incident is locked, and so are its obligations.
    """
    kept = [
        replace(one, state=ObligationState.CLOSED, closed_at=at.world, next_step_at=None)
        for one in await obligations.lock_promised(conn, notice.incident_id)
    ]
    if kept:
        await obligations.save_all(conn, kept)
        ids = [one.id for one in kept]
        await deliveries.make_moot(conn, ids, finished_at=at.world, causes=DONE_WITH)
        await _trace(conn, [_kept_line(one, notice, now=at.world) for one in kept])
    await promise(conn, [notice], at=at)


def postponed(owed: Obligation, until: dt.datetime, *, now: dt.datetime) -> Obligation:
    """Let a question's steps wait for the time the poster will report: once, and bounded.

    A promise made when no step is left brings the last one once more at its end. `due_at` stays:
    the answer is late all the same. Raises InvalidError or ConflictError.
    """
    asked = rules.Given(answer=Answer.NEED_MORE_TIME, version=owed.round_version, eta=until)
    decision = rules.decide(obligation=rules_view(owed), answer=asked, now=now)
    if isinstance(decision, rules.Refused):
        sentence = _REFUSED[decision.code]
        where = (Detail(pointer="/unknown_will_report_at", message=sentence),)
        raise InvalidError(sentence, code=decision.code, details=where)
    if not isinstance(decision, rules.Extends):
        raise ConflictError(
            "The question is no longer open, so its time cannot be moved. It takes an answer still."
        )
    waiting = with_last_step_again(owed, until=until)
    moved = extended(round_of(waiting), step_index=waiting.step, until=until)
    return replace(
        with_round(waiting, moved),
        promised_until=until,
        more_time_used=True,
        received_at=owed.received_at or now,
    )


def answered(owed: Obligation, *, now: dt.datetime) -> Obligation:
    """Close what a question made owed; what was withdrawn stays so, and keeps its answer."""
    decision = rules.on_question_answered(obligation=rules_view(owed), now=now)
    if not isinstance(decision, rules.Closes):
        return owed
    return replace(owed, state=ObligationState.CLOSED, closed_at=now, next_step_at=None)


def _debt(notice: Notice, *, owed: Owed, owed_for: str, now: dt.datetime) -> Obligation:
    """Make what a poster owes for a notice; its clock does not run yet.

    A record (class D) asks nothing of its recipients. What is asked about it is class C.
    """
    return Obligation(
        id=new_obligation_id(),
        incident_id=notice.incident_id,
        agency_id=notice.agency_id,
        owed=owed,
        owed_for=owed_for,
        standing=Standing.MANDATORY,
        role=None,
        status=notice.status,
        state=ObligationState.OPEN,
        epoch=1,
        notice_class=min(notice.notice_class, NoticeClass.C),
        round_notice_id=notice.id,
        round_version=notice.version,
        round_started_at=None,
        held_until=None,
        due_at=None,
        policy=_NO_POLICY,
        steps_at=[],
        step=0,
        next_step_at=None,
        delivered_at=None,
        opened_at=None,
        received_at=None,
        promised_until=None,
        more_time_used=False,
        reachable=True,
        unreachable_reason=None,
        closed_at=None,
        answered_version=0,
        created_at=now,
    )


async def _policies(
    conn: AsyncConnection,
    debts: Sequence[Obligation],
    posters: Mapping[AgencyId, AgencyFacts],
    *,
    at: Moment,
) -> Mapping[str, Policy]:
    classes = sorted({one.notice_class for one in debts})
    return await policies_in_force(conn, debts, posters, classes=classes, at=at.world)


def _promised(
    debt: Obligation,
    notice: Notice,
    poster: AgencyFacts,
    policies: Mapping[str, Policy],
    *,
    now: dt.datetime,
) -> Obligation:
    """Set the clock of a promised update: its steps count from the time it was promised for."""
    due_at = notice.next_update_due
    assert due_at is not None, "only what promises is asked for"
    running = begin(debt, poster, policies=policies, recipient=None, at=max(due_at, now))
    policy = _from_the_due_time(policy_from_record(running.policy))
    base = running.held_until or max(due_at, now)
    steps_at = [(base + step.after).isoformat() for step in policy.steps]
    return replace(
        running,
        round_started_at=now,
        due_at=due_at,
        policy=policy_to_record(policy),
        steps_at=steps_at,
        next_step_at=base + policy.steps[0].after,
    )


def _from_the_due_time(policy: Policy) -> Policy:
    """Begin the poster's chain with a reminder at the due time itself."""
    channels = policy.steps[0].channels if policy.steps else (*ENDPOINTS, Channel.EMAIL)
    first = Step(after=dt.timedelta(0), notify=Notify.ON_DUTY, channels=channels)
    rest = tuple(one for one in policy.steps if one.after > dt.timedelta(0))
    return replace(policy, due_after=dt.timedelta(0), steps=(first, *rest), quorum=1)


def _frozen(record: PolicyRecord, *, due_after: dt.timedelta) -> PolicyRecord:
    """Freeze the poster's policy with the time its answer is due; one answer is enough."""
    return policy_to_record(replace(policy_from_record(record), due_after=due_after, quorum=1))


def _promise_line(owed: Obligation, *, now: dt.datetime) -> tuple[Entry, History]:
    assert owed.due_at is not None, "a promise names its time"
    data = {"notice_id": owed.owed_for, "due_at": owed.due_at.isoformat()}
    return obligation_entry("update.promised", owed, data, at=now)


def _kept_line(owed: Obligation, notice: Notice, *, now: dt.datetime) -> tuple[Entry, History]:
    late = rules.is_late(rules_view(owed), now)
    data = {"notice_id": NoticeId(notice.id), "version": notice.version, "late": late}
    return obligation_entry("update.posted", owed, data, at=now)


async def _trace(conn: AsyncConnection, lines: Iterable[tuple[Entry, History]]) -> None:
    entries, history = zip(*lines, strict=True)
    await ledger.append(conn, entries)
    await ledger.append_history(conn, history)


_NO_POLICY: PolicyRecord = {
    "id": "",
    "version": 0,
    "recipient_kind": "",
    "notice_class": "",
    "due_after_s": None,
    "hold": "never",
    "hold_at": None,
    "steps": [],
}
"""What stands until the round begins, which freezes the policy in force."""

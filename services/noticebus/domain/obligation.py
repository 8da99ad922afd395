"""The rules of an obligation: what an answer, a new version, a delivery or a cancel does to it.

Rules take facts and give a decision as a value; the store makes it true, compare-and-set on (state,
epoch).
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    NoticeClass,
    ObligationState,
    Owed,
    Standing,
)

MORE_TIME_MAX = {
    NoticeClass.A: dt.timedelta(hours=2),
    NoticeClass.B: dt.timedelta(hours=8),
    NoticeClass.C: dt.timedelta(days=2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """The facts the rules need.

    `round_version` is the version that opened the present round, of `notice_class`. `latest_eta`
    bounds a school's promise, beside its class: children leave on the last bus.
    """

    state: ObligationState
    epoch: int
    notice_class: NoticeClass
    owed: Owed
    standing: Standing
    round_version: int
    due_at: dt.datetime | None
    promised_until: dt.datetime | None = None
    more_time_used: bool = False
    latest_eta: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer as given: about which version, with an eta (more time) or a reason (decline)."""

    answer: Answer
    version: int
    eta: dt.datetime | None = None
    reason: DeclineReason | None = None


class NoteReason(StrEnum):
    """Why an answer is recorded and changes no state."""

    RECEIVED = "received"  # the fact `received_at`; the class asks for more
    OLDER_VERSION = "older_version"
    ALREADY_CLOSED = "already_closed"
    ALREADY_DECLINED = "already_declined"
    WITHDRAWN = "withdrawn"
    WAIVED = "waived"
    QUESTION_STANDS = "question_stands"  # only an answer to the question closes it
    UPDATE_STANDS = "update_stands"  # only the next version keeps what was promised
    NOTHING_DUE = "nothing_due"  # more time asked where nothing falls due
    QUORUM_WAITS = "quorum_waits"  # one of several people whose answers are needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Closes:
    """The obligation is answered: state `closed`, no further step."""

    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Declines:
    """State `declined`, no further step.

    `reroute`: look for who is responsible instead, and say so where nobody is.
    """

    reason: DeclineReason
    reroute: bool
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Extends:
    """The next step waits until the promise (`escalation.extended`).

    `due_at` stays, `more_time_used` becomes true.
    """

    promised_until: dt.datetime
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hastens:
    """Too few people are left who may accept: the next step fires at once."""

    accepted: int
    needed: int
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """The answer is recorded; no state, deadline or step changes."""

    why: NoteReason
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The answer cannot be taken as it is: a stable code, and a sentence that says what to do."""

    code: str
    sentence: str


Decision = Closes | Declines | Extends | Notes | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class OpensRound:
    """A new round of this class; the answer is owed from this version on.

    The state becomes `open`.
    """

    epoch: int
    notice_class: NoticeClass
    round_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraws:
    """State `withdrawn`, no further step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waives:
    """State `waived`, no further step; an answer undoes it, and so does the next round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoChange:
    """Nothing to write."""


_STANDS = {Owed.QUESTION: NoteReason.QUESTION_STANDS, Owed.UPDATE: NoteReason.UPDATE_STANDS}
OWED_BY_POSTERS = frozenset(_STANDS)
"""What no acknowledgement closes, nor a decline: the answer or the update itself does."""


def closes_with(notice_class: NoticeClass) -> Answer | None:
    """Give the answer that closes a class; None for D, which its delivery closes."""
    match notice_class:
        case NoticeClass.A | NoticeClass.B:
            return Answer.ACCEPTED
        case NoticeClass.C:
            return Answer.RECEIVED
        case NoticeClass.D:
            return None
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(notice_class)


def closing_answers(notice_class: NoticeClass) -> frozenset[Answer]:
    """Give every answer that closes a class: the one it asks for, or a stronger one.

    On D any answer proves the delivery.
    """
    if closes_with(notice_class) is Answer.ACCEPTED:
        return frozenset({Answer.ACCEPTED})
    return frozenset({Answer.ACCEPTED, Answer.RECEIVED})


def is_late(obligation: Obligation, at: dt.datetime) -> bool:
    """Say whether an answer at `at` comes past the deadline; a promise does not move it."""
    return obligation.due_at is not None and at > obligation.due_at


def is_overdue(obligation: Obligation, at: dt.datetime) -> bool:
    """Say whether the obligation is past its deadline and still open at `at`."""
    return obligation.state is ObligationState.OPEN and is_late(obligation, at)


def decide(*, obligation: Obligation, answer: Given, now: dt.datetime) -> Decision:
    """Decide what an answer does.

    Repeats are the store's to recognise; late answers are taken in every state.
    """
    late = is_late(obligation, now)
    settled = _settled(obligation.state)
    if settled is not None:
        return Notes(why=settled, late=late)
    if answer.version < obligation.round_version:
        return Notes(why=NoteReason.OLDER_VERSION, late=late)
    match answer.answer:
        case Answer.ACCEPTED | Answer.RECEIVED:
            return _positive(obligation, answer.answer, late=late)
        case Answer.DECLINED:
            return _decline(obligation, answer.reason, late=late)
        case Answer.NEED_MORE_TIME:
            return _more_time(obligation, answer.eta, now=now)
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(answer.answer)


def on_question_answered(*, obligation: Obligation, now: dt.datetime) -> Closes | Notes:
    """Decide what the debtor's answer to its question does; in the end every answer is taken."""
    late = is_late(obligation, now)
    settled = _settled(obligation.state)
    return Closes(late=late) if settled is None else Notes(why=settled, late=late)


def on_delivered(*, obligation: Obligation, version: int, now: dt.datetime) -> Closes | NoChange:
    """Decide what a successful delivery of `version` does.

    It closes class D and is otherwise only a fact.
    """
    closes = (
        obligation.state is ObligationState.OPEN
        and obligation.owed is Owed.NOTICE
        and obligation.notice_class is NoticeClass.D
        and version >= obligation.round_version
    )
    return Closes(late=is_late(obligation, now)) if closes else NoChange()


def withdraw(obligation: Obligation) -> Withdraws | NoChange:
    """Decide what a cancel does: what is open is withdrawn, answers stay what they were."""
    return Withdraws() if obligation.state is ObligationState.OPEN else NoChange()


def waive(obligation: Obligation, *, epoch: int) -> Waives | NoChange:
    """Decide what the operators' waiver of round `epoch` does: only an open answer is waived.

    What a poster or the operators owe ends by the answer, the update or the person found.
    """
    waits = obligation.state is ObligationState.OPEN and obligation.epoch == epoch
    return Waives() if waits and obligation.owed is Owed.NOTICE else NoChange()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """One version of an incident. Version 1 is material by definition."""

    version: int
    notice_class: NoticeClass
    material: bool


def after_version(
    *,
    obligation: Obligation,
    new: VersionFacts,
    earlier: Iterable[VersionFacts] = (),
    answered_version: int | None = None,
) -> OpensRound | NoChange:
    """Decide whether a new version opens a round.

    Its class is the highest among unanswered material versions. `earlier` are the incident's
    previous versions, `answered_version` the highest that this recipient accepted or declined. An
    obligation that is not open leaves nothing unanswered behind it.
    """
    if not new.material:
        return NoChange()
    classes = [new.notice_class]
    if obligation.state is ObligationState.OPEN:
        classes += [
            one.notice_class
            for one in earlier
            if one.material and one.version > (answered_version or 0)
        ]
    return OpensRound(
        epoch=obligation.epoch + 1, notice_class=min(classes), round_version=new.version
    )


def _settled(state: ObligationState) -> NoteReason | None:
    """Name the states that no answer changes.

    A decline or a waiver is undone by a person who now has it.
    """
    match state:
        case ObligationState.CLOSED:
            return NoteReason.ALREADY_CLOSED
        case ObligationState.WITHDRAWN:
            return NoteReason.WITHDRAWN
        case ObligationState.OPEN | ObligationState.DECLINED | ObligationState.WAIVED:
            return None
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(state)


def _stopped(state: ObligationState) -> NoteReason | None:
    """Name the states whose clock has stopped: nothing is left to decline or to extend."""
    return {
        ObligationState.DECLINED: NoteReason.ALREADY_DECLINED,
        ObligationState.WAIVED: NoteReason.WAIVED,
    }.get(state)


def _positive(obligation: Obligation, answer: Answer, *, late: bool) -> Closes | Notes:
    """Close on the answer the class asks for or a stronger one."""
    if obligation.owed in OWED_BY_POSTERS:
        return Notes(why=_STANDS[obligation.owed], late=late)
    if answer in closing_answers(obligation.notice_class):
        return Closes(late=late)
    return Notes(why=NoteReason.RECEIVED, late=late)


def _decline(
    obligation: Obligation, reason: DeclineReason | None, *, late: bool
) -> Declines | Notes | Refused:
    if reason is None:
        return Refused(
            code="reason-missing",
            sentence="A decline needs a reason; send `reason` with one of: "
            + ", ".join(DeclineReason)
            + ".",
        )
    stopped = _stopped(obligation.state) or _STANDS.get(obligation.owed)
    if stopped is not None:
        return Notes(why=stopped, late=late)
    reroute = obligation.standing is Standing.MANDATORY and obligation.owed is Owed.NOTICE
    return Declines(reason=reason, reroute=reroute, late=late)


def _more_time(
    obligation: Obligation, eta: dt.datetime | None, *, now: dt.datetime
) -> Extends | Notes | Refused:
    late = is_late(obligation, now)
    stopped = _stopped(obligation.state)
    if stopped is not None:
        return Notes(why=stopped, late=late)
    most = MORE_TIME_MAX.get(obligation.notice_class)
    if obligation.due_at is None or most is None:
        return Notes(why=NoteReason.NOTHING_DUE, late=late)
    if obligation.more_time_used:
        return Refused(
            code="more-time-used",
            sentence="More time was already given in this round; answer `accepted` or `declined`.",
        )
    return _promise(obligation, eta, now=now, most=most, late=late)


def _promise(
    obligation: Obligation,
    eta: dt.datetime | None,
    *,
    now: dt.datetime,
    most: dt.timedelta,
    late: bool,
) -> Extends | Refused:
    if eta is None:
        return Refused(
            code="eta-missing",
            sentence="Asking for more time needs the time of your answer; send `eta`.",
        )
    if eta <= now:
        return Refused(code="eta-past", sentence="`eta` has passed; send a time in the future.")
    if eta > now + most:
        hours = most // dt.timedelta(hours=1)
        return Refused(
            code="eta-too-far",
            sentence=f"Class {obligation.notice_class} allows at most {hours} hours more;"
            " send an earlier `eta`, or decline.",
        )
    latest = obligation.latest_eta
    if latest is not None and eta > latest:
        return Refused(code="eta-too-far", sentence=_before_the_bus(latest, now=now))
    return Extends(promised_until=eta, late=late)


def _before_the_bus(latest: dt.datetime, *, now: dt.datetime) -> str:
    if latest <= now:
        return "No time is left before the last school bus; answer `accepted` or `declined`."
    return (
        "Somebody must answer before the last school bus leaves; send an `eta` of"
        f" {latest:%Y-%m-%dT%H:%M:%SZ} at the latest, or answer `accepted` or `declined`."
    )

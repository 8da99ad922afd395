"""Questions to the poster.

A recipient asks, the poster owes an answer by a time, everybody who reads at the asker's level or a
higher one may read it. Those who ask the same join the question that is there.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require, sees_every_agency
from noticebus.casework import accepted, debts, shards
from noticebus.casework.binding import Moment
from noticebus.casework.desk import Desk
from noticebus.casework.ended import refuse_ended_exercise
from noticebus.casework.informing import Message, inform
from noticebus.casework.revise import refuse_stale
from noticebus.casework.spacing import spaced
from noticebus.casework.tracing import obligation_entry
from noticebus.casework.views import level_of
from noticebus.contracts.question import AnswerPost, QuestionPost, same_words
from noticebus.contracts.rendering import reads_at
from noticebus.contracts.vocabulary import (
    Cause,
    ContentLevel,
    IncidentState,
    QuestionState,
    QuestionTopic,
    Scope,
    UnreachableReason,
)
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import AgencyId, IncidentId, NoticeId, QuestionId, new_question_id
from noticebus.store import deliveries, ledger, matching, notices, obligations, questions
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import make_entry
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.questions import Question

QUESTIONS_PER_INCIDENT_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A question as one reader may see it, with the receipt of the entry just made, if any.

    `asks` counts the agencies that ask it; `askers` names them to the poster and the operators, and
    is None for everybody else. `fresh` is false where it was there before.
    """

    question: Question
    asks: int
    askers: tuple[AgencyId, ...] | None
    receipt: dict[str, str] | None = None
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """Who asks what, about which notice, at which level."""

    agency_id: AgencyId
    tier: ContentLevel
    notice: Notice
    post: QuestionPost


async def ask(
    desk: Desk, principal: Principal, *, incident_id: IncidentId, post: QuestionPost
) -> Seen:
    """Put a question to an incident's poster: an obligation whose debtor is the poster.

    The same question of the same tier is joined while it is open, and given back with its answer
    unless the incident has a newer version than the answer.
    """
    require(principal, Scope.ANSWER)
    agency_id = own_agency(principal)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        incident = await _lock_open(conn, incident_id, asker=agency_id, now=at.world)
        asked = await questions.questions_of(conn, incident.id, limit=QUESTIONS_PER_INCIDENT_MAX)
        notice = await _latest(conn, incident)
        facts = await matching.agencies_by_id(conn, [notice.agency_id, agency_id])
        asking = _Asking(
            agency_id=agency_id, tier=level_of(facts[agency_id].kind), notice=notice, post=post
        )
        same = _same(asked, asking)
        if same is not None:
            seen, sent = await _join(conn, desk, same, asking, at=at), list[Delivery]()
        else:
            _refuse_too_many(asked)
            seen, sent = await _put(conn, desk, asking, facts[notice.agency_id], at=at)
    desk.committed(shards.of(notice, sent))
    return seen


async def answer_question(
    desk: Desk,
    principal: Principal,
    *,
    question_id: QuestionId,
    post: AnswerPost,
    base_version: int | None = None,
) -> Seen:
    """Answer a question of one's own incident, and tell everybody who asked it.

    A promise to report later moves the poster's own steps, once, and closes nothing. Whoever says
    which `base_version` was read gets a ConflictError where there is a newer one.
    """
    require(principal, Scope.POST)
    async with desk.database.begin() as conn:
        question, owed = await _lock_owed(conn, principal, question_id, base_version=base_version)
        at = Moment(world=desk.world.now(), machine=desk.machine.now())
        promised = post.unknown_will_report_at
        if promised is None:
            after = debts.answered(owed, now=at.world)
        else:
            after = debts.postponed(owed, promised, now=at.world)
        given = post.model_dump(mode="json", exclude_none=True)
        await obligations.save(conn, before=owed, after=after)
        entry, line = obligation_entry(
            "question.answered" if promised is None else "question.promised",
            after,
            {"question_id": question.id, "promised_until": accepted.wire_instant(promised)},
            at=at.world,
        )
        (recorded,) = await ledger.append(conn, [entry])
        await ledger.append_history(conn, [line])
        asking = _everybody(question, await questions.askers_of(conn, [question.id]))
        notice = (await notices.notices_by_id(conn, [question.notice_id]))[question.notice_id]
        sent: list[Delivery] = []
        if promised is None:
            await questions.close_question(conn, question.id, answer=given, at=at.world)
            sent = await _tell_askers(conn, desk, notice, question, asking, given=given, at=at)
        else:
            await questions.keep_promise(conn, question.id, answer=given)
    desk.committed(shards.of(notice, sent))
    return Seen(
        question=_with_answer(question, given, None if promised else at.world),
        asks=len(asking),
        askers=asking,
        receipt=accepted.receipt(desk.keyring, recorded),
    )


async def list_questions(
    desk: Desk, principal: Principal, *, incident_id: IncidentId
) -> Sequence[Seen]:
    """Read the questions about an incident that the caller may see.

    The poster and the operators see all; those bound see what was asked at their level or below.
    """
    async with desk.database.read() as conn:
        incident = await notices.incident_by_id(conn, incident_id)
        if incident is None:
            raise _unknown_incident(incident_id)
        everything = sees_every_agency(principal) or principal.agency_id == incident.agency_id
        level = ContentLevel.CPS if everything else await _level(conn, principal, incident)
        asked = [
            one
            for one in await questions.questions_of(
                conn, incident_id, limit=QUESTIONS_PER_INCIDENT_MAX
            )
            if reads_at(level, one.tier)
        ]
        askers = await questions.askers_of(conn, [one.id for one in asked])
    return [_seen(one, _everybody(one, askers), names=everything) for one in asked]


async def _put(
    conn: AsyncConnection, desk: Desk, asking: _Asking, poster: AgencyFacts, *, at: Moment
) -> tuple[Seen, list[Delivery]]:
    """Store a new question with what the poster owes for it, and tell the poster."""
    notice = asking.notice
    question_id = new_question_id()
    owed = await debts.owe_answer(conn, notice, poster, question_id=question_id, at=at)
    question = _question(owed, asking, question_id=question_id, now=at.world)
    asked = Message(cause=Cause.QUESTION, subject=owed.id, detail={"question": _asked(question)})
    sent = await inform(conn, desk, notice, [owed], asked, at=at)
    if not sent:  # its steps fall through to the operators; the report says why (I6)
        reason = UnreachableReason.NO_VERIFIED_CHANNEL
        owed = replace(owed, reachable=False, unreachable_reason=reason)
    entry, line = obligation_entry(
        "question.asked",
        owed,
        {
            "question_id": question.id,
            "asked_by": question.asked_by,
            "topic": question.topic,
            "tier": question.tier,
        },
        at=at.world,
    )
    await obligations.insert_obligations(conn, [owed])
    await questions.insert_question(conn, question)
    await insert_deliveries(conn, await spaced(conn, sent, now=at.world))
    (recorded,) = await ledger.append(conn, [entry])
    await ledger.append_history(conn, [line])
    receipt = accepted.receipt(desk.keyring, recorded)
    return Seen(question=question, asks=1, askers=None, receipt=receipt), sent


async def _join(
    conn: AsyncConnection, desk: Desk, question: Question, asking: _Asking, *, at: Moment
) -> Seen:
    """Enter one more asker of a question that is there; asking again changes nothing.

    An answered question is given back as it is: there is nothing to wait for.
    """
    everybody = _everybody(question, await questions.askers_of(conn, [question.id]))
    seen = Seen(question=question, asks=len(everybody), askers=None, fresh=False)
    if question.state is QuestionState.ANSWERED or asking.agency_id in everybody:
        return seen
    await questions.add_asker(conn, question.id, agency_id=asking.agency_id, at=at.world)
    data = {"question_id": question.id, "asked_by": asking.agency_id}
    entry = make_entry("question.joined", data, at=at.world, incident_id=question.incident_id)
    (recorded,) = await ledger.append(conn, [entry])
    receipt = accepted.receipt(desk.keyring, recorded)
    return replace(seen, asks=seen.asks + 1, receipt=receipt)


def _same(asked: Sequence[Question], asking: _Asking) -> Question | None:
    """Find the same question of the same tier: open, or answered since the latest version."""
    for one in reversed(asked):
        alike = one.topic is asking.post.topic and one.tier is asking.tier
        if one.topic is QuestionTopic.OTHER:
            alike = alike and same_words(one.text) == same_words(asking.post.text or "")
        stands = one.answered_at is None or one.answered_at >= asking.notice.accepted_at
        if alike and stands:
            return one
    return None


async def _tell_askers(  # noqa: PLR0913  (whom, of which answer to which question)
    conn: AsyncConnection,
    desk: Desk,
    notice: Notice,
    question: Question,
    asking: Sequence[AgencyId],
    *,
    given: Mapping[str, Any],
    at: Moment,
) -> list[Delivery]:
    """Tell everybody who asked, and end what still reminds the poster."""
    await deliveries.make_moot(
        conn, [question.obligation_id], finished_at=at.world, causes=debts.DONE_WITH
    )
    bound = await obligations.bound_among(conn, question.incident_id, agency_ids=asking)
    shared = {name: value for name, value in given.items() if name != "by"}
    detail = _asked(question) | {
        "tier": question.tier.value,
        "answer": shared,
        "answered_at": at.world.isoformat(),
    }
    told = Message(cause=Cause.ANSWER, subject=question.id, detail={"question": detail})
    sent = await inform(conn, desk, notice, bound, told, at=at)
    await insert_deliveries(conn, await spaced(conn, sent, now=at.world))
    return sent


async def _lock_open(
    conn: AsyncConnection, incident_id: IncidentId, *, asker: AgencyId, now: dt.datetime
) -> Incident:
    """Lock an incident that binds the asker; nobody else hears that it is over (I8)."""
    incident = (await notices.lock_incidents(conn, [incident_id])).get(incident_id)
    if incident is None:
        raise _unknown_incident(incident_id)
    if not await obligations.bound_among(conn, incident.id, agency_ids=[asker]):
        raise _unknown_incident(incident_id)  # an embargo hides the incident (I8)
    if incident.state is IncidentState.CANCELLED:
        raise ConflictError(
            "The incident was cancelled and takes no question. Ring the poster: see `sender`.",
            code="incident-cancelled",
        )
    await refuse_ended_exercise(conn, incident, what="question", now=now)
    return incident


def _refuse_too_many(asked: Sequence[Question]) -> None:
    if len(asked) == QUESTIONS_PER_INCIDENT_MAX:
        raise ConflictError(
            "This incident can take no more questions. Ring the poster: see `sender`.",
            code="too-many-questions",
        )


async def _latest(conn: AsyncConnection, incident: Incident) -> Notice:
    found = await notices.notices_by_id(conn, [incident.latest_notice_id])
    return found[incident.latest_notice_id]


async def _lock_owed(
    conn: AsyncConnection,
    principal: Principal,
    question_id: QuestionId,
    *,
    base_version: int | None,
) -> tuple[Question, Obligation]:
    """Lock the incident, so that nobody joins meanwhile, and what is owed for the question."""
    unknown = NotFoundError(f"No question {question_id} was put to your agency. Check the id.")
    found = await questions.question_by_id(conn, question_id)
    if found is None:
        raise unknown
    incidents = await notices.lock_incidents(conn, [found.incident_id])
    if incidents[found.incident_id].agency_id != own_agency(principal):
        raise unknown
    (owed,) = await obligations.lock_obligations(conn, ids=[found.obligation_id])
    question = await questions.question_by_id(conn, question_id, lock=True)
    assert question is not None, "questions are never deleted"
    if question.state is QuestionState.ANSWERED:
        raise ConflictError(
            "The question is answered already. Post an update if the answer has changed.",
            code="question-answered",
        )
    if base_version is not None:
        refuse_stale(incidents[found.incident_id], base_version=base_version)
    return question, owed


async def _level(conn: AsyncConnection, principal: Principal, incident: Incident) -> ContentLevel:
    """Tell at which level a recipient reads an incident's questions; nobody else reads any."""
    if principal.agency_id is None or principal.agency_kind is None:
        raise _unknown_incident(incident.id)
    if not await obligations.bound_among(conn, incident.id, agency_ids=[principal.agency_id]):
        raise _unknown_incident(incident.id)
    return level_of(principal.agency_kind)


def _unknown_incident(incident_id: IncidentId) -> NotFoundError:
    return NotFoundError(
        f"There is no incident {incident_id} that your agency has a part in. Check the id."
    )


def _question(
    owed: Obligation, asking: _Asking, *, question_id: QuestionId, now: dt.datetime
) -> Question:
    assert owed.due_at is not None, "an answer is always due"
    return Question(
        id=question_id,
        incident_id=asking.notice.incident_id,
        notice_id=NoticeId(asking.notice.id),
        asked_by=asking.agency_id,
        obligation_id=owed.id,
        topic=asking.post.topic,
        text=asking.post.text or "",
        due_at=owed.due_at,
        state=QuestionState.OPEN,
        answer=None,
        answered_at=None,
        created_at=now,
        tier=asking.tier,
    )


def _asked(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "incident_id": question.incident_id,
        "notice_id": question.notice_id,
        "topic": question.topic.value,
        "text": question.text,
        "due_at": question.due_at.isoformat(),
    }


def _everybody(
    question: Question, askers: Mapping[QuestionId, Sequence[AgencyId]]
) -> tuple[AgencyId, ...]:
    """List who asks, the first first; a question of before they were noted has its one asker."""
    return tuple(dict.fromkeys([question.asked_by, *askers.get(question.id, ())]))


def _seen(question: Question, everybody: tuple[AgencyId, ...], *, names: bool) -> Seen:
    return Seen(question=question, asks=len(everybody), askers=everybody if names else None)


def _with_answer(
    question: Question, given: dict[str, Any], answered_at: dt.datetime | None
) -> Question:
    state = question.state if answered_at is None else QuestionState.ANSWERED
    return replace(question, state=state, answer=given, answered_at=answered_at)

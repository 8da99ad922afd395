"""Questions to the poster.

A recipient asks, the poster owes an answer by a time, everybody bound may read it.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require, sees_every_agency
from noticebus.casework import accepted, shards
from noticebus.casework.answer import rules_view
from noticebus.casework.binding import Moment, to_contact, to_subscription
from noticebus.casework.desk import Desk
from noticebus.casework.tracing import obligation_entry
from noticebus.contracts.question import AnswerPost, QuestionPost
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    IncidentState,
    NoticeClass,
    Notify,
    ObligationState,
    Owed,
    QuestionState,
    Scope,
    Standing,
)
from noticebus.domain.escalation import resolve, start_round
from noticebus.domain.obligation import Closes, on_question_answered
from noticebus.domain.policies import default_policy, policy_to_record
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import AgencyId, IncidentId, QuestionId, new_obligation_id, new_question_id
from noticebus.store import acknowledgements, ledger, matching, notices, obligations
from noticebus.store.acknowledgements import Question
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation

QUESTIONS_PER_INCIDENT_MAX = 200
ANSWER_WITHIN = {  # research/domain.md, section 4.5
    NoticeClass.A: dt.timedelta(hours=2),
    NoticeClass.B: dt.timedelta(hours=8),
}
ANSWER_WITHIN_OTHERWISE = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with the receipt of its entry, None where it is only read."""

    question: Question
    receipt: dict[str, str] | None


async def ask(
    desk: Desk, principal: Principal, *, incident_id: IncidentId, post: QuestionPost
) -> Asked:
    """Put a question to an incident's poster.

    An obligation of its own, whose debtor is the poster.
    """
    require(principal, Scope.ANSWER)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    agency_id = own_agency(principal)
    async with desk.database.begin() as conn:
        incident = await _lock_open(conn, incident_id)
        bound = await obligations.find_obligation(
            conn, incident_id=incident.id, agency_id=agency_id
        )
        if bound is None or bound.round_started_at is None:  # an embargo hides the incident (I8)
            raise _unknown_incident(incident_id)
        asked = await acknowledgements.questions_of(
            conn, incident.id, limit=QUESTIONS_PER_INCIDENT_MAX
        )
        if len(asked) == QUESTIONS_PER_INCIDENT_MAX:
            raise ConflictError(
                "This incident can take no more questions. Ring the poster: see `sender`.",
                code="too-many-questions",
            )
        notice = (await notices.notices_by_id(conn, [incident.latest_notice_id]))[
            incident.latest_notice_id
        ]
        poster = (await matching.agencies_by_id(conn, [notice.agency_id]))[notice.agency_id]
        question_id = new_question_id()
        owed = _owed(notice, poster, question_id=question_id, now=at.world)
        question = _question(owed, notice, post=post, asked_by=agency_id, now=at.world)
        sent = await _tell_poster(conn, owed, notice, question, at=at)
        entry, line = obligation_entry(
            "question.asked",
            owed,
            {"question_id": question.id, "asked_by": agency_id, "topic": question.topic},
            at=at.world,
        )
        await obligations.insert_obligations(conn, [owed])
        await acknowledgements.insert_question(conn, question)
        await insert_deliveries(conn, sent)
        (recorded,) = await ledger.append(conn, [entry])
        await ledger.append_history(conn, [line])
    desk.committed(shards.of(notice, sent))
    return Asked(question=question, receipt=accepted.receipt(desk.keyring, recorded))


async def answer_question(
    desk: Desk, principal: Principal, *, question_id: QuestionId, post: AnswerPost
) -> Asked:
    """Answer a question of one's own incident.

    A promise to report later is kept, and closes nothing.
    """
    require(principal, Scope.POST)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        question = await acknowledgements.question_by_id(conn, question_id, lock=True)
        owed = (
            None
            if question is None
            else (await obligations.lock_obligations(conn, ids=[question.obligation_id]))[0]
        )
        if question is None or owed is None or owed.agency_id != own_agency(principal):
            raise NotFoundError(f"No question {question_id} was put to your agency. Check the id.")
        if question.state is QuestionState.ANSWERED:
            raise ConflictError(
                "The question is answered already. Post an update if the answer has changed.",
                code="question-answered",
            )
        promised = post.unknown_will_report_at
        after = _answered(owed, promised=promised, now=now)
        given = post.model_dump(mode="json", exclude_none=True)
        if promised is None:
            await acknowledgements.close_question(conn, question.id, answer=given, at=now)
        else:
            await acknowledgements.keep_promise(conn, question.id, answer=given)
        await obligations.save(conn, before=owed, after=after)
        entry, line = obligation_entry(
            "question.answered" if promised is None else "question.promised",
            after,
            {"question_id": question.id, "promised_until": accepted.wire_instant(promised)},
            at=now,
        )
        (recorded,) = await ledger.append(conn, [entry])
        await ledger.append_history(conn, [line])
    desk.committed()
    answered = (
        replace(question, state=QuestionState.ANSWERED, answer=given, answered_at=now)
        if promised is None
        else replace(question, answer=given)
    )
    return Asked(question=answered, receipt=accepted.receipt(desk.keyring, recorded))


async def list_questions(
    desk: Desk, principal: Principal, *, incident_id: IncidentId
) -> Sequence[Question]:
    """Read the questions about an incident.

    For its poster, those bound by it, and the operators.
    """
    async with desk.database.read() as conn:
        incident = await notices.incident_by_id(conn, incident_id)
        if incident is None or not await _may_read(conn, principal, incident):
            raise _unknown_incident(incident_id)
        return await acknowledgements.questions_of(
            conn, incident_id, limit=QUESTIONS_PER_INCIDENT_MAX
        )


async def _lock_open(conn: AsyncConnection, incident_id: IncidentId) -> Incident:
    incident = (await notices.lock_incidents(conn, [incident_id])).get(incident_id)
    if incident is None:
        raise _unknown_incident(incident_id)
    if incident.state is IncidentState.CANCELLED:  # a cleared one may still have children to find
        raise ConflictError(
            "The incident was cancelled and takes no question. Ring the poster: see `sender`.",
            code="incident-cancelled",
        )
    return incident


def _unknown_incident(incident_id: IncidentId) -> NotFoundError:
    return NotFoundError(
        f"There is no incident {incident_id} that your agency has a part in. Check the id."
    )


async def _may_read(conn: AsyncConnection, principal: Principal, incident: Incident) -> bool:
    if sees_every_agency(principal) or principal.agency_id == incident.agency_id:
        return True
    if principal.agency_id is None:
        return False
    owed = await obligations.find_obligation(
        conn, incident_id=incident.id, agency_id=principal.agency_id
    )
    latest = await notices.notices_by_id(conn, [incident.latest_notice_id])
    told = latest[incident.latest_notice_id].released_at is not None
    return owed is not None and told


def _owed(
    notice: Notice, poster: AgencyFacts, *, question_id: QuestionId, now: dt.datetime
) -> Obligation:
    """Make what the poster owes. Its own steps come with the escalation of questions.

    The due time is kept now.
    """
    policy = default_policy(
        kind=poster.kind,
        notice_class=notice.notice_class,
        standing=Standing.MANDATORY,
        calendar=poster.calendar,
        at=now,
    )
    silent = replace(policy, steps=())
    within = ANSWER_WITHIN.get(notice.notice_class, ANSWER_WITHIN_OTHERWISE)
    current = start_round(policy=silent, hours=poster.hours, started_at=now)
    return Obligation(
        id=new_obligation_id(),
        incident_id=notice.incident_id,
        agency_id=poster.id,
        owed=Owed.QUESTION,
        owed_for=question_id,
        standing=Standing.MANDATORY,
        role=None,
        status=notice.status,
        state=ObligationState.OPEN,
        epoch=1,
        notice_class=notice.notice_class,
        round_notice_id=notice.id,
        round_version=notice.version,
        round_started_at=current.started_at,
        held_until=None,
        due_at=now + within,
        policy=policy_to_record(silent),
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


def _question(
    owed: Obligation, notice: Notice, *, post: QuestionPost, asked_by: str, now: dt.datetime
) -> Question:
    assert owed.due_at is not None, "an answer is always due"
    return Question(
        id=QuestionId(owed.owed_for),
        incident_id=notice.incident_id,
        notice_id=notice.id,
        asked_by=AgencyId(asked_by),
        obligation_id=owed.id,
        topic=post.topic,
        text=post.text or "",
        due_at=owed.due_at,
        state=QuestionState.OPEN,
        answer=None,
        answered_at=None,
        created_at=now,
    )


async def _tell_poster(
    conn: AsyncConnection, owed: Obligation, notice: Notice, question: Question, *, at: Moment
) -> list[Delivery]:
    """Tell the poster over its own subscriptions' endpoints and by mail to its desk on duty."""
    orders = (await matching.orders_of_agencies(conn, [owed.agency_id])).get(owed.agency_id, [])
    contacts = (
        await matching.contact_points(conn, [owed.agency_id], at=at.world, telephone=False)
    ).get(owed.agency_id, [])
    sent = [
        to_subscription(owed, notice=notice, order=order, cause=Cause.QUESTION, at=at)
        for order in orders
        if order.channel is Channel.WEBHOOK
    ]
    sent += [
        to_contact(
            owed,
            notice=notice,
            contact=contact,
            channel=Channel.EMAIL,
            cause=Cause.QUESTION,
            at=at,
        )
        for contact in resolve(Notify.ON_DUTY, contacts).contacts
    ]
    asked = {
        "id": question.id,
        "incident_id": question.incident_id,
        "notice_id": question.notice_id,
        "topic": question.topic.value,
        "text": question.text,
        "due_at": question.due_at.isoformat(),
    }
    return [replace(one, detail={"question": asked}) for one in sent]


def _answered(owed: Obligation, *, promised: dt.datetime | None, now: dt.datetime) -> Obligation:
    if promised is not None:
        return replace(owed, promised_until=promised, received_at=owed.received_at or now)
    if not isinstance(on_question_answered(obligation=rules_view(owed), now=now), Closes):
        return owed
    return replace(owed, state=ObligationState.CLOSED, closed_at=now, next_step_at=None)

"""What a change to an incident would do, counted before it is made: for the pages that ask for it.

Reads only. What the change itself does is in `cancel`, `all_clear` and `questions`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework import accepted
from noticebus.casework.all_clear import OPEN_NAMED_MAX, open_matter
from noticebus.casework.cancel import pending_cancel
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import NoticeState, ObligationState, Owed, Scope
from noticebus.errors import NotFoundError
from noticebus.ids import AgencyId, IncidentId, ObligationId, QuestionId
from noticebus.store import incident_recipients, matching, notices, obligations, questions
from noticebus.store.cancel_requests import CancelRequest
from noticebus.store.incident_recipients import Tally
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.questions import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """An incident as whoever would end it must know it. `against`: why an all-clear is too early.

    Of what stands against it the first are named, and `against_more` says that there are others.
    """

    now: dt.datetime
    incident: Incident
    latest: Notice
    poster: AgencyFacts
    content: Mapping[str, Any]
    pending: CancelRequest | None
    tallies: Sequence[Tally]
    against: Sequence[tuple[ObligationId, str]]
    against_more: bool

    @property
    def is_embargoed(self) -> bool:
        return self.latest.state is NoticeState.SCHEDULED

    @property
    def told(self) -> int:
        """Count the recipients who hear of it: everybody bound, nobody under an embargo."""
        return 0 if self.is_embargoed else sum(one.count for one in self._of_notices())

    @property
    def unreached(self) -> int:
        """Count those of them whom nothing reaches: somebody has to ring them."""
        return (
            0
            if self.is_embargoed
            else sum(one.count for one in self._of_notices() if not one.reachable)
        )

    @property
    def open_answers(self) -> int:
        """Count the recipients who still owe an answer."""
        return sum(one.count for one in self._of_notices() if one.state is ObligationState.OPEN)

    @property
    def given(self) -> int:
        """Count the recipients whose answer stands, whatever comes."""
        stands = (ObligationState.CLOSED, ObligationState.DECLINED)
        return sum(one.count for one in self._of_notices() if one.state in stands)

    def open_debts(self, owed: Owed) -> int:
        """Count what the poster or the operators still owe of one kind."""
        return sum(
            one.count
            for one in self.tallies
            if one.owed == owed and one.state is ObligationState.OPEN
        )

    def _of_notices(self) -> list[Tally]:
        return [one for one in self.tallies if one.owed is Owed.NOTICE]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToAnswer:
    """A question as its poster must know it to answer: who asks it, about what, until when."""

    now: dt.datetime
    question: Question
    incident: Incident
    latest: Notice
    poster: AgencyFacts
    content: Mapping[str, Any]
    owed: Obligation
    askers: Sequence[AgencyFacts]


async def read_prospect(
    desk: Desk, principal: Principal, *, incident_id: IncidentId, operates: bool = False
) -> Prospect:
    """Read what ending an incident would do, for its poster; with `operates`, for operators too."""
    may = {Scope.POST, Scope.OPERATE} if operates else {Scope.POST}
    require(principal, *sorted(may))
    now = desk.world.now()
    async with desk.database.read() as conn:
        incident = await notices.incident_by_id(conn, incident_id)
        sees_all = operates and Scope.OPERATE in principal.scopes
        if incident is None or not (sees_all or incident.agency_id == own_agency(principal)):
            raise NotFoundError(f"There is no incident {incident_id} of yours. Check the address.")
        against = await incident_recipients.open_of_class_a(
            conn, incident_id, limit=OPEN_NAMED_MAX + 1
        )
        agencies = await _agencies(conn, incident, {one.agency_id for one in against})
        latest = await _latest(conn, incident)
        return Prospect(
            now=now,
            incident=incident,
            latest=latest,
            poster=agencies[incident.agency_id],
            content=accepted.body_of(latest),
            pending=await pending_cancel(conn, incident, now=now),
            tallies=await incident_recipients.tallies(conn, incident_id),
            against=[
                (one.id, open_matter(one, agencies[one.agency_id]))
                for one in against[:OPEN_NAMED_MAX]
            ],
            against_more=len(against) > OPEN_NAMED_MAX,
        )


async def read_question(desk: Desk, principal: Principal, *, question_id: QuestionId) -> ToAnswer:
    """Read a question that was put to the principal's agency, for the page that answers it."""
    require(principal, Scope.POST)
    async with desk.database.read() as conn:
        question = await questions.question_by_id(conn, question_id)
        incident = (
            None if question is None else await notices.incident_by_id(conn, question.incident_id)
        )
        if question is None or incident is None or incident.agency_id != own_agency(principal):
            raise NotFoundError(
                f"No question {question_id} was put to your agency. Check the address."
            )
        owed = await obligations.obligation_by_id(conn, question.obligation_id)
        assert owed is not None, "a question is owed"
        asking = (await questions.askers_of(conn, [question_id])).get(question_id, [])
        everybody = list(dict.fromkeys([question.asked_by, *asking]))
        agencies = await _agencies(conn, incident, set(everybody))
        latest = await _latest(conn, incident)
        return ToAnswer(
            now=desk.world.now(),
            question=question,
            incident=incident,
            latest=latest,
            poster=agencies[incident.agency_id],
            content=accepted.body_of(latest),
            owed=owed,
            askers=[agencies[one] for one in everybody],
        )


async def _latest(conn: AsyncConnection, incident: Incident) -> Notice:
    found = await notices.notices_by_id(conn, [incident.latest_notice_id])
    return found[incident.latest_notice_id]


async def _agencies(
    conn: AsyncConnection, incident: Incident, others: set[AgencyId]
) -> Mapping[AgencyId, AgencyFacts]:
    return await matching.agencies_by_id(conn, {incident.agency_id, *others})

"""How an exercise went: what each recipient did, its score, and the whole in figures."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework import exercises
from noticebus.casework.desk import Desk
from noticebus.casework.obligation_views import agency_ref
from noticebus.contracts.exercise import (
    ExerciseRecipient,
    ExerciseReport,
    ExerciseSummary,
    ExerciseView,
)
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.domain.exercise import IN_TIME, RULE, Overall, Taken, overall, score
from noticebus.ids import AgencyId, ExerciseId, IncidentId, ObligationId
from noticebus.store import exercises as stored
from noticebus.store import matching, obligations
from noticebus.store.exercises import Answers, Arrival
from noticebus.store.matching import AgencyFacts
from noticebus.store.obligations import Obligation

RECIPIENTS_MAX = 20_000  # of one exercise that are read, and scored
SHOWN_MAX = 500  # of those that are listed; all are in the figures
NAMED_MAX = 100
SETTLED = frozenset({ObligationState.CLOSED, ObligationState.DECLINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What happened in one exercise, by obligation."""

    exercise: ExerciseView
    agencies: Mapping[AgencyId, AgencyFacts]
    arrivals: Mapping[ObligationId, Arrival]
    answers: Mapping[ObligationId, Answers]
    steps: Mapping[ObligationId, int]


async def report_exercise(
    desk: Desk, principal: Principal, *, exercise_id: ExerciseId
) -> ExerciseReport:
    """Score an exercise: six statements, however many took part. While it runs, as it stands."""
    now = desk.world.now()
    exercise = await exercises.get_exercise(desk, principal, exercise_id=exercise_id)
    incident_id = IncidentId(exercise.incident_id)
    async with desk.database.read() as conn:
        bound = [
            one
            for one in await obligations.obligations_of(
                conn, incident_id=incident_id, limit=RECIPIENTS_MAX
            )
            if one.owed is Owed.NOTICE
        ]
        facts = await facts_of(conn, exercise, bound)
    taken = {one.id: _taken(one, facts) for one in bound}
    ranked = sorted(bound, key=lambda one: (_rank(taken[one.id]), one.id))
    return ExerciseReport(
        as_of=now,
        exercise=exercise,
        rule=RULE,
        summary=_summary(overall(list(taken.values())), facts, recipients=len(bound)),
        recipients=tuple(recipient_of(one, facts) for one in ranked[:SHOWN_MAX]),
        recipients_left_out=max(len(ranked) - SHOWN_MAX, 0),
    )


async def facts_of(
    conn: AsyncConnection, exercise: ExerciseView, bound: Sequence[Obligation]
) -> Facts:
    """Read what happened in an exercise: four statements, however many took part."""
    incident_id = IncidentId(exercise.incident_id)
    return Facts(
        exercise=exercise,
        agencies=await matching.agencies_by_id(conn, {one.agency_id for one in bound}),
        arrivals=await stored.first_arrivals(conn, incident_id),
        answers=await stored.answer_times(conn, incident_id),
        steps=await stored.steps_fired(conn, incident_id),
    )


def _rank(taken: Taken) -> int:
    """Put the lowest scores first, and after all who have one whose answer was waived."""
    points = score(taken)
    return IN_TIME + 1 if points is None else points


def _taken(owed: Obligation, facts: Facts) -> Taken:
    arrival = facts.arrivals.get(owed.id)
    answers = facts.answers.get(owed.id)
    closing = answers.closing_at if answers else None
    return Taken(
        agency_id=owed.agency_id,
        standing=owed.standing,
        told_at=arrival.at if arrival else None,
        due_at=owed.due_at,
        settled_at=(owed.closed_at or closing) if owed.state in SETTLED else None,
        steps=facts.steps.get(owed.id, 0),
        waived=owed.state is ObligationState.WAIVED,
    )


def recipient_of(owed: Obligation, facts: Facts) -> ExerciseRecipient:
    """Say what one recipient did."""
    taken = _taken(owed, facts)
    arrival, answers = facts.arrivals.get(owed.id), facts.answers.get(owed.id)
    starts_at = facts.exercise.starts_at
    return ExerciseRecipient(
        obligation_id=owed.id,
        agency=agency_ref(facts.agencies[owed.agency_id]),
        standing=owed.standing,
        notice_class=owed.notice_class,
        state=owed.state,
        told_at=taken.told_at,
        told_after_s=_after(taken.told_at, since=starts_at),
        channel=arrival.channel if arrival else None,
        due_at=owed.due_at,
        first_answer_at=answers.first_at if answers else None,
        closing_answer_at=taken.settled_at,
        answered_after_s=_after(taken.settled_at, since=starts_at),
        steps=taken.steps,
        score=score(taken),
    )


def _summary(figures: Overall, facts: Facts, *, recipients: int) -> ExerciseSummary:
    slowest = figures.slowest
    return ExerciseSummary(
        recipients=recipients,
        mandatory=figures.mandatory,
        within_target=figures.within_target,
        score=figures.score,
        slowest=agency_ref(facts.agencies[slowest.agency_id]) if slowest else None,
        slowest_after_s=_after(slowest.settled_at, since=facts.exercise.starts_at)
        if slowest
        else None,
        never_reached=tuple(
            agency_ref(facts.agencies[one]) for one in figures.never_reached[:NAMED_MAX]
        ),
        never_answered=tuple(
            agency_ref(facts.agencies[one]) for one in figures.never_answered[:NAMED_MAX]
        ),
        waived=tuple(agency_ref(facts.agencies[one]) for one in figures.waived[:NAMED_MAX]),
    )


def _after(at: dt.datetime | None, *, since: dt.datetime) -> int | None:
    return None if at is None else max(int((at - since).total_seconds()), 0)

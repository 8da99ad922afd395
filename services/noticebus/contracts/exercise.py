"""An exercise: a drill posted ahead, run through the whole path, and scored."""

import datetime as dt
from typing import Annotated, Self

from pydantic import Field, model_validator

from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import (
    Accepted,
    AgencyIdText,
    ExerciseIdText,
    IncidentIdText,
    Instant,
    Name,
    NoticeIdText,
    ObligationIdText,
    Published,
    at,
    refuse,
)
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import (
    Channel,
    ExerciseState,
    NoticeClass,
    ObligationState,
    Standing,
    Status,
)
from noticebus.errors import Detail

LENGTH_MAX = dt.timedelta(days=14)


class ExercisePost(Accepted):
    """An exercise to come: nobody is told before `starts_at`, and nobody reminded after `ends_at`.

    The notice has the status `exercise` and no `release_at`: that is `starts_at`. An operator names
    in `agency_id` the agency that posts it.
    """

    name: Name
    starts_at: Instant
    ends_at: Instant
    agency_id: AgencyIdText | None = None
    notice: NoticePost

    @model_validator(mode="after")
    def _can_be_held(self) -> Self:
        refuse([*_time_faults(self), *_notice_faults(self)])
        return self


class ExerciseView(Published):
    """An exercise as its agency and the operators see it."""

    id: ExerciseIdText
    name: str
    agency: AgencyRef
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    state: ExerciseState
    starts_at: Instant
    ends_at: Instant
    created_at: Instant


class ExerciseRecipient(Published):
    """What one recipient did. Times that did not come are null, never zero.

    `told_after_s` and `answered_after_s` count from the start of the exercise. `score` is null
    where the recipient's answer was waived.
    """

    obligation_id: ObligationIdText
    agency: AgencyRef
    standing: Standing
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    state: ObligationState
    told_at: Instant | None
    told_after_s: int | None
    channel: Channel | None
    due_at: Instant | None
    first_answer_at: Instant | None
    closing_answer_at: Instant | None
    answered_after_s: int | None
    steps: int
    score: int | None


class ExerciseSummary(Published):
    """The exercise as a whole: mandatory recipients only.

    `score` is their mean and null where there is none; `slowest` has its closing answer last. Those
    in `waived` are in no figure.
    """

    recipients: int
    mandatory: int
    within_target: int
    score: int | None
    slowest: AgencyRef | None
    slowest_after_s: int | None
    never_reached: tuple[AgencyRef, ...]
    never_answered: tuple[AgencyRef, ...]
    waived: tuple[AgencyRef, ...] = ()


class ExerciseReport(Published):
    """How an exercise went; while it runs, so far. The lowest scores come first."""

    as_of: Instant
    exercise: ExerciseView
    rule: str
    summary: ExerciseSummary
    recipients: tuple[ExerciseRecipient, ...]
    recipients_left_out: int


def _time_faults(post: ExercisePost) -> list[Detail]:
    if post.ends_at <= post.starts_at:
        return [at("/ends_at", "give a time after starts_at")]
    if post.ends_at - post.starts_at > LENGTH_MAX:
        return [at("/ends_at", f"give a time at most {LENGTH_MAX.days} days after starts_at")]
    return []


def _notice_faults(post: ExercisePost) -> list[Detail]:
    notice, faults = post.notice, []
    if notice.status is not Status.EXERCISE:
        faults.append(at("/notice/status", "write exercise: nothing else is an exercise"))
    if notice.release_at is not None:
        faults.append(at("/notice/release_at", "leave it out: starts_at says when"))
    if notice.expires_at is not None and notice.expires_at <= post.starts_at:
        faults.append(at("/notice/expires_at", "give a time after starts_at"))
    return faults

"""The unacknowledged report: who has not answered, since when, and whom to call now."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import (
    IncidentIdText,
    Instant,
    NoticeIdText,
    ObligationIdText,
    OfferIdText,
    Published,
    QuestionIdText,
    SubscriptionIdText,
)
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    NoticeClass,
    Notify,
    ObligationState,
    OfferState,
    OfferType,
    Outcome,
    Owed,
    QuestionTopic,
    Standing,
    Status,
)

NOT_REACHED = "not reached"


class Age(StrEnum):
    """How an open obligation stands to its own deadline (research/ux.md, section 4.2)."""

    EARLY = "early"  # not due for a while, or nothing due
    SOON = "soon"  # due within 15 minutes
    LATE = "late"  # overdue, by less than an hour
    LATER = "later"  # by 1 to 4 hours
    LATEST = "latest"  # by 4 to 24 hours
    OLDEST = "oldest"  # by more than 24 hours


class ReportFilter(Published):
    """What the report was asked for; null is "any"."""

    kind: AgencyKind | None
    area: str | None
    notice_class: Annotated[NoticeClass | None, Field(alias="class")]
    overdue: bool | None
    status: Status
    age: Age | None = None


class Percentile(Published):
    """A time to close, by nearest rank over all that fell due; the silent rank last.

    `seconds` is null and `label` reads "not reached" where the rank falls on a silent one.
    """

    seconds: int | None
    label: str


class ReportSummary(Published):
    """The figures at the top. `due` is how many mandatory obligations fell due."""

    open: int
    overdue: int
    oldest_overdue_s: int | None
    due: int
    closed_within_target: int
    closed_within_target_share: float | None
    time_to_close_p50: Percentile
    time_to_close_p90: Percentile


class LastAttempt(Published):
    """The latest try of any of the obligation's deliveries."""

    channel: Channel
    outcome: Outcome
    at: Instant


class NextAction(Published):
    """What the bus does next by itself, and when."""

    what: Notify
    at: Instant


class CallNow(Published):
    """Whom a person should ring now."""

    name: str
    role: str
    phone: str | None


class PlaceView(Published):
    """A place by its routing key (`county:28123`) and its name."""

    key: str
    name: str | None


class ReportItem(Published):
    """One open obligation. `answered_version` is the version it answered last, 0 for none."""

    obligation_id: ObligationIdText
    agency: AgencyRef
    notice_id: NoticeIdText
    incident_id: IncidentIdText
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    state: ObligationState
    standing: Standing
    answered_version: int
    latest_version: int
    due_at: Instant | None
    overdue_s: int | None
    step: int
    attempts: int
    last_attempt: LastAttempt | None
    next_action: NextAction | None
    contact: CallNow | None
    places: tuple[PlaceView, ...]


class HeldView(Published):
    """What the operators owe an incident for its uncovered places; null in a past report.

    `closed`: an operator has said that somebody is on it.
    """

    obligation_id: ObligationIdText
    state: ObligationState
    due_at: Instant | None


class UncoveredItem(Published):
    """A place of an incident whose every responsible recipient is missing, silent or declined."""

    incident_id: IncidentIdText
    notice_id: NoticeIdText
    county_fips: str | None = None
    lea_id: str | None = None
    name: str | None = None
    missing: str
    held: HeldView | None = None


class OwedItem(Published):
    """What a poster owes: the answer to a question, or an update it promised.

    `asks` says how many agencies ask the question. `next_action` and `contact`, whom of the poster
    to ring now, are of the present report only.
    """

    obligation_id: ObligationIdText | None
    agency: AgencyRef
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    owed: Owed
    question_id: QuestionIdText | None
    topic: QuestionTopic | None
    asks: int | None
    due_at: Instant
    overdue_s: int | None
    promised_until: Instant | None
    next_action: NextAction | None
    contact: CallNow | None


class OfferItem(Published):
    """An offer of help that nobody has accepted or declined yet, and that has not lapsed."""

    id: OfferIdText
    incident_id: IncidentIdText
    agency: AgencyRef
    state: OfferState
    offer_type: OfferType
    quantity: int
    unit: str
    lapses_at: Instant
    held_until: Instant | None


class DataQualityItem(Published):
    """Something in the records that will make a notice fail to reach somebody."""

    code: str
    message: str
    agency: AgencyRef | None = None
    subscription_id: SubscriptionIdText | None = None
    incident_id: IncidentIdText | None = None


class UnacknowledgedReport(Published):
    """Stands on the ledger up to `index`; the same `as_of` gives the same report again.

    `data_quality` is kept for some seconds: `data_quality_as_of` says when it was read. It is null
    in a past report, which has none.
    """

    as_of: Instant
    index: int
    filter: ReportFilter
    summary: ReportSummary
    items: tuple[ReportItem, ...]
    uncovered: tuple[UncoveredItem, ...]
    owed_by_posters: tuple[OwedItem, ...]
    offers_unanswered: tuple[OfferItem, ...] = ()
    data_quality: tuple[DataQualityItem, ...]
    data_quality_as_of: Instant | None = None
    next: str | None


def percentile(seconds: int | None) -> Percentile:
    """Label a percentile: null is "not reached", never zero (I13)."""
    return Percentile(seconds=seconds, label=NOT_REACHED if seconds is None else f"{seconds} s")

"""What the bus answers: to a poster, to a reader, and to whoever is refused."""

from typing import Annotated, Generic, TypeVar

from pydantic import ConfigDict, Field, JsonValue

from noticebus.contracts.acknowledgement import AcknowledgementView
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import (
    IncidentIdText,
    Instant,
    NoticeIdText,
    ObligationIdText,
    Published,
)
from noticebus.contracts.receipt import Receipt
from noticebus.contracts.report import LastAttempt
from noticebus.contracts.vocabulary import (
    Answer,
    Channel,
    ContentLevel,
    MaterialReason,
    NoticeClass,
    NoticeKind,
    NoticeState,
    ObligationState,
    Owed,
    Role,
    Standing,
    Status,
    UnreachableReason,
)
from noticebus.contracts.waiver import WaiverView

Item = TypeVar("Item")
Class = Annotated[NoticeClass, Field(alias="class")]


class RecipientView(Published):
    """One agency that the notice binds, and how it is told."""

    id: ObligationIdText
    agency: AgencyRef
    notice_class: Class
    standing: Standing
    due_at: Instant | None
    channels: tuple[Channel, ...]


class UnreachableView(Published):
    """A recipient that nothing reaches, and why (I6)."""

    agency: AgencyRef
    reason: UnreachableReason


class UncoveredView(Published):
    """A place nobody answers for: a county, or a district that the notice names."""

    county_fips: str | None = None
    lea_id: str | None = None
    missing: str


class Recipients(Published):
    """Who gets the notice: the first 200, then `next`."""

    count: int
    mandatory: int
    advisory: int
    next: str | None
    obligations: tuple[RecipientView, ...]
    unreachable: tuple[UnreachableView, ...]
    uncovered: tuple[UncoveredView, ...]


class WarningView(Published):
    """Something the poster should know, though the notice stands."""

    code: str
    message: str


class NoticeAccepted(Published):
    """The notice, its obligations and its deliveries are on disk (I1).

    A material version asks everybody for a new answer; `material_reasons` say why an update does.
    """

    id: NoticeIdText
    incident_id: IncidentIdText
    version: int
    state: NoticeState
    accepted_at: Instant
    material: bool = True
    material_reasons: tuple[MaterialReason, ...] = ()
    recipients: Recipients
    warnings: tuple[WarningView, ...]
    receipt: Receipt


class PreviewRecipient(Published):
    """Who would get it, and exactly what that agency would see."""

    agency: AgencyRef
    notice_class: Class
    standing: Standing
    due_at: Instant | None
    channels: tuple[Channel, ...]
    content_level: ContentLevel
    notice: dict[str, JsonValue]


class Preview(Published):
    """A dry run: nothing is stored and nobody is told."""

    count: int
    mandatory: int
    advisory: int
    recipients: tuple[PreviewRecipient, ...]
    unreachable: tuple[UnreachableView, ...]
    uncovered: tuple[UncoveredView, ...]
    warnings: tuple[WarningView, ...]


class NoticeView(Published):
    """A notice as this reader may see it: which fields follow depends on the content level."""

    model_config = ConfigDict(extra="allow")

    id: NoticeIdText
    version: int
    kind: NoticeKind
    status: Status
    notice_class: Class


class ObligationView(Published):
    """One recipient's duty: its state, its times and what was tried. Facts, never merged.

    `answered_version` is the version it answered last, 0 for none; `latest_version` is the
    incident's newest. `waiver` is one that waits for its second person, or was confirmed, for the
    bus's own people alone.
    """

    id: ObligationIdText
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    agency: AgencyRef
    owed: Owed
    standing: Standing
    role: Role | None
    status: Status
    state: ObligationState
    notice_class: Class
    epoch: int
    round_version: int
    answered_version: int
    latest_version: int
    closes_with: Answer | None
    due_at: Instant | None
    overdue_s: int | None
    held_until: Instant | None
    step: int
    next_step_at: Instant | None
    delivered_at: Instant | None
    opened_at: Instant | None
    received_at: Instant | None
    promised_until: Instant | None
    closed_at: Instant | None
    reachable: bool
    unreachable_reason: UnreachableReason | None
    attempts: int
    last_attempt: LastAttempt | None
    acknowledgements: tuple[AcknowledgementView, ...] = ()
    waiver: WaiverView | None = None


class Page(Published, Generic[Item]):
    """A page of a list; `next` is an opaque cursor, null on the last page."""

    items: tuple[Item, ...]
    next: str | None


class FaultView(Published):
    """One fault: where (RFC 6901 JSON pointer) and what to do."""

    pointer: str
    message: str


class ProblemView(Published):
    """A problem (RFC 9457). `type` is a page that exists; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    errors: tuple[FaultView, ...] = ()
    request_id: str
    retry_after: int | None = None

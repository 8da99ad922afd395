"""An incident as its parties may see it: the thread of its versions."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.acknowledgement import PersonView
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import IncidentIdText, Instant, NoticeIdText, Published
from noticebus.contracts.vocabulary import (
    ChangeReason,
    IncidentState,
    MaterialReason,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    ObligationState,
    Status,
)


class VersionView(Published):
    """One version: read the notice itself under its id.

    `material_reasons` say why it asks everybody for a new answer.
    """

    id: NoticeIdText
    version: int
    msg: Msg
    kind: NoticeKind
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    state: NoticeState
    material: bool
    material_reasons: tuple[MaterialReason, ...] = ()
    change_reason: ChangeReason | None
    headline: str
    accepted_at: Instant
    released_at: Instant | None


class CancelRequestView(Published):
    """A cancel that waits for its second person; nobody has been told anything.

    Another person with another key confirms it before `lapses_at`.
    """

    incident_id: IncidentIdText
    base_version: int
    reason: str
    by: PersonView
    requested_by: str
    requested_at: Instant
    lapses_at: Instant
    needs_second_person: bool = True


class IncidentView(Published):
    """An incident with its versions, oldest first.

    `obligations` counts those it made by state, for its poster and the operators; their sum is how
    many there ever were, and none vanishes. A recipient reads null there. `cancel_request` is one
    that waits for its second person, for the same readers.
    """

    id: IncidentIdText
    agency: AgencyRef
    status: Status
    state: IncidentState
    latest_version: int
    created_at: Instant
    ended_at: Instant | None
    obligations: dict[ObligationState, int] | None
    cancel_request: CancelRequestView | None = None
    versions: tuple[VersionView, ...]

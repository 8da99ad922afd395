"""An incident as its parties may see it: the thread of its versions."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import IncidentIdText, Instant, NoticeIdText, Published
from noticebus.contracts.vocabulary import (
    ChangeReason,
    IncidentState,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    ObligationState,
    Status,
)


class VersionView(Published):
    """One version: read the notice itself under its id."""

    id: NoticeIdText
    version: int
    msg: Msg
    kind: NoticeKind
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    state: NoticeState
    material: bool
    change_reason: ChangeReason | None
    headline: str
    accepted_at: Instant
    released_at: Instant | None


class IncidentView(Published):
    """An incident with its versions, oldest first.

    `obligations` counts those it made by state, for its poster and the operators; their sum is how
    many there ever were, and none vanishes. A recipient reads null there.
    """

    id: IncidentIdText
    agency: AgencyRef
    status: Status
    state: IncidentState
    latest_version: int
    created_at: Instant
    ended_at: Instant | None
    obligations: dict[ObligationState, int] | None
    versions: tuple[VersionView, ...]

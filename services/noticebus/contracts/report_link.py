"""A short-lived link to one report, for a browser that has no API key."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.base import Accepted, Instant, Published
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status

VALID_MINUTES = 15
VALID_MINUTES_MAX = 12 * 60


class ReportLinkPost(Accepted):
    """Which report the link shows, and for how long; what is left out is "any"."""

    kind: AgencyKind | None = None
    area: Annotated[str | None, Field(max_length=90)] = None
    notice_class: Annotated[NoticeClass | None, Field(alias="class")] = None
    overdue: Annotated[bool | None, Field(strict=True)] = None
    status: Status = Status.ACTUAL
    as_of: Instant | None = None
    valid_minutes: Annotated[int, Field(strict=True, ge=1, le=VALID_MINUTES_MAX)] = VALID_MINUTES


class ReportLinkView(Published):
    """The link. Whoever holds it reads that report until it expires: send it as you would a key."""

    url: str
    expires_at: Instant

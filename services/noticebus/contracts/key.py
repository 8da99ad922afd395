"""API keys: made by an administrator, shown once."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.base import (
    Accepted,
    AgencyIdText,
    ApiKeyIdText,
    Instant,
    Name,
    Published,
)
from noticebus.contracts.vocabulary import Scope


class ApiKeyPost(Accepted):
    """A new key. Without `agency_id` it acts for the bus's operators and not for an agency."""

    name: Name
    agency_id: AgencyIdText | None = None
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))]
    expires_at: Instant | None = None


class ApiKeyView(Published):
    """A key without its secret."""

    id: ApiKeyIdText
    name: str
    agency_id: AgencyIdText | None
    scopes: tuple[Scope, ...]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class ApiKeyCreated(ApiKeyView):
    """The creation's answer: the only time the key itself is shown."""

    key: str

"""How a subscription's endpoint does, as the interface shows it."""

from noticebus.contracts.base import Instant, Published
from noticebus.contracts.vocabulary import EndpointState


class EndpointView(Published):
    """How the endpoint does: `says` is it in words, `failures` are those in a row.

    `held_back` is how many deliveries wait until it works again, or for their turn after that.
    Nothing is ever disabled.
    """

    state: EndpointState
    says: str
    failures: int
    failing_since: Instant | None
    tripped_at: Instant | None
    last_error: str | None
    held_back: int

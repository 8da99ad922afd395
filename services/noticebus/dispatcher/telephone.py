"""The port to a telephone provider: it sends text messages and makes calls.

A provider's yes means that it has the message or call, never that anybody was reached: what came of
it is told later, by a callback to the gateway.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol

from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.domain.delivery import AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """One text message to one telephone. Everything in it is the same at every repeat (I3)."""

    delivery_id: str
    to: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One call to one telephone; `document` (TwiML) says what is spoken. The same at every repeat.

    It names where typed digits go.
    """

    delivery_id: str
    to: str = field(repr=False)
    document: str = field(repr=False)


NO_TELEPHONE = AttemptResult(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="No telephone provider is configured. Set NOTICEBUS_TELEPHONE_ACCOUNT and what goes with"
    " it, then it is sent by itself.",
    body_digest="",
    duration=dt.timedelta(0),
)
NO_NUMBER = AttemptResult(
    outcome=Outcome.REFUSED,
    fault=Fault.RECIPIENT,
    error="The contact has no verified telephone number any more. Record one in the contact.",
    body_digest="",
    duration=dt.timedelta(0),
)


class Telephone(Protocol):
    """Hands text messages and calls to a provider. Safe to call concurrently.

    Each call puts one request on the wire and raises nothing for what the provider does: a request
    it took is `handed_over` with the provider's id, a number it cannot reach is a refusal, and what
    is wrong between us and the provider is our fault and is tried again. A provider may have taken
    a request whose answer was lost: only then can a repeat reach somebody twice.
    """

    async def text(self, request: TextRequest) -> AttemptResult:
        """Send a text message."""
        ...

    async def call(self, request: CallRequest) -> AttemptResult:
        """Make a call."""
        ...

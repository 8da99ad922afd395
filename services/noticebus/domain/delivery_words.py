"""Deliveries in words for people: what each is for, how it stands, whose fault a failure was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    EndpointState,
    Fault,
    HeldReason,
    Outcome,
)
from noticebus.domain.delivery import explain
from noticebus.domain.health import DOWN

WHOSE: Mapping[Fault, str] = {
    Fault.OURS: "The bus's own. It used up none of your tries.",
    Fault.NETWORK: "The network's, between the bus and your server. It counts as a try.",
    Fault.RECIPIENT: "Your server's. It counts as a try.",
}
FAULTS: Mapping[Fault | None, str] = {
    None: "",
    Fault.OURS: "ours",
    Fault.NETWORK: "the network's",
    Fault.RECIPIENT: "the recipient's",
}
CAUSES: Mapping[Cause, str] = {
    Cause.NOTICE: "notice",
    Cause.STEP: "reminder or escalation",
    Cause.CORRECTION: "correction",
    Cause.QUESTION: "question",
    Cause.ANSWER: "answer to a question",
    Cause.OFFER: "offer of help",
    Cause.COVERAGE: "place that nobody answers for",
    Cause.HANDSHAKE: "handshake",
    Cause.HEARTBEAT: "heartbeat",
    Cause.TEST: "test",
    Cause.WARNING: "warning about an endpoint",
    Cause.REPLAY: "sent again",
    Cause.DIGEST: "digest",
}
_HELD: Mapping[HeldReason, str] = {
    HeldReason.BUNDLE: "It waits for others to the same contact, so that one message carries all.",
    HeldReason.HOURLY_CAP: "It waits, because the contact has had its fill of messages this hour.",
    HeldReason.BURST: "It waits for its turn, because many reminders fell due at once.",
    HeldReason.ENDPOINT_DOWN: "It is held back, because the endpoint is down. It goes by itself"
    " once a try gets through.",
    HeldReason.PAUSED: "It is held back, because the subscription is paused or its new address has"
    " not consented yet. Resume it, or answer the handshake.",
    HeldReason.TURN: "It waits for its turn in the backlog of this endpoint.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A state as people read it: a symbol, a word, and how good that is."""

    symbol: str
    word: str
    tone: str  # good, warn, bad or idle: a class of the style sheet


OUTCOMES: Mapping[Outcome, Said] = {
    Outcome.DELIVERED: Said(symbol="✓", word="delivered", tone="good"),
    Outcome.HANDED_OVER: Said(symbol="…", word="with the telephone provider", tone="idle"),
    Outcome.REFUSED: Said(symbol="✕", word="refused", tone="bad"),
    Outcome.GONE: Said(symbol="✕", word="closed for good (410)", tone="bad"),
    Outcome.FAILED: Said(symbol="✕", word="failed", tone="bad"),
    Outcome.TIMED_OUT: Said(symbol="✕", word="no answer in time", tone="bad"),
    Outcome.BLOCKED: Said(symbol="✕", word="not called", tone="bad"),
    Outcome.UNSENDABLE: Said(symbol="!", word="not sent", tone="warn"),
}
STATES: Mapping[DeliveryState, Said] = {
    DeliveryState.QUEUED: Said(symbol="…", word="waiting", tone="idle"),
    DeliveryState.SENDING: Said(symbol="…", word="on its way", tone="idle"),
    DeliveryState.HANDED_OVER: Said(symbol="…", word="with the telephone provider", tone="idle"),
    DeliveryState.DELIVERED: Said(symbol="✓", word="delivered", tone="good"),
    DeliveryState.EXHAUSTED: Said(symbol="✕", word="given up", tone="bad"),
    DeliveryState.MOOT: Said(symbol="○", word="no longer needed", tone="idle"),
    DeliveryState.REVOKED: Said(symbol="○", word="not allowed any more", tone="warn"),
}


def of_theirs(text: str) -> str:
    """Say what was written to a server's owner to somebody else."""
    for ours, theirs in _THEIRS.items():
        text = text.replace(ours, theirs)
    return text


_THEIRS = {
    "Your server": "The recipient's server",
    "your server": "the recipient's server",
    "Your host": "The recipient's host",
    "your tries": "its tries",
}
_TRIED_AGAIN = Said(symbol="!", word="not arrived yet, and tried again", tone="warn")


def said_of(state: DeliveryState, *, failed: bool) -> Said:
    """Say in a word how a delivery stands; `failed` tells that a try of it has."""
    return _TRIED_AGAIN if failed and state is DeliveryState.QUEUED else STATES[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the latest attempt of a delivery came to."""

    outcome: Outcome
    fault: Fault | None
    error: str
    status: int | None


def diagnose(
    state: DeliveryState,
    *,
    channel: Channel,
    held: HeldReason | None,
    last: Tried | None,
    endpoint: EndpointState | None = None,
) -> str:
    """Say in plain English how a delivery stands and what to do about it."""
    match state:
        case DeliveryState.DELIVERED:
            return _DELIVERED[channel]
        case DeliveryState.HANDED_OVER:
            return (
                "The telephone provider has it and has not said what came of it."
                " Ring, if it matters."
            )
        case DeliveryState.MOOT:
            return "It was not needed any more: the matter was answered, changed or ended before."
        case DeliveryState.REVOKED:
            return (
                "It was not sent, because whom it was for may not have it any more:"
                " the subscription or contact has ended, or may see less now."
            )
        case DeliveryState.EXHAUSTED:
            said = "" if last is None else f" The last try: {_explained(last)}"
            return f"We have given up; nothing more is sent by itself.{said}"
        case DeliveryState.QUEUED | DeliveryState.SENDING:
            return _living(state, held=held, last=last, endpoint=endpoint)
        case other:
            assert_never(other)


def _living(
    state: DeliveryState,
    *,
    held: HeldReason | None,
    last: Tried | None,
    endpoint: EndpointState | None,
) -> str:
    if state is DeliveryState.SENDING:
        return "It is on its way right now. Look again in a few seconds."
    down = held is HeldReason.TURN and endpoint in DOWN
    waits = _HELD[HeldReason.ENDPOINT_DOWN if down else held] if held is not None else ""
    if last is None:
        return waits or "It has not been tried yet."
    return f"{_explained(last)} {waits or 'We try again by ourselves.'}"


def _explained(last: Tried) -> str:
    return explain(last.outcome, error=last.error, status=last.status)


_DELIVERED: Mapping[Channel, str] = {
    Channel.WEBHOOK: "Your server accepted it. That is no acknowledgement: a person has yet to"
    " answer.",
    Channel.KAFKA: "It is in the agency's topic. That is no acknowledgement: a person has yet to"
    " answer.",
    Channel.EMAIL: "The mail server took it. Whether anybody has read it, this does not say.",
    Channel.SMS: "The telephone network says that the text message arrived. Whether anybody has"
    " read it, this does not say.",
    Channel.VOICE: "The telephone provider says that the call was answered. By whom, this does not"
    " say.",
    Channel.INBOX: "It was fetched from the inbox. That is no acknowledgement: a person has yet to"
    " answer.",
}

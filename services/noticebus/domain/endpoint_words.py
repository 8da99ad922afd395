"""How an endpoint stands in words, with the times of whoever runs it: what its page says first."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from noticebus.contracts.vocabulary import EndpointState, PauseReason, SubscriptionState
from noticebus.domain.delivery_words import Said
from noticebus.domain.figures import how_long
from noticebus.domain.health import DOWN, WARNED_AT, Health

_State = SubscriptionState
HEALTHY = Said(symbol="✓", word="healthy", tone="good")
FAILING = Said(symbol="!", word="failing", tone="warn")
HELD_BACK = Said(symbol="✕", word="held back", tone="bad")
PAUSED = Said(symbol="‖", word="paused", tone="warn")
UNAPPROVED = Said(symbol="…", word="waits for approval", tone="warn")
UNVERIFIED = Said(symbol="…", word="waits for the handshake", tone="warn")
ENDED = Said(symbol="○", word="ended", tone="idle")
ACTIVE = Said(symbol="✓", word="active", tone="good")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the sentence about an endpoint is made of.

    `clock` writes an instant for the reader. `consented` says that the endpoint had once answered a
    handshake.
    """

    state: SubscriptionState
    is_called: bool
    health: Health
    held: int
    trip_after: int
    machine_now: dt.datetime
    clock: Callable[[dt.datetime], str]
    paused_at: dt.datetime | None
    pause_reason: PauseReason | None
    consented: bool


def said_of(state: SubscriptionState, health: Health, *, is_called: bool) -> Said:
    """Say in a word how a subscription and its endpoint stand."""
    match state:
        case _State.PENDING_APPROVAL:
            return UNAPPROVED
        case _State.PENDING_VERIFICATION:
            return UNVERIFIED
        case _State.PAUSED:
            return PAUSED
        case _State.ENDED:
            return ENDED
        case _State.ACTIVE:
            return _of_health(health) if is_called else ACTIVE
        case other:
            assert_never(other)


def sentence_of(facts: Facts, *, paused_by: str) -> str:
    """Say how it stands in a sentence, with what happens next by itself.

    `paused_by` names who paused it, or is empty.
    """
    match facts.state:
        case _State.PENDING_APPROVAL:
            return "Nothing is sent until an operator of the bus approves it."
        case _State.PENDING_VERIFICATION:
            return _unverified(facts)
        case _State.PAUSED:
            return _paused(facts, paused_by)
        case _State.ENDED:
            return "It has ended for good: nothing is sent to it."
        case _State.ACTIVE:
            return _active(facts)
        case other:
            assert_never(other)


def _of_health(health: Health) -> Said:
    if health.state in DOWN:
        return HELD_BACK
    return FAILING if health.state is EndpointState.FAILING else HEALTHY


def _unverified(facts: Facts) -> str:
    if facts.consented:
        return (
            "The new address has not answered its handshake. Until it does, what comes is"
            f" held back; {_waiting(facts.held)}."
        )
    return "Your server has not answered the handshake. Until it does, nothing else is sent to it."


def _paused(facts: Facts, paused_by: str) -> str:
    since = "" if facts.paused_at is None else f" since {facts.clock(facts.paused_at)}"
    if facts.pause_reason is PauseReason.LEASE_LAPSED:
        return (
            f"Paused{since}, because nobody renewed its lease; {_waiting(facts.held)}."
            " Renew it, and what waits is sent."
        )
    by = f" by {paused_by}" if paused_by else ""
    return f"Paused{by}{since}; {_waiting(facts.held)}. What comes meanwhile is numbered and kept."


def _active(facts: Facts) -> str:
    if not facts.is_called:
        return "It is in use."
    health = facts.health
    if health.state in DOWN:
        return _held_back(facts)
    if health.state is EndpointState.FAILING:
        return _failing(facts)
    if facts.held:
        whose = "its" if facts.held == 1 else "their"
        return f"It works; {_waiting(facts.held)} for {whose} turn."
    return "It works. Nothing waits for it."


def _failing(facts: Facts) -> str:
    failures, most = facts.health.failures, facts.trip_after
    stages = [math.ceil(most * one / 100) for one in WARNED_AT[:-1]]
    reached = [one for one in stages if one <= failures]
    coming = [one for one in stages if one > failures]
    warned = f"warned at {reached[-1]} of {most} failures" if reached else ""
    next_ = f"its contacts are warned at {coming[0]} of {most}" if coming and not reached else ""
    parts = [f"Failing{_since(facts)}: {failures} in a row", warned or next_]
    return f"{', '.join(one for one in parts if one)}; it will be held back at {most}."


def _held_back(facts: Facts) -> str:
    health = facts.health
    if health.state is EndpointState.PROBING:
        probe = "a try is on its way right now"
    elif health.probe_at is None or health.probe_at <= facts.machine_now:
        probe = "the next try goes now"
    else:
        probe = f"the next try goes in {how_long(health.probe_at - facts.machine_now)}"
    since = "" if health.tripped_at is None else f" since {facts.clock(health.tripped_at)}"
    return (
        f"Held back{since}, after {health.failures} failures in a row: {probe},"
        f" {_waiting(facts.held)}. It is never switched off, and its contacts are told by mail or"
        " telephone meanwhile."
    )


def _since(facts: Facts) -> str:
    since = facts.health.failing_since
    return "" if since is None else f" since {facts.clock(since)}"


def _waiting(held: int) -> str:
    if held == 0:
        return "nothing waits"
    return "1 delivery waits" if held == 1 else f"{held} deliveries wait"

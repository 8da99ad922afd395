"""How endpoints and deliveries stand in words: a symbol, a word, and what happens next."""

import datetime as dt
from typing import Any

import pytest

from noticebus.contracts.vocabulary import (
    Channel,
    DeliveryState,
    EndpointState,
    Fault,
    HeldReason,
    Outcome,
    PauseReason,
    SubscriptionState,
)
from noticebus.domain.delivery import explain
from noticebus.domain.delivery_words import WHOSE, Tried, diagnose, of_theirs, said_of
from noticebus.domain.endpoint_words import Facts, sentence_of
from noticebus.domain.endpoint_words import said_of as endpoint_said
from noticebus.domain.health import Health

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
FAILED = Tried(outcome=Outcome.FAILED, fault=Fault.RECIPIENT, error="It broke.", status=503)


def facts(**changes: Any) -> Facts:
    """Give the facts of a healthy, active webhook, with `changes`."""
    said: dict[str, Any] = {
        "state": SubscriptionState.ACTIVE,
        "is_called": True,
        "health": Health(),
        "held": 0,
        "trip_after": 10,
        "machine_now": NOW,
        "clock": lambda at: f"{at:%H:%MZ}",
        "paused_at": None,
        "pause_reason": None,
        "consented": True,
    }
    return Facts(**(said | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "It works. Nothing waits for it."),
        ({"held": 2}, "It works; 2 deliveries wait for their turn."),
        ({"held": 1}, "It works; 1 delivery waits for its turn."),
        ({"is_called": False}, "It is in use."),
        (
            {"state": SubscriptionState.PENDING_APPROVAL},
            "Nothing is sent until an operator of the bus approves it.",
        ),
        (
            {"state": SubscriptionState.PENDING_VERIFICATION, "consented": False},
            (
                "Your server has not answered the handshake. Until it does, nothing else is sent to"
                " it."
            ),
        ),
        (
            {"state": SubscriptionState.PENDING_VERIFICATION, "held": 3},
            (
                "The new address has not answered its handshake. Until it does, what comes is held"
                " back; 3 deliveries wait."
            ),
        ),
        ({"state": SubscriptionState.ENDED}, "It has ended for good: nothing is sent to it."),
        (
            {"state": SubscriptionState.PAUSED},
            "Paused; nothing waits. What comes meanwhile is numbered and kept.",
        ),
        (
            {
                "state": SubscriptionState.PAUSED,
                "paused_at": NOW,
                "pause_reason": PauseReason.LEASE_LAPSED,
            },
            (
                "Paused since 13:00Z, because nobody renewed its lease; nothing waits."
                " Renew it, and what waits is sent."
            ),
        ),
        (
            {"health": Health(state=EndpointState.FAILING, failures=2, failing_since=NOW)},
            (
                "Failing since 13:00Z: 2 in a row, its contacts are warned at 5 of 10;"
                " it will be held back at 10."
            ),
        ),
        (
            {"health": Health(state=EndpointState.FAILING, failures=7)},
            "Failing: 7 in a row, warned at 7 of 10 failures; it will be held back at 10.",
        ),
        (
            {"health": Health(state=EndpointState.PROBING, failures=10, tripped_at=NOW)},
            (
                "Held back since 13:00Z, after 10 failures in a row: a try is on its way right now,"
                " nothing waits. It is never switched off, and its contacts are told by mail or"
                " telephone meanwhile."
            ),
        ),
        (
            {"health": Health(state=EndpointState.TRIPPED, failures=10, probe_at=NOW), "held": 1},
            (
                "Held back, after 10 failures in a row: the next try goes now, 1 delivery waits."
                " It is never switched off, and its contacts are told by mail or telephone"
                " meanwhile."
            ),
        ),
    ],
)
def test_endpoint_is_said_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert sentence_of(facts(**changes), paused_by="") == sentence


def test_next_probe_is_said_by_how_far_it_is() -> None:
    down = Health(state=EndpointState.TRIPPED, failures=10, probe_at=NOW + dt.timedelta(minutes=2))

    assert "the next try goes in 2 min" in sentence_of(facts(health=down), paused_by="")


def test_who_paused_it_is_said() -> None:
    paused = facts(state=SubscriptionState.PAUSED, paused_at=NOW, held=1)

    assert sentence_of(paused, paused_by="Dana Reyes").startswith(
        "Paused by Dana Reyes since 13:00Z; 1 delivery waits."
    )


@pytest.mark.parametrize(
    ("state", "health", "is_called", "word"),
    [
        (SubscriptionState.ACTIVE, EndpointState.HEALTHY, True, "healthy"),
        (SubscriptionState.ACTIVE, EndpointState.HEALTHY, False, "active"),
        (SubscriptionState.ACTIVE, EndpointState.FAILING, True, "failing"),
        (SubscriptionState.ACTIVE, EndpointState.PROBING, True, "held back"),
        (SubscriptionState.PAUSED, EndpointState.HEALTHY, True, "paused"),
        (SubscriptionState.ENDED, EndpointState.HEALTHY, True, "ended"),
        (SubscriptionState.PENDING_APPROVAL, EndpointState.HEALTHY, True, "waits for approval"),
        (
            SubscriptionState.PENDING_VERIFICATION,
            EndpointState.HEALTHY,
            True,
            "waits for the handshake",
        ),
    ],
)
def test_endpoint_is_said_in_a_word(
    state: SubscriptionState, health: EndpointState, *, is_called: bool, word: str
) -> None:
    assert endpoint_said(state, Health(state=health), is_called=is_called).word == word


@pytest.mark.parametrize(
    ("state", "held", "last", "begins"),
    [
        (DeliveryState.DELIVERED, None, None, "Your server accepted it. That is no acknowledge"),
        (DeliveryState.HANDED_OVER, None, None, "The telephone provider has it"),
        (DeliveryState.MOOT, None, None, "It was not needed any more"),
        (DeliveryState.REVOKED, None, None, "It was not sent, because"),
        (DeliveryState.EXHAUSTED, None, None, "We have given up; nothing more is sent by itself."),
        (
            DeliveryState.EXHAUSTED,
            None,
            FAILED,
            "We have given up; nothing more is sent by itself. The last try: It broke.",
        ),
        (DeliveryState.SENDING, None, FAILED, "It is on its way right now."),
        (DeliveryState.QUEUED, None, None, "It has not been tried yet."),
        (DeliveryState.QUEUED, None, FAILED, "It broke. We try again by ourselves."),
        (
            DeliveryState.QUEUED,
            HeldReason.PAUSED,
            None,
            "It is held back, because the subscription",
        ),
        (DeliveryState.QUEUED, HeldReason.TURN, FAILED, "It broke. It waits for its turn"),
    ],
)
def test_delivery_is_explained(
    state: DeliveryState, held: HeldReason | None, last: Tried | None, begins: str
) -> None:
    said = diagnose(state, channel=Channel.WEBHOOK, held=held, last=last)

    assert said.startswith(begins)


def test_turn_of_an_endpoint_that_is_down_is_no_turn() -> None:
    said = diagnose(
        DeliveryState.QUEUED,
        channel=Channel.WEBHOOK,
        held=HeldReason.TURN,
        last=None,
        endpoint=EndpointState.TRIPPED,
    )

    assert "the endpoint is down" in said


def test_delivery_that_failed_and_is_tried_again_is_no_mere_wait() -> None:
    assert said_of(DeliveryState.QUEUED, failed=True).tone == "warn"
    assert said_of(DeliveryState.QUEUED, failed=False).word == "waiting"
    assert said_of(DeliveryState.DELIVERED, failed=True).word == "delivered"


def test_what_is_written_to_a_server_owner_is_said_of_the_recipient_to_others() -> None:
    said = [
        of_theirs(one)
        for one in (*WHOSE.values(), "Nothing was answered. Look at your server's log.")
    ]

    assert not [one for one in said if "your" in one.lower()]
    assert said[-1] == "Nothing was answered. Look at the recipient's server's log."


@pytest.mark.parametrize("channel", [one for one in Channel if one is not Channel.WEBHOOK])
def test_server_accepts_what_goes_to_a_server_alone(channel: Channel) -> None:
    said = explain(Outcome.DELIVERED, error="", status=None, channel=channel)

    assert "Your server" not in said
    assert diagnose(DeliveryState.DELIVERED, channel=channel, held=None, last=None) != said

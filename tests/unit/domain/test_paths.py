"""Whether anything would reach an agency, before the event."""

import datetime as dt
from typing import Any

import pytest

from noticebus.contracts.vocabulary import Channel, EndpointState, SubscriptionState
from noticebus.domain.paths import (
    Means,
    Order,
    Path,
    Person,
    key_of,
    paths_of,
    said_of,
    summary_of,
    word_for,
)

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
LONG_AGO = NOW - dt.timedelta(days=31)
ALL = Means(sends_mail=True, dials=True)


def person(**changes: Any) -> Person:
    """Give somebody with verified mail and telephone, with `changes`."""
    said: dict[str, Any] = {
        "id": "cnt_1",
        "name": "Rosa",
        "email": "rosa@agency.example",
        "email_verified_at": LONG_AGO,
        "phone": "+16015550142",
        "phone_verified_at": LONG_AGO,
        "texts": True,
        "speaks": True,
    }
    return Person(**(said | changes))


def order(**changes: Any) -> Order:
    """Give a webhook in use, with `changes`."""
    said: dict[str, Any] = {
        "id": "sub_1",
        "name": "feed",
        "channel": Channel.WEBHOOK,
        "state": SubscriptionState.ACTIVE,
        "endpoint": EndpointState.HEALTHY,
        "verified_at": LONG_AGO,
    }
    return Order(**(said | changes))


def problems(*people: Person, orders: tuple[Order, ...] = (), means: Means = ALL) -> list[str]:
    """Give the problem of each path."""
    return [one.problem for one in paths_of(people, orders, means)]


def test_paths_are_those_of_endpoints_then_of_people() -> None:
    found = paths_of([person()], [order()], ALL)

    assert [one.label for one in found] == [
        "webhook “feed”",
        "Rosa, mail",
        "Rosa, text message",
        "Rosa, call",
    ]
    assert word_for(found).word == "reachable"


def test_path_is_tested_where_something_arrived_lately() -> None:
    arrived = {"sub_1": NOW, key_of("cnt_1", Channel.VOICE): NOW}
    found = paths_of([person()], [order()], ALL, arrived=arrived)

    assert summary_of(found, now=NOW) == "2 of 4 paths tested in the last 30 days."
    assert [one.is_tested(now=NOW) for one in found] == [True, False, False, True]


def test_one_path_is_said_in_the_singular() -> None:
    found = paths_of([person(phone=None, email_verified_at=NOW)], [], ALL)

    assert summary_of(found, now=NOW) == "1 of 1 path tested in the last 30 days."


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"state": SubscriptionState.PENDING_APPROVAL}, "not approved yet"),
        ({"state": SubscriptionState.PENDING_VERIFICATION}, "its handshake was not answered"),
        ({"state": SubscriptionState.PAUSED}, "paused"),
        ({"endpoint": EndpointState.PROBING}, "down, what comes is held back"),
        ({"endpoint": EndpointState.FAILING}, ""),
    ],
)
def test_endpoint_says_why_it_cannot_be_used(changes: dict[str, Any], problem: str) -> None:
    assert problems(orders=(order(**changes),)) == [problem]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"speaks": False}, "not valid today"),
        ({"email_verified_at": None}, "never verified"),
        ({}, ""),
    ],
)
def test_person_says_why_it_cannot_be_used(changes: dict[str, Any], problem: str) -> None:
    assert problems(person(phone=None, **changes)) == [problem]


def test_mail_without_a_mail_server_is_no_path() -> None:
    found = paths_of([person(phone=None)], [], Means(sends_mail=False, dials=False))

    assert summary_of(found, now=NOW) == ("No viable path: Rosa, mail: the bus has no mail server.")
    assert word_for(found).word == "no viable path"


def test_telephone_that_the_bus_cannot_ring_is_left_to_people() -> None:
    found = paths_of([person(email=None)], [], Means(sends_mail=True, dials=False))

    assert [said_of(one).word for one in found] == ["by hand only", "by hand only"]
    assert word_for(found).word == "no viable path"
    assert "this bus cannot ring" in summary_of(found, now=NOW)


def test_nobody_at_all_is_said() -> None:
    assert "no contact and no endpoint" in summary_of((), now=NOW)


def test_mail_subscription_and_an_ended_one_are_no_paths_of_their_own() -> None:
    orders = [order(channel=Channel.EMAIL), order(state=SubscriptionState.ENDED)]

    assert paths_of([], orders, ALL) == ()


def test_telephone_without_text_messages_is_called_only() -> None:
    found = paths_of([person(email=None, texts=False)], [], ALL)

    assert [one.channel for one in found] == [Channel.VOICE]


def test_path_is_said_in_a_word() -> None:
    path = Path(destination="d", channel=Channel.WEBHOOK, label="l")

    assert said_of(path).word == "works"
    assert said_of(Path(destination="d", channel=Channel.SMS, label="l", problem="p")).word == "no"

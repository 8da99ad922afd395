"""A secret is rotated without losing a notice: both sign for as long as was agreed, then one."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from harness.place import embedded
from harness.receivers import WebhookArrival
from harness.subscriber import Subscriber, instant, subscriber
from harness.system import Bus, hours, open_bus
from noticebus.clock import ManualClock, SystemClock


@pytest.fixture
async def machine() -> ManualClock:
    return ManualClock(SystemClock().now())  # the published verifier looks at the real clock


@pytest.fixture
async def bus(tmp_path: Path, machine: ManualClock) -> AsyncIterator[Bus]:
    async with embedded(tmp_path) as place, open_bus(place, machine=machine) as opened:
        yield opened


async def told(county: Subscriber) -> WebhookArrival:
    """Post a notice and give how it arrived."""
    notice = await county.bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    await county.bus.settled()
    return county.member.receiver.arrivals.all[-1]


def verifies(arrival: WebhookArrival, secret: str) -> bool:
    """Say whether the published package takes a request for one signed with `secret`."""
    try:
        Webhook(secret).verify(arrival.body, arrival.headers)
    except WebhookVerificationError:
        return False
    return True


def shared(arrival: WebhookArrival) -> int:
    """Count the signatures made with secrets."""
    return sum(one.startswith("v1,") for one in arrival.headers["webhook-signature"].split())


async def test_both_secrets_sign_during_the_overlap_and_only_the_new_one_after(
    bus: Bus, machine: ManualClock
) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    old = county.member.secret
    view = await county.view()
    assert (view["secrets"], view["previous_valid_until"]) == (1, None)

    rotated = await county.call("rotate-secret", {"overlap_hours": 2})
    new = rotated["secret"]
    assert instant(rotated["previous_valid_until"]) == machine.now() + hours(2)
    during = await told(county)
    assert shared(during) == 2
    assert verifies(during, old)
    assert verifies(during, new)
    view = await county.view()
    assert (view["secrets"], view["previous_valid_until"]) == (2, rotated["previous_valid_until"])
    (entry,) = await county.entries("subscription.secret_rotated")
    assert entry["overlap_s"] == 7200
    assert new not in str(await bus.entries_of())

    machine.advance(hours(2))
    after = await told(county)
    assert shared(after) == 1
    assert not verifies_at(after, old)
    assert verifies_at(after, new)
    view = await county.view()
    assert (view["secrets"], view["previous_valid_until"]) == (1, None)


def verifies_at(arrival: WebhookArrival, secret: str) -> bool:
    """Say the same of a request that was sent at another time than now."""
    at = dt.datetime.fromtimestamp(int(arrival.headers["webhook-timestamp"]), dt.UTC)
    made = Webhook(secret).sign(arrival.headers["webhook-id"], at, arrival.body.decode())
    return made in arrival.headers["webhook-signature"].split()


async def test_a_leaked_secret_stops_at_once_and_what_was_promised_to_it_too(
    bus: Bus, machine: ManualClock
) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    first = county.member.secret
    second = (await county.call("rotate-secret", {"overlap_hours": 168}))["secret"]
    assert (await county.view())["secrets"] == 2

    rotated = await county.call("rotate-secret", {"overlap_hours": 0})

    assert rotated["previous_valid_until"] is None
    assert (await county.view())["secrets"] == 1
    arrival = await told(county)
    assert not verifies(arrival, first)
    assert not verifies(arrival, second)
    assert verifies(arrival, rotated["secret"])

    # And where the new one was made before it was known to have leaked:
    third = (await county.call("rotate-secret", {"overlap_hours": 168}))["secret"]
    assert (await county.call("revoke-old-secrets", {}))["secrets"] == 1
    arrival = await told(county)
    assert not verifies(arrival, rotated["secret"])
    assert verifies(arrival, third)
    assert (await county.call("revoke-old-secrets", {}, status=409))["code"] == "conflict"


@pytest.mark.parametrize("overlap", [-1, 169, "a while", 1.5])
async def test_an_overlap_that_cannot_be_is_refused_and_the_secret_stays(
    bus: Bus, overlap: object
) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)

    refused = await county.call("rotate-secret", {"overlap_hours": overlap}, status=422)

    assert refused["errors"][0]["pointer"] == "/overlap_hours"
    assert verifies(await told(county), county.member.secret)

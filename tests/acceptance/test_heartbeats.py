"""A recipient can prove that it missed nothing (I10): numbers, heartbeats, and the inbox."""

import json
from typing import Any

from harness.desk import SCOTT_COUNTY
from harness.receivers import Behaviour
from harness.subscriber import Subscriber, subscriber
from harness.system import Bus, minutes
from noticebus.store import heartbeats

HOUR = minutes(60)


async def heartbeat_of(county: Subscriber) -> dict[str, Any]:
    """Expect one heartbeat and nothing else."""
    await county.bus.settled()
    (event,) = await county.member.next_events()
    assert event["type"] == "org.noticebus.heartbeat.v1"
    return event


def number_of(event: dict[str, Any]) -> int:
    number: int = event["data"]["subscription"]["sequence"]
    return number


async def test_a_quiet_endpoint_is_told_its_last_number_every_hour(bus: Bus) -> None:
    county = await subscriber(bus)
    assert (await county.view())["heartbeat_minutes"] == 60

    await bus.fast_forward(minutes(59))
    assert county.member.unexpected() == []
    await bus.fast_forward(minutes(1))
    first = await heartbeat_of(county)
    await bus.fast_forward(HOUR)
    second = await heartbeat_of(county)

    assert number_of(first) == number_of(second) == 0
    assert "sequence" not in first, "only a notice has a number of its own"
    assert first["id"] != second["id"]
    assert (await county.view())["last_sequence"] == 0, "a heartbeat uses up no number"


async def test_a_notice_that_said_the_number_spares_the_heartbeat(bus: Bus) -> None:
    county = await subscriber(bus)

    await bus.fast_forward(minutes(30))
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    await bus.settled()
    await bus.fast_forward(minutes(30))
    assert county.member.unexpected() == []
    await bus.fast_forward(minutes(30))

    assert number_of(await heartbeat_of(county)) == 1


async def test_a_gap_that_a_heartbeat_shows_is_filled_from_the_inbox_byte_for_byte(
    bus: Bus,
) -> None:
    county = await subscriber(bus)
    known = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", known)
    for _ in range(3):  # the endpoint answers 200 and forgets them
        forgotten = await bus.post_notice(**{"class": "D"})
        await county.member.receives("notice", forgotten)
    lost = county.member.receiver.arrivals.all[-3:]
    await bus.settled()
    await bus.fast_forward(HOUR)

    assert number_of(await heartbeat_of(county)) == 4, "the endpoint remembers 1"
    page = await county.caller.send(
        "GET", f"/v1/inbox?subscription={county.member.subscription_id}&after=1"
    )
    filled = page.json()
    assert [one["id"] for one in filled["items"]] == [one.headers["webhook-id"] for one in lost]
    assert all(one.body in page.content for one in lost), "the same bytes"
    assert filled["next_after"] == filled["last_sequence"] == 4


async def test_a_heartbeat_is_repeated_as_it_was_and_few_times(bus: Bus) -> None:
    county = await subscriber(bus)
    county.member.receiver.then.append(Behaviour(status=503))
    await bus.fast_forward(HOUR)
    await county.member.next_events()
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    await bus.settled()
    county.member.receiver.then.extend([Behaviour(status=503)] * 2)
    await bus.fast_forward(minutes(1))
    await bus.fast_forward(minutes(1))
    await county.member.next_events(2)
    await bus.fast_forward(minutes(10))

    tries = [
        one
        for one in county.member.receiver.arrivals.all
        if json.loads(one.body)["type"] == "org.noticebus.heartbeat.v1"
    ]
    assert len({(one.headers["webhook-id"], one.body) for one in tries}) == 1
    assert number_of(json.loads(tries[-1].body)) == 0, "what was so when it was made"
    (heartbeat,) = [one for one in await county.deliveries() if one["cause"] == "heartbeat"]
    assert (heartbeat["state"], len(heartbeat["attempts"])) == ("exhausted", 3)


async def test_heartbeats_follow_an_edit_and_stop_where_none_is_wanted(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    assert (await county.view())["heartbeat_minutes"] is None
    await bus.fast_forward(24 * HOUR)
    assert county.member.unexpected() == []

    await county.edit({"heartbeat_minutes": 5})
    await bus.fast_forward(minutes(5))
    await heartbeat_of(county)
    await county.edit({"heartbeat_minutes": None})
    await bus.fast_forward(24 * HOUR)
    assert county.member.unexpected() == []

    await county.edit({"heartbeat_minutes": 1441}, status=422)
    await county.edit({"heartbeat_minutes": 0}, status=422)
    assert (await county.view())["heartbeat_minutes"] is None


async def test_one_that_wants_no_heartbeat_while_it_waits_to_consent_stops_nobody_elses(
    bus: Bus,
) -> None:
    county = await subscriber(bus)
    moved = {"url": f"{county.member.receiver.url}/moved"}
    county.member.receiver.then.append(Behaviour(status=503))  # it does not consent
    await county.edit(moved | {"heartbeat_minutes": None})
    assert (await county.view())["state"] == "pending_verification"

    await bus.settled()
    await bus.fast_forward(HOUR)

    await county.member.next_events(2)
    async with bus.desk.database.read() as conn:
        assert await heartbeats.next_heartbeat_at(conn) is None


async def test_a_paused_subscription_hears_no_heartbeat_until_it_is_resumed(bus: Bus) -> None:
    county = await subscriber(bus)
    await county.call("pause")
    await bus.fast_forward(3 * HOUR)
    assert county.member.unexpected() == []

    await county.call("resume")
    await bus.fast_forward(HOUR)

    await heartbeat_of(county)


async def test_heartbeats_to_a_feed_are_refused_with_the_reason(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    order = {
        "agency_id": county.member.row.id,
        "name": "Inbox",
        "areas": [{"county_fips": [SCOTT_COUNTY]}],
        "content_level": "partner",
        "channel": "inbox",
    }

    refused = await county.operator.post(
        "/v1/subscriptions", order | {"heartbeat_minutes": 60}, status=422
    )
    assert refused["errors"][0]["pointer"] == "/heartbeat_minutes"
    made = await county.operator.post("/v1/subscriptions", order)
    assert made["heartbeat_minutes"] is None
    answer = await county.caller.send(
        "PATCH",
        f"/v1/subscriptions/{made['id']}",
        json={"heartbeat_minutes": 60},
        headers={"If-Match": f'"{made["revision"]}"'},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/heartbeat_minutes"

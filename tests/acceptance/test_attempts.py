"""Where did my event go: one delivery with its request and every answer, as its subscriber sees it.

Secrets are masked, and nobody reads a body that was not meant for it (I8).
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness.api import Api
from harness.place import embedded
from harness.receivers import Behaviour, redirect
from harness.subscriber import Json, Subscriber, subscriber
from harness.system import Bus, minutes, open_bus
from noticebus.contracts.vocabulary import ContentLevel, Scope
from noticebus.store.tables import subscriptions


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with embedded(tmp_path) as place, open_bus(place) as opened:
        yield opened


async def newest(county: Subscriber) -> Json:
    """Read the newest delivery with its request."""
    listed = await county.deliveries()
    return await county.caller.get(f"{county.path}/deliveries/{listed[0]['id']}")


async def test_a_delivery_is_shown_as_it_went_with_every_answer_to_it(bus: Bus) -> None:
    county = await subscriber(bus, path="?token=hunter2&site=a", heartbeat_minutes=None)
    secret = county.member.secret
    county.member.receiver.then.append(
        Behaviour(
            status=503,
            headers={
                "Retry-After": "1",
                "Server": "s" * 300,
                "X-Request-Id": f"req-1 {secret}",
                "Set-Cookie": "session=hunter3",
            },
            body=b"busy",
        )
    )
    notice = await bus.post_notice(**{"class": "B"})
    await county.member.receives("notice", notice)
    await bus.settled()
    await bus.fast_forward(minutes(1))
    await county.member.receives("notice", notice)
    await bus.settled()

    shown = await newest(county)
    arrival = county.member.receiver.arrivals.all[-1]
    request = shown["request"]
    assert request["method"] == "POST"
    assert request["url"].endswith("/hook?token=[masked]&site=[masked]")
    assert request["headers"]["webhook-id"] == arrival.headers["webhook-id"] == shown["id"]
    assert request["headers"]["webhook-signature"] == "v1,[masked] v1a,[masked]"
    assert request["body"].encode() == arrival.body
    assert request["body_withheld"] is None
    failed, taken = shown["attempts"]
    assert (failed["status_code"], failed["response_excerpt"]) == (503, "busy")
    assert failed["whose"] == "Your server's. It counts as a try."
    kept = failed["response_headers"]
    assert kept["retry-after"] == "1"
    assert kept["server"] == "s" * 200
    assert kept["x-request-id"] == "req-1 [masked]"
    assert "set-cookie" not in kept
    assert (taken["status_code"], taken["whose"]) == (200, None)
    assert "hunter" not in json.dumps(shown)


async def test_a_redirects_address_is_shown_without_what_its_query_holds(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    county.member.receiver.then.append(redirect("https://login.example/?state=hunter2"))
    await county.call("test", status=202)
    await county.member.next_events()
    await bus.settled()

    (attempt,) = (await newest(county))["attempts"]
    assert attempt["response_headers"]["location"] == "https://login.example/"
    await bus.fast_forward(minutes(1))
    await county.member.next_events()


async def test_a_body_is_shown_to_nobody_but_the_agency_it_went_to(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    await bus.settled()
    listed = await county.deliveries()
    path = f"{county.path}/deliveries/{listed[0]['id']}"
    api = Api(app=bus.system.app, desk=bus.desk)
    others = [county.operator, await api.caller(Scope.AUDIT)]
    others.append(await api.caller(Scope.POST, agency=county.member.row))
    others.append(await api.caller(Scope.OPERATE, Scope.SUBSCRIBE, agency=bus.poster))

    for other in others:
        request = (await other.get(path))["request"]
        assert request["body"] is None
        assert "Only the agency it went to" in request["body_withheld"]
    stranger = await api.caller(Scope.SUBSCRIBE, agency=bus.poster)
    await stranger.get(path, status=404)
    await county.caller.get(f"{county.path}/deliveries/dlv_unknown", status=404)
    handshake = await county.caller.get(f"{county.path}/deliveries/{listed[-1]['id']}")
    assert handshake["request"]["body"] is None
    assert "challenge" in handshake["request"]["body_withheld"]


async def test_a_body_that_cannot_be_made_again_as_it_was_is_not_shown(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    await bus.settled()
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.update(subscriptions).values(content_level=ContentLevel.PUBLIC))

    assert "has changed since" in (await newest(county))["request"]["body_withheld"]
    await county.operator.send("DELETE", county.path)
    assert "has ended" in (await newest(county))["request"]["body_withheld"]


async def test_what_has_not_gone_yet_has_no_body_and_a_feed_no_request(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    county.member.receiver.then.append(Behaviour(drop=True))
    await county.call("test", status=202)
    await county.member.next_events()
    await bus.settled()
    failed = await newest(county)
    assert failed["request"]["body"] is not None, "it was on the wire, though nothing came back"
    assert failed["attempts"][0]["response_headers"] is None
    await bus.fast_forward(minutes(1))
    await county.member.next_events()
    order = {
        "agency_id": county.member.row.id,
        "name": "Inbox",
        "areas": [{"county_fips": ["28123"]}],
        "content_level": "partner",
        "channel": "inbox",
    }
    inbox = await county.operator.post("/v1/subscriptions", order)
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    await bus.settled()

    path = f"/v1/subscriptions/{inbox['id']}/deliveries"
    (waiting,) = (await county.caller.get(path))["items"]
    assert (await county.caller.get(f"{path}/{waiting['id']}"))["request"] is None

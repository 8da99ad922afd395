"""A stale endpoint ends by a visible decision: leases, their warnings, and what lapsing means."""

import datetime as dt
from dataclasses import replace

import pytest

from harness import desk as furnish
from harness.desk import SCOTT_COUNTY
from harness.subscriber import Subscriber, answering, instant, subscriber
from harness.system import Bus
from noticebus.casework import consent, leases
from noticebus.contracts.vocabulary import Position, Scope
from noticebus.errors import ConflictError

DAY = dt.timedelta(days=1)


async def left(county: Subscriber) -> dt.timedelta:
    """Give how much of its lease a subscription has."""
    return instant((await county.view())["lease_until"]) - county.bus.world.now()


async def test_a_lease_that_nobody_renews_is_warned_of_three_times_and_pauses_the_subscription(
    bus: Bus,
) -> None:
    on_call = await bus.operators()
    county = await subscriber(bus, heartbeat_minutes=None)
    assert await left(county) == 180 * DAY

    for days, ahead in ((149, None), (1, 30), (23, 7), (6, 1)):
        await bus.fast_forward(days * DAY)
        if ahead is not None:
            (mail,) = await county.member.mailed(Position.ON_DUTY)
            assert "Renew by Mon 3 Feb 2020 07:00 CST" in mail.message["Subject"]
            assert f"noticebus subscription renew {county.member.subscription_id}" in mail.text
    assert [one["warning"] for one in await county.entries("subscription.lease_warned")] == [
        1,
        2,
        3,
    ]
    assert (await county.view())["state"] == "active"

    await bus.fast_forward(1 * DAY)
    (mail,) = await county.member.mailed(Position.ON_DUTY)
    assert mail.message["Subject"] == "Paused, not renewed: County intake, Scott County CPS"
    await bus.expect_mail(on_call)
    view = await county.view()
    assert (view["state"], view["pause_reason"]) == ("paused", "lease_lapsed")
    assert instant(view["paused_at"]) == bus.world.now()
    report = await county.operator.get("/v1/reports/unacknowledged")
    codes = {one["code"] for one in report["data_quality"]}
    assert "lease_lapsed" in codes

    missed = await bus.post_notice(**{"class": "D"})
    await bus.fast_forward(dt.timedelta(minutes=2))
    await county.member.mailed(Position.ON_DUTY)
    assert county.member.unexpected() == []
    renewed = await county.call("renew")
    assert (renewed["state"], renewed["pause_reason"]) == ("active", None)
    (event,) = await county.member.receives("notice", missed)
    assert event["data"]["subscription"]["sequence"] == 1
    assert await left(county) == 180 * DAY
    (entry,) = await county.entries("subscription.renewed")
    assert entry["resumed"] is True
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)


async def test_the_operators_are_warned_of_a_lease_whose_agency_has_no_mail(bus: Bus) -> None:
    """Else the first word anybody hears of it is that it is paused (I6)."""
    on_call = await bus.operators()
    county = await subscriber(bus, heartbeat_minutes=None)
    await reached_by_telephone_alone(county)

    for days, ahead in ((150, 30), (23, 7), (6, 1)):
        await bus.fast_forward(days * DAY)
        (mail,) = await bus.expect_mail(on_call)
        assert "Renew by" in mail.message["Subject"], ahead
        assert "Scott County CPS" in mail.message["Subject"]

    warned = await county.entries("subscription.lease_warned")
    assert [(one["warning"], one["mails"]) for one in warned] == [(1, 1), (2, 1), (3, 1)]


async def reached_by_telephone_alone(county: Subscriber) -> None:
    """Take the mail address from the agency's only contact, and give it a number."""
    path = f"/v1/agencies/{county.member.row.id}/contacts"
    (contact,) = (await county.operator.get(path))["items"]
    answer = await county.operator.send(
        "PATCH",
        f"{path}/{contact['id']}",
        json={"email": None, "phone": "+16015550110"},
        headers={"If-Match": f'"{contact["revision"]}"'},
    )
    assert answer.status_code == 200, answer.text


async def test_a_lapsed_subscription_that_moves_goes_on_once_its_new_address_has_consented(
    bus: Bus,
) -> None:
    """A handshake renews the lease, and renewing it resumes it."""
    county = await subscriber(bus, heartbeat_minutes=None)
    await bus.fast_forward(180 * DAY)
    await county.member.mailed(Position.ON_DUTY)
    assert (await county.view())["pause_reason"] == "lease_lapsed"
    county.member.receiver.then.append(answering())

    await county.edit({"url": f"{county.member.receiver.url}/moved"})
    await county.member.next_events()
    await bus.settled()

    view = await county.view()
    assert (view["state"], view["paused_at"], view["pause_reason"]) == ("active", None, None)
    assert await left(county) == 180 * DAY


async def test_whoever_renews_rotates_or_answers_again_starts_the_lease_anew(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)

    await bus.fast_forward(151 * DAY)
    await county.member.mailed(Position.ON_DUTY)
    await county.call("renew")
    assert await left(county) == 180 * DAY
    await bus.fast_forward(149 * DAY)  # the warnings start anew: none is due yet
    await county.call("rotate-secret")
    assert await left(county) == 180 * DAY
    await bus.fast_forward(149 * DAY)
    county.member.receiver.then.append(answering())
    await county.call("verify", status=202)
    (event,) = await county.member.next_events()
    await bus.settled()

    assert event["type"] == "org.noticebus.subscription.verify.v1"
    assert await left(county) == 180 * DAY
    assert (await county.view())["state"] == "active"


async def test_a_handshake_that_is_not_answered_renews_nothing_and_stops_nothing(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    await bus.fast_forward(10 * DAY)

    await county.call("verify", status=202)  # answered 200, without the challenge
    await county.member.next_events()
    await bus.settled()

    assert await left(county) == 170 * DAY
    view = await county.view()
    assert view["state"] == "active"
    handshake = (await county.deliveries())[0]
    assert "challenge" in handshake["attempts"][0]["error"]
    await county.call("renew", status=200)
    async with bus.desk.database.begin() as conn:
        lost = await consent.confirm_handshake(
            conn, bus.desk, subscription_id=county.path.rpartition("/")[2], challenge_ok=False
        )
    assert not lost
    await county.operator.send("DELETE", county.path)


async def test_resuming_a_lapsed_subscription_renews_it_as_well(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    await bus.fast_forward(180 * DAY)  # a bus that was off meanwhile: one mail, not four
    await county.member.mailed(Position.ON_DUTY)
    rotated = await county.call("rotate-secret")
    assert rotated["secret"].startswith("whsec_")
    assert (await county.view())["state"] == "paused", "a rotation alone resumes nothing"

    resumed = await county.call("resume")

    assert resumed["state"] == "active"
    assert await left(county) == 180 * DAY


async def test_resuming_after_the_lease_ran_out_in_a_pause_renews_it_too(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    await county.call("pause")
    await bus.fast_forward(200 * DAY)

    await county.call("resume")
    await bus.fast_forward(DAY)

    assert (await county.view())["state"] == "active"
    assert await left(county) == 179 * DAY


async def test_what_has_no_lease_is_not_renewed_and_the_answer_says_why(bus: Bus) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    order = {
        "agency_id": county.member.row.id,
        "name": "Inbox",
        "areas": [{"county_fips": [SCOTT_COUNTY]}],
        "content_level": "partner",
        "channel": "inbox",
    }
    inbox = await county.operator.post("/v1/subscriptions", order)
    assert inbox["lease_until"] is None
    refused = await county.caller.post(f"/v1/subscriptions/{inbox['id']}/renew", None, status=409)
    assert "lease" in refused["detail"]
    hook = order | {"channel": "webhook", "url": county.member.receiver.url}
    waiting = await county.caller.post("/v1/subscriptions", hook)
    refused = await county.caller.post(f"/v1/subscriptions/{waiting['id']}/renew", None, status=409)
    assert "handshake" in refused["detail"]

    timeless = replace(bus.desk, lease_days=0)
    principal = furnish.principal(Scope.OPERATE)
    subscription_id = county.path.rpartition("/")[2]
    with pytest.raises(ConflictError, match="no leases"):
        await leases.renew_subscription(timeless, principal, subscription_id=subscription_id)
    await county.operator.send("DELETE", county.path)
    await county.call("renew", status=409)


async def test_the_terms_of_a_handshake_are_kept_shown_and_entered(bus: Bus) -> None:
    county = await subscriber(
        bus, answer=answering(concurrency=4, rate_per_minute=120), heartbeat_minutes=None
    )
    view = await county.view()
    asked = county.member.receiver.arrivals.all[0].headers
    assert (view["rate_per_minute"], view["concurrency"]) == (120, 4)
    assert asked["webhook-request-origin"] == "127.0.0.1"
    assert asked["webhook-request-rate"].isdigit()
    (entry,) = await county.entries("subscription.verified")
    assert (entry["rate_per_minute"], entry["concurrency"]) == (120, 4)

    county.member.receiver.then.append(
        answering({"WebHook-Allowed-Rate": "30"}, concurrency="many")
    )
    await county.call("verify", status=202)
    await county.member.next_events()
    await bus.settled()

    view = await county.view()
    assert (view["rate_per_minute"], view["concurrency"]) == (30, None)
    (attempt,) = (await county.deliveries())[0]["attempts"]
    assert attempt["outcome"] == "delivered"
    assert attempt["error"] == "concurrency was ignored: give a whole number from 1 to 1000."
    assert attempt["response_headers"]["webhook-allowed-rate"] == "30"
    notice = await bus.post_notice(**{"class": "D"})
    await county.member.receives("notice", notice)
    assert "webhook-request-origin" not in county.member.receiver.arrivals.all[-1].headers

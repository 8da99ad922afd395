"""An endpoint that moves loses nothing, and a pause stays what it was: somebody's to end."""

from harness.api import Api
from harness.receivers import Behaviour
from harness.subscriber import Subscriber, answering, subscriber
from harness.system import Bus, minutes
from noticebus.contracts.vocabulary import AgencyKind, Position, Scope, UnreachableReason

SILENT = Behaviour(status=503)  # it does not consent


async def moves(county: Subscriber, *, answer: Behaviour = SILENT) -> None:
    """Give the endpoint another address, which meets the handshake with `answer`."""
    county.member.receiver.then.append(answer)
    await county.edit({"url": f"{county.member.receiver.url}/moved"})
    await county.member.next_events()
    await county.bus.settled()


async def consents(county: Subscriber) -> None:
    """Ask for the handshake again, and have the new address answer it."""
    county.member.receiver.then.append(answering())
    await county.call("verify", status=202)
    await county.member.next_events()
    await county.bus.settled()


async def reader(bus: Bus) -> Subscriber:
    """Take a church onto the bus whose webhook has consented, and which must not answer."""
    member = await bus.agency(
        "Mercy House", kind=AgencyKind.FAITH, contacts_at=[Position.ON_DUTY], area_key=None
    )
    api = Api(app=bus.system.app, desk=bus.desk)
    return Subscriber(
        bus=bus,
        member=member,
        caller=await api.caller(Scope.SUBSCRIBE, Scope.ANSWER, agency=member.row),
        operator=await api.caller(Scope.OPERATE),
        path=f"/v1/subscriptions/{member.subscription_id}",
    )


async def test_what_comes_before_a_new_address_has_consented_is_numbered_and_goes_to_it_then(
    bus: Bus,
) -> None:
    """An agency mends its address because notices failed: it must not lose those of that hour."""
    county = await subscriber(bus, heartbeat_minutes=None)
    await moves(county)

    first = await bus.post_notice(**{"class": "D"})
    second = await bus.update(first, notice_class="D")
    await bus.settled()
    await county.member.mailed(Position.ON_DUTY)  # nobody waits for an endpoint
    view, inbox = await county.view(), await county.inbox()
    assert (view["state"], view["held_back"]) == ("pending_verification", 2)
    assert [one["subject"] for one in inbox["items"]] == [first.id, second.id]
    assert (inbox["last_sequence"], view["last_sequence"]) == (2, 2)
    assert county.member.unexpected() == []

    await consents(county)

    events = await county.member.next_events(2)
    assert {one["data"]["subscription"]["sequence"]: one["subject"] for one in events} == {
        1: first.id,
        2: second.id,
    }
    paths = [one.path for one in county.member.receiver.arrivals.all]
    assert paths == ["/hook", *["/hook/moved"] * 4]
    assert (await county.view())["held_back"] == 0


async def test_a_reader_that_has_moved_gets_what_came_meanwhile_once_it_has_consented(
    bus: Bus,
) -> None:
    church = await reader(bus)
    await moves(church)

    notice = await bus.post_notice(**{"class": "D"})
    await bus.settled()

    (unreachable,) = notice.response["recipients"]["unreachable"]
    assert unreachable["reason"] == UnreachableReason.NO_VERIFIED_CHANNEL
    await consents(church)
    (event,) = await church.member.receives("notice", notice)
    assert event["data"]["subscription"]["sequence"] == 1


async def test_one_that_has_never_consented_gets_no_number_wherever_it_moves(bus: Bus) -> None:
    county = await subscriber(bus, answer=SILENT, heartbeat_minutes=None)
    await moves(county)

    await bus.post_notice(**{"class": "D"})
    await bus.settled()
    await county.member.mailed(Position.ON_DUTY)

    view = await county.view()
    assert (view["verified_at"], view["last_sequence"], view["held_back"]) == (None, 0, 0)
    assert "subscription_never_verified" in await warnings(county)


async def warnings(county: Subscriber) -> dict[str, str]:
    """Give what the report says about data quality."""
    report = await county.operator.get("/v1/reports/unacknowledged")
    return {one["code"]: one["message"] for one in report["data_quality"]}


async def test_the_report_says_who_has_moved_without_consent_and_how_much_is_held(
    bus: Bus,
) -> None:
    county = await subscriber(bus, heartbeat_minutes=None)
    await moves(county)
    await bus.post_notice(**{"class": "D"})
    await bus.settled()
    await county.member.mailed(Position.ON_DUTY)

    said = await warnings(county)

    assert said["subscription_moved"] == (
        "Scott County CPS has moved a webhook to an address that has not consented yet: what comes"
        " is held back (1). Ask whoever runs it to answer the handshake."
    )
    assert "subscription_never_verified" not in said


async def test_what_a_pause_held_goes_to_the_new_address_once_that_is_resumed(bus: Bus) -> None:
    """Whoever pauses, moves and tests means to resume when all is ready: nobody else does it."""
    county = await subscriber(bus, heartbeat_minutes=None)
    await county.call("pause")
    notice = await bus.post_notice(**{"class": "D"})
    await bus.settled()
    await county.member.mailed(Position.ON_DUTY)  # nobody waits for an endpoint

    await moves(county, answer=answering())
    await bus.fast_forward(minutes(2))
    view = await county.view()
    assert (view["state"], view["pause_reason"]) == ("paused", "requested")
    assert view["paused_at"] is not None
    assert view["held_back"] == 1
    assert county.member.unexpected() == []

    await county.call("resume")

    await county.member.receives("notice", notice)
    assert county.member.receiver.arrivals.all[-1].path == "/hook/moved"
    view = await county.view()
    assert (view["state"], view["paused_at"], view["pause_reason"]) == ("active", None, None)
    assert view["held_back"] == 0

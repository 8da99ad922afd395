"""F8: an event that matches no destination, or only disabled ones, is not stored: 202, no trace.

Better: it is stored, the poster is told so at once, and it is on the report.
"""

from collections.abc import Awaitable, Callable

import pytest

from harness import by_hand
from harness import desk as furnish
from harness.api import Api, Caller, open_api
from harness.system import Bus, minutes
from noticebus.contracts.vocabulary import AgencyKind, Scope

TO_ANSWER = minutes(60)
BUNDLED_WITHIN = minutes(2)  # the operators hear of the school that is missing at the same time
Disable = Callable[[Caller, str], Awaitable[None]]


async def _poster(bus: Bus, api: Api) -> Caller:
    office = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
    return await api.caller(Scope.POST, agency=office)


async def _pause(recipient: Caller, path: str) -> None:
    await recipient.post(f"{path}/pause", {}, status=200)


async def _end(recipient: Caller, path: str) -> None:
    answer = await recipient.send("DELETE", path)
    assert answer.json()["state"] == "ended"


async def test_f08_a_notice_that_matches_nobody_is_stored_and_loudly_answered(
    still_bus: Bus,
) -> None:
    bus = still_bus
    operators = await bus.operators(hold_gaps=True)
    async with open_api(bus.desk) as api:
        poster = await _poster(bus, api)
        answer = await poster.post_notice(furnish.notice_body(bus.desk))
        shown = await poster.get(f"/v1/notices/{answer['id']}")
        operator = await api.caller(Scope.OPERATE)
        report = await operator.get("/v1/reports/unacknowledged")
    await by_hand.sweep_unclaimed(bus)

    assert answer["recipients"]["count"] == 0
    assert answer["warnings"] != []
    assert {one["county_fips"] for one in answer["recipients"]["uncovered"]} == {
        furnish.SCOTT_COUNTY
    }
    assert shown["id"] == answer["id"]
    assert await _told(bus, operators, "Nobody answers for the places named above. Ring somebody")
    assert {one["county_fips"] for one in report["uncovered"]} == {furnish.SCOTT_COUNTY}


@pytest.mark.parametrize(
    ("disable", "reason"),
    [(_pause, "subscription_paused"), (_end, "no_verified_channel")],
    ids=["paused", "ended"],
)
async def test_f08_a_notice_to_a_paused_or_ended_endpoint_alone_is_owed_and_the_operators_told(
    still_bus: Bus, disable: Disable, reason: str
) -> None:
    bus = still_bus
    operators = await bus.operators(hold_gaps=True)
    county = await bus.agency("Scott County CPS")
    async with open_api(bus.desk) as api:
        recipient = await api.caller(Scope.SUBSCRIBE, agency=county.row)
        await disable(recipient, f"/v1/subscriptions/{county.subscription_id}")
        poster = await _poster(bus, api)
        answer = await poster.post_notice(furnish.notice_body(bus.desk))
        await by_hand.sweep_unclaimed(bus)
        operator = await api.caller(Scope.OPERATE)
        report = await operator.get("/v1/reports/unacknowledged")
    for later in (TO_ANSWER, BUNDLED_WITHIN):
        bus.world.advance(later)
        await bus.system.engine.sweep()
        await by_hand.sweep_unclaimed(bus)

    (unreachable,) = answer["recipients"]["unreachable"]
    assert answer["recipients"]["count"] == 1
    assert unreachable["agency"]["id"] == county.row.id
    assert unreachable["reason"] == reason
    assert county.row.id in {one["agency"]["id"] for one in report["items"]}
    assert county.receiver.arrivals.all == []
    assert await _told(bus, operators, "Nobody at Scott County CPS has answered. Ring it now")


async def _told(bus: Bus, operators: str, text: str) -> bool:
    """Say whether a mail to the operators has a text in it."""
    mails = [one for one in bus.mail.arrivals.all if one.recipients == (operators,)]
    return any(text in " ".join(one.text.split()) for one in mails)

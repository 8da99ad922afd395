"""F8: an event that matches no destination, or only disabled ones, is not stored: 202, no trace.

Better: it is stored, the poster is told so at once, and it is on the report.
"""

from harness import by_hand
from harness import desk as furnish
from harness.api import Api, Caller, open_api
from harness.system import Bus
from noticebus.contracts.vocabulary import AgencyKind, Scope


async def _poster(bus: Bus, api: Api) -> Caller:
    office = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
    return await api.caller(Scope.POST, agency=office)


async def test_f08_a_notice_that_matches_nobody_is_stored_and_loudly_answered(
    still_bus: Bus,
) -> None:
    bus = still_bus
    async with open_api(bus.desk) as api:
        poster = await _poster(bus, api)
        answer = await poster.post_notice(furnish.notice_body(bus.desk))
        shown = await poster.get(f"/v1/notices/{answer['id']}")
        operator = await api.caller(Scope.OPERATE)
        report = await operator.get("/v1/reports/unacknowledged")

    assert answer["recipients"]["count"] == 0
    assert answer["warnings"] != []
    assert {one["county_fips"] for one in answer["recipients"]["uncovered"]} == {
        furnish.SCOTT_COUNTY
    }
    assert shown["id"] == answer["id"]
    assert {one["county_fips"] for one in report["uncovered"]} == {furnish.SCOTT_COUNTY}


async def test_f08_a_notice_to_a_paused_endpoint_alone_is_owed_all_the_same(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    async with open_api(bus.desk) as api:
        recipient = await api.caller(Scope.SUBSCRIBE, agency=county.row)
        await recipient.post(f"/v1/subscriptions/{county.subscription_id}/pause", {}, status=200)
        poster = await _poster(bus, api)
        answer = await poster.post_notice(furnish.notice_body(bus.desk))
        await by_hand.sweep_unclaimed(bus)
        operator = await api.caller(Scope.OPERATE)
        report = await operator.get("/v1/reports/unacknowledged")

    (unreachable,) = answer["recipients"]["unreachable"]
    assert answer["recipients"]["count"] == 1
    assert unreachable["agency"]["id"] == county.row.id
    assert unreachable["reason"] == "subscription_paused"
    assert [one["agency"]["id"] for one in report["items"]] == [county.row.id]
    assert county.receiver.arrivals.all == []

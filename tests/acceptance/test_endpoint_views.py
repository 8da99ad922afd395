"""How an endpoint does is shown with its subscription, on the report and in the metrics."""

from dataclasses import replace

from harness.api import Api, County
from harness.orders import add_deliveries, add_orders
from noticebus.casework import upkeep
from noticebus.contracts.vocabulary import (
    Channel,
    ContentLevel,
    EndpointState,
    HeldReason,
    Scope,
)
from noticebus.domain.health import Health
from noticebus.store import endpoints
from noticebus.store.subscriptions import Subscription

SINCE = "2019-08-07T13:00:00Z"


async def fail(api: Api, order: Subscription, state: EndpointState) -> None:
    """Bring an endpoint to `state`, as ten failures would, or some."""
    now = api.desk.world.now()
    stands = Health(
        state=state,
        failures=10,
        trips=1,
        failing_since=now,
        tripped_at=now,
        probe_at=api.desk.machine.now(),
        last_error="Your server failed with 503.",
    )
    async with api.desk.database.begin() as conn:
        await endpoints.insert_missing(conn, [order.id], now=now)
        await endpoints.write(conn, {order.id: stands}, now=now)


async def furnish(api: Api, county: County) -> list[Subscription]:
    """Add two endpoints of the county's CPS, the second of which is down with one held back."""
    cps = county.agencies["cps"].id
    well, down = await add_orders(api.desk, 2, agency_id=cps, content_level=ContentLevel.CPS)
    await fail(api, down, EndpointState.TRIPPED)
    await add_deliveries(
        api.desk, (down, {"due_at": None, "held_reason": HeldReason.ENDPOINT_DOWN})
    )
    return [well, down]


async def test_a_subscription_says_how_its_endpoint_does_in_words(api: Api, county: County) -> None:
    well, down = await furnish(api, county)

    shown = await county.cps.get(f"/v1/subscriptions/{down.id}")
    fine = await county.cps.get(f"/v1/subscriptions/{well.id}")

    assert shown["endpoint"] == {
        "state": "tripped",
        "says": "It is down. What is for it is held, and one delivery at a time is sent to find out"
        " whether it works again.",
        "failures": 10,
        "failing_since": SINCE,
        "tripped_at": SINCE,
        "last_error": "Your server failed with 503.",
        "held_back": 1,
    }
    assert fine["endpoint"]["state"] == "healthy"
    assert fine["endpoint"]["last_error"] is None


async def test_those_that_are_down_can_be_listed(api: Api, county: County) -> None:
    well, down = await furnish(api, county)

    async def listed(state: str) -> list[str]:
        page = await county.cps.get(f"/v1/subscriptions?endpoint_state={state}")
        return [one["id"] for one in page["items"]]

    assert await listed("tripped") == [down.id]
    assert await listed("healthy") == [well.id]
    await county.cps.get("/v1/subscriptions?endpoint_state=broken", status=422)


async def test_what_waits_for_its_turn_is_said_once_it_works_again(
    api: Api, county: County
) -> None:
    well, _ = await furnish(api, county)
    await add_deliveries(api.desk, (well, {"due_at": None, "held_reason": HeldReason.TURN}))

    shown = await county.cps.get(f"/v1/subscriptions/{well.id}")

    assert shown["endpoint"]["says"] == "It works. 1 deliveries wait for their turn."


async def test_an_inbox_has_no_endpoint(api: Api, county: County) -> None:
    (inbox,) = await add_orders(
        api.desk, 1, agency_id=county.agencies["cps"].id, channel=Channel.INBOX
    )

    assert (await county.cps.get(f"/v1/subscriptions/{inbox.id}"))["endpoint"] is None


async def test_a_probe_is_asked_for_where_it_is_down_and_refused_where_it_works(
    api: Api, county: County
) -> None:
    well, down = await furnish(api, county)

    asked = await county.cps.post(f"/v1/subscriptions/{down.id}/probe", None, status=202)
    refused = await county.cps.post(f"/v1/subscriptions/{well.id}/probe", None, status=409)
    await county.school.post(f"/v1/subscriptions/{down.id}/probe", None, status=404)
    answering = await api.caller(Scope.ANSWER, agency=county.agencies["cps"])
    await answering.post(f"/v1/subscriptions/{down.id}/probe", None, status=403)

    assert asked["state"] == "tripped"
    assert "nothing to probe" in refused["detail"]


async def test_the_report_says_whose_endpoint_is_down_since_when_and_how_much_is_held(
    api: Api, county: County
) -> None:
    _, down = await furnish(api, county)
    operator = await api.caller(Scope.OPERATE)

    report = await operator.get("/v1/reports/unacknowledged")

    (warning,) = [one for one in report["data_quality"] if one["code"] == "endpoint_down"]
    assert warning["subscription_id"] == down.id
    assert warning["message"] == (
        "Scott County cps has an endpoint that is down since 2019-08-07 13:00Z, and what is for it"
        " is held back (1): ring whoever runs it. Its contacts are told by mail or telephone"
        " meanwhile."
    )


async def test_endpoints_are_counted_by_state_in_the_metrics(api: Api, county: County) -> None:
    await furnish(api, county)
    (probing,) = await add_orders(api.desk, 1)
    await fail(api, replace(probing), EndpointState.PROBING)

    await upkeep.refresh_gauges(api.desk)

    figures = api.desk.metrics.registry
    counted = {
        state: figures.get_sample_value("noticebus_endpoints", {"state": state})
        for state in EndpointState
    }
    assert counted == {
        EndpointState.HEALTHY: 1,
        EndpointState.FAILING: 0,
        EndpointState.TRIPPED: 1,
        EndpointState.PROBING: 1,
    }

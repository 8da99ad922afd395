"""F7: what could not be delivered is purged every night.

Better: it is there the next morning, with every attempt, for the recipient and on the report.
"""

import datetime as dt
from typing import Any

from harness import by_hand
from harness.api import open_api
from harness.receivers import Behaviour
from harness.system import Bus
from noticebus.contracts.vocabulary import DeliveryState, Scope

NIGHT = dt.timedelta(hours=16)


async def test_f07_a_delivery_given_up_is_shown_with_its_attempts_the_next_morning(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    county.receiver.then.extend([Behaviour(status=500), Behaviour(status=410)])
    notice = await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    bus.world.advance(5 * by_hand.SECOND)
    await by_hand.sweep(bus)

    for _ in range(2):  # nights, and all that is done in them
        bus.world.advance(NIGHT)
        by_hand.machine(bus).advance(NIGHT)
        await bus.system.upkeep.tend()
        await bus.system.engine.sweep()
        await bus.system.sequencer.sweep()
        await by_hand.sweep(bus)

    async with open_api(bus.desk) as api:
        operator = await api.caller(Scope.OPERATE)
        recipient = await api.caller(Scope.SUBSCRIBE, agency=county.row)
        report = await operator.get("/v1/reports/unacknowledged")
        sent = await recipient.get(f"/v1/subscriptions/{county.subscription_id}/deliveries")
        await bus.post_notice()  # and this one arrives
        await by_hand.sweep_unclaimed(bus)
        recovered = await operator.get("/v1/reports/unacknowledged")
    (given_up,) = [one for one in sent["items"] if one["cause"] == "notice"]
    (open_one,) = report["items"]
    assert given_up["notice_id"] == notice.id
    assert given_up["state"] == DeliveryState.EXHAUSTED
    assert [one["status_code"] for one in given_up["attempts"]] == [500, 410]
    assert open_one["agency"]["id"] == county.row.id
    assert open_one["overdue_s"] > 0
    assert _failing(report) == [county.row.id]
    assert _failing(recovered) == []


def _failing(report: dict[str, Any]) -> list[str]:
    """Give whose endpoints failed at the last delivery, by the report."""
    warned = [one for one in report["data_quality"] if one["code"] == "endpoint_failing"]
    return [one["agency"]["id"] for one in warned]

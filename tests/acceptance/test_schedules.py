"""Schedules are data: the settings decide when, and the faults of the bus are not on them."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from yarl import URL

from harness import desk as furnish
from harness.api import Caller, open_api
from harness.member import Posted
from harness.place import Place, embedded, settings_for
from harness.receivers import Behaviour, webhook_receiver
from harness.system import Bus, open_bus
from noticebus import ports
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import DeliveryState, Fault, NoticeClass
from noticebus.settings import SettingError
from noticebus.store.tables import subscriptions

QUICK = {"name": "quick", "tries": 2, "first_s": 3}
SHORT = {"phases": [QUICK], "jitter": 0}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Lend the embedded profile."""
    async with embedded(tmp_path) as lent:
        yield lent


async def test_a_class_is_tried_as_its_schedule_in_the_settings_says(place: Place) -> None:
    async with open_bus(place, schedules={"B": SHORT}, strict=False) as bus:
        county = await bus.agency("Scott County CPS")
        county.receiver.always = Behaviour(status=500)
        notice = await bus.post_notice()
        await bus.settled()
        for _ in range(2):
            await bus.fast_forward(dt.timedelta(seconds=3))

        (delivery,) = await bus.deliveries_of(notice)
        attempts = await bus.attempts_of(delivery)

    assert delivery.state is DeliveryState.EXHAUSTED
    began = attempts[0].started_at
    assert [(one.started_at - began).total_seconds() for one in attempts] == [0, 3, 6]


async def test_a_fault_of_ours_uses_up_no_try_over_restarts_either(place: Place) -> None:
    """A secret that cannot be opened is ours: with two tries in all, four faults end nothing."""
    tried: list[tuple[int, int]] = []
    schedules = {"B": SHORT}
    async with (
        webhook_receiver() as receiver,
        open_bus(place, schedules=schedules, strict=False) as bus,
    ):
        county = await bus.agency("Scott County CPS", endpoint=False)
        await bus.subscribe(bus.member(county.row, receiver))
        good = await _seal(bus, [{"sealed": "unreadable", "expires_at": None}])
        notice = await bus.post_notice()
        await bus.settled()
        await bus.fast_forward(dt.timedelta(seconds=30))
        tried.append(await _tries(bus, notice))
        now, port = bus.world.now(), URL(receiver.url).port or 0
    async with (
        webhook_receiver(port=port) as receiver,
        open_bus(place, schedules=schedules, strict=False, world=ManualClock(now)) as bus,
    ):
        for _ in range(2):
            await bus.fast_forward(dt.timedelta(minutes=5))
        tried.append(await _tries(bus, notice))
        await _seal(bus, good)
        bus.world.advance(dt.timedelta(minutes=6))
        await receiver.arrivals.wait_for(1)
        await bus.settled()

        (delivery,) = await bus.deliveries_of(notice)
        faults = [one.fault for one in await bus.attempts_of(delivery)]

    assert all(attempts >= 2 and used == 0 for attempts, used in tried)
    assert tried[1][0] > tried[0][0]
    assert delivery.state is DeliveryState.DELIVERED
    assert set(faults) == {Fault.OURS, None}


async def _seal(bus: Bus, secrets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the subscription other sealed secrets, and say which it had."""
    async with bus.desk.database.begin() as conn:
        found = await conn.execute(sa.select(subscriptions.c.secrets_sealed))
        had: list[dict[str, Any]] = found.scalar_one()
        await conn.execute(sa.update(subscriptions).values(secrets_sealed=secrets))
    return had


async def _tries(bus: Bus, notice: Posted) -> tuple[int, int]:
    (delivery,) = await bus.deliveries_of(notice)
    return delivery.attempts, delivery.recipient_attempts


async def test_any_key_reads_the_schedules_in_force(tmp_path: Path) -> None:
    async with furnish.open_desk(tmp_path) as desk, open_api(desk) as api:
        caller = await api.caller()

        found = (await caller.get("/v1/schedules"))["items"]

    assert [one["class"] for one in found] == [one.value for one in NoticeClass]
    assert found[0]["tries"] == 300
    assert found[0]["phases"][2] == {
        "name": "backoff",
        "tries": 5,
        "first_s": 10.0,
        "factor": 2.0,
        "top_s": 300.0,
    }
    assert found[0]["horizon_s"] == sum(2 * [1] + 4 * [5] + [10, 20, 40, 80, 160] + 288 * [300])


async def test_nobody_without_a_key_reads_them(tmp_path: Path) -> None:
    async with furnish.open_desk(tmp_path) as desk, open_api(desk) as api:
        response = await Caller(api.app, "").send("GET", "/v1/schedules")

    assert response.status_code == 401


def test_a_schedule_that_cannot_be_kept_stops_the_start_and_says_where(place: Place) -> None:
    shrinking = {"phases": [QUICK, {"name": "plateau", "tries": 1, "first_s": 1}]}

    with pytest.raises(SettingError) as refused:
        ports.schedules_of(settings_for(place, schedules={"A": shrinking}))

    assert str(refused.value) == (
        "schedules.A.phases.1.first_s: give at least 3, where the phase before ends: "
        "no delay may shrink."
    )

"""Timelines of escalation: who is told when, and that silence is chased exactly as far as it must be."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.system import Bus, Place, embedded, hours, minutes, open_bus, production
from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    DeliveryState,
    Notify,
    ObligationState,
    Position,
)

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    async with open_bus(place) as opened:
        yield opened


async def test_silent_county_is_reminded_then_second_then_head_then_operators(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=EVERY_LEVEL)
    operators = await bus.operators()
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    await bus.fast_forward(minutes(59))
    await bus.fast_forward(minutes(1))
    await county.receives("step", notice)
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(30))
    await county.mailed(Position.SECOND)
    await bus.fast_forward(minutes(30))
    await county.mailed(Position.HEAD)
    await bus.fast_forward(minutes(60))
    await bus.expect_mail(operators)
    await bus.fast_forward(hours(48))

    fired = await county.steps(notice)
    assert [one.notify for one in fired] == [
        Notify.ON_DUTY,
        Notify.SECOND,
        Notify.HEAD,
        Notify.OPERATORS,
    ]
    assert not any(one.skipped for one in fired)
    assert await bus.unacknowledged() == [(notice.incident_id, "Scott County CPS")]

"""An obligation whose step cannot fire is parked for an operator; the others go on."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness.place import Place, embedded, production
from harness.system import Bus, open_bus
from noticebus.contracts.vocabulary import Notify, ObligationState
from noticebus.store.tables import obligations, steps

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    async with open_bus(place) as opened:
        yield opened


async def test_a_policy_that_cannot_be_read_parks_its_obligation_alone(bus: Bus) -> None:
    broken = await bus.agency("Scott County CPS")
    sound = await bus.agency("Leake County CPS")
    notice = await bus.post_notice()
    await broken.receives("notice", notice)
    await sound.receives("notice", notice)
    owed = await broken.obligation(notice)
    await _change(bus, owed.id, policy={**owed.policy, "steps": []})

    await bus.fast_forward(60 * MINUTE)
    await sound.receives("step", notice)
    await bus.settled()

    parked = await broken.obligation(notice)
    entered = [one["type"] for one in await bus.entries_of(notice.incident_id)]
    assert (parked.state, parked.next_step_at) == (ObligationState.OPEN, None)
    assert entered.count("obligation.parked") == 1


async def test_a_step_that_the_database_refuses_parks_its_obligation_alone(bus: Bus) -> None:
    broken = await bus.agency("Scott County CPS")
    sound = await bus.agency("Leake County CPS")
    notice = await bus.post_notice()
    await broken.receives("notice", notice)
    await sound.receives("notice", notice)
    owed = await broken.obligation(notice)
    row = {
        "obligation_id": owed.id,
        "epoch": owed.epoch,
        "step": 0,
        "notify": Notify.ON_DUTY,
        "skipped": False,
        "contact_ids": [],
        "planned_at": bus.world.now(),
        "fired_at": bus.world.now(),
    }
    async with bus.desk.database.begin() as conn:
        await conn.execute(steps.insert(), row)

    await bus.fast_forward(60 * MINUTE)
    await sound.receives("step", notice)
    await bus.settled()

    assert (await broken.obligation(notice)).next_step_at is None
    assert (await sound.obligation(notice)).step == 1


async def _change(bus: Bus, obligation_id: str, **values: object) -> None:
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(obligations).where(obligations.c.id == obligation_id).values(values)
        )

"""One item that cannot be stored spoils nothing for the others."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from harness.place import embedded
from harness.system import open_bus
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId


async def test_a_notice_that_breaks_is_refused_and_the_rest_of_its_batch_is_kept(
    tmp_path: Path,
) -> None:
    async with embedded(tmp_path) as place, open_bus(place, strict=False) as bus:
        await bus.agency("Scott County CPS", endpoint=False)
        await bus.post_notice()
        good = [await bus.draft() for _ in range(3)]
        broken = replace(await bus.draft(), agency_id=AgencyId("agy_nobody"))

        async with asyncio.TaskGroup() as tasks:
            kept = [tasks.create_task(bus.system.intake.post(one)) for one in good]
            with pytest.raises(UnavailableError):
                await bus.system.intake.post(broken)

        assert all(one.result().fresh for one in kept)
        assert len(await bus.unacknowledged()) == 4

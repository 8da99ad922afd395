"""Waivers that wait: found by the few requests, not by the many obligations."""

import pytest
import sqlalchemy as sa

from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Status
from noticebus.store import waivers


@pytest.mark.parametrize("desk", ["sqlite"], indirect=True)  # the other weighs joins by its rows
async def test_what_waits_is_read_from_the_requests_whatever_is_owed(desk: Desk) -> None:
    statement = waivers._waiting(status=Status.ACTUAL, limit=20)
    compiled = statement.compile(
        desk.database.engines[0].sync_engine, compile_kwargs={"literal_binds": True}
    )
    async with desk.database.begin() as conn:
        explain = sa.text(f"EXPLAIN QUERY PLAN {compiled}")
        plan = str((await conn.execute(explain)).all())

    assert "waive_requests" in plan
    assert "SCAN obligations" not in plan

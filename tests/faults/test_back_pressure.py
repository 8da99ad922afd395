"""What the bus does when there is too much of something or too little: less, or a 503 in time.

Counts, never timings: what is refused stores nothing, what is accepted is stored whole.
"""

import asyncio
import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import desk as furnish
from harness import postgres, tables
from harness.api import Api, furnish_county, open_api
from harness.place import embedded, settings_for
from harness.system import open_bus
from noticebus import wiring
from noticebus.casework import intake
from noticebus.casework.desk import Desk
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Scope
from noticebus.domain import disk_space
from noticebus.domain.pace import CLAIM_MIN, SLOW
from noticebus.errors import UnavailableError
from noticebus.settings import Settings
from noticebus.store import database as store
from noticebus.store.database import Database
from noticebus.store.disk import Disk
from noticebus.store.tables import markers

WITHIN_S = 30
MORE_THAN_ANY_DISK_MB = 1_000_000_000
FULL_DISK = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$
"""


async def fill_the_disk(desk: Desk) -> None:
    """Let the next growth of the database fail; PostgreSQL says so when deliveries are written."""
    async with desk.database.begin() as conn:
        if desk.database.is_sqlite:  # the one writer keeps the bound: it is the connection's own
            pages = await conn.scalar(sa.text("PRAGMA page_count"))
            await conn.execute(sa.text(f"PRAGMA max_page_count = {pages}"))
        else:
            await conn.execute(sa.text(FULL_DISK))
            trigger = "CREATE TRIGGER full_disk BEFORE INSERT ON deliveries EXECUTE FUNCTION"
            await conn.execute(sa.text(f"{trigger} refuse()"))


async def make_room(desk: Desk) -> None:
    async with desk.database.begin() as conn:
        if desk.database.is_sqlite:
            await conn.execute(sa.text("PRAGMA max_page_count = 1000000"))
        else:
            await conn.execute(sa.text("DROP TRIGGER full_disk ON deliveries"))


@pytest.fixture(params=["sqlite", "postgresql"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """Lend a desk over an empty database of each kind."""
    async with contextlib.AsyncExitStack() as stack:
        url = None
        if request.param == "postgresql":
            url = await stack.enter_async_context(tables.on_postgresql())
        yield await stack.enter_async_context(furnish.open_desk(tmp_path, url=url))


@pytest.fixture
async def api(desk: Desk) -> AsyncIterator[Api]:
    """Serve the desk."""
    async with open_api(desk) as opened:
        yield opened


async def test_a_full_disk_refuses_a_notice_whole_and_takes_it_once_there_is_room(
    api: Api,
) -> None:
    county = await furnish_county(api)
    body = furnish.notice_body(api.desk, description="A worksite action was carried out. " * 100)
    await fill_the_disk(api.desk)
    before = await api.counts()

    refused = await county.poster.post("/v1/notices", body, status=503, key="the-same")
    kept = await api.counts()
    await make_room(api.desk)
    taken = await county.poster.post("/v1/notices", body, key="the-same")

    assert "The disk of the database is full" in refused["detail"]
    assert "Nothing was stored" in refused["detail"]
    assert refused["retry_after"] >= 2
    assert kept == before
    assert taken["recipients"]["count"] == 3


async def test_too_many_connections_are_told_apart_from_a_database_that_is_away() -> None:
    async with postgres.fresh_database() as url:
        role = f"few_{secrets.token_hex(4)}"
        administrator = Database(url)
        async with administrator.begin() as conn:
            await conn.execute(sa.text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
        crowded = Database(sa.make_url(url).set(username=role).render_as_string(False))

        with pytest.raises(UnavailableError, match="takes no more connections"):
            async with crowded.read() as conn:
                await conn.execute(sa.select(1))

        async with administrator.begin() as conn:
            await conn.execute(sa.text(f"DROP ROLE {role}"))
        await crowded.close()
        await administrator.close()


async def test_while_every_connection_is_taken_for_long_readers_are_refused_but_one_who_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "POOL_WAIT_S", 0.05)
    monkeypatch.setattr(store, "POOL_SIZE", 2)
    monkeypatch.setattr(store, "POOL_OVERFLOW", 0)
    monkeypatch.setattr(store, "READERS_MAX", 2)
    small = Database(desk.database.url)
    said: list[str] = []

    async def look() -> None:
        try:
            async with small.read() as conn:
                await conn.execute(sa.select(markers))
        except UnavailableError as error:
            said.append(error.message)

    async with asyncio.timeout(WITHIN_S):
        async with small.read(), small.read():
            await look()  # the first waits in vain
            async with asyncio.TaskGroup() as tasks:
                for _ in range(20):
                    tasks.create_task(look())
        refused = list(said)
        said.clear()
        for _ in range(20):
            await look()

    at_once = [one for one in refused if "no connection for anybody" in one]
    assert (len(refused), len(at_once)) == (21, 19)
    assert said == []
    await small.close()


async def test_a_post_that_would_wait_in_vain_is_refused_and_one_that_waits_is_stored(
    desk: Desk,
) -> None:
    """A batch that hangs for more than a poster's answer time, by a clock that the test moves."""
    machine = ManualClock(desk.machine.now())
    async with open_api(replace(desk, machine=machine)) as api:
        county = await furnish_county(api)
        body = furnish.notice_body(api.desk)
        async with (
            asyncio.timeout(WITHIN_S),
            asyncio.TaskGroup() as tasks,
            desk.database.begin() as conn,
        ):
            await _hold_what_a_post_needs(conn)
            first = tasks.create_task(county.poster.post_notice(body))
            await _until_committing(api)
            machine.advance(dt.timedelta(seconds=11))
            refused = [await county.poster.post_notice(body, status=503) for _ in range(5)]

        counts = await api.counts()
        await county.poster.post_notice(body)

    assert [one["detail"].startswith("Too many notices are waiting") for one in refused] == [
        True
    ] * 5
    assert all(one["retry_after"] == 11 for one in refused)
    assert first.result()["state"] == "released"
    assert counts["notices"] == 1


async def _hold_what_a_post_needs(conn: AsyncConnection) -> None:
    """Keep posts from committing; on SQLite holding the one writer is enough."""
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.text("LOCK TABLE idempotency_records IN ACCESS EXCLUSIVE MODE"))


async def _until_committing(api: Api) -> None:
    """Wait until the intake has taken what waits into a batch."""
    metrics = api.desk.metrics.registry
    while metrics.get_sample_value("noticebus_intake_committing") != 1:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_when_the_database_slows_the_sweep_claims_less_and_then_more_again(
    tmp_path: Path,
) -> None:
    machine = ManualClock(furnish.MORNING)
    async with (
        embedded(tmp_path) as place,
        open_bus(place, machine=machine, roles=(), strict=False) as bus,
    ):
        await bus.agency("Scott County CPS")
        dispatcher = bus.system.dispatcher
        with _slowed(bus.desk, machine):
            for _ in range(5):
                assert await dispatcher.sweep() == 0
        slowed = bus.desk.metrics.registry.get_sample_value("noticebus_dispatcher_claim_size")
        await bus.post_notice()
        await intake.take_in(bus.desk, [await bus.draft() for _ in range(CLAIM_MIN + 9)])
        machine.advance(dt.timedelta(seconds=3))

        claimed = [await dispatcher.sweep() for _ in range(3)]

    assert slowed == CLAIM_MIN
    assert claimed == [CLAIM_MIN, 10, 0]


async def test_what_is_left_of_a_full_disk_is_kept_for_answers(desk: Desk, tmp_path: Path) -> None:
    async with open_api(desk) as api:
        county = await furnish_county(api)
        notice = await county.poster.post_notice(furnish.notice_body(desk))
    disk = Disk(tmp_path, reserve_mb=MORE_THAN_ANY_DISK_MB, machine=desk.machine)
    async with open_api(replace(desk, disk=disk)) as api:
        poster = await api.caller(Scope.POST, agency=county.agencies["poster"])
        cps = await api.caller(Scope.ANSWER, agency=county.agencies["cps"])

        refused = await poster.post_notice(furnish.notice_body(desk), status=503)
        answer = {"answer": "accepted", "by": {"name": "Rosa Duty", "role": "duty officer"}}
        await cps.post(f"/v1/notices/{notice['id']}/acknowledgements", answer)

        counts = await api.counts()

    assert "are kept for answers" in refused["detail"]
    assert refused["retry_after"] == 60
    assert (counts["notices"], counts["acknowledgements"]) == (1, 1)


async def test_readiness_warns_of_a_disk_that_fills_and_ends_where_no_notice_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "WARN_SHARE", 1.0)  # no disk is as good as empty
    async with embedded(tmp_path) as place:
        warned = await _readiness(settings_for(place))
        refused = await _readiness(settings_for(place, disk_reserve_mb=MORE_THAN_ANY_DISK_MB))

    assert warned.status_code == 200
    assert warned.json()["checks"]["disk"] == "ok"
    assert "left. Make room." in warned.json()["warnings"]["disk"]
    assert refused.status_code == 503
    assert refused.json()["errors"][0]["pointer"] == "/checks/disk"


async def _readiness(settings: Settings) -> httpx2.Response:
    async with wiring.running(settings, roles=(wiring.Role.GATEWAY,)) as system:
        transport = httpx2.ASGITransport(app=system.app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://bus") as client:
            return await client.get("/readyz")


@contextlib.contextmanager
def _slowed(desk: Desk, machine: ManualClock) -> Iterator[None]:
    """Let every statement take as long as a slow transaction, by the machine's clock."""
    engine = desk.database.engines[0].sync_engine

    def take_long(*_: object) -> None:
        machine.advance(SLOW)

    sa.event.listen(engine, "before_cursor_execute", take_long)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", take_long)

"""The same suite on both databases: `database` is a fresh one of each kind, with every table."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import desk as furnish
from harness import postgres
from noticebus.casework.desk import Desk
from noticebus.store.database import Database
from noticebus.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Lend an empty database with the schema of `tables.py`."""
    if request.param == "sqlite":
        async for lent in _with_tables(f"sqlite:///{tmp_path / 'noticebus.db'}"):
            yield lent
    else:
        async with postgres.fresh_database() as url:
            async for lent in _with_tables(url):
                yield lent


@pytest.fixture(params=["sqlite", "postgresql"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """Lend a desk over an empty database of each kind."""
    if request.param == "sqlite":
        async with furnish.open_desk(tmp_path) as opened:
            yield opened
    else:
        async with (
            postgres.fresh_database() as url,
            furnish.open_desk(tmp_path, url=url) as opened,
        ):
            yield opened


async def _with_tables(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    async with database.begin() as conn:
        await conn.run_sync(metadata.create_all)
    yield database
    await database.close()

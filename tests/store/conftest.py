"""The same suite on both databases: `database` is a fresh one of each kind, with every table."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import desk as furnish
from harness import tables
from noticebus.casework.desk import Desk
from noticebus.store.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Lend an empty database with the schema of `tables.py`."""
    async with tables.database(request.param, tmp_path) as lent:
        yield lent


@pytest.fixture(params=["sqlite", "postgresql"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """Lend a desk over an empty database of each kind."""
    if request.param == "sqlite":
        async with furnish.open_desk(tmp_path) as opened:
            yield opened
    else:
        async with (
            tables.on_postgresql() as url,
            furnish.open_desk(tmp_path, url=url) as opened,
        ):
            yield opened

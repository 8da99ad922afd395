"""What acceptance tests share: a running bus, or the HTTP interface alone, on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import tables
from harness.api import Api, County, furnish_county, open_api
from harness.console import Console, open_console
from harness.desk import open_desk
from harness.place import Place, embedded, production
from harness.system import Bus, open_bus


@pytest.fixture(params=["sqlite", "postgresql"])
async def api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    """Lend the HTTP interface over an empty database of each kind."""
    if request.param == "sqlite":
        async with open_desk(tmp_path) as desk, open_api(desk) as opened:
            yield opened
    else:
        async with (
            tables.on_postgresql() as url,
            open_desk(tmp_path, url=url) as desk,
            open_api(desk) as opened,
        ):
            yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
async def console(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Console]:
    """Lend the console over an empty database of each kind."""
    if request.param == "sqlite":
        async with open_desk(tmp_path) as desk, open_console(desk) as opened:
            yield opened
    else:
        async with (
            tables.on_postgresql() as url,
            open_desk(tmp_path, url=url) as desk,
            open_console(desk) as opened,
        ):
            yield opened


@pytest.fixture
async def county(api: Api) -> County:
    """Furnish the bus with a field office and those who answer for Scott County."""
    return await furnish_county(api)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Lend each profile without Kafka."""
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    """Lend a running bus in which nothing unexpected may arrive."""
    async with open_bus(place) as opened:
        yield opened

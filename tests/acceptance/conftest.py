"""What acceptance tests of the HTTP interface share: it over a desk, on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import tables
from harness.api import Api, County, furnish_county, open_api
from harness.desk import open_desk


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


@pytest.fixture
async def county(api: Api) -> County:
    """Furnish the bus with a field office and those who answer for Scott County."""
    return await furnish_county(api)

"""What the browser tests share: one Chromium and one furnished bus for each worker.

They live as long as the worker, in the one loop that all browser tests run in.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from harness import chromium
from harness.member import Posted
from harness.town import Town, one_of_three_silent, open_town
from harness.windows import Windows, open_windows


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all browser tests of a worker run in its one long-lived loop."""
    loop = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if {"browser", "windows"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(loop, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Lend the worker's Chromium."""
    async with chromium.open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def furnished(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Town, Posted]]:
    """Run a bus whose pages all have something to show; its clock is moved here and not again."""
    async with open_town(tmp_path_factory.mktemp("town")) as opened:
        yield opened, await one_of_three_silent(opened)


@pytest.fixture(scope="session")
def town(furnished: tuple[Town, Posted]) -> Town:
    """Lend the bus; a test posts what it wants to change."""
    return furnished[0]


@pytest.fixture(scope="session")
def incident(furnished: tuple[Town, Posted]) -> Posted:
    """Give the incident that is there from the beginning: one accepted, two silent and overdue."""
    return furnished[1]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gallery(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Town, Posted]]:
    """Run a second bus for looking: a visit adds at most what its own page is to show."""
    async with open_town(tmp_path_factory.mktemp("gallery")) as opened:
        yield opened, await one_of_three_silent(opened)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def windows(browser: Browser, gallery: tuple[Town, Posted]) -> AsyncIterator[Windows]:
    """Lend the windows onto the bus that is only looked at."""
    async with open_windows(browser, gallery[0]) as opened:
        yield opened

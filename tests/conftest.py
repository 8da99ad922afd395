"""What every test may ask for: a real PostgreSQL, a real Kafka, and a longer time limit."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from harness import kafka, postgres, run, tables
from noticebus.store import database

SLOW_TIMEOUT_S = 600  # tells a test that hangs from one that a busy machine slows down
EXAMPLES_IN_CI = 40
PATIENCE_S = 30.0
_BEGAN = time.monotonic()


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder; the controlling process owns it, workers share it."""
    run.write_plain_logs()
    _choose_examples()
    _be_patient()
    _be_hasty()
    if not hasattr(config, "workerinput"):
        folder = run.begin()
        config.add_cleanup(lambda: _end(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a slow test its longer limit, if it says why it is slow."""
    for item in items:
        slow = item.get_closest_marker("slow")
        if slow is not None:
            if not slow.kwargs.get("reason") and not slow.args:
                raise pytest.UsageError(f"{item.nodeid}: @slow needs a reason")
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers that the chosen tests name, outside any test's time limit."""
    gc.collect()
    gc.freeze()  # what is imported and collected stays: not to be looked through again and again
    if session.config.option.collectonly or _only_distributes(session.config):
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    both = any("[production" in one.nodeid for one in session.items)
    if (
        "postgres_url" in wanted
        or any("[postgresql" in one.nodeid for one in session.items)
        or both
    ):
        postgres.shared()
    if "kafka_bootstrap" in wanted or both:
        asyncio.run(kafka.shared())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long set-up and tests took, above pytest's own closing line."""
    set_up = os.environ.get("NOTICEBUS_TEST_SETUP_SECONDS")
    took = f"tests took {time.monotonic() - _BEGAN:.0f} s"
    terminalreporter.write_line(f"set-up took {set_up} s, {took}" if set_up else took)


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    """Lend `postgresql+asyncpg://…` of a fresh, empty database."""
    async with postgres.fresh_database() as url:
        yield url


@pytest.fixture
async def kafka_bootstrap() -> str:
    """Give the address of the run's broker; make topics of your own names on it."""
    return await kafka.shared()


@pytest.fixture
async def private_broker() -> AsyncIterator[kafka.Broker]:
    """Lend a broker that this test alone uses and may stop and start."""
    async with kafka.private() as broker:
        yield broker


def _choose_examples() -> None:
    """Draw examples by chance on a developer's machine; in CI fewer, and the same every time."""
    hypothesis.settings.register_profile("here", deadline=None)
    hypothesis.settings.register_profile(
        "ci", deadline=None, derandomize=True, database=None, max_examples=EXAMPLES_IN_CI
    )
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def _be_patient() -> None:
    """Let databases of this process wait longer than the product does.

    Several workers, servers and a Java share few processors: 5 s for a connection or a lock pass
    there without any fault. A test of these limits sets its own.
    """
    database.POOL_WAIT_S = database.CONNECT_WAIT_S = PATIENCE_S
    database.LOCK_TIMEOUT = f"{PATIENCE_S:.0f}s"


def _be_hasty() -> None:
    """Let SQLite not wait for the disk, as PostgreSQL here does not: no test pulls the plug."""
    database.SQLITE_PRAGMAS = tables.HASTY_PRAGMAS


def _end(folder: Path) -> None:
    asyncio.run(postgres.drop_databases())
    run.end(folder)


def _only_distributes(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput") and config.getoption("dist", "no") != "no"

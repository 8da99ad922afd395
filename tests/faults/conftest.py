"""What the tests of faults share: both databases, a bus by hand, a process whose children serve."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from harness import desk as furnish
from harness import forked
from harness.place import Place, embedded, production
from harness.system import Bus, open_bus
from noticebus.clock import ManualClock


@pytest.fixture(scope="session")
def forker() -> Iterator[forked.Forker]:
    """Lend the process whose children serve; loading the bus takes seconds, and is done once."""
    with forked.forker() as lent:
        yield lent


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Lend each kind of database."""
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.fixture
async def still_bus(place: Place) -> AsyncIterator[Bus]:
    """Lend a bus whose loops stand still, and whose clocks the test moves (harness/by_hand.py)."""
    async with open_bus(place, roles=(), strict=False, machine=ManualClock(furnish.MORNING)) as bus:
        yield bus

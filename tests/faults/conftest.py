"""What the tests of faults share: a process whose children serve, and are killed."""

from collections.abc import Iterator

import pytest

from harness import forked


@pytest.fixture(scope="session")
def forker() -> Iterator[forked.Forker]:
    """Lend the process whose children serve; loading the bus takes seconds, and is done once."""
    with forked.forker() as lent:
        yield lent

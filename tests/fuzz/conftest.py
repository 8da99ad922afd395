"""What the fuzzing tests share: how many calls, which seed, and the bus that is called."""

from collections.abc import Callable, Iterator

import pytest

from fuzz.findings import Tally, table
from fuzz.served import Bus, running_bus

CALLS_DEFAULT = 1000
SEED_DEFAULT = 20190807
CALL_S_MAX = 0.4  # on two busy cores
PROPERTY = "fuzz"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make fuzz` ask for more calls, and a person for another seed."""
    parser.addoption("--fuzz-calls", type=int, default=CALLS_DEFAULT, help="random calls to make")
    parser.addoption("--fuzz-seed", type=int, default=SEED_DEFAULT, help="seed of the calls")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give more calls more time."""
    calls = int(config.getoption("--fuzz-calls", default=CALLS_DEFAULT))
    if calls > CALLS_DEFAULT:
        for item in items:
            item.add_marker(pytest.mark.timeout(calls * CALL_S_MAX), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often each operation was called and what it answered, whichever worker did it."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    found = [value for one in reports for name, value in one.user_properties if name == PROPERTY]
    if found:
        counted = {label: counts for one in found for label, counts in one["statuses"].items()}
        for line in table(counted, seed=found[0]["seed"]):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def fuzz_calls(pytestconfig: pytest.Config) -> int:
    """Give the number of calls to make."""
    return int(pytestconfig.getoption("--fuzz-calls", default=CALLS_DEFAULT))


@pytest.fixture(scope="session")
def fuzz_seed(pytestconfig: pytest.Config) -> int:
    """Give the seed from which the calls are made."""
    return int(pytestconfig.getoption("--fuzz-seed", default=SEED_DEFAULT))


@pytest.fixture
def tally(record_property: Callable[[str, object], None], fuzz_seed: int) -> Tally:
    """Lend a tally that is part of the closing table."""
    made = Tally(seed=fuzz_seed)
    record_property(PROPERTY, {"seed": fuzz_seed, "statuses": made.statuses})
    return made


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    """Run one furnished bus for the tests of a module."""
    with running_bus(tmp_path_factory.mktemp("bus")) as running:
        yield running

"""What came of the calls: how often each operation answered how, and what was wrong."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

SHOWN_MAX = 40
TEXT_MAX = 1500
BUSY = 503
BUSY_AGAIN = 3  # a busy bus is asked so often again
BUSY_WAIT_S = 2.0
BUSY_IN_HUNDRED_MAX = 5
BUSY_MIN = 5  # fewer say nothing
MAY_BE_BUSY = "GET /readyz"  # it says so of others


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts statuses per operation, and keeps one example of each thing that was wrong."""

    seed: int
    statuses: dict[str, dict[int, int]] = field(default_factory=dict)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)

    @property
    def calls(self) -> int:
        """Say how many calls were made."""
        return sum(sum(found.values()) for found in self.statuses.values())

    def count(self, label: str, status: int) -> None:
        """Count one answer."""
        found = self.statuses.setdefault(label, {})
        found[status] = found.get(status, 0) + 1

    def fault(self, label: str, what: str, *, example: str) -> None:
        """Keep the first example of what is wrong with an operation."""
        self.faults.setdefault((label, what), example[:TEXT_MAX])

    def ask(self, label: str, call: Callable[[], T], *, is_busy: Callable[[T], bool]) -> T:
        """Make a call, and the very same again in a while where a busy machine asks for that.

        An answer that stays so is none of the machine's, and is given as it is; nobody waits for
        that operation again.
        """
        answer = call()
        for _ in range(BUSY_AGAIN):
            if label in self.stuck or not is_busy(answer):
                return answer
            time.sleep(BUSY_WAIT_S)  # noqa: TID251 - there is no signal, the bus asks for it
            answer = call()
        if is_busy(answer):
            self.stuck.add(label)
        return answer

    def too_busy(self) -> str:
        """Say how often the bus asked to come again, where that was too often."""
        asked = [one for label, one in self.statuses.items() if label != MAY_BE_BUSY]
        busy = sum(found.get(BUSY, 0) for found in asked)
        calls = sum(sum(found.values()) for found in asked)
        few = busy < BUSY_MIN or 100 * busy <= BUSY_IN_HUNDRED_MAX * calls
        return "" if few else f"{busy} of {calls} calls were answered {BUSY}"

    def report(self) -> str:
        """Describe what was wrong, an example each."""
        shown = list(self.faults.items())[:SHOWN_MAX]
        lines = [f"{label}: {what}\n    {example}" for (label, what), example in shown]
        return f"seed {self.seed}, {len(self.faults)} kinds of fault\n" + "\n".join(lines)


def table(counted: Mapping[str, Mapping[int, int]], *, seed: int) -> Iterator[str]:
    """Give the lines of the closing table: each operation's calls by status."""
    total = sum(sum(found.values()) for found in counted.values())
    yield f"{total} calls of {len(counted)} operations, seed {seed}"
    width = max(map(len, counted), default=0)
    for label, found in sorted(counted.items()):
        words = "  ".join(f"{status}:{count}" for status, count in sorted(found.items()))
        yield f"  {label:{width}}  {sum(found.values()):5}  {words}"

"""What came of the calls: how often each operation answered how, and what was wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SHOWN_MAX = 40
TEXT_MAX = 1500


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts statuses per operation, and keeps one example of each thing that was wrong."""

    seed: int
    statuses: dict[str, dict[int, int]] = field(default_factory=dict)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)

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

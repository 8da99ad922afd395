"""What is to be reached on two cores: each figure, what it must be, what is aimed at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 140
P50, P99 = "arrival_p50_ms", "arrival_p99_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: where it is found, and its bounds; a rate is to be at least what it must be."""

    said: str
    where: Mapping[str, Any]
    key: str
    must: float
    aim: float
    is_rate: bool = False

    def find(self, rows: Sequence[Mapping[str, Any]]) -> float | None:
        """Find the figure in rows of scenarios; None where it was not measured."""
        for row in rows:
            if all(row.get(name) == value for name, value in self.where.items()):
                found: float | None = row.get(self.key)
                return found
        return None

    def reaches(self, found: float, bound: float) -> bool:
        """Say whether what was found is as good as a bound."""
        return found >= bound if self.is_rate else found <= bound


_BURST = {"scenario": "fan-out", "profile": "production", "fan_out": 100}
_STEADY = {"scenario": "latency", "profile": "production", "per_second": 50.0}
_ALONE = {**_STEADY, "profile": "embedded"}
_FULL = {"scenario": "saturation", "profile": "production"}
FIGURES = (
    Figure(
        said="deliveries/s, fan-out 100, burst of 50", where=_BURST, key="delivered_per_s",
        must=5_000, aim=8_000, is_rate=True,
    ),
    Figure(
        said="deliveries/s, saturation, one subscription", where={**_FULL, "subscriptions": 1},
        key="delivered_per_s", must=1_600, aim=3_000, is_rate=True,
    ),
    Figure(
        said="deliveries/s, saturation, 64 subscriptions", where={**_FULL, "subscriptions": 64},
        key="delivered_per_s", must=1_600, aim=3_000, is_rate=True,
    ),
    Figure(said="post → arrival at 50/s, p50 ms", where=_STEADY, key=P50, must=8, aim=4),
    Figure(said="post → arrival at 50/s, p99 ms", where=_STEADY, key=P99, must=25, aim=12),
    Figure(said="the same, embedded, p50 ms", where=_ALONE, key=P50, must=5, aim=2.5),
    Figure(said="the same, embedded, p99 ms", where=_ALONE, key=P99, must=20, aim=8),
    Figure(
        said="accept one of that burst, p50 ms", where=_BURST, key="accept_p50_ms", must=60, aim=20
    ),
    Figure(
        said="accept one notice with 10,000 recipients, ms",
        where={"scenario": "one to many", "profile": "production"}, key="accept_p50_ms",
        must=400, aim=150,
    ),
    Figure(
        said="SQL statements a delivery, fan-out 100", where=_BURST, key="statements_per_delivery",
        must=0.1, aim=0.05,
    ),
    Figure(
        said="due → written, p99 ms", where={"scenario": "escalation"}, key="due_p99_ms",
        must=250, aim=50,
    ),
    Figure(
        said="CPU µs a delivery, all our processes, fan-out 100", where=_BURST,
        key="cpu_us_per_delivery", must=250, aim=150,
    ),
)  # fmt: skip


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print each figure beside what it must be."""
    table = Table(title="What is to be reached; PostgreSQL + Kafka where nothing else is said")
    table.add_column("")
    for heading in ("found", "must", "aim", "reached"):
        table.add_column(heading, justify="right")
    for one in FIGURES:
        found = one.find(rows)
        table.add_row(
            one.said,
            "not measured" if found is None else f"{found:,g}",
            f"{one.must:,g}",
            f"{one.aim:,g}",
            verdict(one, found),
        )
    Console(width=WIDTH).print(table)


def verdict(figure: Figure, found: float | None) -> str:
    """Say how far a figure came: "aim", "must" or "no"; nothing where it was not measured."""
    if found is None:
        return ""
    if figure.reaches(found, figure.aim):
        return "aim"
    return "must" if figure.reaches(found, figure.must) else "no"

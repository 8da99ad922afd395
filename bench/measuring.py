"""The figures of one stretch of a run: what was posted, what arrived, and what it cost whom."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.harness import ARRIVE_S, Running, percentile
from bench.processes import PartError
from bench.publisher import Posted

WARM_NOTICES = 20
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass(slots=True, kw_only=True)
class Stretch:
    """What is posted in the block it is lent for, and the figures once all of it has arrived."""

    expected: int
    posted: list[Posted] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def stretch(
    running: Running, notices: int, *, fan_out: int, within_s: float = ARRIVE_S
) -> AsyncIterator[Stretch]:
    """Measure `notices` posts to `fan_out` recipients each, from here until all have arrived."""
    before, report = await running.figures(), await running.arrivals()
    refused = running.publisher.refused
    found = Stretch(expected=notices * fan_out)
    yield found
    await running.wait(report["count"] + found.expected, within_s=within_s)
    after, arrived = await running.figures(), await running.arrivals()
    found.figures = {
        "notices": len(found.posted),
        "deliveries": found.expected,
        "refused_and_repeated": running.publisher.refused - refused,
        **times(found.posted, arrived["arrivals"]),
        "missing": found.expected - (arrived["count"] - report["count"]),
        "doubled": arrived["doubled"] - report["doubled"],
        **_costs(before, after, notices=len(found.posted), deliveries=found.expected),
    }


async def warm_up(running: Running, *, fan_out: int, notices: int = WARM_NOTICES) -> None:
    """Post a few, so that what is made once is not measured; raise PartError if one is missing."""
    before = await running.arrived()
    await running.publisher.post_all(notices, at_once=4)
    if not await running.wait(before + notices * fan_out):
        arrived = await running.arrived() - before
        message = f"{arrived} of {notices * fan_out} arrived while warming up"
        raise PartError(message)


def delays(posted: Sequence[Posted], arrivals: dict[str, list[float]]) -> list[float]:
    """List the seconds from each post to each of its arrivals."""
    return [at - one.sent for one in posted for at in arrivals.get(one.notice_id, [])]


def in_ms(name: str, seconds: Sequence[float]) -> dict[str, float | None]:
    """Give the percentiles in ms; None where nothing was measured."""
    return {
        f"{name}_{said}_ms": round(percentile(seconds, share) * 1000, 2) if seconds else None
        for said, share in SHARES.items()
    }


def times(posted: Sequence[Posted], arrivals: dict[str, list[float]]) -> dict[str, Any]:
    """Give the rates, and how long posts took to be accepted and to arrive."""
    waited = delays(posted, arrivals)
    began = min(one.sent - one.late_s for one in posted)
    accepted = max(one.answered for one in posted)
    ended = max((at for one in posted for at in arrivals.get(one.notice_id, [])), default=began)
    return {
        "accepted_per_s": round(len(posted) / (accepted - began), 1),
        "delivered_per_s": round(len(waited) / (ended - began), 1) if waited else None,
        **in_ms("accept", [one.answered - one.sent for one in posted]),
        **in_ms("arrival", waited),
        "publisher_late_p99_ms": round(percentile([one.late_s for one in posted], 0.99) * 1000, 2),
    }


def _costs(
    before: dict[str, Any], after: dict[str, Any], *, notices: int, deliveries: int
) -> dict[str, Any]:
    counted = after["statements"] is not None
    statements = after["statements"] - before["statements"] if counted else None
    was = dict(before["by_statement"])
    most = sorted(
        ((count - was.get(said, 0), said) for said, count in after["by_statement"]), reverse=True
    )
    used = {
        name: one["cpu_s"] - before["processes"][name]["cpu_s"]
        for name, one in after["processes"].items()
        if name in before["processes"]
    }
    return {
        "statements_per_notice": None if statements is None else round(statements / notices, 2),
        "statements_per_delivery": None
        if statements is None
        else round(statements / deliveries, 4),
        "rows_of_many": after["rows_of_many"] - before["rows_of_many"],
        "cpu_us_per_delivery": round((after["cpu_s"] - before["cpu_s"]) / deliveries * 1e6, 1),
        "cpu_us_of": {name: round(one / deliveries * 1e6, 1) for name, one in used.items()},
        "memory_mb": {
            name: None if one["memory_mb"] is None else round(one["memory_mb"])
            for name, one in after["processes"].items()
        },
        "most_statements": [[count, said] for count, said in most[:20] if count],
    }

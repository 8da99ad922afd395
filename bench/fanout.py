"""Fan-out 1, 20 and 100 on both profiles: SQL statements, deliveries per second, post to arrival.

python -m bench.fanout [--profile embedded|production] [--fan-out 1 --fan-out 20 …] [--json FILE]
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.harness import Running, percentile, post_all, post_at, profile, wait_for

STEADY_PER_SECOND = 20.0
STEADY_NOTICES = 100
BURST_NOTICES = 50
BURST_AT_ONCE = 16
WARM_NOTICES = 5


async def measure(name: str, fan_out: int) -> dict[str, Any]:
    """Measure one profile at one fan-out: a steady rate for latency, a burst for throughput."""
    async with profile(name, fan_out=fan_out) as running:
        await post_all(running, WARM_NOTICES, at_once=1)
        assert await wait_for(running, WARM_NOTICES * fan_out), "the warm-up did not arrive"
        steady = await _steady(running, fan_out)
        burst = await _burst(running, fan_out)
        report = await running.arrivals()
        figures = await running.figures()
        expected = (WARM_NOTICES + STEADY_NOTICES + BURST_NOTICES) * fan_out
        return {
            "profile": name,
            "fan_out": fan_out,
            **steady,
            **burst,
            "missing": expected - await running.arrived(),
            "doubled": report["doubled"],
            "memory_mb": round(figures["memory_mb"]),
        }


async def _steady(running: Running, fan_out: int) -> dict[str, Any]:
    rate = min(STEADY_PER_SECOND, 1000 / fan_out)
    before = await running.figures()
    done = await running.arrived()
    posted = await post_at(running, STEADY_NOTICES, per_second=rate, first=1_000)
    await wait_for(running, done + STEADY_NOTICES * fan_out)
    after = await running.figures()
    arrivals = (await running.arrivals())["arrivals"]
    delays = [at - one.sent for one in posted for at in arrivals.get(one.notice_id, [])]
    last = [max(arrivals[one.notice_id]) - one.answered for one in posted]
    statements = after["statements"] - before["statements"]
    return {
        "steady_per_s": rate,
        "accept_p50_ms": _ms(percentile([one.answered - one.sent for one in posted], 0.5)),
        "arrival_p50_ms": _ms(percentile(delays, 0.50)),
        "arrival_p95_ms": _ms(percentile(delays, 0.95)),
        "arrival_p99_ms": _ms(percentile(delays, 0.99)),
        "all_after_201_p50_ms": _ms(percentile(last, 0.5)),
        "statements_per_notice": round(statements / STEADY_NOTICES, 2),
        "statements_per_delivery": round(statements / (STEADY_NOTICES * fan_out), 3),
    }


async def _burst(running: Running, fan_out: int) -> dict[str, Any]:
    before = await running.figures()
    done = await running.arrived()
    posted = await post_all(running, BURST_NOTICES, at_once=BURST_AT_ONCE, first=10_000)
    await wait_for(running, done + BURST_NOTICES * fan_out)
    after = await running.figures()
    arrivals = (await running.arrivals())["arrivals"]
    started = min(one.sent for one in posted)
    ended = max(at for one in posted for at in arrivals[one.notice_id])
    deliveries = BURST_NOTICES * fan_out
    statements = after["statements"] - before["statements"]
    return {
        "burst_deliveries_per_s": round(deliveries / (ended - started)),
        "burst_accept_p50_ms": _ms(percentile([one.answered - one.sent for one in posted], 0.5)),
        "burst_statements_per_delivery": round(statements / deliveries, 3),
        "cpu_us_per_delivery": round((after["cpu_s"] - before["cpu_s"]) / deliveries * 1e6),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


COLUMNS = {
    "profile": "profile",
    "fan_out": "fan-out",
    "steady_per_s": "notices/s",
    "accept_p50_ms": "accept p50 ms",
    "arrival_p50_ms": "arrival p50",
    "arrival_p95_ms": "p95",
    "arrival_p99_ms": "p99",
    "all_after_201_p50_ms": "all after 201 p50",
    "statements_per_notice": "SQL/notice",
    "statements_per_delivery": "SQL/delivery",
    "burst_deliveries_per_s": "burst deliveries/s",
    "burst_statements_per_delivery": "burst SQL/delivery",
    "cpu_us_per_delivery": "CPU µs/delivery",
    "missing": "missing",
    "doubled": "doubled",
}


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures as a table."""
    table = Table(title="Fan-out: post to arrival, statements, throughput")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(str(row[name]) for name in COLUMNS))
    Console(width=200).print(table)


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="append", choices=["embedded", "production"])
    parser.add_argument("--fan-out", action="append", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.profile or ["embedded", "production"]:
        for fan_out in options.fan_out or [1, 20, 100]:
            rows.append(asyncio.run(measure(name, fan_out)))
            show(rows[-1:])
    show(rows)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

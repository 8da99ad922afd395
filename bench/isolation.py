"""What bad neighbours cost the others (I12): arrival at healthy ones, with 0, 1, 10 of 20 bad.

And a backlog: 560 overdue retries to three endpoints that hang, then a fresh notice for a fourth.

python -m bench.isolation [--profile embedded|production] [--seconds 20] [--rate 2] [--json FILE]
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.harness import Posted, Running, percentile, post_all, post_at, profile, wait_for

FAN_OUT = 20
WAYS = ("hang", "drip", "flood", "body")
BAD = (0, 1, 10)
WARM_NOTICES = 5
HUNG = 3
OVERDUE_NOTICES = 187  # times three is 561
FRESH_NOTICES = 40
FRESH_PER_SECOND = 4.0


async def neighbours(name: str, bad: int, *, way: str | None, options: Any) -> dict[str, Any]:
    """Measure the arrivals at the healthy of 20 endpoints; `way` None mixes the bad ones' ways."""
    ways = [way or WAYS[number % len(WAYS)] for number in range(bad)]
    good = FAN_OUT - bad
    async with profile(name, fan_out=FAN_OUT, bad=ways) as running:
        await post_all(running, WARM_NOTICES, at_once=1)
        await wait_for(running, WARM_NOTICES * good)
        count = round(options.seconds * options.rate)
        posted = await post_at(running, count, per_second=options.rate, first=1_000)
        expected = (WARM_NOTICES + count) * good
        await wait_for(running, expected)
        delays = await _delays(running, posted)
        return {
            "profile": name,
            "bad": bad,
            "way": way or ("mixed" if bad else "none"),
            **_percentiles(delays),
            "missing": expected - await running.arrived(),
            "memory_mb": round((await running.figures())["memory_mb"]),
        }


async def backlog(name: str) -> dict[str, Any]:
    """Measure how long fresh notices for one tenant wait behind the overdue retries of three."""
    async with profile(name, fan_out=HUNG + 1, bad=["hang"] * HUNG) as running:
        await post_all(running, OVERDUE_NOTICES, at_once=16)
        await wait_for(running, OVERDUE_NOTICES)
        overdue = await running.make_overdue("/hang")
        posted = await post_at(
            running, FRESH_NOTICES, per_second=FRESH_PER_SECOND, first=OVERDUE_NOTICES
        )
        await wait_for(running, OVERDUE_NOTICES + FRESH_NOTICES)
        delays = await _delays(running, posted)
        return {"profile": name, "overdue": overdue, "fresh": len(delays), **_percentiles(delays)}


async def _delays(running: Running, posted: list[Posted]) -> list[float]:
    arrivals = (await running.arrivals())["arrivals"]
    return [at - one.sent for one in posted for at in arrivals.get(one.notice_id, [])]


def _percentiles(delays: list[float]) -> dict[str, float]:
    return {
        f"p{round(share * 100)}_ms": round(percentile(delays, share) * 1000, 1)
        for share in (0.5, 0.95, 0.99)
    }


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=140).print(table)


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="append", choices=["embedded", "production"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=2.0, help="notices a second")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    beside: list[dict[str, Any]] = []
    behind: list[dict[str, Any]] = []
    for name in options.profile or ["embedded", "production"]:
        for bad in BAD:
            for way in ("hang", "drip", "flood") if bad == 1 else (None,):
                found = asyncio.run(neighbours(name, bad, way=way, options=options))
                beside.append(found)
        behind.append(asyncio.run(backlog(name)))
    show(f"Arrival at the healthy of {FAN_OUT} endpoints", beside)
    show("A fresh notice behind the overdue retries of three endpoints that hang", behind)
    if options.json is not None:
        options.json.write_text(json.dumps({"beside": beside, "behind": behind}, indent=1) + "\n")


if __name__ == "__main__":
    main()

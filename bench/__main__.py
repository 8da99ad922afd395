"""The short set: `python -m bench` (or `make bench`) measures and prints it."""

import argparse
import asyncio
import json
from pathlib import Path

from rich.console import Console

from bench import escalation
from bench.fanout import measure, show
from bench.harness import percentile, post_all, profile, wait_for

TEN = 10
TWENTY = 20
WITHIN_MS = 300
SHORT = argparse.Namespace(open=100_000, burst=1_000, trickle=100)


async def ten_recipients() -> float:
    """Post 20 notices to 10 recipients each; give the median ms from the 201 to the last."""
    async with profile("embedded", fan_out=TEN) as running:
        posted = await post_all(running, 1, at_once=1)
        assert await wait_for(running, TEN), "the first did not arrive"
        for number in range(1, TWENTY + 1):
            posted += await post_all(running, 1, at_once=1, first=number)
            assert await wait_for(running, TEN * (number + 1)), "one did not arrive"
        arrivals = (await running.arrivals())["arrivals"]
        delays = [max(arrivals[one.notice_id]) - one.answered for one in posted[1:]]
        return percentile(delays, 0.5) * 1000


def main() -> None:
    """Measure the short set and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    median = asyncio.run(ten_recipients())
    Console().print(
        f"1 notice to 10 recipients, embedded: last webhook {median:.0f} ms after the 201"
        f" (median of {TWENTY}; must be within {WITHIN_MS} ms)"
    )
    rows = [
        asyncio.run(measure(name, fan_out))
        for name in ("embedded", "production")
        for fan_out in (1, 20, 100)
    ]
    show(rows)
    clock = asyncio.run(escalation.measure(SHORT))
    escalation.show(clock)
    if options.json is not None:
        found = {"ten_ms": median, "rows": rows, "escalation": clock}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

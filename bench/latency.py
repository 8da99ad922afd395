"""Latency: notices to one recipient each at a steady rate, from when each was due to its arrival.

python -m bench.latency [--profile production] [--rate 10 --rate 50 --rate 200] [--seconds 10]
    [--layout "gateway,ledger dispatcher"] [--uncounted] [--json FILE]
"""

import argparse
from typing import Any

from bench import options as given
from bench.harness import measured, post_at, profile
from bench.measuring import stretch, warm_up

RATES = (10.0, 50.0, 200.0)
SECONDS = 10.0


async def latency(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure one profile at each rate, one after the other."""
    rows = []
    async with profile(name, fan_out=1, **given.of_profile(options)) as running:
        await warm_up(running, fan_out=1)
        for rate in options.rate or RATES:
            count = max(round(rate * options.seconds), 1)
            async with stretch(running, count, fan_out=1) as found:
                found.posted = await post_at(running, count, per_second=rate)
            rows.append(
                {
                    "scenario": "latency",
                    "profile": name,
                    "layout": running.layout,
                    "fan_out": 1,
                    "per_second": rate,
                    **found.figures,
                }
            )
    return rows


def main() -> None:
    """Measure what was asked for, print it and write it down."""
    parser = given.parser(__doc__)
    parser.add_argument("--rate", action="append", type=float)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="at each rate")
    options = parser.parse_args()
    rows = []
    for name in given.profiles(options):
        rows += measured(latency(name, options))
        given.show(rows[-1:], options)
    given.finish(rows, options)


if __name__ == "__main__":
    main()

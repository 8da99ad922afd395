"""Fan-out: a burst of 50 notices, 16 at a time, to many recipients each; one notice to 10,000.

python -m bench.fanout [--profile production] [--fan-out 100] [--layout "gateway,ledger dispatcher"]
    [--notices 50] [--at-once 16] [--addresses N] [--uncounted] [--one] [--statements] [--json FILE]
"""

import argparse
from typing import Any

from bench import options as given
from bench.harness import measured, post_all, profile
from bench.measuring import stretch, warm_up

FAN_OUTS = (20, 100, 1_000)
NOTICES = 50
AT_ONCE = 16
MANY = 10_000
MANY_NOTICES = 3
MANY_WITHIN_S = 300


async def burst(name: str, fan_out: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a burst at one fan-out: accept, deliveries a second, and what each costs."""
    async with profile(name, fan_out=fan_out, **given.of_profile(options)) as running:
        await warm_up(running, fan_out=fan_out)
        async with stretch(running, options.notices, fan_out=fan_out) as found:
            found.posted = await post_all(running, options.notices, at_once=options.at_once)
        return {
            "scenario": "fan-out",
            "profile": name,
            "layout": running.layout,
            "fan_out": fan_out,
            "at_once": options.at_once,
            **found.figures,
        }


async def one_to_many(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one notice to 10,000 recipients, three times: how long it takes to be accepted."""
    async with profile(name, fan_out=MANY, **given.of_profile(options)) as running:
        await warm_up(running, fan_out=MANY, notices=1)
        async with stretch(running, MANY_NOTICES, fan_out=MANY, within_s=MANY_WITHIN_S) as found:
            for number in range(1, MANY_NOTICES + 1):
                found.posted += await post_all(running, 1, at_once=1)
                await running.wait((1 + number) * MANY, within_s=MANY_WITHIN_S)
        return {
            "scenario": "one to many",
            "profile": name,
            "layout": running.layout,
            "fan_out": MANY,
            **found.figures,
        }


def main() -> None:
    """Measure what was asked for, print it and write it down."""
    parser = given.parser(__doc__)
    parser.add_argument("--fan-out", action="append", type=int)
    parser.add_argument("--notices", type=int, default=NOTICES)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--one", action="store_true", help=f"only one notice to {MANY} recipients")
    options = parser.parse_args()
    rows = []
    for name in given.profiles(options):
        if options.one:
            rows.append(measured(one_to_many(name, options)))
            given.show(rows[-1:], options)
        else:
            for fan_out in options.fan_out or FAN_OUTS:
                rows.append(measured(burst(name, fan_out, options)))
                given.show(rows[-1:], options)
    given.finish(rows, options)


if __name__ == "__main__":
    main()

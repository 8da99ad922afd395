"""Saturation: 5,000 notices to one recipient each, 64 at a time.

To one subscription, which shows whether posts wait for one another's commit at its counter; and
spread over 64, which do not share one.

python -m bench.saturation [--profile production] [--notices 5000] [--at-once 64]
    [--subscriptions 1 --subscriptions 64] [--layout "gateway,ledger dispatcher"] [--json FILE]
"""

import argparse
from typing import Any

from bench import options as given
from bench.cast import COUNTIES, COUNTY
from bench.harness import measured, post_all, profile
from bench.measuring import stretch, warm_up

NOTICES = 5_000
AT_ONCE = 64
SUBSCRIPTIONS = (1, 64)
WITHIN_S = 600


async def saturation(name: str, subscriptions: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one profile, its notices spread over so many subscriptions."""
    counties = (COUNTY,) if subscriptions == 1 else COUNTIES[:subscriptions]
    async with profile(name, fan_out=1, counties=counties, **given.of_profile(options)) as running:
        await warm_up(running, fan_out=1, notices=2 * options.at_once)
        async with stretch(running, options.notices, fan_out=1, within_s=WITHIN_S) as found:
            found.posted = await post_all(running, options.notices, at_once=options.at_once)
        return {
            "scenario": "saturation",
            "profile": name,
            "layout": running.layout,
            "fan_out": 1,
            "at_once": options.at_once,
            "subscriptions": subscriptions,
            **found.figures,
        }


def main() -> None:
    """Measure what was asked for, print it and write it down."""
    parser = given.parser(__doc__)
    parser.add_argument("--notices", type=int, default=NOTICES)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument(
        "--subscriptions", action="append", type=int, choices=range(1, len(COUNTIES) + 1),
        metavar="N",
    )  # fmt: skip
    options = parser.parse_args()
    rows = []
    for name in given.profiles(options):
        for subscriptions in options.subscriptions or SUBSCRIPTIONS:
            rows.append(measured(saturation(name, subscriptions, options)))
            given.show(rows[-1:], options)
    given.finish(rows, options)


if __name__ == "__main__":
    main()

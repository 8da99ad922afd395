"""The short set: `python -m bench` (or `make bench`) measures it, and prints what is reached.

python -m bench [--open 100000] [--layout "gateway,ledger dispatcher"] [--uncounted] [--json FILE]

Each scenario is a module of its own: latency, saturation, fanout, kill, isolation, soak,
escalation, report, routing, national. `bench.plot` draws what they wrote as JSON.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import uvloop

from bench import escalation, fanout, kill, latency, reach, saturation
from bench import options as given
from bench.harness import measured, servers_kept

SHORT = {
    "rate": None,
    "seconds": 5.0,
    "notices": fanout.NOTICES,
    "at_once": fanout.AT_ONCE,
    "burst": 1_000,
    "trickle": 100,
}
SATURATION = {"notices": saturation.NOTICES, "at_once": saturation.AT_ONCE}
KILL = {"notices": kill.NOTICES, "fan_out": kill.FAN_OUT}


def short_set(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure the short set, row by row."""
    short = _with(options, SHORT)
    for name in given.profiles(options):
        yield from measured(latency.latency(name, short))
        for fan_out in (20, 100):
            yield measured(fanout.burst(name, fan_out, short))
    if "production" not in given.profiles(options):
        return
    for subscriptions in saturation.SUBSCRIPTIONS:
        yield measured(
            saturation.saturation("production", subscriptions, _with(options, SATURATION))
        )
    yield measured(fanout.one_to_many("production", short))
    for who in kill.WHO:
        yield measured(kill.kill(who, _with(options, KILL)))
    yield escalation.as_row(uvloop.run(escalation.measure(short)))


def _with(options: argparse.Namespace, more: dict[str, Any]) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), **more})


def main() -> None:
    """Measure the short set and print it."""
    parser = given.parser(__doc__)
    parser.add_argument("--open", type=int, default=100_000, help="obligations that are open")
    options = parser.parse_args()
    rows = []
    with servers_kept():
        for row in short_set(options):
            rows.append(row)
            given.show([row], options)
    given.show(rows, options)
    reach.show(rows)
    if options.json is not None:
        given.write(options.json, {"rows": rows})


if __name__ == "__main__":
    main()

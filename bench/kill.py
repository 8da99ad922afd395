"""kill -9 of a dispatcher, then of a gateway, in a burst; each is started again at once.

What was accepted and never arrives is lost; what arrives again under the same id is doubled. A post
that a killed gateway did not answer is sent again under its key, as a poster does.

python -m bench.kill [--who dispatcher --who gateway] [--notices 200] [--fan-out 20]
    [--layout "gateway,ledger dispatcher"] [--json FILE]
"""

import argparse
import asyncio
from typing import Any

from bench import options as given
from bench.harness import Posted, Running, measured, post_all, profile
from bench.measuring import times, warm_up

WHO = ("dispatcher", "gateway")
NOTICES = 200
FAN_OUT = 20
AT_ONCE = 16
KILLED_AFTER = 1 / 3  # of what is expected has arrived; for a gateway, of the posts are accepted
LOOK_EVERY_S = 0.005
WITHIN_S = 180


async def kill(who: str, options: argparse.Namespace) -> dict[str, Any]:
    """Kill the first process with this role in a burst, start it again, and count."""
    async with profile(
        "production", fan_out=options.fan_out, **given.of_profile(options)
    ) as running:
        await warm_up(running, fan_out=options.fan_out)
        before, refused = await running.arrivals(), running.publisher.refused
        expected = options.notices * options.fan_out
        accepted = running.publisher.accepted
        async with asyncio.TaskGroup() as tasks:
            posting = tasks.create_task(post_all(running, options.notices, at_once=AT_ONCE))
            if who == "gateway":  # it takes notices faster than they are sent
                await _accepted(running, accepted + round(options.notices * KILLED_AFTER))
            else:
                await running.wait(before["count"] + round(expected * KILLED_AFTER))
            tasks.create_task(_kill(running, who))
        posted: list[Posted] = posting.result()
        await running.wait(before["count"] + expected, within_s=WITHIN_S)
        after = await running.arrivals()
        return {
            "scenario": f"kill -9 of a {who}",
            "profile": "production",
            "layout": running.layout,
            "fan_out": options.fan_out,
            "notices": len(posted),
            "deliveries": expected,
            "refused_and_repeated": running.publisher.refused - refused,
            **times(posted, after["arrivals"]),
            "missing": expected - (after["count"] - before["count"]),
            "doubled": after["doubled"] - before["doubled"],
        }


async def _accepted(running: Running, count: int) -> None:
    while running.publisher.accepted < count:  # noqa: ASYNC110 - the publisher counts in passing
        await asyncio.sleep(LOOK_EVERY_S)


async def _kill(running: Running, who: str) -> None:
    part = next(one for one in running.parts if who in one.name)
    await part.kill()
    await running.restart(part)


def main() -> None:
    """Measure what was asked for, print it and write it down."""
    parser = given.parser(__doc__)
    parser.add_argument("--who", action="append", choices=WHO)
    parser.add_argument("--notices", type=int, default=NOTICES)
    parser.add_argument("--fan-out", type=int, default=FAN_OUT)
    options = parser.parse_args()
    rows = []
    for who in options.who or WHO:
        rows.append(measured(kill(who, options)))
        given.show(rows[-1:], options)
    given.finish(rows, options)


if __name__ == "__main__":
    main()

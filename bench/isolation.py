"""What bad neighbours cost the others (I12): arrival at healthy ones, with 0, 1, 10 of 20 bad.

And a backlog: 560 overdue retries to three endpoints that hang, then a fresh notice for a fourth.

python -m bench.isolation [--profile embedded|production] [--seconds 20] [--rate 2] [--json FILE]
"""

from typing import Any

from bench import options as given
from bench.harness import measured, post_at, profile, servers_kept
from bench.measuring import stretch, warm_up

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
    async with profile(name, fan_out=FAN_OUT, bad=ways, **given.of_profile(options)) as running:
        await warm_up(running, fan_out=good, notices=WARM_NOTICES)
        count = round(options.seconds * options.rate)
        async with stretch(running, count, fan_out=good) as found:
            found.posted = await post_at(running, count, per_second=options.rate)
        return {
            "scenario": f"{bad} of {FAN_OUT} bad: {way or 'mixed' if bad else 'none'}",
            "profile": name,
            "layout": running.layout,
            "per_second": options.rate,
            **found.figures,
        }


async def backlog(name: str, options: Any) -> dict[str, Any]:
    """Measure how long fresh notices for one tenant wait behind the overdue retries of three."""
    async with profile(
        name, fan_out=HUNG + 1, bad=["hang"] * HUNG, **given.of_profile(options)
    ) as running:
        await warm_up(running, fan_out=1, notices=OVERDUE_NOTICES)
        overdue = await running.make_overdue("/hang")
        async with stretch(running, FRESH_NOTICES, fan_out=1) as found:
            found.posted = await post_at(running, FRESH_NOTICES, per_second=FRESH_PER_SECOND)
        return {
            "scenario": f"behind {overdue} overdue",
            "profile": name,
            "layout": running.layout,
            "per_second": FRESH_PER_SECOND,
            "overdue": overdue,
            **found.figures,
        }


def main() -> None:
    """Measure what was asked for, print it and write it down."""
    parser = given.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=2.0, help="notices a second")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with servers_kept():
        for name in given.profiles(options):
            for bad in BAD:
                for way in ("hang", "drip", "flood") if bad == 1 else (None,):
                    rows.append(measured(neighbours(name, bad, way=way, options=options)))
                    given.show(rows[-1:], options)
            rows.append(measured(backlog(name, options)))
            given.show(rows[-1:], options)
    given.finish(rows, options)


if __name__ == "__main__":
    main()

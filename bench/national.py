"""What the whole country would ask of the bus: a calculation, and a simulation that checks it.

python -m bench.national [--scale 1.0] [--events 28000] [--database postgresql] [--stored FILE]
    [--carried FILE] [--no-simulation] [--json FILE]

The simulation draws a day's events by seed, routes them with the bus's own code over a database
with every subscription, counts, and compares. It ends with 1 where the two differ by more than
their bound.
"""

import argparse
import json
import math
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from bench.loads import Assumptions, Costs, Load, accepted_at_once, cells, limits, load_of
from bench.nation import EVENTS_A_DAY, Nation, Place, nation
from bench.routing import DATABASES, Filled, filled, routed
from noticebus.bus.port import SHARD_DELIVERIES_MAX
from noticebus.casework.binding import first_calls
from noticebus.casework.intake import BATCH_NOTICES_MAX, BATCH_RECIPIENTS_MAX
from noticebus.collector import spare_what_is_loaded
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.domain.routing import Routing
from noticebus.telemetry import configure_logging

SEED = 2019
MINUTES = 24 * 60
ROUTED_TOGETHER_MAX = 10_000  # recipients; four batches of the intake


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of the day: where, in which minute, of which class."""

    fips: str
    minute: int
    notice_class: NoticeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whom one event in one county and class reaches."""

    recipients: int
    deliveries: int

    @property
    def shards(self) -> int:
        return math.ceil(self.deliveries / SHARD_DELIVERIES_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure, calculated and counted."""

    name: str
    calculated: float
    counted: float
    bound: float

    @property
    def ratio(self) -> float:
        return self.counted / self.calculated

    @property
    def holds(self) -> bool:
        return abs(self.ratio - 1) <= self.bound


def day_of(places: Sequence[Place], assumed: Assumptions) -> list[Event]:
    """Draw a day's events: counties by their people, minutes by the day's curve, classes apart."""
    drawn = random.Random(SEED)
    count = round(assumed.events_a_day)
    where = drawn.choices(places, weights=[one.share for one in places], k=count)
    curve = [assumed.rate_at((minute + 0.5) / MINUTES) for minute in range(MINUTES)]
    when = drawn.choices(range(MINUTES), weights=curve, k=count)
    return [
        Event(
            fips=place.fips,
            minute=minute,
            notice_class=NoticeClass.A if drawn.random() < assumed.class_a_share else NoticeClass.B,
        )
        for place, minute in zip(where, when, strict=True)
    ]


Kind = tuple[str, NoticeClass]  # a county and a class: whom it reaches does not depend on more


async def route_kinds(on: Filled, kinds: Collection[Kind]) -> dict[Kind, Reach]:
    """Route one notice of each county and class; of one county they share a look at the rows."""
    of_county: defaultdict[str, list[Kind]] = defaultdict(list)
    for kind in sorted(kinds):
        of_county[kind[0]].append(kind)
    found: dict[Kind, Reach] = {}
    for counties in _batches(list(of_county), on.nation, recipients_max=ROUTED_TOGETHER_MAX):
        batch = [kind for fips in counties for kind in of_county[fips]]
        drafts = [
            await on.draft(_at(fips), notice_class=notice_class) for fips, notice_class in batch
        ]
        pairs, _, _ = await routed(on.desk, drafts, bind=False)
        for kind, (_, routing) in zip(batch, pairs, strict=True):
            found[kind] = _reach(routing)
    return found


def _batches(counties: Sequence[str], of: Nation, *, recipients_max: int) -> Iterator[list[str]]:
    """Cut into batches as the intake does: so many notices, or so many recipients at most."""
    expected = {one.fips: 2 + one.districts + one.congregations for one in of.places}
    batch: list[str] = []
    recipients = 0
    for fips in counties:
        recipients += expected[fips]
        if batch and (recipients > recipients_max or len(batch) == BATCH_NOTICES_MAX):
            yield batch
            batch, recipients = [], expected[fips]
        batch.append(fips)
    if batch:
        yield batch


def _at(fips: str) -> list[dict[str, list[str]]]:
    return [{"county_fips": [fips]}]


def _reach(routing: Routing) -> Reach:
    deliveries = 0
    for one in routing.recipients:
        subscribed, called = first_calls(
            orders=one.subscriptions, desk=one.contacts, channels=one.first_channels
        )
        deliveries += len(subscribed) + len(called)
    return Reach(recipients=len(routing.recipients), deliveries=deliveries)


async def bind_minute(on: Filled, events: Sequence[Event]) -> dict[str, float]:
    """Find, route and bind the notices of one minute for real; give the seconds of our CPU."""
    began = time.process_time()
    waiting = iter(events)
    recipients = deliveries = 0
    for counties in _batches(
        [one.fips for one in events], on.nation, recipients_max=BATCH_RECIPIENTS_MAX
    ):
        batch = [next(waiting) for _ in counties]
        drafts = [await on.draft(_at(one.fips), notice_class=one.notice_class) for one in batch]
        _, bound, _ = await routed(on.desk, drafts)
        recipients += sum(len(one.obligations) for one in bound)
        deliveries += sum(len(one.deliveries) for one in bound)
    return {
        "events": len(events),
        "recipients": recipients,
        "deliveries": deliveries,
        "cpu_s": round(time.process_time() - began, 2),
    }


async def simulate(assumed: Assumptions, country: Nation, database: str) -> dict[str, Any]:
    """Route a day and bind its busiest minute."""
    configure_logging(log_format="json", level="error")
    began = time.perf_counter()
    events = day_of(country.places, assumed)
    async with filled(database, country) as on:
        spare_what_is_loaded()  # as `noticebus serve` does
        filled_s = time.perf_counter() - began
        used = time.process_time()
        reach = await route_kinds(on, {(one.fips, one.notice_class) for one in events})
        used = time.process_time() - used
        of_minute: defaultdict[int, list[Event]] = defaultdict(list)
        for one in events:
            of_minute[one.minute].append(one)
        minute = max(of_minute, key=lambda one: len(of_minute[one]))
        bound = await bind_minute(on, of_minute[minute])
    figures = _figures(events, reach, assumed)
    routed_recipients = sum(one.recipients for one in reach.values())
    return {
        "database": database,
        "subscribers": country.subscribers,
        "fill_s": round(filled_s, 1),
        "notices_routed": len(reach),
        "recipients_routed": routed_recipients,
        "route_us": round(used * 1e6 / routed_recipients, 1),
        "busiest_minute": bound,
        "figures": figures,
        "took_s": round(time.perf_counter() - began, 1),
    }


def _figures(
    events: Sequence[Event], reach: Mapping[Kind, Reach], assumed: Assumptions
) -> dict[str, float]:
    """Count what a day's events come to."""
    each = [reach[one.fips, one.notice_class] for one in events]
    hour = range(assumed.peak_minute - 30, assumed.peak_minute + 30)
    of_minute = Counter(one.minute for one in events)
    of_state: Counter[str] = Counter()
    for one, found in zip(events, each, strict=True):
        of_state[one.fips[:2]] += found.deliveries
    deliveries = sum(one.deliveries for one in each)
    return {
        "recipients an event": sum(one.recipients for one in each) / len(each),
        "deliveries an event": deliveries / len(each),
        "shards an event": sum(one.shards for one in each) / len(each),
        "events in the peak hour": sum(of_minute[one] for one in hour),
        "deliveries in the peak hour": sum(
            found.deliveries for one, found in zip(events, each, strict=True) if one.minute in hour
        ),
        "events in the busiest minute": max(of_minute.values()),
        "largest state's share of deliveries": max(of_state.values()) / deliveries,
    }


def compare(load: Load, counted: Mapping[str, float]) -> list[Compared]:
    """Put every figure beside what was calculated."""
    calculated, bounds = load.figures(), load.bounds()
    return [
        Compared(name=name, calculated=calculated[name], counted=value, bound=bounds[name])
        for name, value in counted.items()
    ]


def show(console: Console, told: Mapping[str, Any], compared: Sequence[Compared]) -> None:
    """Print the calculation, the limits, the cells and the comparison."""
    _table(console, "A day, by share of the congregations that read", told["days"])
    _table(console, "The first limit: events a day that one bus carries", told["limits"])
    _table(console, "A cell for each state", told["cells"])
    console.print(f"One notice is answered in time with {told['recipients_at_once']:,} recipients.")
    if not compared:
        return
    table = Table(title="Calculated and counted")
    for heading in ("", "calculated", "counted", "ratio", "bound", ""):
        table.add_column(heading, justify="right")
    for one in compared:
        table.add_row(
            one.name, f"{one.calculated:,.2f}", f"{one.counted:,.2f}", f"{one.ratio:.3f}",
            f"±{one.bound:.0%}", "" if one.holds else "DIFFERS",
        )  # fmt: skip
    console.print(table)
    console.print({key: told["simulation"][key] for key in told["simulation"] if key != "figures"})


def _table(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=title)
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            *(f"{one:,.6g}" if isinstance(one, float) else str(one) for one in row.values())
        )
    console.print(table)


def calculate(assumed: Assumptions, costs: Costs) -> dict[str, Any]:
    """Calculate the day for each share of congregations, its limits and its cells."""
    loads = [load_of(assumed.reading(share)) for share in assumed.shares_shown]
    return {
        "assumptions": asdict(assumed),
        "costs": asdict(costs),
        "days": [one.row(costs) for one in loads],
        "limits": limits(loads, costs),
        "cells": cells(loads, costs),
        "recipients_at_once": round(accepted_at_once(costs)),
    }


def main() -> None:
    """Calculate, simulate, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of districts and congregations")
    parser.add_argument("--events", type=int, default=EVENTS_A_DAY, help="of the simulated day")
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument("--stored", type=Path, help="what `bench.routing --store --json` wrote")
    parser.add_argument("--carried", type=Path, help="what `bench --json` wrote")
    parser.add_argument("--no-simulation", dest="simulation", action="store_false")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    assumed = Assumptions().scaled(options.scale, events=options.events)
    costs = Costs()
    if options.stored is not None:
        costs = costs.stored(options.stored)
    if options.carried is not None:
        costs = costs.carried(options.carried)
    told = calculate(Assumptions(), costs)
    compared: list[Compared] = []
    if options.simulation:
        country = nation(districts=assumed.districts, congregations=assumed.congregations)
        told["simulation"] = uvloop.run(simulate(assumed, country, options.database))
        compared = compare(load_of(assumed), told["simulation"]["figures"])
        told["compared"] = [{**asdict(one), "ratio": one.ratio} for one in compared]
    show(Console(width=150), told, compared)
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if not all(one.holds for one in compared):
        sys.exit(1)


if __name__ == "__main__":
    main()

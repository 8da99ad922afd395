"""The arithmetic of national scale: what is assumed, what it comes to, and where it ends.

Everything follows from three shares a county: of the events, of the districts, of the
congregations. A notice reaches its county's agencies and its state's; so the mean an event is
weighted by the people twice, once for where it happens and once for who is there.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.nation import CONGREGATIONS, DISTRICTS, EVENTS_A_DAY, districts_expected, shares
from noticebus.bus.port import SHARD_DELIVERIES_MAX

DAY_S = 86_400
GIGA = 1e9
ANSWERED_WITHIN_S = 10  # what a poster waits for at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is not known and has to be said; each with its source in performance.md."""

    events_a_day: float = EVENTS_A_DAY
    districts: int = DISTRICTS
    congregations: int = CONGREGATIONS  # those that read, of all
    peak_hour_share: float = 0.08  # of a day's events
    peak_minute: int = 20 * 60
    class_a_share: float = 0.1
    versions: float = 2.0  # of an incident: the alert and one update
    steps: float = 0.75  # fired a recipient: half are silent at the first, a quarter at the second
    kept_days: float = 5 * 365  # the accounting of disclosures
    shares_shown: tuple[float, ...] = (0.0, 0.01, 0.1, 1.0)

    def scaled(self, scale: float, *, events: int) -> "Assumptions":
        """Take a part of the districts and of those who read, over the same counties."""
        return replace(
            self,
            events_a_day=events,
            districts=round(self.districts * scale),
            congregations=round(self.congregations * scale),
        )

    def reading(self, share: float) -> "Assumptions":
        """Let a share of the congregations read."""
        return replace(self, congregations=round(self.congregations * share))

    def rate_at(self, part: float) -> float:
        """Give the rate at a part of the day, in means of the day: one wave, highest at the peak.

        Its height is such that the hour around the peak holds `peak_hour_share`.
        """
        hour = math.sin(math.pi / 24) / (math.pi / 24)  # the wave's mean over its highest hour
        height = (24 * self.peak_hour_share - 1) / hour
        return 1 + height * math.cos(2 * math.pi * (part - self.peak_minute / (24 * 60)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one bus was measured to need or to do, for each recipient where nothing else is said.

    `deliveries_s` is what two cores must do, until a measured figure is given. What disk and
    brokers do is assumed.
    """

    deliveries_s: float = 5_000
    accept_us: float = 600
    sequence_us: float = 126
    rows: float = 6
    stored_bytes: float = 12_200
    wal_bytes: float = 10_800
    wal_bytes_s: float = 100e6
    disk_bytes: float = 16e12
    shards_s: float = 1_000

    def stored(self, file: Path) -> "Costs":
        """Take what `bench.routing --store --json` measured, where all recipients are servers."""
        found = json.loads(file.read_text())["stored"][0]
        return replace(
            self,
            accept_us=found["accept_us"],
            sequence_us=found["sequence_in_all_us"],
            rows=sum(found["rows"].values()),
            stored_bytes=found["stored_bytes"],
            wal_bytes=found["wal_bytes"],
        )

    def carried(self, file: Path) -> "Costs":
        """Take the deliveries/s of a `bench --json` file: fan-out 100, PostgreSQL and Kafka."""
        rows = json.loads(file.read_text())["rows"]
        wanted = {"scenario": "fan-out", "profile": "production", "fan_out": 100}
        found = next(one for one in rows if wanted.items() <= one.items())
        return replace(self, deliveries_s=found["delivered_per_s"])


@dataclass(frozen=True, slots=True, kw_only=True)
class County:
    """What an event in a county reaches, and how likely it happens there."""

    fips: str
    share: float
    called: float  # with an endpoint and a desk: in class A both are told
    readers: float

    @property
    def recipients(self) -> float:
        return self.called + self.readers

    def deliveries(self, class_a_share: float) -> float:
        """Give the mean of a notice's deliveries there."""
        return self.recipients + class_a_share * self.called

    def shards(self, class_a_share: float) -> float:
        """Give the mean number of its records on the bus."""
        plain = math.ceil(self.recipients / SHARD_DELIVERIES_MAX)
        urgent = math.ceil((self.recipients + self.called) / SHARD_DELIVERIES_MAX)
        return (1 - class_a_share) * plain + class_a_share * urgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A day of the whole country, as calculated."""

    assumed: Assumptions
    counties: tuple[County, ...]

    @property
    def recipients(self) -> float:
        """Give the mean of an event's recipients."""
        return sum(one.share * one.recipients for one in self.counties)

    @property
    def deliveries(self) -> float:
        """Give the mean of a notice's deliveries, before any reminder."""
        a_share = self.assumed.class_a_share
        return sum(one.share * one.deliveries(a_share) for one in self.counties)

    @property
    def shards(self) -> float:
        """Give the mean of a notice's records on the bus."""
        a_share = self.assumed.class_a_share
        return sum(one.share * one.shards(a_share) for one in self.counties)

    @property
    def sent(self) -> float:
        """Give all that an event sends in the end: its versions, and steps to the silent."""
        return self.deliveries * self.assumed.versions + self.recipients * self.assumed.steps

    @property
    def peak_events_s(self) -> float:
        return self.assumed.events_a_day * self.assumed.peak_hour_share / 3600

    def of_states(self) -> dict[str, float]:
        """Give each state's share of all deliveries, the largest first."""
        found: defaultdict[str, float] = defaultdict(float)
        for one in self.counties:
            found[one.fips[:2]] += one.share * one.deliveries(self.assumed.class_a_share)
        whole = sum(found.values())
        return {state: found[state] / whole for state in sorted(found, key=lambda s: -found[s])}

    @property
    def spread(self) -> float:
        """Give the standard deviation of an event's deliveries, in means: a few are very large."""
        a_share, mean = self.assumed.class_a_share, self.deliveries
        square = sum(one.share * one.deliveries(a_share) ** 2 for one in self.counties)
        return math.sqrt(square - mean**2) / mean

    def figures(self) -> dict[str, float]:
        """Give what the simulation counts."""
        minute = self.peak_events_s * 60
        # The highest of some 240 draws near the peak lies about so many deviations above the mean.
        above = math.sqrt(2 * math.log(240))
        return {
            "recipients an event": self.recipients,
            "deliveries an event": self.deliveries,
            "shards an event": self.shards,
            "events in the peak hour": self.peak_events_s * 3600,
            "deliveries in the peak hour": self.peak_events_s * 3600 * self.deliveries,
            "events in the busiest minute": minute + above * math.sqrt(minute),
            "largest state's share of deliveries": next(iter(self.of_states().values())),
        }

    def bounds(self) -> dict[str, float]:
        """Give how far what is counted may be from each figure: four standard errors and 1 %."""
        figures, deviations, rounding = self.figures(), 4, 0.01
        day, hour = self.assumed.events_a_day, figures["events in the peak hour"]
        largest = day * figures["largest state's share of deliveries"]
        both = math.sqrt(1 + self.spread**2)  # how many events come, and how large each is
        errors = {
            "recipients an event": self.spread / math.sqrt(day),
            "deliveries an event": self.spread / math.sqrt(day),
            "shards an event": self.spread / math.sqrt(day),
            "events in the peak hour": 1 / math.sqrt(hour),
            "deliveries in the peak hour": both / math.sqrt(hour),
            "events in the busiest minute": 0.4
            / math.sqrt(figures["events in the busiest minute"]),
            "largest state's share of deliveries": self.spread / math.sqrt(largest),
        }
        return {name: deviations * one + rounding for name, one in errors.items()}

    def row(self, costs: Costs) -> dict[str, Any]:
        """Tell the day as a line of a table."""
        day = self.assumed.events_a_day
        return {
            "congregations": self.assumed.congregations,
            "recipients an event": self.recipients,
            "obligations a day": day * self.recipients,
            "sent a day": day * self.sent,
            "sent/s, mean": day * self.sent / DAY_S,
            "sent/s, peak hour": self.peak_events_s * self.sent,
            "shards/s, peak hour": self.peak_events_s * self.shards * self.assumed.versions,
            "rows a day": day * self.sent * costs.rows,
            "GB a day": day * self.sent * costs.stored_bytes / GIGA,
            "WAL MB/s, peak hour": self.peak_events_s * self.sent * costs.wal_bytes / 1e6,
        }


def load_of(assumed: Assumptions) -> Load:
    """Calculate a day, county by county, with fractions where nobody is divided."""
    share = shares()
    districts = districts_expected(assumed.districts, share)
    return Load(
        assumed=assumed,
        counties=tuple(
            County(
                fips=fips,
                share=one,
                called=2 + districts[fips],  # the county's agency and the state's beside them
                readers=assumed.congregations * one,
            )
            for fips, one in share.items()
        ),
    )


def limits(loads: Sequence[Load], costs: Costs) -> list[dict[str, Any]]:
    """Tell at how many events a day each resource of one bus ends, and which is the first."""
    rows = []
    for load in loads:
        carried = dict(_carried(load, costs))
        first = min(carried, key=lambda one: carried[one])
        rows.append({"congregations": load.assumed.congregations, **carried, "first": first})
    return rows


def _carried(load: Load, costs: Costs) -> Iterator[tuple[str, float]]:
    """Give the events a day that each resource carries, with this day's curve and reach."""
    peak = load.assumed.peak_hour_share / 3600  # of a day's events, in a second
    yield "deliveries/s", costs.deliveries_s / (load.sent * peak)
    yield "WAL", costs.wal_bytes_s / (load.sent * costs.wal_bytes * peak)
    yield "sequencer", 1e6 / costs.sequence_us / (load.sent * peak)
    yield "brokers", costs.shards_s / (load.shards * load.assumed.versions * peak)
    yield (
        f"{costs.disk_bytes / 1e12:.0f} TB, {load.assumed.kept_days / 365:.0f} years",
        costs.disk_bytes / (load.sent * costs.stored_bytes * load.assumed.kept_days),
    )


def cells(loads: Sequence[Load], costs: Costs) -> list[dict[str, Any]]:
    """Tell what the largest cell of a state has to carry, and how far the cells go together."""
    rows: list[dict[str, Any]] = []
    for load in loads:
        shares_of = list(load.of_states().values())
        sent = load.peak_events_s * load.sent
        rows.append(
            {
                "congregations": load.assumed.congregations,
                "largest cell's share": shares_of[0],
                "its sent/s, peak hour": sent * shares_of[0],
                "its GB a day": load.row(costs)["GB a day"] * shares_of[0],
                "median cell's sent/s": sent * shares_of[len(shares_of) // 2],
                "times one bus": 1 / shares_of[0],
            }
        )
    return rows


def accepted_at_once(costs: Costs) -> float:
    """Give how many recipients one notice may have, to be answered before its poster gives up."""
    return ANSWERED_WITHIN_S * 1e6 / costs.accept_us

"""A country to route for: how many answer for each county, and how much happens there.

What is not vendored is stated here as an assumption, with where it comes from.
"""

import functools
import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import NormalDist

from noticebus.refdata import counties

EVENTS_A_DAY = 28_000  # about ten million arrests a year
DISTRICTS = 13_000
CONGREGATIONS = 350_000
SPREAD = 1.55  # of the logarithm of a county's people: then half of all live in the 143 largest
# Residents in thousands, 2020 census.
PEOPLE = {
    "AL": 5024, "AK": 733, "AZ": 7152, "AR": 3012, "CA": 39538, "CO": 5774, "CT": 3606, "DE": 990,
    "DC": 690, "FL": 21538, "GA": 10712, "HI": 1455, "ID": 1839, "IL": 12813, "IN": 6786,
    "IA": 3190, "KS": 2938, "KY": 4506, "LA": 4658, "ME": 1362, "MD": 6177, "MA": 7030, "MI": 10077,
    "MN": 5706, "MS": 2961, "MO": 6155, "MT": 1084, "NE": 1962, "NV": 3105, "NH": 1378, "NJ": 9289,
    "NM": 2118, "NY": 20201, "NC": 10439, "ND": 779, "OH": 11799, "OK": 3959, "OR": 4237,
    "PA": 13003, "RI": 1097, "SC": 5118, "SD": 887, "TN": 6911, "TX": 29146, "UT": 3272, "VT": 643,
    "VA": 8631, "WA": 7705, "WV": 1794, "WI": 5894, "WY": 577,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A county: its share of the people (and of the events), and who answers or reads there."""

    fips: str
    share: float
    districts: int
    congregations: int

    @property
    def state(self) -> str:
        return self.fips[:2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nation:
    """Every county once, by code. Each has a child-protection agency, and so has each state."""

    places: tuple[Place, ...]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(sorted({one.state for one in self.places}))

    @property
    def subscribers(self) -> int:
        """Count the agencies, of which each has one subscription."""
        own = sum(one.districts + one.congregations for one in self.places)
        return len(self.places) + len(self.states) + own


@functools.cache
def shares() -> Mapping[str, float]:
    """Give each county's share of the people: its state's, dealt out log-normally.

    Which county of a state is the larger is decided by a hash, not by the truth.
    """
    gazetteer = counties.load()
    total = sum(PEOPLE.values())
    found: dict[str, float] = {}
    for code, people in PEOPLE.items():
        ranked = sorted(gazetteer.counties_of_state(code), key=_draw)
        normal = NormalDist(sigma=SPREAD)
        sizes = [
            math.exp(normal.inv_cdf((rank + 0.5) / len(ranked))) for rank in range(len(ranked))
        ]
        for fips, size in zip(ranked, sizes, strict=True):
            found[fips] = people / total * size / sum(sizes)
    return dict(sorted(found.items()))


def districts_expected(count: int, share: Mapping[str, float]) -> dict[str, float]:
    """Give each county its districts, in fractions.

    One each while there are so many, the others by the square root of its people: a city's
    districts are large ones.
    """
    each = min(count // len(share), 1)
    roots = {fips: math.sqrt(one) for fips, one in share.items()}
    more = (count - each * len(share)) / sum(roots.values())
    return {fips: each + more * root for fips, root in roots.items()}


def nation(*, districts: int = DISTRICTS, congregations: int = CONGREGATIONS) -> Nation:
    """Deal districts and congregations out over the counties, these by its people."""
    share = shares()
    schools = deal(districts_expected(districts, share))
    readers = deal({fips: congregations * one for fips, one in share.items()})
    return Nation(
        places=tuple(
            Place(fips=fips, share=one, districts=schools[fips], congregations=readers[fips])
            for fips, one in share.items()
        )
    )


def nation_of(subscribers: int) -> Nation:
    """Make a country of `subscribers` subscriptions: beside each county's and state's agencies.

    Half of the rest are districts while there are so many, the others congregations.
    """
    rest = subscribers - len(shares()) - len(PEOPLE)
    assert rest >= 0, f"{subscribers} are fewer than the agencies of counties and states"
    districts = min(DISTRICTS, rest // 2)
    return nation(districts=districts, congregations=rest - districts)


def deal(wanted: Mapping[str, float]) -> dict[str, int]:
    """Round fractions to whole things so that every sum from the first on is right within one."""
    dealt: dict[str, int] = {}
    before = total = 0.0
    for key, one in wanted.items():
        total += one
        dealt[key] = round(total) - round(before)
        before = total
    return dealt


def largest(places: Collection[Place]) -> Place:
    """Give the county with the most people."""
    return max(places, key=lambda one: (one.share, one.fips))


def _draw(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

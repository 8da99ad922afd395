"""The reference data of places as the rules see it; `refdata` holds the data itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LatitudeLongitude = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class County:
    """A county or what stands for one: parish, borough, planning region, independent city."""

    fips: str
    name: str  # with its designation: "Scott County", "Orleans Parish"
    state_fips: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state, the District of Columbia or a territory."""

    fips: str
    abbreviation: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredCounty:
    """A code no longer in use, and every present county that covers part of the old one."""

    fips: str
    retired_in: int
    counties: tuple[str, ...]


class Gazetteer(Protocol):
    """The reference data: immutable, shared between threads. A new answer means a new `version`."""

    @property
    def version(self) -> str: ...

    @property
    def has_zip_table(self) -> bool: ...

    def county(self, fips: str) -> County | None: ...

    def retired_county(self, fips: str) -> RetiredCounty | None: ...

    def state(self, code: str) -> State | None:
        """Return the state of a two-digit FIPS code or a postal abbreviation."""

    def counties_of_state(self, code: str) -> frozenset[str]: ...

    def county_of_point(self, latitude: float, longitude: float) -> str | None: ...

    def counties_of_circle(
        self, latitude: float, longitude: float, *, radius_km: float
    ) -> frozenset[str]: ...

    def counties_of_polygon(self, points: Sequence[LatitudeLongitude]) -> frozenset[str]: ...

    def counties_of_zip(self, zip_code: str) -> frozenset[str] | None: ...

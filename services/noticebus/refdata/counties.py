"""The gazetteer that ships with noticebus: names at once, outlines when first needed."""

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from noticebus.domain.gazetteer import County, LatitudeLongitude, RetiredCounty, State
from noticebus.refdata import shapes, zips

DATA = files("noticebus.refdata") / "data"
VERSION_DIGITS = 12

# The source leaves out designations. Those of Alaska and the islands vary, so they stay left out.
_DESIGNATIONS = {"09": "Planning Region", "22": "Parish", "72": "Municipio"}
_UNDESIGNATED = frozenset({"02", "11", "60", "66", "69", "78"})
_CITIES = frozenset({"24510", "29510"})
_FIRST_CITY_OF_VIRGINIA = "51500"


@dataclass(frozen=True, slots=True, kw_only=True)
class VendoredGazetteer:
    """Reference data of one version. Immutable after `load`; any number of threads may ask."""

    version: str
    _counties: Mapping[str, County]
    _states: Mapping[str, State]  # by FIPS code and by abbreviation
    _retired: Mapping[str, RetiredCounty]
    _by_state: Mapping[str, frozenset[str]]
    _zips: Mapping[str, frozenset[str]] | None = None

    @property
    def has_zip_table(self) -> bool:
        return self._zips is not None

    def county(self, fips: str) -> County | None:
        """Return a present county; a retired code has none."""
        return self._counties.get(fips)

    def retired_county(self, fips: str) -> RetiredCounty | None:
        """Return what became of a county code no longer in use."""
        return self._retired.get(fips)

    def state(self, code: str) -> State | None:
        """Return the state of a two-digit FIPS code or a postal abbreviation in any case."""
        return self._states.get(code.upper())

    def counties_of_state(self, code: str) -> frozenset[str]:
        """Return the codes of all counties of a state, empty where there is no such state."""
        state = self.state(code)
        return frozenset() if state is None else self._by_state[state.fips]

    def county_of_point(self, latitude: float, longitude: float) -> str | None:
        """Return the county that contains a point; on a border, the one with the lower code."""
        found = _shapes().containing(latitude=latitude, longitude=longitude)
        return min(found, default=None)

    def counties_of_circle(
        self, latitude: float, longitude: float, *, radius_km: float
    ) -> frozenset[str]:
        """Return every county within `radius_km` of the point, whether or not it contains it."""
        return _shapes().meeting_circle(latitude=latitude, longitude=longitude, radius_km=radius_km)

    def counties_of_polygon(self, points: Sequence[LatitudeLongitude]) -> frozenset[str]:
        """Return every county that shares a point with the polygon of at least three corners."""
        return _shapes().meeting_polygon(points)

    def counties_of_zip(self, zip_code: str) -> frozenset[str] | None:
        """Return every county a ZIP code touches, or None where it or the table is unknown."""
        return None if self._zips is None else self._zips.get(zip_code)

    def warm(self) -> None:
        """Load the outlines now (about 0.1 s of CPU), so that no request has to wait for them."""
        _shapes()


def load(zip_file: Path | None = None) -> VendoredGazetteer:
    """Read names and codes (a few milliseconds), and the operator's ZIP table where there is one.

    Raises InvalidError, with the line, for a table that cannot be read.
    """
    gazetteer = _vendored()
    if zip_file is None:
        return gazetteer
    table = zips.read(zip_file, gazetteer=gazetteer)
    version = f"{gazetteer.version}+zip.{table.sha384[:VERSION_DIGITS]}"
    return replace(gazetteer, version=version, _zips=table.counties)


@functools.cache
def _vendored() -> VendoredGazetteer:
    states = {fips: State(fips=fips, **facts) for fips, facts in _read("states.json").items()}
    by_abbreviation = {state.abbreviation: state for state in states.values()}
    names = _read("county_names.json")
    return VendoredGazetteer(
        version=_version(),
        _counties=MappingProxyType({fips: _county(fips, name) for fips, name in names.items()}),
        _states=MappingProxyType(states | by_abbreviation),
        _retired=MappingProxyType(
            {
                fips: RetiredCounty(
                    fips=fips, retired_in=facts["retired"], counties=tuple(facts["counties"])
                )
                for fips, facts in _read("retired_counties.json").items()
            }
        ),
        _by_state=MappingProxyType(
            {state: frozenset(fips for fips in names if fips[:2] == state) for state in states}
        ),
    )


def county_shapes() -> shapes.CountyShapes:
    """Give the outlines of all counties: read and decoded once (about 0.1 s of CPU)."""
    return _shapes()


@functools.cache
def _shapes() -> shapes.CountyShapes:
    return shapes.load(DATA / "county_shapes.json.gz")


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / name).read_bytes())
    return content


def _version() -> str:
    """Name the package, its version and the start of its manifest's SHA-384: all files."""
    content = (DATA / "MANIFEST.json").read_bytes()
    manifest = json.loads(content)
    package = re.sub(r"^@[^/]*/", "", manifest["package"])
    digest = hashlib.sha384(content).hexdigest()
    return f"{package}@{manifest['version']}+{digest[:VERSION_DIGITS]}"


def _county(fips: str, name: str) -> County:
    return County(fips=fips, name=_designated(fips, name), state_fips=fips[:2])


def _designated(fips: str, name: str) -> str:
    state = fips[:2]
    if state in _UNDESIGNATED or name == "Carson City":
        return name
    if fips in _CITIES or _FIRST_CITY_OF_VIRGINIA < fips < "52":
        return f"{name} city" if not name.endswith(" City") else name
    return f"{name} {_DESIGNATIONS.get(state, 'County')}"

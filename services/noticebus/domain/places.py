"""Where a notice applies and where an agency answers: areas become counties and matching keys.

A notice's keys hold `county:` for each county it touches, `state:` for each of their states, and
`nation:us`. A responsibility or subscription selects by the fewest keys that say what it names: one
`state:` for a state. So a state's agency matches every county of its state, and a county's agency
matches a notice that names the whole state.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.domain.gazetteer import Gazetteer, LatitudeLongitude
from noticebus.errors import Detail

NATION_KEY = "nation:us"
CIRCLE_RADIUS_KM_MAX = 500.0
POLYGON_POINTS_MIN = 3
POLYGON_POINTS_MAX = 1000  # all polygons of one notice together
POLYGON_HEIGHT_DEGREES_MAX = 10.0
POLYGON_WIDTH_DEGREES_MAX = 20.0
COUNTIES_PER_SHAPE_MAX = 400
# Outlines are simplified: a pier or a barrier island may lie just outside its own county.
SHORE_TOLERANCE_KM = 5.0
# District ids begin with a state's code, or with the Bureau of Indian Education's.
BUREAU_OF_INDIAN_EDUCATION = "59"
TRIBE_SLUG_LENGTH_MAX = 80
SHOWN_LENGTH_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaFacts:
    """One area as its author wrote it. `nation` is for responsibilities and subscriptions only."""

    county_fips: tuple[str, ...] = ()
    lea_id: tuple[str, ...] = ()
    zip: tuple[str, ...] = ()
    point: LatitudeLongitude | None = None
    radius_km: float | None = None
    polygon: tuple[LatitudeLongitude, ...] = ()
    state: tuple[str, ...] = ()
    tribal_area: tuple[str, ...] = ()
    nation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasUsed:
    """A retired county code that was accepted: a warning to whoever wrote it."""

    pointer: str
    code: str
    counties: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPlaces:
    """What a notice's areas come to. `states` holds FIPS codes, `version` the reference data's."""

    counties: frozenset[str]
    leas: frozenset[str]
    states: frozenset[str]
    tribes: frozenset[str]
    keys: frozenset[str]
    aliases_used: tuple[AliasUsed, ...]
    version: str


def county_key(fips: str) -> str:
    """Return the matching key of a county."""
    return f"county:{fips}"


def state_key(fips: str) -> str:
    """Return the matching key of a whole state."""
    return f"state:{fips}"


def lea_key(lea_id: str) -> str:
    """Return the matching key of a school district."""
    return f"lea:{lea_id}"


def tribe_key(slug: str) -> str:
    """Return the matching key of a tribal area."""
    return f"tribe:{slug}"


def tribe_slug(name: str) -> str:
    """Return a short name for a tribal area: ASCII words in lower case, joined by hyphens."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")


def is_lea_shaped(lea_id: str, gazetteer: Gazetteer) -> bool:
    """Say whether an NCES district id could exist: seven digits, the first two those of a state."""
    if not re.fullmatch(r"[0-9]{7}", lea_id):
        return False
    prefix = lea_id[:2]
    return prefix == BUREAU_OF_INDIAN_EDUCATION or gazetteer.state(prefix) is not None


def resolve(
    areas: Sequence[AreaFacts],
    *,
    gazetteer: Gazetteer,
    known_leas: frozenset[str] | None,
    base: str = "/areas",
) -> ResolvedPlaces | tuple[Detail, ...]:
    """Resolve the areas of a notice, or return every problem found in them, in their order.

    `known_leas` are the districts the store knows; None checks their shape only. `base` starts each
    JSON pointer.
    """
    survey = _Survey(gazetteer=gazetteer, known_leas=known_leas)
    survey.read_all(areas, base)
    for index, area in enumerate(areas):
        if area.nation:
            survey.refuse(
                f"{base}/{index}/nation", "A notice names places. Name the states it concerns."
            )
    if survey.problems:
        return tuple(survey.problems)
    counties = survey.counties.union(*map(gazetteer.counties_of_state, survey.states))
    prefixes = {code[:2] for code in counties | survey.leas}
    states = survey.states | (prefixes - {BUREAU_OF_INDIAN_EDUCATION})
    return ResolvedPlaces(
        counties=frozenset(counties),
        leas=frozenset(survey.leas),
        states=frozenset(states),
        tribes=frozenset(survey.tribes),
        keys=survey.keys(counties=counties, states=states) | {NATION_KEY},
        aliases_used=tuple(survey.aliases_used),
        version=gazetteer.version,
    )


def subscription_keys(
    areas: Sequence[AreaFacts],
    *,
    gazetteer: Gazetteer,
    known_leas: frozenset[str] | None = None,
    base: str = "/areas",
) -> tuple[frozenset[str], tuple[Detail, ...]]:
    """Return the keys a responsibility or subscription selects by, or none and the problems."""
    survey = _Survey(gazetteer=gazetteer, known_leas=known_leas)
    survey.read_all(areas, base)
    if survey.problems:
        return frozenset(), tuple(survey.problems)
    keys = survey.keys(counties=survey.counties, states=survey.states)
    return keys | {NATION_KEY for area in areas if area.nation}, ()


class _Survey:
    """What was found and what was wrong, gathered area by area. Lives inside one call."""

    def __init__(self, *, gazetteer: Gazetteer, known_leas: frozenset[str] | None) -> None:
        self._gazetteer = gazetteer
        self._known_leas = known_leas
        self.counties: set[str] = set()
        self.leas: set[str] = set()
        self.states: set[str] = set()  # those named whole, not those merely touched
        self.tribes: set[str] = set()
        self.aliases_used: list[AliasUsed] = []
        self.problems: list[Detail] = []

    def keys(self, *, counties: set[str], states: set[str]) -> frozenset[str]:
        return frozenset(
            [
                *map(county_key, counties),
                *map(state_key, states),
                *map(lea_key, self.leas),
                *map(tribe_key, self.tribes),
            ]
        )

    def refuse(self, pointer: str, message: str) -> None:
        self.problems.append(Detail(pointer=pointer, message=message))

    def read_all(self, areas: Sequence[AreaFacts], base: str) -> None:
        if not areas:
            self.refuse(base, f"No area is named. {_NAME_A_PLACE}")
        if sum(len(area.polygon) for area in areas) > POLYGON_POINTS_MAX:
            remedy = "Draw them with fewer, or name the counties."
            self.refuse(base, f"The polygons have over {POLYGON_POINTS_MAX} corners. {remedy}")
            return
        for index, area in enumerate(areas):
            self._read(area, f"{base}/{index}")

    def _read(self, area: AreaFacts, at: str) -> None:
        if area == AreaFacts():
            self.refuse(at, f"This area names no place. {_NAME_A_PLACE}")
        for index, code in enumerate(area.county_fips):
            self._read_county(code, f"{at}/county_fips/{index}")
        for index, code in enumerate(area.lea_id):
            self._read_lea(code, f"{at}/lea_id/{index}")
        for index, code in enumerate(area.zip):
            self._read_zip(code, f"{at}/zip/{index}")
        self._read_circle(area, at)
        if area.polygon:
            self._read_polygon(area.polygon, f"{at}/polygon")
        for index, code in enumerate(area.state):
            self._read_state(code, f"{at}/state/{index}")
        for index, slug in enumerate(area.tribal_area):
            self._read_tribe(slug, f"{at}/tribal_area/{index}")

    def _read_county(self, code: str, at: str) -> None:
        if self._gazetteer.county(code) is not None:
            self.counties.add(code)
        elif (retired := self._gazetteer.retired_county(code)) is not None:
            self.counties.update(retired.counties)
            named = ", ".join(retired.counties)
            said = f"County {code} was retired in {retired.retired_in}: read as {named}."
            alias = AliasUsed(
                pointer=at,
                code=code,
                counties=retired.counties,
                message=f"{said} Use the new codes.",
            )
            self.aliases_used.append(alias)
        else:
            self.refuse(at, _unknown_county(code, self._gazetteer))

    def _read_lea(self, code: str, at: str) -> None:
        if not is_lea_shaped(code, self._gazetteer):
            shape = "Use the seven-digit NCES id, whose first two digits are the state's FIPS code."
            self.refuse(at, f"School district {_shown(code)} is not a district id. {shape}")
        elif self._known_leas is not None and code not in self._known_leas:
            remedy = "Check the seven digits, or name the county instead."
            self.refuse(at, f"No agency here answers for school district {code}. {remedy}")
        else:
            self.leas.add(code)

    def _read_zip(self, code: str, at: str) -> None:
        counties = self._gazetteer.counties_of_zip(code)
        if counties is not None:
            self.counties.update(counties)
        elif self._gazetteer.has_zip_table:
            remedy = "Check the five digits, or name the county instead."
            self.refuse(at, f"ZIP code {_shown(code)} is not in this bus's table. {remedy}")
        else:
            self.refuse(
                at,
                "ZIP codes are unknown here: no table of them is loaded. Name the county instead.",
            )

    def _read_circle(self, area: AreaFacts, at: str) -> None:
        if area.point is None:
            if area.radius_km is not None:
                self.refuse(
                    f"{at}/radius_km", "A radius needs a point. Add `point`: [latitude, longitude]."
                )
            return
        radius_km = area.radius_km or 0.0
        if not _on_earth(area.point):
            self.refuse(f"{at}/point", _NOT_ON_EARTH)
        elif not 0.0 <= radius_km <= CIRCLE_RADIUS_KM_MAX:
            remedy = f"Use 0 to {CIRCLE_RADIUS_KM_MAX:.0f} km, or name the states."
            self.refuse(f"{at}/radius_km", f"The radius is out of range. {remedy}")
        else:
            latitude, longitude = area.point
            find = self._gazetteer.counties_of_circle
            found = find(latitude, longitude, radius_km=radius_km)
            if not found and radius_km < SHORE_TOLERANCE_KM:
                found = find(latitude, longitude, radius_km=SHORE_TOLERANCE_KM)
            self._add_shape(found, f"{at}/point")

    def _read_polygon(self, points: tuple[LatitudeLongitude, ...], at: str) -> None:
        wrong = [index for index, point in enumerate(points) if not _on_earth(point)]
        if wrong:
            self.refuse(f"{at}/{wrong[0]}", _NOT_ON_EARTH)
        elif len(set(points)) < POLYGON_POINTS_MIN:
            self.refuse(at, "A polygon has at least three different corners. Add what is missing.")
        elif not _small_enough(points):
            self.refuse(
                at, "This polygon is wider than a state. Draw it smaller, or name the states."
            )
        else:
            self._add_shape(self._gazetteer.counties_of_polygon(points), at)

    def _add_shape(self, found: frozenset[str], at: str) -> None:
        if not found:
            remedy = "Check that latitude comes first and that a western longitude is negative."
            self.refuse(at, f"This place touches no county of the United States. {remedy}")
        elif len(found) > COUNTIES_PER_SHAPE_MAX:
            remedy = f"Draw it smaller ({COUNTIES_PER_SHAPE_MAX} at most), or name the states."
            self.refuse(at, f"This place touches {len(found)} counties. {remedy}")
        else:
            self.counties.update(found)

    def _read_state(self, code: str, at: str) -> None:
        state = self._gazetteer.state(code)
        if state is None:
            remedy = "Use a FIPS code or a postal abbreviation, for example 28 or MS (Mississippi)."
            self.refuse(at, f"State {_shown(code)} does not exist. {remedy}")
        else:
            self.states.add(state.fips)

    def _read_tribe(self, slug: str, at: str) -> None:
        if re.fullmatch(r"[a-z0-9][a-z0-9-]*", slug) and len(slug) <= TRIBE_SLUG_LENGTH_MAX:
            self.tribes.add(slug)
        else:
            example = tribe_slug(slug)[:TRIBE_SLUG_LENGTH_MAX] or "navajo-nation"
            remedy = f"Use small letters, digits and hyphens, for example {example}."
            self.refuse(at, f"This is not the short name of a tribal area. {remedy}")


_NAME_A_PLACE = "Name a county, district, ZIP code, point, polygon, state or tribal area."
_NOT_ON_EARTH = (
    "This point is not on the map. Give latitude (-90 to 90) first, then longitude (-180 to 180)."
)


def _on_earth(point: LatitudeLongitude) -> bool:
    latitude, longitude = point
    return abs(latitude) <= 90.0 and abs(longitude) <= 180.0  # noqa: PLR2004


def _small_enough(points: Sequence[LatitudeLongitude]) -> bool:
    """Say whether a polygon spans few enough degrees to be quick to search."""
    rows = [latitude for latitude, _ in points]
    first = points[0][1]
    columns = [(longitude - first + 180.0) % 360.0 for _, longitude in points]
    height, width = max(rows) - min(rows), max(columns) - min(columns)
    return height <= POLYGON_HEIGHT_DEGREES_MAX and width <= POLYGON_WIDTH_DEGREES_MAX


def _unknown_county(code: str, gazetteer: Gazetteer) -> str:
    start = f"County {_shown(code)} does not exist. Use a five-digit FIPS code"
    if re.fullmatch(r"[0-9]{4}", code) and gazetteer.county(f"0{code}") is not None:
        return f"{start}: 0{code}, if its leading zero was lost."
    state = gazetteer.state(code[:2]) if re.fullmatch(r"[0-9]{5}", code) else None
    if state is None:
        example = "for example 28123 (Scott County, Mississippi)"
        return f"{start} whose first two digits are a state's, {example}."
    nearest = min(
        gazetteer.counties_of_state(state.fips), key=lambda other: _unlikeness(code, other)
    )
    county = gazetteer.county(nearest)
    assert county is not None, "every county of a state exists"
    return f"{start}, for example {nearest} ({county.name}, {state.name})."


def _unlikeness(code: str, other: str) -> tuple[int, int]:
    """Order codes by how many digits were mistyped, then by distance."""
    return sum(a != b for a, b in zip(code, other, strict=True)), abs(int(code) - int(other))


def _shown(text: str) -> str:
    """Return what the caller wrote, short and printable enough to repeat in a sentence."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:SHOWN_LENGTH_MAX])

"""Standing areas: where an agency is responsible, or what a subscription asks for."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from noticebus.contracts.base import Accepted, CountyFips, LeaId, StateFips, TribalArea, at, refuse

NATION = "nation:us"
_PREFIXES = {"state": "state", "county": "county_fips", "lea": "lea_id", "tribe": "tribal_area"}


class StandingArea(Accepted):
    """Places by code; `nation` is everywhere. Points, ZIP codes and shapes are for notices."""

    nation: Annotated[bool, Field(strict=True)] = False
    state: Annotated[tuple[StateFips, ...], Field(max_length=60)] = ()
    county_fips: Annotated[tuple[CountyFips, ...], Field(max_length=500)] = ()
    lea_id: Annotated[tuple[LeaId, ...], Field(max_length=500)] = ()
    tribal_area: Annotated[tuple[TribalArea, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _names_a_place(self) -> Self:
        if not (self.nation or area_keys([self])):
            message = "name a place: state, county_fips, lea_id, tribal_area, or nation: true"
            refuse([at("", message)])
        return self


StandingAreas = Annotated[tuple[StandingArea, ...], Field(min_length=1, max_length=20)]


def area_keys(areas: Iterable[StandingArea]) -> tuple[str, ...]:
    """Give the areas' routing keys (`county:28123`, `state:28`, …), sorted, each once."""
    keys: set[str] = set()
    for area in areas:
        for prefix, field in _PREFIXES.items():
            keys.update(f"{prefix}:{code}" for code in getattr(area, field))
        if area.nation:
            keys.add(NATION)
    return tuple(sorted(keys))


def standing_areas(keys: Iterable[str]) -> tuple[StandingArea, ...]:
    """Give routing keys back as one area: the inverse of `area_keys`."""
    codes: dict[str, list[str]] = {field: [] for field in _PREFIXES.values()}
    known = sorted(set(keys))
    for key in known:
        prefix, _, code = key.partition(":")
        if key != NATION:
            codes[_PREFIXES[prefix]].append(code)
    return (StandingArea.model_validate({"nation": NATION in known, **codes}),) if known else ()

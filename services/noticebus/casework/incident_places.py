"""The counties of a notice as its map shows them: addressed, covered by whom, answered or not."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.domain.at_risk import NEEDED
from noticebus.domain.gazetteer import Gazetteer
from noticebus.domain.places import NATION_KEY, county_key, state_key
from noticebus.store import incident_recipients
from noticebus.store.incident_recipients import Answering, InRole
from noticebus.store.notices import Notice

COUNTIES_MAPPED_MAX = 400
_OF_STATE = 2


class PlaceState(StrEnum):
    """How a county that a notice addresses stands."""

    UNCOVERED = "uncovered"  # somebody who should answer for it is missing
    OVERDUE = "overdue"  # all who are there for it in a role it needs are silent too long
    WAITING = "waiting"  # who answers for the county has not, or not all of them
    ANSWERED = "answered"  # everybody who answers for the county has
    UNLISTED = "unlisted"  # nobody of those bound answers for the county as a whole
    ADDRESSED = "addressed"  # the reader sees no more than that


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedPlace:
    """One addressed county: its code and name, how it stands, and what it lacks."""

    county_fips: str
    name: str
    state: PlaceState
    count: int
    answered: int
    missing: tuple[str, ...]
    silent: tuple[str, ...] = ()  # the roles in which all who answer are past their deadline


async def mapped_places(
    conn: AsyncConnection, notice: Notice, gazetteer: Gazetteer, *, whole: bool, now: dt.datetime
) -> list[MappedPlace]:
    """Say how each county of a notice stands: two statements.

    Districts answer for districts: they are on the list of recipients, and on no county.
    """
    counties = sorted(
        key.removeprefix("county:") for key in notice.area_keys if key.startswith("county:")
    )[:COUNTIES_MAPPED_MAX]
    answering: Mapping[str, Answering] = {}
    overdue: Sequence[InRole] = ()
    if whole and counties:
        overdue = await incident_recipients.overdue_for(
            conn, notice.incident_id, _keys_over(counties), roles=NEEDED, now=now
        )
        answering = await incident_recipients.answering_for(
            conn, notice.incident_id, _keys_over(counties)
        )
    missing = _missing(notice.uncovered) if whole else {}
    found = [
        _place(fips, gazetteer, answering, missing.get(fips, ()), whole=whole) for fips in counties
    ]
    return [_with_silent(one, _silent(one.county_fips, overdue)) for one in found]


def _silent(fips: str, overdue: Sequence[InRole]) -> tuple[str, ...]:
    """Name the roles in which everybody who answers for a county is silent past the deadline."""
    here = [one for one in overdue if one.area_key in _keys_over([fips])]
    return tuple(
        role
        for role in sorted({one.role for one in here})
        if all(one.overdue == one.count for one in here if one.role is role)
    )


def _with_silent(place: MappedPlace, silent: tuple[str, ...]) -> MappedPlace:
    if not silent:
        return place
    state = PlaceState.OVERDUE if place.state is PlaceState.WAITING else place.state
    return replace(place, silent=silent, state=state)


def _keys_over(counties: Collection[str]) -> set[str]:
    return {
        *(county_key(one) for one in counties),
        *(state_key(one[:_OF_STATE]) for one in counties),
        NATION_KEY,
    }


def _missing(uncovered: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for place in uncovered:
        fips = place.get("county_fips")
        if fips:
            found[fips] = (*found.get(fips, ()), place["missing"])
    return found


def _place(
    fips: str,
    gazetteer: Gazetteer,
    answering: Mapping[str, Answering],
    missing: tuple[str, ...],
    *,
    whole: bool,
) -> MappedPlace:
    county = gazetteer.county(fips)
    over = [answering[key] for key in _keys_over([fips]) if key in answering]
    count, answered = sum(one.count for one in over), sum(one.answered for one in over)
    if not whole:
        state = PlaceState.ADDRESSED
    elif missing:
        state = PlaceState.UNCOVERED
    elif not count:
        state = PlaceState.UNLISTED
    else:
        state = PlaceState.ANSWERED if answered == count else PlaceState.WAITING
    return MappedPlace(
        county_fips=fips,
        name=fips if county is None else county.name,
        state=state,
        count=count,
        answered=answered,
        missing=missing,
    )

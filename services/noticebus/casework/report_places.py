"""The places a line of the report is about: where its notice applies and its recipient answers."""

from collections.abc import Collection

from noticebus.casework.report_trusted import trusted
from noticebus.contracts.report import PlaceView
from noticebus.domain.gazetteer import Gazetteer
from noticebus.domain.places import NATION_KEY, state_key

_OF_STATE = 2


def places_of(
    notice_keys: Collection[str], answered_for: Collection[str], gazetteer: Gazetteer
) -> tuple[PlaceView, ...]:
    """Give the notice's places that the recipient answers for; all its counties where none is.

    Every county of a state at once is shown as the state.
    """
    specific = [key for key in notice_keys if not key.startswith(("state:", "nation:"))]
    shared = [key for key in specific if _answers(key, answered_for)]
    counties = [key for key in specific if key.startswith("county:")]
    found = _whole_states(set(shared or counties), gazetteer)
    return tuple(trusted(PlaceView, key=key, name=name_of(gazetteer, key)) for key in sorted(found))


def name_of(gazetteer: Gazetteer, key: str) -> str | None:
    """Name a place for people; None where the reference data have no name."""
    prefix, _, code = key.partition(":")
    if prefix == "state":
        state = gazetteer.state(code)
        return None if state is None else state.name
    return county_name(gazetteer, code) if prefix == "county" else None


def county_name(gazetteer: Gazetteer, fips: str | None) -> str | None:
    """Name a county with its state: `Scott County, MS`."""
    county = None if fips is None else gazetteer.county(fips)
    if county is None:
        return None
    state = gazetteer.state(county.state_fips)
    return county.name if state is None else f"{county.name}, {state.abbreviation}"


def _answers(key: str, answered_for: Collection[str]) -> bool:
    if key in answered_for:
        return True
    prefix, _, code = key.partition(":")
    everywhere = NATION_KEY in answered_for or state_key(code[:_OF_STATE]) in answered_for
    return prefix == "county" and everywhere


def _whole_states(keys: set[str], gazetteer: Gazetteer) -> set[str]:
    states = {key.partition(":")[2][:_OF_STATE] for key in keys if key.startswith("county:")}
    for fips in states:
        counties = gazetteer.counties_of_state(fips)
        if not 1 < len(counties) <= len(keys):
            continue
        every = {f"county:{county}" for county in counties}
        if every <= keys:
            keys = (keys - every) | {state_key(fips)}
    return keys

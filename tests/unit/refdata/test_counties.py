"""The vendored gazetteer: the manifest is true, and the map answers rightly at its edges."""

import hashlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noticebus.refdata import counties

GAZETTEER = counties.load()
PLACES = st.tuples(st.floats(25, 49), st.floats(-124, -67))  # the contiguous states, roughly
MANIFEST = json.loads((counties.DATA / "MANIFEST.json").read_bytes())


def test_every_vendored_file_is_the_one_in_the_manifest() -> None:
    names = {file.name for file in counties.DATA.iterdir()} - {"MANIFEST.json"}

    assert {entry["path"] for entry in MANIFEST["files"]} == names
    for entry in MANIFEST["files"]:
        content = (counties.DATA / entry["path"]).read_bytes()
        assert (hashlib.sha384(content).hexdigest(), len(content)) == (
            entry["sha384"],
            entry["bytes"],
        )
        assert entry["licence"]
    assert sum(entry["bytes"] for entry in MANIFEST["files"]) < 900_000


def test_the_version_names_package_version_and_digest() -> None:
    package, digest = GAZETTEER.version.split("+")

    assert package == "us-atlas-2023@4.0.0"
    assert len(digest) == counties.VERSION_DIGITS


def test_there_are_56_states_by_code_and_abbreviation_and_each_has_counties() -> None:
    states = json.loads((counties.DATA / "states.json").read_bytes())

    assert len(states) == 56
    for fips, facts in states.items():
        assert GAZETTEER.state(fips) == GAZETTEER.state(facts["abbreviation"].lower())
        assert GAZETTEER.counties_of_state(fips)
    assert GAZETTEER.state("03") is None
    assert GAZETTEER.counties_of_state("03") == frozenset()


def test_the_counties_of_all_states_are_all_counties_and_each_has_an_outline() -> None:
    names = json.loads((counties.DATA / "county_names.json").read_bytes())
    states = json.loads((counties.DATA / "states.json").read_bytes())
    everything = frozenset().union(*map(GAZETTEER.counties_of_state, states))

    assert len(everything) == 3233
    assert everything == names.keys()
    assert everything == {ring.county_fips for ring in counties._shapes().rings}


@pytest.mark.parametrize(
    ("fips", "name"),
    [
        ("28123", "Scott County"),
        ("22071", "Orleans Parish"),
        ("09110", "Capitol Planning Region"),
        ("51760", "Richmond city"),
        ("51159", "Richmond County"),
        ("24510", "Baltimore city"),
        ("32510", "Carson City"),
        ("51095", "James City County"),
        ("02020", "Anchorage"),
        ("72127", "San Juan Municipio"),
        ("11001", "District of Columbia"),
        ("35013", "Doña Ana County"),
    ],
)
def test_a_county_bears_the_designation_of_its_state(fips: str, name: str) -> None:
    county = GAZETTEER.county(fips)

    assert county is not None
    assert county.name == name


@pytest.mark.parametrize(
    ("code", "successors"),
    [
        ("02261", {"02063", "02066"}),
        ("46113", {"46102"}),
        ("02270", {"02158"}),
        ("51515", {"51019"}),
        ("09011", {"09130", "09150", "09180"}),
    ],
)
def test_a_retired_code_leads_to_every_county_that_covers_part_of_it(
    code: str, successors: set[str]
) -> None:
    retired = GAZETTEER.retired_county(code)

    assert GAZETTEER.county(code) is None
    assert retired is not None
    assert set(retired.counties) == successors


def test_every_retired_code_leads_to_counties_that_exist() -> None:
    retired = json.loads((counties.DATA / "retired_counties.json").read_bytes())

    for code, facts in retired.items():
        assert GAZETTEER.county(code) is None
        assert all(GAZETTEER.county(successor) for successor in facts["counties"])
    assert {code for code in retired if code.startswith("09")} == {
        f"090{n:02}" for n in range(1, 16, 2)
    }
    assert {new for old in retired if old < "10" for new in retired[old]["counties"]} >= {
        f"091{n}0" for n in range(1, 10)
    }


def test_a_point_at_sea_is_in_no_county() -> None:
    assert GAZETTEER.county_of_point(27.0, -90.0) is None


def test_a_city_within_a_county_is_not_part_of_it() -> None:
    # Charlottesville is a hole in Albemarle County.
    assert GAZETTEER.county_of_point(38.03, -78.485) == "51540"
    assert GAZETTEER.counties_of_circle(38.03, -78.485, radius_km=0.1) == {"51540"}
    assert GAZETTEER.counties_of_circle(38.03, -78.485, radius_km=10.0) == {"51540", "51003"}


@pytest.mark.parametrize("longitude", [179.9, -179.9, 180.0, -180.0])
def test_a_circle_over_the_antimeridian_reaches_the_aleutians_on_either_side(
    longitude: float,
) -> None:
    assert GAZETTEER.counties_of_circle(51.9, longitude, radius_km=100.0) == {"02016"}


def test_a_polygon_over_the_antimeridian_reaches_the_aleutians_and_nothing_between() -> None:
    around = [(51.0, 179.0), (51.0, -178.0), (52.5, -178.0), (52.5, 179.0)]

    assert GAZETTEER.counties_of_polygon(around) == {"02016"}


def test_a_circle_at_the_pole_goes_all_the_way_round() -> None:
    assert GAZETTEER.counties_of_circle(90.0, 0.0, radius_km=100.0) == frozenset()
    assert "02185" in GAZETTEER.counties_of_circle(90.0, 0.0, radius_km=2100.0)


def test_a_radius_is_true_to_one_in_a_hundred() -> None:
    # From the Gulf straight north to the southern line of Scott County, along a WGS 84 meridian.
    gulf, longitude = 29.0, -89.6545
    border = next(
        step / 1000
        for step in range(32_000, 32_400)
        if GAZETTEER.county_of_point(step / 1000, longitude) == "28123"
    )
    km_per_degree = 111.13295 - 0.55982 * math.cos(math.radians(gulf + border))
    distance_km = (border - gulf) * km_per_degree

    near = GAZETTEER.counties_of_circle(gulf, longitude, radius_km=distance_km * 0.99)
    far = GAZETTEER.counties_of_circle(gulf, longitude, radius_km=distance_km * 1.01)

    assert "28123" not in near
    assert "28123" in far


@given(
    centre=PLACES,
    radius_km=st.floats(min_value=1, max_value=200),
    bearing=st.floats(min_value=0, max_value=2 * math.pi),
    share=st.floats(min_value=0, max_value=0.98),
)
@settings(deadline=None)
def test_the_county_of_any_point_in_a_circle_is_reached(
    centre: tuple[float, float], radius_km: float, bearing: float, share: float
) -> None:
    latitude = centre[0] + radius_km * share * math.cos(bearing) / 111.195
    middle = math.radians((centre[0] + latitude) / 2)
    step = radius_km * share * math.sin(bearing) / 111.195 / math.cos(middle)

    home = GAZETTEER.county_of_point(latitude, centre[1] + step)

    found = GAZETTEER.counties_of_circle(*centre, radius_km=radius_km)
    assert home is None or home in found


@given(
    place=PLACES,
    offsets=st.tuples(*[st.tuples(*[st.floats(-1.5, 1.5)] * 2)] * 3),
    shares=st.tuples(*[st.floats(0.01, 1)] * 3),
)
@settings(deadline=None)
def test_the_county_of_any_point_in_a_triangle_is_reached(
    place: tuple[float, float],
    offsets: tuple[tuple[float, float], ...],
    shares: tuple[float, float, float],
) -> None:
    corners = [(place[0] + north, place[1] + east) for north, east in offsets]
    latitude, longitude = (
        sum(corner[axis] * share for corner, share in zip(corners, shares, strict=True))
        / sum(shares)
        for axis in (0, 1)
    )

    home = GAZETTEER.county_of_point(latitude, longitude)

    assert home is None or home in GAZETTEER.counties_of_polygon(corners)


def test_a_polygon_within_one_county_and_one_around_a_county_both_meet_it() -> None:
    within = [(32.40, -89.55), (32.41, -89.55), (32.41, -89.54)]
    around = [(31.5, -90.5), (33.5, -90.5), (33.5, -88.5), (31.5, -88.5), (31.5, -90.5)]
    through = [(32.30, -91.5), (32.31, -91.5), (32.31, -88.0), (32.30, -88.0)]

    assert GAZETTEER.counties_of_polygon(within) == {"28123"}
    assert "28123" in GAZETTEER.counties_of_polygon(around)
    assert "28123" in GAZETTEER.counties_of_polygon(through)


def test_without_a_table_no_zip_code_is_known() -> None:
    assert not GAZETTEER.has_zip_table
    assert GAZETTEER.counties_of_zip("39051") is None


def test_warming_loads_the_outlines_ahead_of_the_first_question() -> None:
    GAZETTEER.warm()

    assert counties._shapes.cache_info().currsize == 1

"""Areas become counties, districts and matching keys, or problems that say what to do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noticebus.domain.gazetteer import County, Gazetteer
from noticebus.domain.places import (
    AreaFacts,
    ResolvedPlaces,
    is_lea_shaped,
    resolve,
    subscription_keys,
    tribe_slug,
)
from noticebus.errors import Detail
from noticebus.refdata import counties

GAZETTEER: Gazetteer = counties.load()
SCOTT = "28123"
DISTRICT = "2803900"


def resolved(*areas: AreaFacts, gazetteer: Gazetteer = GAZETTEER) -> ResolvedPlaces:
    places = resolve(areas, gazetteer=gazetteer, known_leas=frozenset({DISTRICT}))
    assert isinstance(places, ResolvedPlaces), places
    return places


def problem(*areas: AreaFacts, gazetteer: Gazetteer = GAZETTEER) -> Detail:
    problems = resolve(areas, gazetteer=gazetteer, known_leas=frozenset({DISTRICT}))
    assert isinstance(problems, tuple), problems
    assert len(problems) == 1
    return problems[0]


@pytest.fixture(scope="module")
def with_zips(tmp_path_factory: pytest.TempPathFactory) -> Gazetteer:
    file = tmp_path_factory.mktemp("zips") / "zips.csv"
    file.write_text("zip,county_fips\n39051,28079\n39051,28123\n39051,28099\n39051,28007\n")
    return counties.load(file)


def test_a_county_gives_its_own_its_states_and_the_nations_key() -> None:
    places = resolved(AreaFacts(county_fips=(SCOTT,)))

    assert places.counties == {SCOTT}
    assert places.states == {"28"}
    assert places.keys == {"county:28123", "state:28", "nation:us"}
    assert places.aliases_used == ()
    assert places.version == GAZETTEER.version


def test_a_notice_for_a_whole_state_reaches_each_of_its_counties() -> None:
    places = resolved(AreaFacts(state=("MS",)))

    assert len(places.counties) == 82
    assert {"county:28001", "county:28163", "state:28"} <= places.keys
    assert places.states == {"28"}


def test_a_subscription_to_a_state_is_one_key_that_any_county_of_it_matches() -> None:
    keys, problems = subscription_keys([AreaFacts(state=("28",))], gazetteer=GAZETTEER)

    assert keys == {"state:28"}
    assert problems == ()
    assert keys & resolved(AreaFacts(county_fips=(SCOTT,))).keys


def test_a_county_agency_matches_a_notice_that_names_its_whole_state() -> None:
    keys, _ = subscription_keys([AreaFacts(county_fips=(SCOTT,))], gazetteer=GAZETTEER)

    assert keys == {"county:28123"}
    assert keys & resolved(AreaFacts(state=("28",))).keys
    assert not keys & resolved(AreaFacts(state=("01",))).keys


def test_a_subscription_may_name_the_nation_a_district_and_a_tribe() -> None:
    area = AreaFacts(nation=True, lea_id=("2899999",), tribal_area=("mississippi-choctaw",))

    keys, problems = subscription_keys([area], gazetteer=GAZETTEER)

    assert problems == ()
    assert keys == {"nation:us", "lea:2899999", "tribe:mississippi-choctaw"}
    assert "nation:us" in resolved(AreaFacts(county_fips=(SCOTT,))).keys


def test_a_subscription_with_a_problem_selects_nothing() -> None:
    keys, problems = subscription_keys(
        [AreaFacts(county_fips=(SCOTT, "28999"))], gazetteer=GAZETTEER, base="/subscription/areas"
    )

    assert keys == frozenset()
    assert [one.pointer for one in problems] == ["/subscription/areas/0/county_fips/1"]


def test_a_notice_cannot_name_the_nation() -> None:
    assert problem(AreaFacts(nation=True)).pointer == "/areas/0/nation"


@pytest.mark.parametrize(
    ("town", "point", "county"),
    [
        ("Morton", (32.3538, -89.6545), "28123"),
        ("Sebastopol", (32.5690, -89.3345), "28123"),
        ("Canton", (32.6126, -90.0368), "28089"),
        ("Carthage", (32.7326, -89.5362), "28079"),
        ("Pelahatchie", (32.3132, -89.7995), "28121"),
        ("Bay Springs", (31.9791, -89.2873), "28061"),
    ],
)
def test_the_towns_of_2019_lie_in_their_counties(
    town: str, point: tuple[float, float], county: str
) -> None:
    assert resolved(AreaFacts(point=point)).counties == {county}, town


def test_a_circle_over_a_county_line_reaches_both_sides() -> None:
    # Morton lies in Scott County, 8 km from Rankin County.
    places = resolved(AreaFacts(point=(32.3538, -89.6545), radius_km=8.0))

    assert places.counties == {"28123", "28121"}


def test_a_polygon_reaches_every_county_it_meets() -> None:
    places = resolved(AreaFacts(polygon=((32.2, -89.8), (32.2, -89.5), (32.5, -89.5))))

    assert places.counties == {"28121", "28123", "28129"}


def test_a_point_just_off_the_shore_counts_as_the_nearest_county() -> None:
    # Two kilometres off Gulfport's harbour.
    places = resolved(AreaFacts(point=(30.335, -89.09)))

    assert places.counties == {"28047"}


def test_a_point_abroad_is_refused_with_what_to_check() -> None:
    found = problem(AreaFacts(point=(51.5, 0.1), radius_km=8.0))

    assert found.pointer == "/areas/0/point"
    assert "latitude comes first" in found.message


@pytest.mark.parametrize(
    ("area", "pointer", "said"),
    [
        (AreaFacts(point=(95.0, 0.0)), "/areas/0/point", "not on the map"),
        (AreaFacts(point=(32.0, float("nan"))), "/areas/0/point", "not on the map"),
        (AreaFacts(point=(32.0, -89.0), radius_km=-1.0), "/areas/0/radius_km", "0 to 500 km"),
        (AreaFacts(point=(32.0, -89.0), radius_km=501.0), "/areas/0/radius_km", "0 to 500 km"),
        (AreaFacts(radius_km=5.0), "/areas/0/radius_km", "needs a point"),
        (AreaFacts(polygon=((32.0, -89.0), (32.1, -89.0))), "/areas/0/polygon", "at least three"),
        (
            AreaFacts(polygon=((32.0, -89.0), (32.1, -89.0), (32.1, 400.0))),
            "/areas/0/polygon/2",
            "not on the map",
        ),
        (
            AreaFacts(polygon=((25.0, -90.0), (36.0, -90.0), (30.0, -89.0))),
            "/areas/0/polygon",
            "name the states",
        ),
        (
            AreaFacts(polygon=((32.0, -100.0), (32.0, -79.0), (33.0, -90.0))),
            "/areas/0/polygon",
            "name the states",
        ),
        (
            AreaFacts(polygon=tuple((32.0 + n / 1000, -89.0) for n in range(1001))),
            "/areas",
            "fewer",
        ),
        (AreaFacts(state=("ZZ",)), "/areas/0/state/0", "State ZZ does not exist"),
        (AreaFacts(tribal_area=("—",)), "/areas/0/tribal_area/0", "for example navajo-nation"),
        (AreaFacts(tribal_area=("a" * 81,)), "/areas/0/tribal_area/0", "short name of a tribal"),
        (AreaFacts(lea_id=("28039",)), "/areas/0/lea_id/0", "seven-digit NCES id"),
        (AreaFacts(lea_id=("2899999",)), "/areas/0/lea_id/0", "No agency here answers"),
        (AreaFacts(zip=("39051",)), "/areas/0/zip/0", "Name the county instead"),
        (AreaFacts(), "/areas/0", "names no place"),
    ],
)
def test_each_fault_is_refused_at_its_place_with_a_remedy(
    area: AreaFacts, pointer: str, said: str
) -> None:
    found = problem(area)

    assert found.pointer == pointer
    assert said in found.message


def test_a_notice_without_areas_is_refused() -> None:
    assert problem().pointer == "/areas"


def test_a_circle_over_too_many_counties_is_refused_but_whole_states_are_not() -> None:
    found = problem(AreaFacts(point=(37.5, -82.0), radius_km=400.0))

    assert found.pointer == "/areas/0/point"
    assert "400 at most" in found.message
    assert len(resolved(AreaFacts(state=("TX",)), AreaFacts(state=("GA",))).counties) == 254 + 159


def test_an_unknown_county_is_refused_with_its_pointer_and_the_likeliest_code() -> None:
    assert problem(AreaFacts(county_fips=(SCOTT, "28999"))) == Detail(
        pointer="/areas/0/county_fips/1",
        message="County 28999 does not exist. Use a five-digit FIPS code, "
        "for example 28099 (Neshoba County, Mississippi).",
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1001", "01001, if its leading zero was lost"),
        ("9999", "first two digits are a state's"),
        ("99123", "first two digits are a state's"),
        ("Scott\n\x1b[31m" + "x" * 500, "County Scott??[31mxxxxxxxxx does not exist."),
    ],
)
def test_other_wrong_county_codes_get_a_sentence_too(code: str, said: str) -> None:
    assert said in problem(AreaFacts(county_fips=(code,))).message


def test_every_problem_is_reported_in_the_order_written() -> None:
    areas = [AreaFacts(county_fips=("28999", "28998")), AreaFacts(state=("ZZ",))]

    problems = resolve(areas, gazetteer=GAZETTEER, known_leas=None)

    assert isinstance(problems, tuple)
    assert [one.pointer for one in problems] == [
        "/areas/0/county_fips/0",
        "/areas/0/county_fips/1",
        "/areas/1/state/0",
    ]


def test_an_old_connecticut_county_is_accepted_and_reported() -> None:
    places = resolved(AreaFacts(county_fips=("09001",)))

    assert places.counties == {"09120", "09140", "09190"}
    (alias,) = places.aliases_used
    assert (alias.pointer, alias.code) == ("/areas/0/county_fips/0", "09001")
    assert alias.message == (
        "County 09001 was retired in 2022: read as 09120, 09140, 09190. Use the new codes."
    )


def test_a_known_district_is_a_key_and_touches_its_state() -> None:
    places = resolved(AreaFacts(lea_id=(DISTRICT,)))

    assert places.leas == {DISTRICT}
    assert places.states == {"28"}
    assert places.keys == {f"lea:{DISTRICT}", "state:28", "nation:us"}


def test_a_school_of_the_bureau_of_indian_education_touches_no_state() -> None:
    places = resolve(
        [AreaFacts(lea_id=("5900001",))], gazetteer=GAZETTEER, known_leas=frozenset({"5900001"})
    )

    assert isinstance(places, ResolvedPlaces)
    assert places.keys == {"lea:5900001", "nation:us"}


@pytest.mark.parametrize(
    ("lea_id", "shaped"),
    [
        ("2803900", True),
        ("5900001", True),
        ("9903900", False),
        ("280390", False),
        ("28O3900", False),
    ],
)
def test_a_district_id_is_seven_digits_that_begin_with_a_state(
    lea_id: str, *, shaped: bool
) -> None:
    assert is_lea_shaped(lea_id, GAZETTEER) is shaped


def test_a_zip_code_fans_out_to_every_county_it_touches(with_zips: Gazetteer) -> None:
    places = resolved(AreaFacts(zip=("39051",)), gazetteer=with_zips)

    assert places.counties == {"28079", "28123", "28099", "28007"}
    assert places.version != GAZETTEER.version


def test_a_zip_code_outside_the_table_is_refused(with_zips: Gazetteer) -> None:
    found = problem(AreaFacts(zip=("00000",)), gazetteer=with_zips)

    assert found.message.startswith("ZIP code 00000 is not in this bus's table.")


def test_a_tribal_area_is_matched_by_its_short_name() -> None:
    assert tribe_slug("  Pascua Yaqui / Tribé ") == "pascua-yaqui-tribe"
    assert resolved(AreaFacts(tribal_area=("navajo-nation",))).keys == {
        "tribe:navajo-nation",
        "nation:us",
    }


def test_areas_add_up() -> None:
    places = resolved(AreaFacts(county_fips=(SCOTT,)), AreaFacts(county_fips=("01001",)))

    assert places.counties == {SCOTT, "01001"}
    assert places.states == {"01", "28"}


@given(
    latitude=st.floats(min_value=25, max_value=49),
    longitude=st.floats(min_value=-124, max_value=-67),
    radius_km=st.floats(min_value=0, max_value=120),
)
@settings(deadline=None, max_examples=200)
def test_a_circle_always_reaches_the_county_of_its_centre(
    latitude: float, longitude: float, radius_km: float
) -> None:
    home = GAZETTEER.county_of_point(latitude, longitude)
    smaller = GAZETTEER.counties_of_circle(latitude, longitude, radius_km=radius_km / 2)
    found = GAZETTEER.counties_of_circle(latitude, longitude, radius_km=radius_km)

    assert home is None or home in found
    assert smaller <= found


@given(code=st.text(max_size=8) | st.from_regex(r"[0-9]{5}", fullmatch=True))
def test_any_county_code_is_resolved_or_refused_at_its_pointer(code: str) -> None:
    places = resolve([AreaFacts(county_fips=(code,))], gazetteer=GAZETTEER, known_leas=None)

    if isinstance(places, tuple):
        assert [one.pointer for one in places] == ["/areas/0/county_fips/0"]
    else:
        assert places.counties


def test_a_county_is_named_with_its_designation() -> None:
    assert GAZETTEER.county(SCOTT) == County(fips=SCOTT, name="Scott County", state_fips="28")

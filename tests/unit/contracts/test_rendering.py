import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.rendering import ALLOWED, band, reads_at, redact
from noticebus.contracts.vocabulary import ContentLevel

Body = dict[str, Any]
Example = Callable[[str], Body]
CANARY = "canary-7c1f"
HEAD = {
    "id": "ntc_1",
    "incident_id": "inc_1",
    "version": 1,
    "msg": "alert",
    "agency": {"id": "agy_1", "name": "Federal agency", "kind": "federal"},
}


@pytest.fixture
def notice(example: Example) -> Body:
    return {**HEAD, **example("notice-post.v1.every-field")}


def _paths(value: object, at: str = "") -> set[str]:
    if isinstance(value, Mapping):
        return {path for key, one in value.items() for path in _paths(one, f"{at}/{key}")}
    if isinstance(value, list):
        return {path for one in value for path in _paths(one, f"{at}/*")} or {at}
    return {at}


def _with_canaries(value: object) -> Any:
    """Put an unknown key into every object, except where keys are the poster's own (languages)."""
    if isinstance(value, dict):
        inner = {key: _with_canaries(one) for key, one in value.items() if key != "instruction"}
        return {**inner, CANARY: {"deep": CANARY}}
    return [_with_canaries(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("level", list(ContentLevel))
def test_key_that_is_on_no_list_never_shows_at_any_depth(notice: Body, level: ContentLevel) -> None:
    assert CANARY not in json.dumps(redact(_with_canaries(notice), level))


@given(
    st.dictionaries(
        st.text(), st.recursive(st.text() | st.none(), lambda one: st.lists(one, max_size=3))
    ),
    st.sampled_from(ContentLevel),
)
def test_whatever_is_stored_only_listed_keys_come_out(extra: Body, level: ContentLevel) -> None:
    known = {"id": "ntc_1", "kind": "advance", "status": "test", "class": "C"}

    assert set(redact({**extra, **known}, level)) <= set(ALLOWED[level])


def test_id_only_says_nothing_but_that_there_is_something(notice: Body) -> None:
    assert redact(notice, ContentLevel.ID_ONLY) == {
        "id": "ntc_1",
        "version": 1,
        "kind": "enforcement_action",
        "status": "actual",
        "class": "B",
    }


def test_public_sees_counties_and_bands_and_no_site(notice: Body) -> None:
    assert redact(notice, ContentLevel.PUBLIC) == {
        "id": "ntc_1",
        "version": 1,
        "kind": "enforcement_action",
        "msg": "alert",
        "status": "actual",
        "class": "B",
        "headline": notice["headline"],
        "areas": [{"county_fips": ["28123"], "state": ["28"]}, {"county_fips": ["28123"]}],
        "counts": {
            "encountered": "101–250",  # noqa: RUF001 - an en dash between numbers
            "detained_total": "51–100",  # noqa: RUF001
            "minors_encountered": "not known",
        },
        "children": {"status": "estimate", "low": "26–50", "high": "51–100"},  # noqa: RUF001
        "family_line": notice["family_line"],
        "phones_for_detainees": 4,
        "locator": notice["locator"],
    }


def test_partner_sees_all_but_what_is_for_child_protection(notice: Body) -> None:
    hidden = _paths(notice) - _paths(redact(notice, ContentLevel.PARTNER))

    assert hidden == {
        "/purpose",
        "/legal_basis",
        "/children/by_lea/*/lea_id",
        "/children/by_lea/*/value",
        "/processing_place/address",
        "/cps_screening_offer/status",
        "/cps_screening_offer/contact_name",
        "/cps_screening_offer/contact_phone",
    }


def test_child_protection_sees_every_field(notice: Body) -> None:
    assert redact(notice, ContentLevel.CPS) == notice


def test_district_sees_its_own_children_and_no_others(notice: Body) -> None:
    notice["children"]["by_lea"].append({"lea_id": "2800000", "value": 3})
    own = frozenset({"2800000"})

    seen = redact(notice, ContentLevel.PARTNER, lea_ids=own)

    assert seen["children"]["by_lea"] == [{"lea_id": "2800000", "value": 3}]
    other = redact(notice, ContentLevel.PARTNER, lea_ids=frozenset({"9999999"}))
    assert "by_lea" not in other["children"]
    assert "by_lea" not in redact(notice, ContentLevel.PUBLIC, lea_ids=own)["children"]


def test_redacting_changes_nothing_stored_and_twice_is_once(notice: Body) -> None:
    before = copy.deepcopy(notice)
    seen = redact(notice, ContentLevel.PARTNER)

    assert notice == before
    assert redact(seen, ContentLevel.PARTNER) == seen


def test_one_unknown_site_makes_the_public_sum_unknown(notice: Body) -> None:
    notice["counts"].append({"site_id": "s2", "detained_total": None})

    assert redact(notice, ContentLevel.PUBLIC)["counts"]["detained_total"] == "not known"


def test_null_stays_null(notice: Body) -> None:
    notice["family_line"] = None

    assert redact(notice, ContentLevel.PUBLIC)["family_line"] is None


@given(st.integers(0, 10**6))
def test_band_of_a_small_number_does_not_tell_it_apart(value: int) -> None:
    small = "1–10"  # noqa: RUF001 - an en dash between numbers
    assert (band(value) == small) is (1 <= value <= 10)
    assert band(0) == "none reported"
    assert band(1001) == "more than 1000"


def test_who_reads_at_a_level_reads_what_is_below_it_and_nothing_above() -> None:
    assert reads_at(ContentLevel.CPS, ContentLevel.PARTNER)
    assert reads_at(ContentLevel.PARTNER, ContentLevel.PARTNER)
    assert not reads_at(ContentLevel.PARTNER, ContentLevel.CPS)
    assert not reads_at(ContentLevel.ID_ONLY, ContentLevel.PUBLIC)

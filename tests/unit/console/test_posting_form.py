"""The form of a notice: numbers, telephones and times as people write them."""

import pytest

from noticebus.console.posting_form import Typed, read, step_of, telephone
from noticebus.console.posting_pages import lines_of
from noticebus.console.posting_templates import TEMPLATES
from noticebus.refdata import counties

LEAST = {
    "headline": "h",
    "occurred": "2026-08-07T07:55",
    "unit": "u",
    "role": "r",
    "callback": "6015550100",
}


def typed(template: str = "worksite", **values: str) -> Typed:
    filled = {**LEAST, **TEMPLATES[template].filled, **values}
    return Typed(template=template, key="k" * 16, counties=("28123",), values=filled)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("(601) 555-0100", "+16015550100"),
        ("601.555.0100", "+16015550100"),
        ("1 601 555 0100", "+16015550100"),
        ("+44 20 7946 0958", "+442079460958"),
        ("555-0100", "5550100"),
        ("", ""),
    ],
)
def test_telephone_is_taken_as_people_write_it(written: str, stored: str) -> None:
    assert telephone(written) == stored


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_template_needs_only_what_nobody_can_know_before(template: str) -> None:
    headline = TEMPLATES[template].filled.get("headline", "") + "Near Morton"
    found = read(typed(template, headline=headline), zone="America/Chicago")
    assert found.faults == {}
    assert found.post is not None
    assert found.post.legal_basis == "no_pii"


def test_time_that_comes_twice_is_the_first_and_one_that_never_comes_is_a_fault() -> None:
    twice = read(typed(occurred="2026-11-01T01:30"), zone="America/Chicago")
    assert twice.post is not None
    assert twice.post.occurred_at.isoformat() == "2026-11-01T06:30:00+00:00"
    never = read(typed(occurred="2026-03-08T02:30"), zone="America/Chicago")
    assert set(never.faults) == {"occurred"}


@pytest.mark.parametrize(
    ("name", "written", "sentence"),
    [
        ("occurred", "9999-12-31T23:59", "Write a date and a time"),
        ("release", "0001-01-01T00:00+14:00", "Write a date and a time"),
        ("detained_total", "9" * 5000, "Write a whole number"),
    ],
)
def test_time_or_number_beyond_all_bounds_is_a_fault(
    name: str, written: str, sentence: str
) -> None:
    found = read(typed(**{name: written}), zone="America/Chicago")
    assert found.faults[name].startswith(sentence)


def test_faults_come_in_the_order_of_the_form_and_each_has_a_step() -> None:
    found = read(typed(callback="x", children_status="count", leas="12"), zone="America/Chicago")
    assert list(found.faults) == ["leas", "callback", "children_value"]
    assert [step_of(one) for one in found.faults] == ["where", "what", "numbers"]


def test_action_that_is_too_long_is_found_among_those_that_were_asked() -> None:
    found = read(typed(act_cps="", act_faith="x" * 501), zone="America/Chicago")
    assert list(found.faults) == ["act_faith"]


def test_notice_is_written_out_field_by_field() -> None:
    content = {
        "headline": "h",
        "material": True,
        "change_reason": None,
        "kind": "enforcement_action",
        "occurred_at": "2019-08-07T12:30:00Z",
        "callback": "+16015550110",
        "marking": "no_such_word",
        "counts": [{"site_id": "s1", "detained_total": 0}],
        "sites": [{"label": "a"}, {"label": "b"}],
        "areas": [{"county_fips": ["28123", "28079"], "zip": []}],
    }
    assert lines_of(content, zone="America/Chicago", places=counties.load()) == [
        ("headline", "h"),
        ("material", "yes"),
        ("kind", "enforcement action"),
        ("occurred at", "Wed 07 Aug 2019, 07:30 CDT (12:30Z)"),
        ("callback", "(601) 555-0110"),
        ("marking", "no_such_word"),
        ("counts · site id", "s1"),
        ("counts · detained total", "0"),
        ("sites · 1 · label", "a"),
        ("sites · 2 · label", "b"),
        ("areas · counties", "Leake County, Mississippi; Scott County, Mississippi"),
    ]

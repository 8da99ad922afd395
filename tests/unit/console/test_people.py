"""How many people an incident affects: what is not known says so."""

from typing import Any

from noticebus.console.people import people_lines


def site(**counts: Any) -> dict[str, Any]:
    return {"site_id": "s1", "basis": "estimate", **counts}


def test_sums_over_sites_name_their_basis() -> None:
    content = {"counts": [site(detained_total=40), site(detained_total=60)]}
    assert people_lines(content) == [("Detained", "100 (estimate)")]


def test_site_without_a_count_is_said_and_never_counted_as_nobody() -> None:
    content = {"counts": [site(detained_total=40), site(detained_total=None)]}
    assert people_lines(content) == [("Detained", "40 (estimate), and 1 of 2 sites not known")]


def test_unknown_counts_are_not_known() -> None:
    assert people_lines({}) == [("People affected", "not known")]
    assert people_lines({"counts": [site(in_custody=None)]}) == [("In custody", "not known")]


def test_bands_of_the_public_level_are_shown_as_they_are() -> None:
    content = {"counts": {"detained_total": "26 to 50"}}
    assert people_lines(content) == [("Detained", "26 to 50")]


def test_children_are_said_as_the_acknowledge_page_says_them() -> None:
    (_, (what, said)) = people_lines({"children": {"status": "estimate", "low": 12, "high": 18}})
    assert what == "Children"
    assert "12" in said
    assert "18" in said

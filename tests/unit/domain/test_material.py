"""Which versions of a notice ask for a new answer."""

from typing import Any

import pytest

from noticebus.contracts.vocabulary import MaterialReason, NoticeClass
from noticebus.domain.material import Children, NoticeFacts, material_reasons


def notice(**facts: Any) -> NoticeFacts:
    known: dict[str, Any] = {
        "notice_class": NoticeClass.B,
        "phase": "secured",
        "places": frozenset({"county:28123"}),
        "sites": frozenset({"s1"}),
        "children": None,
    }
    return NoticeFacts(**(known | facts))


def exactly(count: int) -> Children:
    return Children(low=count, high=count)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"notice_class": NoticeClass.A}, MaterialReason.CLASS_RAISED),
        ({"places": frozenset({"county:28123", "county:28089"})}, MaterialReason.NEW_PLACE),
        ({"sites": frozenset({"s1", "s2"})}, MaterialReason.NEW_SITE),
        ({"phase": "concluded"}, MaterialReason.PHASE_CHANGED),
    ],
)
def test_what_changes_the_task_is_material(change: dict[str, Any], reason: MaterialReason) -> None:
    assert material_reasons(notice(), notice(**change), declared=False) == (reason,)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"notice_class": NoticeClass.C},
        {"places": frozenset()},
        {"sites": frozenset()},
        {"children": exactly(0)},
    ],
)
def test_less_of_anything_is_not_material(change: dict[str, Any]) -> None:
    assert material_reasons(notice(), notice(**change), declared=False) == ()


@pytest.mark.parametrize(
    ("before", "now", "material"),
    [
        (exactly(10), exactly(12), False),  # 20 % exactly
        (exactly(10), exactly(13), True),
        (exactly(10), exactly(5), False),
        (exactly(0), exactly(1), True),
        (exactly(0), exactly(0), False),
        (Children(low=5, high=50), Children(low=40, high=50), True),  # either end counts
        (Children(low=5, high=50), Children(low=5, high=61), True),
        (None, exactly(1), True),  # unknown was never zero
        (exactly(10), None, False),
        (None, None, False),
    ],
)
def test_children_count_when_they_rise_by_more_than_a_fifth(
    before: Children | None, now: Children | None, *, material: bool
) -> None:
    reasons = material_reasons(notice(children=before), notice(children=now), declared=False)

    assert reasons == ((MaterialReason.CHILDREN_UP,) if material else ())


def test_all_reasons_are_named_in_a_stable_order() -> None:
    found = material_reasons(
        notice(),
        notice(
            notice_class=NoticeClass.A,
            phase="concluded",
            places=frozenset({"county:28089"}),
            sites=frozenset({"s9"}),
            children=exactly(3),
        ),
        declared=True,
    )

    assert found == tuple(MaterialReason)


def test_the_posters_own_word_is_a_reason() -> None:
    assert material_reasons(notice(), notice(), declared=True) == (MaterialReason.DECLARED,)

"""When a new version of a notice asks for a new answer (research/domain.md section 4.4)."""

from dataclasses import dataclass

from noticebus.contracts.vocabulary import MaterialReason, NoticeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """A known number of children as a range: a count has equal ends, `none_reported` is 0 to 0."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFacts:
    """What decides whether a version is material.

    `children` is None while the number is not known.
    """

    notice_class: NoticeClass
    phase: str | None
    places: frozenset[str]  # area keys as named: counties, districts, states, tribal areas
    sites: frozenset[str]
    children: Children | None


def material_reasons(
    previous: NoticeFacts, following: NoticeFacts, *, declared: bool
) -> tuple[MaterialReason, ...]:
    """Say why a version asks for a new answer; empty where it asks for none.

    `declared` is the poster's own word. Counts alone ask nothing, unless the children rise by more
    than 20 %. A correction is judged by what it changes (research/domain.md section 4.4).
    """
    found = {
        MaterialReason.DECLARED: declared,
        MaterialReason.CLASS_RAISED: following.notice_class < previous.notice_class,
        MaterialReason.CHILDREN_UP: _children_up(previous.children, following.children),
        MaterialReason.NEW_PLACE: not following.places <= previous.places,
        MaterialReason.NEW_SITE: not following.sites <= previous.sites,
        MaterialReason.PHASE_CHANGED: following.phase != previous.phase,
    }
    return tuple(reason for reason, holds in found.items() if holds)


def _children_up(previous: Children | None, following: Children | None) -> bool:
    """Compare both ends in whole numbers.

    A number where none was known counts as up, unless it is zero.
    """
    if following is None:
        return False
    if previous is None:
        return following.high > 0
    return any(
        after * 100 > before * 120
        for before, after in ((previous.low, following.low), (previous.high, following.high))
    )

from collections.abc import Set as AbstractSet

from noticebus.contracts.vocabulary import Role
from noticebus.domain.at_risk import Answering, is_at_risk
from noticebus.ids import AgencyId

ONE, TWO, THREE, FOUR = (AgencyId(f"agy_{number}") for number in range(4))
COUNTY, STATE = "county:28123", "state:28"


def answering(
    *among: AgencyId, role: Role = Role.CPS, key: str = COUNTY, more: int = 0
) -> Answering:
    return Answering(area_key=key, role=role, count=len(among) + more, among=frozenset(among))


def at_risk(
    agency_id: AgencyId,
    *lines: Answering,
    silent: AbstractSet[AgencyId],
    present: AbstractSet[AgencyId] = frozenset({ONE, TWO, THREE, FOUR}),
) -> bool:
    return is_at_risk(agency_id, lines, present=present, silent=silent)


def test_three_or_more_who_are_all_silent_leave_a_place_at_risk_for_each_of_them() -> None:
    four = [answering(ONE, TWO, THREE, FOUR)]

    assert all(at_risk(one, *four, silent={ONE, TWO, THREE, FOUR}) for one in four[0].among)


def test_one_of_many_who_is_not_silent_keeps_a_place_from_risk() -> None:
    assert not at_risk(ONE, answering(ONE, TWO, THREE), silent={ONE, TWO})
    assert not at_risk(ONE, answering(ONE, TWO, more=1), silent={ONE, TWO})


def test_who_declined_or_was_waived_or_was_never_bound_keeps_no_place_from_risk() -> None:
    three = answering(ONE, TWO, THREE)

    assert at_risk(ONE, three, present={ONE, TWO}, silent={ONE, TWO})
    assert at_risk(ONE, three, present={ONE}, silent={ONE})
    assert not at_risk(ONE, three, present={ONE, TWO}, silent={ONE})


def test_who_answers_for_the_whole_state_counts_for_its_county() -> None:
    both = [answering(ONE), answering(more=1, key=STATE)]

    assert not at_risk(ONE, *both, silent={ONE})
    assert at_risk(ONE, answering(ONE), answering(TWO, key=STATE), silent={ONE, TWO})


def test_each_role_is_looked_at_alone_and_only_what_a_place_needs() -> None:
    school = answering(TWO, role=Role.SCHOOL)

    assert at_risk(ONE, answering(ONE), school, silent={ONE})
    assert not at_risk(TWO, answering(ONE), school, silent={ONE})
    assert not at_risk(ONE, answering(ONE, role=Role.COMMUNITY), silent={ONE})

"""Shifts that overlap, who holds which position while they run, and delegations in circles."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import DelegationHours, Notify, Position
from noticebus.domain.calendars import calendar_of
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.domain.rosters import (
    SHIFTS_MAX,
    Person,
    Shift,
    Written,
    faults_of,
    makes_loop,
    names_of,
    seated,
    stands_in,
)
from noticebus.domain.working_time import Window, hours_for
from noticebus.ids import AgencyId, ContactId

START = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
ADA, BEN, CAT = ContactId("cnt_a"), ContactId("cnt_b"), ContactId("cnt_c")


def written(
    number: int,
    start: float,
    end: float,
    *,
    position: Position = Position.ON_DUTY,
    contact: ContactId = ADA,
) -> Written:
    shift = Shift(
        contact_id=contact,
        position=position,
        starts_at=START + dt.timedelta(hours=start),
        ends_at=START + dt.timedelta(hours=end),
    )
    return Written(shift=shift, where=f"Row {number}", pointer=f"/{number}")


def point(id_: ContactId, position: Position, *, reachable: bool = True) -> ContactPoint:
    email = f"{id_}@agency.example" if reachable else None
    return ContactPoint(id=id_, position=position, email=email)


def places(points: list[ContactPoint]) -> set[tuple[ContactId, Position]]:
    assert len(points) == len({(one.id, one.position) for one in points})
    return {(one.id, one.position) for one in points}


def test_shifts_that_touch_and_shifts_of_other_positions_are_fine() -> None:
    shifts = [written(1, 0, 12), written(2, 12, 24), written(3, 0, 24, position=Position.HEAD)]

    assert faults_of(shifts) == ()


def test_an_overlap_names_both_shifts_even_with_a_longer_one_before() -> None:
    faults = faults_of([written(1, 0, 48), written(2, 1, 2), written(3, 40, 50)])

    assert [one.pointer for one in faults] == ["/2", "/3"]
    assert all("overlaps row 1" in one.message for one in faults)


def test_a_shift_must_not_overlap_one_that_stays() -> None:
    (fault,) = faults_of([written(1, 10, 20)], kept=[written(0, 0, 12).shift])

    assert "a shift that stays" in fault.message
    assert fault.pointer == "/1"


@pytest.mark.parametrize(
    ("shift", "sentence"),
    [
        (written(1, 2, 2), "must end after it starts"),
        (written(1, 0, 24 * 366 + 1), "at most 366 days"),
        (written(1, 0, 1, position=Position.OTHER), "leave other contacts out"),
    ],
)
def test_a_shift_that_cannot_be_is_refused(shift: Written, sentence: str) -> None:
    (fault,) = faults_of([shift])

    assert fault.message.startswith("Row 1: ")
    assert sentence in fault.message


def test_a_roster_is_bounded() -> None:
    (fault,) = faults_of([written(n, n, n + 1) for n in range(SHIFTS_MAX + 1)])

    assert "at most 2,000 shifts" in fault.message


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 6), st.sampled_from(list(Position)[:3])),
        max_size=12,
    )
)
def test_faults_are_found_exactly_where_two_shifts_of_a_position_overlap(
    spans: list[tuple[int, int, Position]],
) -> None:
    shifts = [
        written(number, start, start + length, position=position)
        for number, (start, length, position) in enumerate(spans)
    ]
    overlap = any(
        one.shift.position is two.shift.position
        and one.shift.starts_at < two.shift.ends_at
        and two.shift.starts_at < one.shift.ends_at
        for number, one in enumerate(shifts)
        for two in shifts[:number]
    )

    assert bool(faults_of(shifts)) == overlap


def test_contacts_are_found_by_id_by_address_and_by_name() -> None:
    names = names_of(
        [
            Person(id=ADA, name="Ada", email="Ada@agency.example"),
            Person(id=BEN, name="Ben", email=None),
            Person(id=CAT, name="Ben", email=None),
        ]
    )

    assert [names.find(one) for one in (ADA, "ada@AGENCY.example", "Ada")] == [ADA] * 3
    with pytest.raises(ValueError, match="several contacts"):
        names.find("Ben")
    with pytest.raises(ValueError, match="no living contact"):
        names.find("ben")


def test_without_a_running_shift_everybody_stands_where_they_stand() -> None:
    standing = [point(ADA, Position.ON_DUTY), point(BEN, Position.HEAD)]

    assert seated(standing, {}) == standing


def test_whoever_is_on_shift_takes_the_place_of_who_stands_there() -> None:
    standing = [
        point(ADA, Position.ON_DUTY),
        point(BEN, Position.OTHER),
        point(CAT, Position.SECOND),
    ]

    assert places(seated(standing, {Position.ON_DUTY: BEN})) == {
        (ADA, Position.OTHER),
        (BEN, Position.ON_DUTY),
        (CAT, Position.SECOND),
    }


def test_a_head_on_duty_stays_head_while_nobody_else_is() -> None:
    alone = [point(ADA, Position.ON_DUTY), point(BEN, Position.HEAD)]
    two = [*alone, point(CAT, Position.HEAD)]

    assert places(seated(alone, {Position.ON_DUTY: BEN})) == {
        (ADA, Position.OTHER),
        (BEN, Position.ON_DUTY),
        (BEN, Position.HEAD),
    }
    assert places(seated(two, {Position.ON_DUTY: BEN})) == {
        (ADA, Position.OTHER),
        (BEN, Position.ON_DUTY),
        (CAT, Position.HEAD),
    }


def test_who_is_displaced_from_one_position_keeps_the_shift_of_another() -> None:
    standing = [point(ADA, Position.ON_DUTY), point(BEN, Position.OTHER)]
    running = {Position.ON_DUTY: BEN, Position.SECOND: ADA}

    assert places(seated(standing, running)) == {(ADA, Position.SECOND), (BEN, Position.ON_DUTY)}


def test_whom_nothing_reaches_displaces_nobody() -> None:
    standing = [point(ADA, Position.ON_DUTY), point(BEN, Position.OTHER, reachable=False)]

    assert seated(standing, {Position.ON_DUTY: BEN}) == standing
    assert seated(standing, {Position.ON_DUTY: CAT}) == standing  # gone from the agency


def test_a_person_on_two_positions_is_told_once() -> None:
    standing = [point(ADA, Position.ON_DUTY), point(BEN, Position.HEAD)]
    seats = seated(standing, {Position.ON_DUTY: BEN})

    for notify in (Notify.ALL_CONTACTS, Notify.FIRST_TWO):
        assert sorted(one.id for one in resolve(notify, seats).contacts) == [ADA, BEN]
    operators = resolve(Notify.OPERATORS, (), operators=seats).contacts
    assert [one.id for one in operators] == [ADA, BEN]


def test_a_delegate_stands_in_always_or_while_the_agency_is_closed() -> None:
    office = calendar_of(hours_for(Window.OFFICE, zone="America/Chicago"))
    noon, night = START, START.replace(hour=6)

    assert stands_in(DelegationHours.ALWAYS, office, noon)
    assert not stands_in(DelegationHours.OUT_OF_HOURS, office, noon)
    assert stands_in(DelegationHours.OUT_OF_HOURS, office, night)


def test_a_loop_of_any_length_is_found() -> None:
    a, b, c, d = (AgencyId(f"agy_{one}") for one in "abcd")
    living = {a: b, b: c}

    assert makes_loop({}, agency_id=a, delegate_id=a)
    assert makes_loop(living, agency_id=c, delegate_id=a)
    assert not makes_loop(living, agency_id=d, delegate_id=a)
    assert not makes_loop({b: c, c: b}, agency_id=a, delegate_id=b)  # a circle without it ends too

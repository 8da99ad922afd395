"""The school day's end: which chains it leaves alone, and what takes the place of the others."""

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import AgencyKind, Channel, NoticeClass, Notify, Standing
from noticebus.domain.calendars import BellSchedule, Calendar, calendar_of, dismissal_at
from noticebus.domain.dismissal import MARGIN, PAUSE, fit, latest_eta
from noticebus.domain.escalation import start_round
from noticebus.domain.policies import Policy, default_policy
from noticebus.domain.working_time import Window, hours_for

ZONE = "America/Chicago"
BELL = BellSchedule(
    starts=dt.time(8),
    dismissal=dt.time(15, 10),
    early_release=((dt.date(2019, 8, 16), dt.time(12)),),
)
HOURS = hours_for(Window.SCHOOL_DAY, zone=ZONE, subdiv="MS")
DISTRICT = calendar_of(HOURS, bell=BELL)
LABOR_DAY_WEEKEND = "2019-08-30T15:30"  # a Friday; Monday is a holiday


def local(moment: str) -> dt.datetime:
    there = dt.datetime.fromisoformat(moment).replace(tzinfo=zoneinfo.ZoneInfo(ZONE))
    return there.astimezone(dt.UTC)


def default(notice_class: NoticeClass, at: dt.datetime, calendar: Calendar = DISTRICT) -> Policy:
    return default_policy(
        kind=AgencyKind.SCHOOL_DISTRICT,
        notice_class=notice_class,
        standing=Standing.MANDATORY,
        calendar=calendar,
        at=at,
    )


def times(policy: Policy, at: dt.datetime) -> list[str]:
    current = start_round(policy=policy, hours=DISTRICT.hours, started_at=at)
    there = zoneinfo.ZoneInfo(ZONE)
    return [f"{one.astimezone(there):%H:%M}" for one in current.steps_at]


@pytest.mark.parametrize(
    ("notice_class", "moment", "steps"),
    [
        (NoticeClass.A, "2019-08-09T12:40", ["12:55", "13:10", "13:25", "13:40"]),
        (NoticeClass.A, "2019-08-16T09:30", ["09:45", "10:00", "10:15", "10:30"]),
        (NoticeClass.B, "2019-08-09T11:30", ["12:00", "12:30", "13:00", "13:30"]),
        (NoticeClass.B, "2019-08-09T12:10", ["12:40", "13:10", "13:40", "14:10"]),
        (NoticeClass.B, "2019-08-09T03:00", ["07:00", "07:30", "08:00", "08:30"]),  # held
    ],
)
def test_a_chain_that_ends_in_time_is_left_alone(
    notice_class: NoticeClass, moment: str, steps: list[str]
) -> None:
    usual = default(notice_class, local(moment))

    fitted = fit(usual, calendar=DISTRICT, started_at=local(moment))

    assert fitted == usual
    assert times(fitted, local(moment)) == steps


@pytest.mark.parametrize(
    ("notice_class", "moment", "steps"),
    [
        (NoticeClass.A, "2019-08-09T12:41", ["12:41", "12:46", "12:51"]),
        (NoticeClass.A, "2019-08-09T13:50", ["13:50", "13:55", "14:00"]),
        (NoticeClass.A, "2019-08-16T09:31", ["09:31", "09:36", "09:41"]),  # an early release
        (NoticeClass.B, "2019-08-09T12:11", ["12:11", "12:21", "12:31"]),
        (NoticeClass.B, "2019-08-16T09:30", ["09:30", "09:40", "09:50"]),
    ],
)
def test_with_too_little_left_two_people_are_called_at_once(
    notice_class: NoticeClass, moment: str, steps: list[str]
) -> None:
    usual = default(notice_class, local(moment))

    fitted = fit(usual, calendar=DISTRICT, started_at=local(moment))

    assert times(fitted, local(moment)) == steps
    assert [one.notify for one in fitted.steps] == [
        Notify.FIRST_TWO,
        Notify.HEAD,
        Notify.OPERATORS,
    ]
    assert all(Channel.VOICE in one.channels for one in fitted.steps)
    assert fitted.due_after == PAUSE[notice_class]
    assert (fitted.id, fitted.version, fitted.quorum) == (usual.id, usual.version, usual.quorum)


def test_the_note_says_why_in_local_time() -> None:
    at = local("2019-08-09T13:50")

    fitted = fit(default(NoticeClass.A, at), calendar=DISTRICT, started_at=at)

    assert fitted.note == (
        "The last bus leaves at 15:10, so every step must fall by 13:40; the usual steps would last"
        " until 14:50. Two people are called at once instead."
    )


@pytest.mark.parametrize("moment", ["2019-08-09T15:10", "2019-08-09T18:00", "2019-08-10T10:00"])
def test_class_a_out_of_school_rings_the_head_and_knows_no_dismissal(moment: str) -> None:
    usual = default(NoticeClass.A, local(moment))

    assert usual.steps[0].notify is Notify.HEAD
    assert fit(usual, calendar=DISTRICT, started_at=local(moment)) == usual


@pytest.mark.parametrize(
    ("moment", "first"),
    [
        ("2019-08-08T15:30", "2019-08-09T07:00"),
        ("2019-08-09T15:10", "2019-08-12T07:00"),
        (LABOR_DAY_WEEKEND, "2019-09-03T07:00"),
    ],
)
def test_class_b_after_dismissal_is_held_to_the_next_school_day(moment: str, first: str) -> None:
    at = local(moment)
    fitted = fit(default(NoticeClass.B, at), calendar=DISTRICT, started_at=at)

    current = start_round(policy=fitted, hours=DISTRICT.hours, started_at=at)

    assert current.steps_at[0] == local(first)
    assert current.held_until == local(first) - dt.timedelta(minutes=30)


def test_a_held_round_is_fitted_to_the_dismissal_of_the_day_it_is_held_to() -> None:
    early = BellSchedule(
        starts=dt.time(7),
        dismissal=dt.time(15, 10),
        early_release=((dt.date(2019, 8, 12), dt.time(9)),),
    )
    district = calendar_of(HOURS, bell=early)
    at = local("2019-08-09T16:00")

    fitted = fit(default(NoticeClass.B, at, district), calendar=district, started_at=at)

    current = start_round(policy=fitted, hours=district.hours, started_at=at)
    assert "The last bus leaves at 09:00" in fitted.note
    assert current.held_until == local("2019-08-12T06:30")
    assert current.steps_at[0] == local("2019-08-12T06:30")


@pytest.mark.parametrize("notice_class", [NoticeClass.C, NoticeClass.D])
def test_what_can_wait_is_never_hastened(notice_class: NoticeClass) -> None:
    at = local("2019-08-09T13:50")
    usual = default(notice_class, at)

    assert fit(usual, calendar=DISTRICT, started_at=at) == usual


def test_nothing_is_fitted_without_a_bell_schedule_or_without_steps() -> None:
    at = local("2019-08-09T13:50")
    no_bell = calendar_of(HOURS)
    usual = default(NoticeClass.A, at)
    silent = Policy(
        id=usual.id,
        version=1,
        recipient_kind=usual.recipient_kind,
        notice_class=NoticeClass.A,
        due_after=None,
        hold=usual.hold,
        steps=(),
    )

    assert fit(usual, calendar=no_bell, started_at=at) == usual
    assert fit(silent, calendar=DISTRICT, started_at=at) == silent


@given(
    notice_class=st.sampled_from([NoticeClass.A, NoticeClass.B]),
    minute=st.integers(min_value=0, max_value=14 * 24 * 60),
)
def test_every_chain_ends_in_time_or_begins_at_once(notice_class: NoticeClass, minute: int) -> None:
    at = local("2019-08-05T00:00") + dt.timedelta(minutes=minute)
    fitted = fit(default(notice_class, at), calendar=DISTRICT, started_at=at)
    current = start_round(policy=fitted, hours=DISTRICT.hours, started_at=at)
    base = current.held_until or at
    leaves = dismissal_at(DISTRICT, base)

    if leaves is None or base >= leaves:
        assert fitted.note == ""
    elif fitted.note:
        assert current.steps_at[0] == base
    else:
        assert current.steps_at[-1] <= leaves - MARGIN[notice_class]
    assert fit(fitted, calendar=DISTRICT, started_at=at) == fitted
    assert list(current.steps_at) == sorted(set(current.steps_at))


def promised(notice_class: NoticeClass, now: str, left: list[str]) -> str | None:
    found = latest_eta(
        DISTRICT,
        notice_class=notice_class,
        left=[local(f"{now[:10]}T{one}") for one in left],
        now=local(now),
    )
    return None if found is None else f"{found.astimezone(zoneinfo.ZoneInfo(ZONE)):%H:%M}"


@pytest.mark.parametrize(
    ("notice_class", "now", "left", "latest"),
    [
        (NoticeClass.A, "2019-08-09T09:05", ["09:15", "09:30", "09:45", "10:00"], "12:55"),
        (NoticeClass.A, "2019-08-09T13:52", ["13:55", "14:00"], "13:55"),  # none moves any more
        (NoticeClass.A, "2019-08-09T12:30", ["12:45"], "13:40"),
        (NoticeClass.B, "2019-08-09T11:50", ["12:00", "12:30", "13:00", "13:30"], "12:40"),
        (NoticeClass.A, "2019-08-16T10:00", ["10:15"], "10:30"),  # an early release
        (NoticeClass.A, "2019-08-09T14:05", [], "15:10"),  # everybody was called
    ],
)
def test_a_promise_leaves_the_rest_of_the_chain_before_the_margin(
    notice_class: NoticeClass, now: str, left: list[str], latest: str
) -> None:
    assert promised(notice_class, now, left) == latest


@pytest.mark.parametrize(
    ("notice_class", "now"),
    [
        (NoticeClass.A, "2019-08-09T15:10"),  # the bus has left
        (NoticeClass.A, "2019-08-10T10:00"),  # a Saturday
        (NoticeClass.C, "2019-08-09T10:00"),
    ],
)
def test_without_a_bus_to_come_only_the_class_bounds_a_promise(
    notice_class: NoticeClass, now: str
) -> None:
    assert promised(notice_class, now, ["23:00"]) is None

"""Policies: what they refuse, their stored form, and the table of defaults."""

import datetime as dt
import json
import zoneinfo

import pytest

from noticebus.contracts.vocabulary import AgencyKind, Channel, NoticeClass, Notify, Standing
from noticebus.domain.calendars import BellSchedule, Calendar
from noticebus.domain.policies import (
    DESKS,
    Hold,
    HoldRule,
    Policy,
    PolicyRecord,
    Step,
    default_policies,
    default_policy,
    default_window,
    for_standing,
    own_policy_id,
    owner_of,
    policy_from_record,
    policy_to_record,
)
from noticebus.domain.working_time import Window, hours_for, is_open
from noticebus.ids import PolicyId, new_agency_id

ZONE = "America/Chicago"
NOON = dt.datetime(2019, 8, 7, 17, tzinfo=dt.UTC)  # a Wednesday, 12:00 in Chicago
NIGHT = dt.datetime(2019, 8, 11, 8, tzinfo=dt.UTC)  # Sunday, 03:00 in Chicago


def minutes(*values: int) -> list[dt.timedelta]:
    return [dt.timedelta(minutes=value) for value in values]


def policy_of(
    kind: AgencyKind,
    notice_class: NoticeClass,
    *,
    at: dt.datetime = NOON,
    standing: Standing = Standing.MANDATORY,
    window: Window | None = None,
) -> Policy:
    calendar = Calendar(hours=hours_for(window or default_window(kind), zone=ZONE))
    return default_policy(
        kind=kind, notice_class=notice_class, standing=standing, calendar=calendar, at=at
    )


def policy(*, due_after: dt.timedelta | None, steps: tuple[Step, ...]) -> Policy:
    return Policy(
        id=PolicyId("pol_1"),
        version=1,
        recipient_kind=AgencyKind.CPS,
        notice_class=NoticeClass.A,
        due_after=due_after,
        hold=HoldRule(hold=Hold.NEVER),
        steps=steps,
    )


def step(after_minutes: int) -> Step:
    return Step(
        after=dt.timedelta(minutes=after_minutes),
        notify=Notify.ON_DUTY,
        channels=(Channel.EMAIL,),
    )


@pytest.mark.parametrize(
    ("kind", "notice_class", "delays"),
    [
        (AgencyKind.CPS, NoticeClass.A, (10, 20, 40, 60)),
        (AgencyKind.CPS, NoticeClass.B, (60, 90, 120, 180)),
        (AgencyKind.TRIBAL_CHILD_WELFARE, NoticeClass.A, (10, 20, 40, 60)),
        (AgencyKind.SCHOOL_DISTRICT, NoticeClass.A, (15, 30, 45, 60)),
        (AgencyKind.SCHOOL_DISTRICT, NoticeClass.B, (30, 60, 90, 120)),
        (AgencyKind.FEDERAL, NoticeClass.A, (60, 120, 180, 240)),
        (AgencyKind.OPERATOR, NoticeClass.A, (10, 20, 30)),
        (AgencyKind.OPERATOR, NoticeClass.B, (30, 60, 120)),
        (AgencyKind.OPERATOR, NoticeClass.C, (1440,)),
        (AgencyKind.LAW_ENFORCEMENT, NoticeClass.C, (1440, 2880)),
        (AgencyKind.FAITH, NoticeClass.A, (60, 120, 180)),
        (AgencyKind.COMMUNITY, NoticeClass.B, (120, 240, 360)),
    ],
)
def test_default_delays_are_those_of_the_table(
    kind: AgencyKind, notice_class: NoticeClass, delays: tuple[int, ...]
) -> None:
    found = policy_of(kind, notice_class)

    assert [one.after for one in found.steps] == minutes(*delays)
    assert found.due_after == found.steps[0].after


@pytest.mark.parametrize("kind", AgencyKind)
def test_nothing_falls_due_on_a_record(kind: AgencyKind) -> None:
    found = policy_of(kind, NoticeClass.D)

    assert (found.due_after, found.steps) == (None, ())


@pytest.mark.parametrize("kind", [AgencyKind.FAITH, AgencyKind.COMMUNITY])
def test_community_bodies_owe_nothing_on_a_preparation(kind: AgencyKind) -> None:
    assert policy_of(kind, NoticeClass.C).steps == ()


@pytest.mark.parametrize(
    ("kind", "time"), [(AgencyKind.CPS, dt.time(12)), (AgencyKind.SCHOOL_DISTRICT, dt.time(7))]
)
def test_preparation_is_due_on_the_next_business_day(kind: AgencyKind, time: dt.time) -> None:
    found = policy_of(kind, NoticeClass.C)

    assert found.hold == HoldRule(hold=Hold.BUSINESS_DAY, at=time)
    assert found.due_after == dt.timedelta(0)
    assert [one.notify for one in found.steps] == [Notify.ON_DUTY, Notify.OPERATORS]
    assert found.steps[-1].lists_only


def test_class_a_always_runs_and_class_b_is_held() -> None:
    for one in default_policies():
        if one.notice_class is NoticeClass.A:
            assert one.hold.hold is Hold.NEVER
        if one.notice_class is NoticeClass.B:
            assert one.hold.hold is Hold.WINDOW


def test_every_mandatory_chain_ends_with_the_operators_written_to_for_class_a_and_b() -> None:
    urgent = [one for one in default_policies() if one.notice_class <= NoticeClass.B]

    assert urgent
    for one in urgent:
        own = one.recipient_kind is AgencyKind.OPERATOR  # the operators' own chain ends with all
        assert one.steps[-1].notify is (Notify.ALL_CONTACTS if own else Notify.OPERATORS)
        assert not one.steps[-1].lists_only


@pytest.mark.parametrize("one", default_policies(), ids=lambda one: one.id)
def test_urgent_steps_ring_and_only_a_desk_has_endpoints(one: Policy) -> None:
    called = {
        NoticeClass.A: {Channel.EMAIL, Channel.SMS, Channel.VOICE},
        NoticeClass.B: {Channel.EMAIL, Channel.SMS},
        NoticeClass.C: {Channel.EMAIL},
    }

    for step in one.steps:
        if not step.lists_only:
            of_desk = {Channel.WEBHOOK, Channel.KAFKA} if step.notify in DESKS else set()
            assert set(step.channels) == called[one.notice_class] | of_desk


def test_county_office_has_more_time_than_a_desk_that_never_closes() -> None:
    urgent = policy_of(AgencyKind.CPS, NoticeClass.A, window=Window.OFFICE)
    normal = policy_of(AgencyKind.CPS, NoticeClass.B, window=Window.OFFICE)

    assert [one.after for one in urgent.steps] == minutes(15, 30, 45, 60)
    assert [one.after for one in normal.steps] == minutes(60, 120, 240)


def test_school_at_night_starts_with_its_head() -> None:
    found = policy_of(AgencyKind.SCHOOL_DISTRICT, NoticeClass.A, at=NIGHT)

    assert [one.notify for one in found.steps] == [
        Notify.HEAD,
        Notify.ALL_CONTACTS,
        Notify.OPERATORS,
    ]
    assert [one.after for one in found.steps] == minutes(20, 40, 60)


@pytest.mark.parametrize("kind", AgencyKind)
@pytest.mark.parametrize("notice_class", NoticeClass)
@pytest.mark.parametrize("at", [NOON, NIGHT])
def test_advisory_silence_is_listed_and_goes_no_further(
    kind: AgencyKind, notice_class: NoticeClass, at: dt.datetime
) -> None:
    found = policy_of(kind, notice_class, at=at, standing=Standing.ADVISORY)

    for one in found.steps:
        assert one.lists_only == (one.notify is Notify.OPERATORS)
    assert for_standing(found, Standing.ADVISORY) == found


def test_defaults_have_ids_of_their_own_and_a_stable_order() -> None:
    ids = [one.id for one in default_policies()]

    assert len(set(ids)) == len(ids)
    assert ids == [one.id for one in default_policies()]


def test_a_policy_survives_its_stored_form() -> None:
    for one in default_policies():
        for standing in Standing:
            fitted = for_standing(one, standing)
            record: PolicyRecord = json.loads(json.dumps(policy_to_record(fitted)))

            assert policy_from_record(record) == fitted


def test_stored_form_is_plain_and_exact() -> None:
    record = policy_to_record(policy_of(AgencyKind.SCHOOL_DISTRICT, NoticeClass.C))

    assert record == {
        "quorum": 1,
        "note": "",
        "id": "default.school_district.school_day.C",
        "version": 1,
        "recipient_kind": "school_district",
        "notice_class": "C",
        "due_after_s": 0,
        "hold": "business_day",
        "hold_at": "07:00:00",
        "steps": [
            {"after_s": 0, "notify": "on_duty", "channels": ["webhook", "kafka", "email"]},
            {"after_s": 86400, "notify": "operators", "channels": []},
        ],
    }


@pytest.mark.parametrize(
    ("due_after", "steps", "sentence"),
    [
        (dt.timedelta(minutes=5), (step(5), step(5)), "longer than the one before"),
        (dt.timedelta(minutes=5), (step(10), step(5)), "longer than the one before"),
        (None, (step(5),), "need a deadline"),
        (dt.timedelta(0), (step(-1),), "zero or more"),
    ],
)
def test_policy_that_cannot_run_is_refused(
    due_after: dt.timedelta | None, steps: tuple[Step, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        policy(due_after=due_after, steps=steps)


@pytest.mark.parametrize(
    ("hold", "at"), [(Hold.BUSINESS_DAY, None), (Hold.WINDOW, dt.time(7)), (Hold.NEVER, dt.time(7))]
)
def test_only_a_business_day_hold_has_a_time(hold: Hold, at: dt.time | None) -> None:
    with pytest.raises(ValueError, match="business-day"):
        HoldRule(hold=hold, at=at)


@pytest.mark.parametrize(
    ("kind", "awake"),
    [
        (AgencyKind.CPS, True),
        (AgencyKind.TRIBAL_CHILD_WELFARE, True),
        (AgencyKind.LAW_ENFORCEMENT, True),
        (AgencyKind.OPERATOR, True),
        (AgencyKind.FEDERAL, False),
        (AgencyKind.SCHOOL_DISTRICT, False),
        (AgencyKind.FAITH, False),
        (AgencyKind.COMMUNITY, False),
    ],
)
def test_each_kind_has_assumed_hours(kind: AgencyKind, *, awake: bool) -> None:
    hours = hours_for(default_window(kind), zone=ZONE)

    assert is_open(hours, NOON)
    assert is_open(hours, NIGHT) is awake


BELL = BellSchedule(
    starts=dt.time(8),
    dismissal=dt.time(15, 10),
    early_release=((dt.date(2019, 8, 16), dt.time(12)),),
)
TERM = ((dt.date(2019, 8, 5), dt.date(2019, 12, 20)),)


@pytest.mark.parametrize(
    ("bell", "terms", "local", "profile"),
    [
        (BELL, (), "2019-08-09T15:09", "school_day"),
        (BELL, (), "2019-08-09T15:10", "school_night"),
        (BELL, (), "2019-08-16T12:00", "school_night"),  # an early release
        (BELL, (), "2019-08-10T10:00", "school_night"),  # a Saturday
        (BELL, TERM, "2019-07-31T10:00", "school_night"),  # summer
        (None, (), "2019-08-09T16:00", "school_day"),  # its hours alone
        (None, TERM, "2019-08-09T16:00", "school_day"),
        (None, TERM, "2019-07-31T10:00", "school_night"),
    ],
)
def test_a_district_out_of_school_has_its_profile_for_the_night(
    bell: BellSchedule | None, terms: tuple[tuple[dt.date, dt.date], ...], local: str, profile: str
) -> None:
    hours = hours_for(Window.SCHOOL_DAY, zone=ZONE)
    at = dt.datetime.fromisoformat(local).replace(tzinfo=zoneinfo.ZoneInfo(ZONE))

    found = default_policy(
        kind=AgencyKind.SCHOOL_DISTRICT,
        notice_class=NoticeClass.A,
        standing=Standing.MANDATORY,
        calendar=Calendar(hours=hours, terms=terms, bell=bell),
        at=at.astimezone(dt.UTC),
    )

    assert found.id == f"default.school_district.{profile}.A"


def test_an_agencys_own_policy_names_its_owner() -> None:
    agency_id = new_agency_id()

    assert owner_of(own_policy_id(agency_id, NoticeClass.B)) == agency_id
    assert owner_of("default.cps.state_desk.A") is None


def test_a_record_of_before_quorums_and_notes_is_still_read() -> None:
    record = policy_to_record(policy_of(AgencyKind.CPS, NoticeClass.A))
    del record["quorum"]
    del record["note"]

    assert policy_from_record(record) == policy_of(AgencyKind.CPS, NoticeClass.A)

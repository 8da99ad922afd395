"""Rounds: when steps fall, that each fires or is skipped once, and whom it reaches."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    NoticeClass,
    Notify,
    Position,
    Standing,
)
from noticebus.domain.calendars import Calendar
from noticebus.domain.escalation import (
    ContactPoint,
    Finished,
    Fire,
    Resolved,
    Round,
    Wait,
    backed_by,
    calls_of,
    endpoint_channels,
    extended,
    hastened,
    next_firing,
    resolve,
    start_round,
)
from noticebus.domain.policies import Step, default_policy, default_window
from noticebus.domain.working_time import hours_for
from noticebus.ids import ContactId

START = dt.datetime(2019, 8, 7, 17, tzinfo=dt.UTC)  # a Wednesday, 12:00 in Chicago
NIGHT = dt.datetime(2019, 8, 11, 8, tzinfo=dt.UTC)  # Sunday, 03:00 in Chicago


def after(minutes: float, *, start: dt.datetime = START) -> dt.datetime:
    return start + dt.timedelta(minutes=minutes)


def round_of(kind: AgencyKind, notice_class: NoticeClass, started_at: dt.datetime) -> Round:
    hours = hours_for(default_window(kind), zone="America/Chicago", subdiv="MS")
    policy = default_policy(
        kind=kind,
        notice_class=notice_class,
        standing=Standing.MANDATORY,
        calendar=Calendar(hours=hours),
        at=started_at,
    )
    return start_round(policy=policy, hours=hours, started_at=started_at)


def running(*minutes: float) -> Round:
    return Round(
        started_at=START,
        held_until=None,
        due_at=after(minutes[0]) if minutes else None,
        steps_at=tuple(after(one) for one in minutes),
    )


def contact(name: str, position: Position, *, email: bool = True) -> ContactPoint:
    return ContactPoint(
        id=ContactId(f"cnt_{name}"),
        position=position,
        email=f"{name}@example.gov" if email else None,
        phone=None,
    )


def test_urgent_round_runs_at_three_on_a_sunday_morning() -> None:
    found = round_of(AgencyKind.CPS, NoticeClass.A, NIGHT)

    assert found == Round(
        started_at=NIGHT,
        held_until=None,
        due_at=after(10, start=NIGHT),
        steps_at=tuple(after(one, start=NIGHT) for one in (10, 20, 40, 60)),
    )


def test_normal_round_of_a_school_is_held_until_it_opens_and_shows_it() -> None:
    opening = dt.datetime(2019, 8, 12, 11, 30, tzinfo=dt.UTC)  # Monday, 06:30 in Chicago

    found = round_of(AgencyKind.SCHOOL_DISTRICT, NoticeClass.B, NIGHT)

    assert found.held_until == opening
    assert found.due_at == after(30, start=opening)
    assert found.steps_at[-1] == after(120, start=opening)


def test_normal_round_in_opening_hours_is_not_held() -> None:
    found = round_of(AgencyKind.SCHOOL_DISTRICT, NoticeClass.B, START)

    assert (found.held_until, found.due_at) == (None, after(30))


def test_preparation_is_due_at_noon_of_the_next_business_day() -> None:
    found = round_of(AgencyKind.CPS, NoticeClass.C, START)
    noon = dt.datetime(2019, 8, 8, 17, tzinfo=dt.UTC)

    assert (found.held_until, found.due_at) == (None, noon)
    assert found.steps_at == (noon, noon + dt.timedelta(days=1))


def test_record_only_has_no_deadline_and_no_step() -> None:
    found = round_of(AgencyKind.SCHOOL_DISTRICT, NoticeClass.D, NIGHT)

    assert found == Round(started_at=NIGHT, held_until=None, due_at=None, steps_at=())
    assert next_firing(current=found, step_index=0, now=NIGHT) == Finished()


def test_nothing_fires_before_its_time() -> None:
    found = next_firing(current=running(10, 20), step_index=0, now=after(9.99))

    assert found == Wait(until=after(10))


def test_step_fires_on_its_instant_and_names_the_next() -> None:
    found = next_firing(current=running(10, 20), step_index=0, now=after(10))

    assert found == Fire(step_index=0, skipped=(), next_at=after(20))


def test_after_an_outage_only_the_step_that_applies_now_fires() -> None:
    found = next_firing(current=running(10, 20, 40, 60), step_index=0, now=after(45))

    assert found == Fire(step_index=2, skipped=(0, 1), next_at=after(60))


def test_last_step_has_no_next_and_then_the_round_is_finished() -> None:
    current = running(10, 20)

    assert next_firing(current=current, step_index=1, now=after(99)) == Fire(
        step_index=1, skipped=(), next_at=None
    )
    assert next_firing(current=current, step_index=2, now=after(99)) == Finished()


@given(
    st.lists(st.integers(0, 500), unique=True, max_size=8).map(sorted),
    st.lists(st.integers(0, 600), max_size=30).map(sorted),
)
def test_each_step_fires_or_is_skipped_exactly_once(steps: list[int], looks: list[int]) -> None:
    current = running(*steps)
    index, seen = 0, list[int]()

    for look in [*looks, 600]:
        found = next_firing(current=current, step_index=index, now=after(look))
        if isinstance(found, Fire):
            assert current.steps_at[found.step_index] <= after(look)
            assert found.next_at is None or found.next_at > after(look)
            seen += [*found.skipped, found.step_index]
            index = found.step_index + 1

    assert seen == list(range(len(steps)))


def test_promise_moves_the_steps_still_to_come_and_keeps_the_deadline() -> None:
    found = extended(running(10, 20, 40, 60), step_index=1, until=after(90))

    assert found.due_at == after(10)
    assert found.steps_at == (after(10), after(90), after(110), after(130))


def test_promise_sooner_than_the_next_step_moves_nothing() -> None:
    current = running(10, 20)

    assert extended(current, step_index=0, until=after(5)) == current


def test_promise_after_the_last_step_moves_nothing() -> None:
    current = running(10, 20)

    assert extended(current, step_index=2, until=after(90)) == current


@given(
    st.lists(st.integers(1, 500), unique=True, min_size=1, max_size=8).map(sorted),
    st.integers(0, 8),
    st.integers(0, 900),
)
def test_promise_never_brings_a_step_forward_nor_changes_their_order(
    steps: list[int], index: int, until: int
) -> None:
    current = running(*steps)

    found = extended(current, step_index=index, until=after(until))

    assert found.steps_at[:index] == current.steps_at[:index]
    assert all(new >= old for new, old in zip(found.steps_at, current.steps_at, strict=True))
    assert list(found.steps_at) == sorted(found.steps_at)


def test_haste_lets_the_next_step_fall_now_and_the_rest_keep_their_distance() -> None:
    found = hastened(running(10, 20, 40), step_index=1, now=after(12))

    assert found.steps_at == (after(10), after(12), after(32))
    assert found.due_at == after(10)


@pytest.mark.parametrize(("index", "now"), [(2, 45.0), (1, 20.0), (3, 5.0)])
def test_haste_moves_nothing_that_is_due_already_or_done(index: int, now: float) -> None:
    current = running(10, 20, 40)

    assert hastened(current, step_index=index, now=after(now)) == current


DUTY = contact("duty", Position.ON_DUTY)
SECOND = contact("second", Position.SECOND)
HEAD = contact("head", Position.HEAD)
OTHER = contact("other", Position.OTHER)
OPERATOR = contact("operator", Position.ON_DUTY)


@pytest.mark.parametrize(
    ("notify", "contacts", "reached", "fell_through"),
    [
        (Notify.ON_DUTY, [HEAD, DUTY], (DUTY,), None),
        (Notify.ON_DUTY, [HEAD, SECOND], (SECOND,), Notify.SECOND),
        (Notify.ON_DUTY, [HEAD], (HEAD,), Notify.HEAD),
        (Notify.ON_DUTY, [OTHER], (OPERATOR,), Notify.OPERATORS),
        (Notify.SECOND, [DUTY, HEAD], (HEAD,), Notify.HEAD),  # never back down
        (Notify.HEAD, [DUTY, SECOND], (OPERATOR,), Notify.OPERATORS),
        (Notify.ALL_CONTACTS, [OTHER, DUTY], (DUTY, OTHER), None),
        (Notify.ALL_CONTACTS, [], (OPERATOR,), Notify.OPERATORS),
        (Notify.OPERATORS, [DUTY], (OPERATOR,), None),
        (Notify.FIRST_TWO, [OTHER, HEAD, SECOND, DUTY], (DUTY, SECOND), None),
        (Notify.FIRST_TWO, [OTHER, HEAD], (HEAD, OTHER), None),  # whoever has no place comes last
        (Notify.FIRST_TWO, [HEAD], (HEAD,), None),
        (Notify.FIRST_TWO, [], (OPERATOR,), Notify.OPERATORS),
        (Notify.DELEGATE, [DUTY], (OPERATOR,), Notify.OPERATORS),
    ],
)
def test_empty_level_passes_to_the_next_with_somebody_in_it(
    notify: Notify,
    contacts: list[ContactPoint],
    reached: tuple[ContactPoint, ...],
    fell_through: Notify | None,
) -> None:
    found = resolve(notify, contacts, operators=[OPERATOR])

    assert found == Resolved(contacts=reached, fell_through=fell_through)


def test_operators_take_over_for_who_must_answer_and_for_nobody_else() -> None:
    assert backed_by(Standing.MANDATORY, [OPERATOR]) == [OPERATOR]
    assert list(backed_by(Standing.ADVISORY, [OPERATOR])) == []


def test_a_delegate_is_reached_through_its_own_contacts() -> None:
    mute = contact("mute", Position.ON_DUTY, email=False)

    found = resolve(Notify.DELEGATE, [DUTY], operators=[OPERATOR], delegates=[SECOND, mute, HEAD])

    assert found == Resolved(contacts=(HEAD, SECOND), fell_through=None)


def test_a_person_is_called_over_what_the_step_and_the_person_both_have() -> None:
    rings = ContactPoint(
        id=ContactId("a"), position=Position.ON_DUTY, email="a@example.gov", phone="+16015550100"
    )
    step = Step(
        after=dt.timedelta(0),
        notify=Notify.ON_DUTY,
        channels=(Channel.WEBHOOK, Channel.EMAIL, Channel.VOICE),
    )
    reached = Resolved(contacts=(rings, SECOND), fell_through=None)

    assert calls_of(step, reached) == (
        (rings, Channel.EMAIL),
        (rings, Channel.VOICE),
        (SECOND, Channel.EMAIL),
    )


@pytest.mark.parametrize(
    ("notify", "reached"),
    [
        (Notify.ON_DUTY, (Channel.WEBHOOK, Channel.KAFKA)),
        (Notify.FIRST_TWO, (Channel.WEBHOOK, Channel.KAFKA)),
        (Notify.ALL_CONTACTS, (Channel.WEBHOOK, Channel.KAFKA)),
        (Notify.DELEGATE, (Channel.WEBHOOK, Channel.KAFKA)),
        (Notify.SECOND, ()),
        (Notify.OPERATORS, ()),
    ],
)
def test_only_an_agencys_desk_has_endpoints(notify: Notify, reached: tuple[Channel, ...]) -> None:
    channels = (Channel.WEBHOOK, Channel.KAFKA, Channel.EMAIL)

    assert (
        endpoint_channels(Step(after=dt.timedelta(0), notify=notify, channels=channels)) == reached
    )


def test_contact_without_a_channel_is_nobody() -> None:
    mute = contact("mute", Position.ON_DUTY, email=False)

    assert resolve(Notify.ON_DUTY, [mute, SECOND]) == Resolved(
        contacts=(SECOND,), fell_through=Notify.SECOND
    )
    assert resolve(Notify.OPERATORS, [], operators=[mute]) == Resolved(
        contacts=(), fell_through=None
    )


def test_everyone_at_a_level_is_reached_in_a_stable_order() -> None:
    one, two = contact("a", Position.ON_DUTY), contact("b", Position.ON_DUTY)

    assert resolve(Notify.ON_DUTY, [two, one]).contacts == (one, two)


def test_contact_keeps_its_address_out_of_what_is_printed() -> None:
    assert DUTY.channels == (Channel.EMAIL,)
    assert "example.gov" not in repr(DUTY)
    assert "+1601" not in repr(DUTY)


def test_a_level_that_a_step_cannot_reach_passes_to_the_next_one_up() -> None:
    voice = ContactPoint(
        id=ContactId("cnt_voice"), position=Position.SECOND, phone="+16015550123", texts=False
    )
    head = contact("head", Position.HEAD)

    by_mail = resolve(Notify.SECOND, [voice, head], over=frozenset({Channel.EMAIL, Channel.SMS}))
    by_call = resolve(Notify.SECOND, [voice, head], over=frozenset({Channel.VOICE}))

    assert (by_mail.contacts, by_mail.fell_through) == ((head,), Notify.HEAD)
    assert (by_call.contacts, by_call.fell_through) == ((voice,), None)

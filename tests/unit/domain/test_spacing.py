"""How messages to one contact are spaced, and steps after an outage."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import Channel, HeldReason, NoticeClass, Status
from noticebus.domain.spacing import (
    BURST_EVERY,
    BURST_MAX,
    HOUR,
    MESSAGES_PER_HOUR_MAX,
    WINDOW,
    Hold,
    Line,
    Message,
    Past,
    StepMessage,
    bursts,
    space,
    spread,
)
from noticebus.ids import ContactId, DeliveryId, SubscriptionId

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
MAIL = Line(contact_id=ContactId("cnt_1"), channel=Channel.EMAIL, status=Status.ACTUAL)
DRILL = Line(contact_id=ContactId("cnt_1"), channel=Channel.EMAIL, status=Status.EXERCISE)
TEXT = Line(contact_id=ContactId("cnt_1"), channel=Channel.SMS, status=Status.ACTUAL)


def message(
    number: int,
    line: Line = MAIL,
    notice_class: NoticeClass = NoticeClass.B,
    *,
    due_at: dt.datetime = NOW,
) -> Message:
    return Message(
        delivery_id=DeliveryId(f"dlv_{number}"), line=line, notice_class=notice_class, due_at=due_at
    )


def step(number: int, to: str = "sub_1", notice_class: NoticeClass = NoticeClass.B) -> StepMessage:
    return StepMessage(
        delivery_id=DeliveryId(f"dlv_{number}"),
        subscription_id=SubscriptionId(to),
        notice_class=notice_class,
    )


def test_the_first_message_goes_at_once_and_the_rest_wait_as_one_bundle() -> None:
    held = space([message(1), message(2), message(3)], past={}, now=NOW)

    hold = Hold(due_at=NOW + WINDOW, bundle="cnt_1:email:actual:dlv_2", reason=HeldReason.BUNDLE)
    assert held == {DeliveryId("dlv_2"): hold, DeliveryId("dlv_3"): hold}


def test_the_window_runs_from_the_message_that_went() -> None:
    past = {MAIL: Past(went_at=(NOW - WINDOW + SECOND,))}

    (hold,) = space([message(1)], past=past, now=NOW).values()

    assert hold.due_at == NOW + SECOND
    assert space([message(1)], past=past, now=NOW + SECOND) == {}


def test_what_waits_already_takes_the_next_along() -> None:
    waiting = Hold(due_at=NOW + SECOND, bundle="b", reason=HeldReason.BUNDLE)

    held = space([message(1)], past={MAIL: Past(waiting=waiting)}, now=NOW)

    assert held == {DeliveryId("dlv_1"): waiting}


def test_class_a_never_waits_and_opens_a_window() -> None:
    past = {MAIL: Past(went_at=tuple(NOW for _ in range(MESSAGES_PER_HOUR_MAX)))}

    held = space([message(1, notice_class=NoticeClass.A), message(2)], past=past, now=NOW)

    assert list(held) == [DeliveryId("dlv_2")]


@pytest.mark.parametrize("other", [DRILL, TEXT])
def test_an_exercise_and_another_channel_are_spaced_apart(other: Line) -> None:
    held = space([message(1), message(2, other)], past={}, now=NOW)

    assert held == {}


def test_above_the_cap_messages_wait_until_the_hour_frees_a_place() -> None:
    went_at = tuple(NOW - dt.timedelta(minutes=2 * n) for n in range(1, MESSAGES_PER_HOUR_MAX + 3))

    (hold,) = space([message(1)], past={MAIL: Past(went_at=went_at)}, now=NOW).values()

    twentieth = NOW - dt.timedelta(minutes=2 * MESSAGES_PER_HOUR_MAX)
    assert hold.reason is HeldReason.HOURLY_CAP
    assert hold.due_at == twentieth + HOUR


@given(minutes=st.lists(st.integers(0, 180), max_size=120))
def test_no_hour_holds_more_messages_than_the_cap(minutes: list[int]) -> None:
    went: list[dt.datetime] = []
    waiting: Hold | None = None
    for number, minute in enumerate(sorted(minutes)):
        now = NOW + dt.timedelta(minutes=minute)
        if waiting is not None and waiting.due_at <= now:
            went.append(waiting.due_at)
            waiting = None
        past = {MAIL: Past(went_at=tuple(went), waiting=waiting)}
        hold = space([message(number)], past=past, now=now).get(DeliveryId(f"dlv_{number}"))
        if hold is None:
            went.append(now)
        else:
            waiting = hold

    for start in went:
        assert sum(start <= at < start + HOUR for at in went) <= MESSAGES_PER_HOUR_MAX
    assert all(later - earlier >= WINDOW for earlier, later in itertools.pairwise(went))


def test_messages_for_later_share_a_bundle_and_keep_their_own_time() -> None:
    first, second = (message(n, due_at=NOW + n * SECOND) for n in (1, 2))

    held = space([first, second, message(3)], past={}, now=NOW)

    name = "cnt_1:email:actual:dlv_1"
    assert held == {
        DeliveryId("dlv_1"): Hold(due_at=NOW + SECOND, bundle=name, reason=None),
        DeliveryId("dlv_2"): Hold(due_at=NOW + 2 * SECOND, bundle=name, reason=None),
    }


def test_a_message_for_later_joins_those_that_wait_and_class_a_stays_alone() -> None:
    past = {MAIL: Past(later="b")}
    grave = message(2, notice_class=NoticeClass.A, due_at=NOW + SECOND)

    held = space([message(1, due_at=NOW + SECOND), grave, message(3)], past=past, now=NOW)

    assert held == {DeliveryId("dlv_1"): Hold(due_at=NOW + SECOND, bundle="b", reason=None)}


def test_up_to_the_cap_steps_are_no_burst() -> None:
    steps = [step(n) for n in range(BURST_MAX)] + [step(n, "sub_2") for n in range(90, 99)]

    assert bursts(steps) == set()
    assert bursts([*steps, step(99)]) == {SubscriptionId("sub_1")}


def test_a_burst_goes_in_turns_the_gravest_class_first() -> None:
    steps = [step(n) for n in range(BURST_MAX)] + [step(99, notice_class=NoticeClass.A)]

    held = spread(steps, waiting={}, now=NOW)

    last = DeliveryId(f"dlv_{BURST_MAX - 1}")
    assert held == {last: Hold(due_at=NOW + BURST_EVERY, bundle=None, reason=HeldReason.BURST)}


def test_a_burst_stands_behind_what_still_waits_from_before() -> None:
    waiting = {SubscriptionId("sub_1"): 2 * BURST_MAX}

    (hold,) = spread([step(1)], waiting=waiting, now=NOW).values()

    assert hold.due_at == NOW + 2 * BURST_EVERY

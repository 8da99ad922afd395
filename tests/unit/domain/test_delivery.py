"""What follows an attempt: delivered, another try, or the end."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import Channel, Fault, NoticeClass, Outcome
from noticebus.domain.delivery import (
    NEXT_CHANNEL_AFTER,
    OUR_DELAY_MAX,
    OUR_DELAY_MIN,
    OUR_HORIZON,
    AttemptResult,
    Delivered,
    GiveUp,
    HandedOver,
    RetryAt,
    after_attempt,
    classify,
    counts_against_recipient,
    diagnosis,
    fault_of,
    next_channel,
    starts_next_channel,
)
from noticebus.domain.schedules import default_schedules

SCHEDULES = default_schedules()
JITTER = 0.2
NOW = dt.datetime(2019, 8, 7, 15, 0, tzinfo=dt.UTC)
classes = st.sampled_from(NoticeClass)


def result(
    outcome: Outcome = Outcome.FAILED,
    *,
    fault: Fault | None = Fault.RECIPIENT,
    status: int | None = None,
    retry_after: dt.timedelta | None = None,
    error: str = "",
) -> AttemptResult:
    return AttemptResult(
        outcome=outcome,
        fault=fault,
        status=status,
        retry_after=retry_after,
        error=error,
        body_digest="0" * 64,
        duration=dt.timedelta(),
    )


def decide(
    one: AttemptResult,
    *,
    attempts: int = 1,
    notice_class: NoticeClass = NoticeClass.A,
    since: dt.timedelta = dt.timedelta(),
    jitter: float = 0.5,
) -> Delivered | HandedOver | RetryAt | GiveUp:
    return after_attempt(
        one,
        attempts=attempts,
        schedule=SCHEDULES[notice_class],
        failed_at=NOW,
        first_failed_at=NOW - since if since else None,
        jitter=jitter,
    )


def wait_of(decision: Delivered | HandedOver | RetryAt | GiveUp) -> dt.timedelta:
    assert isinstance(decision, RetryAt)
    return decision.at - NOW


@given(classes, st.integers(1, 400), st.floats(0, 1))
def test_a_failure_retries_within_the_jitter_of_its_schedule_until_exhausted(
    notice_class: NoticeClass, attempts: int, jitter: float
) -> None:
    decision = decide(result(), attempts=attempts, notice_class=notice_class, jitter=jitter)

    planned = SCHEDULES[notice_class].delay_after(attempts)
    if planned is None:
        assert isinstance(decision, GiveUp)
        assert f"All {attempts} tries failed" in decision.reason
    else:
        slack = dt.timedelta(microseconds=1)
        lowest, highest = planned * (1 - JITTER) - slack, planned * (1 + JITTER) + slack
        assert lowest <= wait_of(decision) <= highest


@given(
    classes,
    st.integers(1, 30),
    st.timedeltas(min_value=dt.timedelta(), max_value=dt.timedelta(days=30)),
)
def test_retry_after_is_honoured_between_the_schedule_and_its_bound(
    notice_class: NoticeClass, attempts: int, asked: dt.timedelta
) -> None:
    schedule = SCHEDULES[notice_class]
    busy = result(Outcome.REFUSED, status=429, retry_after=asked)

    wait = wait_of(decide(busy, attempts=attempts, notice_class=notice_class))

    planned = schedule.delays[attempts - 1]
    assert planned <= wait <= max(planned, schedule.retry_after_max)
    if planned <= asked <= schedule.retry_after_max:
        assert wait == asked


def test_success_ends_the_delivery() -> None:
    assert decide(result(Outcome.DELIVERED, fault=None, status=204)) == Delivered()


def test_gone_alone_ends_the_delivery_at_once() -> None:
    ended = {one for one in Outcome if isinstance(decide(result(one)), GiveUp)}

    assert ended == {Outcome.GONE}


def test_our_own_fault_never_uses_up_the_recipients_tries() -> None:
    ours = result(Outcome.UNSENDABLE, fault=Fault.OURS)

    assert not counts_against_recipient(Fault.OURS)
    assert isinstance(decide(ours, attempts=0), RetryAt)
    assert isinstance(decide(ours, attempts=10_000), RetryAt)


@given(st.timedeltas(min_value=dt.timedelta(), max_value=dt.timedelta(days=30)))
def test_our_own_fault_backs_off_and_ends_with_its_horizon(since: dt.timedelta) -> None:
    decision = decide(result(Outcome.UNSENDABLE, fault=Fault.OURS), attempts=0, since=since)

    if since >= SCHEDULES[NoticeClass.A].horizon + OUR_HORIZON:
        assert isinstance(decision, GiveUp)
        assert "We could not send it for" in decision.reason
    else:
        lowest, highest = OUR_DELAY_MIN * (1 - JITTER), OUR_DELAY_MAX * (1 + JITTER)
        assert lowest <= wait_of(decision) <= highest


def test_faults_of_recipient_and_network_count() -> None:
    assert counts_against_recipient(Fault.RECIPIENT)
    assert counts_against_recipient(Fault.NETWORK)
    assert not counts_against_recipient(None)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.BLOCKED])
def test_a_refusal_starts_the_next_channel_at_once(outcome: Outcome) -> None:
    decision = decide(result(outcome))

    assert isinstance(decision, RetryAt)
    assert decision.next_channel_now


def test_two_minutes_without_success_start_the_next_channel() -> None:
    young = decide(result(), since=NEXT_CHANNEL_AFTER - dt.timedelta(seconds=1))
    old = decide(result(), since=NEXT_CHANNEL_AFTER)

    assert isinstance(young, RetryAt)
    assert isinstance(old, RetryAt)
    assert (young.next_channel_now, old.next_channel_now) == (False, True)
    assert not starts_next_channel(Outcome.DELIVERED, undelivered_for=dt.timedelta(days=1))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED),
        (204, Outcome.DELIVERED),
        (101, Outcome.FAILED),
        (302, Outcome.REFUSED),
        (400, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (410, Outcome.GONE),
        (429, Outcome.REFUSED),
        (500, Outcome.FAILED),
        (503, Outcome.FAILED),
        (799, Outcome.FAILED),
    ],
)
def test_a_status_is_read_as_an_outcome(status: int, outcome: Outcome) -> None:
    assert classify(status) is outcome


def test_every_outcome_has_a_fault_but_success() -> None:
    assert fault_of(Outcome.DELIVERED) is None
    assert fault_of(Outcome.UNSENDABLE) is Fault.OURS
    assert fault_of(Outcome.FAILED) is Fault.RECIPIENT


def test_a_redirect_is_diagnosed_with_its_remedy() -> None:
    assert diagnosis(result(Outcome.REFUSED, status=302)) == (
        "Your server answered 302 to another address; redirects are not followed. "
        "Register the final address."
    )


@given(st.integers(100, 999))
def test_every_status_is_diagnosed_in_whole_sentences(status: int) -> None:
    outcome = classify(status)

    text = diagnosis(result(outcome, status=status))

    assert text.startswith("Your server")
    assert text.endswith(".")
    assert outcome is Outcome.DELIVERED or len(text.split(".")) > 1


def test_an_error_of_the_wire_is_its_own_diagnosis() -> None:
    assert diagnosis(result(error="Cause. Remedy.")) == "Cause. Remedy."
    assert "server's log" in diagnosis(result())


def test_what_a_provider_took_is_neither_delivered_nor_failed() -> None:
    taken = result(Outcome.HANDED_OVER, fault=None)

    decision = after_attempt(
        taken,
        attempts=1,
        schedule=SCHEDULES[NoticeClass.A],
        failed_at=NOW,
        first_failed_at=None,
        jitter=0.5,
    )

    assert decision == HandedOver()
    assert fault_of(Outcome.HANDED_OVER) is None
    assert not starts_next_channel(Outcome.HANDED_OVER, undelivered_for=dt.timedelta(days=1))
    assert "has not said" in diagnosis(taken)


@pytest.mark.parametrize(
    ("failed", "reached_by", "following"),
    [
        (Channel.WEBHOOK, {Channel.EMAIL, Channel.SMS, Channel.VOICE}, Channel.EMAIL),
        (Channel.KAFKA, {Channel.SMS, Channel.VOICE}, Channel.SMS),
        (Channel.WEBHOOK, {Channel.VOICE}, Channel.VOICE),
        (Channel.WEBHOOK, set(), None),
        (Channel.EMAIL, {Channel.EMAIL, Channel.SMS, Channel.VOICE}, Channel.SMS),
        (Channel.EMAIL, {Channel.EMAIL, Channel.VOICE}, Channel.VOICE),
        (Channel.EMAIL, {Channel.EMAIL}, None),
        (Channel.SMS, {Channel.EMAIL, Channel.SMS, Channel.VOICE}, Channel.VOICE),
        (Channel.VOICE, {Channel.EMAIL, Channel.SMS, Channel.VOICE}, None),
    ],
)
def test_mail_is_followed_by_a_text_and_that_by_a_call(
    failed: Channel, reached_by: set[Channel], following: Channel | None
) -> None:
    assert next_channel(failed, reached_by=reached_by) is following

"""An endpoint is warned about in stages, trips, is probed, and recovers with one success."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import EndpointState
from noticebus.domain.health import (
    ERROR_CHARS_MAX,
    Change,
    Health,
    Tally,
    after_batch,
    after_probe_left,
    probe_delay,
)

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
MACHINE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def failed(times: int, *, error: str = "503") -> Tally:
    return Tally(succeeded=False, failures=times, failed_at=NOW - SECOND, last_error=error)


SUCCEEDED = Tally(succeeded=True, failures=0)


def after(before: Health, tally: Tally, *, trip_after: int = 10) -> Change:
    return after_batch(before, tally, trip_after=trip_after, now=NOW, machine_now=MACHINE)


def tripped() -> Health:
    return after(Health(), failed(10)).health


def test_warnings_fall_due_at_half_seven_tenths_nine_tenths_and_all() -> None:
    health, warned = Health(), []
    for number in range(1, 11):
        change = after(health, failed(1))
        health = change.health
        if change.warning is not None:
            warned.append((number, change.warning))

    assert warned == [(5, 50), (7, 70), (9, 90), (10, 100)]
    assert health.state is EndpointState.TRIPPED


def test_a_batch_that_passes_several_stages_is_warned_of_by_the_highest() -> None:
    assert after(Health(), failed(4)).warning is None
    assert after(Health(), failed(8)).warning == 70
    change = after(Health(), failed(500))
    assert change.warning == 100
    assert change.tripped


@pytest.mark.parametrize(("trip_after", "stages"), [(2, [50, 100]), (3, [50, 100])])
def test_stages_that_fall_together_are_one(trip_after: int, stages: list[int]) -> None:
    health, warned = Health(), []
    for _ in range(trip_after):
        change = after(health, failed(1), trip_after=trip_after)
        health = change.health
        warned.append(change.warning)

    assert [one for one in warned if one] == stages


def test_a_failing_endpoint_keeps_since_when_and_its_last_error() -> None:
    first = after(Health(), failed(1, error="x" * 1000)).health
    second = after(first, failed(2, error="refused")).health

    assert first.state is EndpointState.FAILING
    assert len(first.last_error) == ERROR_CHARS_MAX
    assert second == Health(
        state=EndpointState.FAILING,
        failures=3,
        failing_since=NOW - SECOND,
        last_error="refused",
    )


def test_a_failure_of_unknown_time_began_now() -> None:
    assert after(Health(), Tally(succeeded=False, failures=1)).health.failing_since == NOW


def test_a_trip_sets_the_first_probe_and_stops_the_drain() -> None:
    draining = Health(drain_at=MACHINE)

    health = after(draining, failed(10)).health

    assert (health.trips, health.tripped_at) == (1, NOW)
    assert health.probe_at == MACHINE + 30 * SECOND
    assert health.drain_at is None


def test_what_was_under_way_when_it_tripped_moves_no_probe() -> None:
    before = tripped()

    change = after(before, failed(3))

    assert change.warning is None
    assert change.health.failures == 13
    assert (change.health.trips, change.health.probe_at) == (1, before.probe_at)


def test_each_probe_that_fails_doubles_the_wait_up_to_five_minutes() -> None:
    health, waits = tripped(), []
    for _ in range(5):
        probing = after_probe_left(health, machine_now=MACHINE)
        assert probing.state is EndpointState.PROBING
        assert probing.probe_at is not None
        assert probing.probe_at > MACHINE, "a probe that is lost is followed by another"
        health = after(probing, failed(1)).health
        assert health.state is EndpointState.TRIPPED
        assert health.probe_at is not None
        waits.append((health.probe_at - MACHINE) / SECOND)

    assert waits == [60, 120, 240, 300, 300]


@pytest.mark.parametrize("probing", [False, True])
def test_one_success_makes_it_healthy_and_lets_its_backlog_go(probing: bool) -> None:
    before = after_probe_left(tripped(), machine_now=MACHINE) if probing else tripped()

    change = after(before, SUCCEEDED)

    assert change.health == Health(drain_at=MACHINE)
    assert change.recovered


def test_a_success_after_few_failures_is_no_recovery_and_keeps_a_drain_under_way() -> None:
    few = Health(
        state=EndpointState.FAILING, failures=4, failing_since=NOW, drain_at=MACHINE + SECOND
    )

    change = after(few, SUCCEEDED)

    assert change == Change(health=Health(drain_at=MACHINE + SECOND))


def test_a_success_after_a_warning_is_a_recovery() -> None:
    assert after(after(Health(), failed(5)).health, SUCCEEDED).recovered


def test_failures_after_a_success_count_from_one_again() -> None:
    mixed = Tally(succeeded=True, failures=1, failed_at=NOW, last_error="503")

    change = after(tripped(), mixed)

    assert change.recovered
    assert change.warning is None
    assert (change.health.state, change.health.failures) == (EndpointState.FAILING, 1)
    assert change.health.drain_at == MACHINE


def test_a_flood_after_a_success_trips_it_again() -> None:
    change = after(tripped(), Tally(succeeded=True, failures=10, failed_at=NOW))

    assert change.recovered
    assert change.tripped
    assert change.health.drain_at is None


@given(trips=st.integers(0, 10**9))
def test_a_probe_is_never_sooner_than_30_s_nor_later_than_5_min(trips: int) -> None:
    assert 30 * SECOND <= probe_delay(trips) <= 300 * SECOND


@given(sizes=st.lists(st.integers(1, 30), max_size=20), trip_after=st.integers(2, 100))
def test_it_is_down_exactly_when_it_failed_so_often_in_a_row(
    sizes: list[int], trip_after: int
) -> None:
    health, warned = Health(), []
    for size in sizes:
        change = after(health, failed(size), trip_after=trip_after)
        health = change.health
        warned += [change.warning] if change.warning else []

    assert (health.state is EndpointState.TRIPPED) == (sum(sizes) >= trip_after)
    assert warned == sorted(set(warned)), "each stage once, in order"
    assert (100 in warned) == (sum(sizes) >= trip_after)

"""The calculation of national scale, and what its simulation counts."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from bench import loads, nation, national, routing

from noticebus.contracts.vocabulary import NoticeClass


def test_whole_country_has_every_county_district_and_congregation() -> None:
    country = nation.nation()

    assert len(country.places) == 3_144
    assert len(country.states) == 51
    assert sum(one.districts for one in country.places) == nation.DISTRICTS
    assert sum(one.congregations for one in country.places) == nation.CONGREGATIONS
    assert country.subscribers == 3_144 + 51 + nation.DISTRICTS + nation.CONGREGATIONS


def test_half_of_all_people_live_in_the_143_largest_counties() -> None:
    largest = sorted(nation.shares().values(), reverse=True)

    assert sum(largest) == pytest.approx(1)
    assert sum(largest[:143]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_country_of_a_number_of_subscribers_has_that_number(count: int) -> None:
    assert nation.nation_of(count).subscribers == count


def test_dealing_out_keeps_every_partial_sum_within_one() -> None:
    wanted = {str(number): number * 0.37 for number in range(50)}

    dealt = nation.deal(wanted)

    whole = exact = 0.0
    for key, one in wanted.items():
        whole, exact = whole + dealt[key], exact + one
        assert abs(whole - exact) <= 0.5


def test_hour_around_the_peak_holds_its_share_of_the_day() -> None:
    assumed = loads.Assumptions()
    minutes = [assumed.rate_at((minute + 0.5) / 1440) for minute in range(1440)]
    peak = assumed.peak_minute

    assert min(minutes) > 0
    assert sum(minutes) / 1440 == pytest.approx(1)
    assert sum(minutes[peak - 30 : peak + 30]) / 1440 == pytest.approx(assumed.peak_hour_share)


def test_mean_event_is_weighted_by_where_events_happen() -> None:
    assumed = replace(loads.Assumptions(), districts=0, congregations=100)

    load = loads.load_of(assumed)

    squares = sum(share**2 for share in nation.shares().values())
    assert load.recipients == pytest.approx(2 + 100 * squares)
    assert load.recipients > 2 + 100 / 3_144


def test_first_limit_is_the_least_of_all() -> None:
    costs = loads.Costs()
    day = loads.load_of(loads.Assumptions())

    (row,) = loads.limits([day], replace(costs, shards_s=1e-6))

    assert row["first"] == "brokers"
    assert row["brokers"] == min(value for value in row.values() if isinstance(value, float))


def test_measured_costs_take_the_place_of_those_written_down(tmp_path: Path) -> None:
    stored, carried = tmp_path / "stored.json", tmp_path / "carried.json"
    told = {"accept_us": 1, "sequence_in_all_us": 2, "stored_bytes": 4, "wal_bytes": 5}
    stored.write_text(json.dumps({"stored": [{**told, "rows": {"a": 1, "b": 2}}]}))
    burst = {"scenario": "fan-out", "profile": "production", "delivered_per_s": 7}
    carried.write_text(json.dumps({"rows": [{**burst, "fan_out": 20}, {**burst, "fan_out": 100}]}))

    costs = loads.Costs().stored(stored).carried(carried)

    assert (costs.accept_us, costs.sequence_us, costs.rows) == (1, 2, 3)
    assert (costs.stored_bytes, costs.wal_bytes, costs.deliveries_s) == (4, 5, 7)


def test_states_are_dealt_all_of_the_deliveries() -> None:
    day = loads.load_of(loads.Assumptions())

    assert sum(day.of_states().values()) == pytest.approx(1)
    (row,) = loads.cells([day], loads.Costs())
    assert row["times one bus"] == pytest.approx(1 / max(day.of_states().values()))


def test_day_is_drawn_the_same_each_time() -> None:
    places = nation.nation().places
    assumed = replace(loads.Assumptions(), events_a_day=2_000)

    events = national.day_of(places, assumed)

    assert events == national.day_of(places, assumed)
    urgent = Counter(one.notice_class for one in events)[NoticeClass.A]
    assert urgent / len(events) == pytest.approx(assumed.class_a_share, abs=0.03)


def test_figure_outside_its_bound_does_not_hold() -> None:
    within = national.Compared(name="x", calculated=100, counted=104, bound=0.05)

    assert within.holds
    assert not replace(within, counted=106).holds


@pytest.mark.slow(reason="fills a database with the agencies of every county")
async def test_real_routing_counts_what_was_calculated() -> None:
    assumed = loads.Assumptions().scaled(0.002, events=300)
    country = nation.nation(districts=assumed.districts, congregations=assumed.congregations)

    told = await national.simulate(assumed, country, "sqlite")

    assert all(one.holds for one in national.compare(loads.load_of(assumed), told["figures"]))
    assert told["subscribers"] == country.subscribers
    assert told["busiest_minute"]["recipients"] >= 2 * told["busiest_minute"]["events"]


@pytest.mark.slow(reason="fills a database with the agencies of every county")
async def test_notice_to_the_whole_country_is_routed_to_every_subscriber() -> None:
    country = nation.nation(districts=20, congregations=40)

    async with routing.filled("sqlite", country) as on:
        draft = await on.draft([{"state": list(country.states)}])
        ((_, found),), (bound,), _ = await routing.routed(on.desk, [draft])

    assert len(found.recipients) == country.subscribers
    assert len(bound.obligations) == country.subscribers
    assert len(bound.deliveries) == country.subscribers
    assert found.unreachable == ()

"""What the bench makes of what it measured: percentiles, statements, what is reached, the plot."""

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa
from bench import plot, reach
from bench.counting import Statements
from bench.harness import percentile
from bench.measuring import times
from bench.publisher import Posted


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.01, 0.5, 0.99, 1.0)] == [1, 2, 3, 3]


def test_waiting_counts_from_when_a_post_was_due() -> None:
    posted = [Posted(notice_id="a", sent=10.0, answered=10.5, late_s=0.2)]

    found = times(posted, {"a": [11.0, 12.0], "other": [99.0]})

    assert found["accept_p50_ms"] == 500
    assert found["arrival_max_ms"] == 2000
    assert found["publisher_late_p99_ms"] == 200


def test_what_never_arrived_has_no_delay() -> None:
    found = times([Posted(notice_id="a", sent=10.0, answered=10.5)], {})

    assert (found["arrival_p50_ms"], found["delivered_per_s"]) == (None, None)


def test_one_statement_for_many_rows_is_one_and_transactions_are_none() -> None:
    statements = Statements()

    statements.note("BEGIN ISOLATION LEVEL READ COMMITTED;")
    statements.note("INSERT INTO t\n  VALUES ($1)", [(1,), (2,)])
    statements.note("SELECT  1")

    assert statements.shown() == [("INSERT INTO t VALUES ($1)", 1), ("SELECT 1", 1)]
    assert statements.rows == 2


def test_statements_of_an_engine_are_counted_until_told_to_stop() -> None:
    statements = Statements()
    statements.listen()
    try:
        engine = sa.create_engine("sqlite://")
        with engine.begin() as conn:
            conn.execute(sa.text("SELECT 1"))
        engine.dispose()
    finally:
        statements.stop()

    assert statements.shown() == [("SELECT 1", 1)]


@pytest.mark.parametrize(
    ("found", "said"), [(9_000.0, "aim"), (5_000.0, "must"), (4_999.0, "no"), (None, "")]
)
def test_a_rate_is_to_be_at_least_what_it_must_be(found: float | None, said: str) -> None:
    rate = reach.FIGURES[0]

    assert reach.verdict(rate, found) == said


def test_a_figure_is_found_in_the_row_of_its_scenario() -> None:
    latency = reach.FIGURES[3]
    rows = [
        {"scenario": "latency", "profile": "embedded", "per_second": 50.0, "arrival_p50_ms": 1.0},
        {"scenario": "latency", "profile": "production", "per_second": 50.0, "arrival_p50_ms": 6.0},
    ]

    assert latency.find(rows) == 6.0
    assert latency.find(rows[:1]) is None
    assert reach.verdict(latency, 6.0) == "must"


def test_the_plot_is_an_svg_with_a_panel_for_each_dimension_measured() -> None:
    burst = {"scenario": "fan-out", "profile": "production", "statements_per_delivery": 0.1}
    rows: list[Mapping[str, Any]] = [
        {**burst, "fan_out": one, "accept_p50_ms": one / 2} for one in (20, 100, 1_000)
    ]
    routed = {"database": "postgresql", "subscribers": 10_000, "scopes": {"a": {"cpu_ms": 2.0}}}
    rows += plot.rows_of({"routing": [routed], "open": 10, "views": {}})

    drawn = ET.fromstring(plot.draw(rows))  # noqa: S314 - our own text

    panels = drawn.findall("{*}g")
    titles = [panel.findtext("{*}text") for panel in panels]
    assert titles == [
        "Accepting a notice, by recipients",
        "SQL statements, by recipients",
        "Routing a notice, by subscribers",
    ]
    assert len(panels[0].findall("{*}circle")) == 3


@pytest.mark.parametrize("values", [[5.0], [0.002, 3_000.0], [10.0, 11.0]])
def test_an_axis_holds_its_values_and_is_marked(values: list[float]) -> None:
    axis = plot.Axis.over(values, start=0, end=100)

    assert all(0 < axis.place(one) < 100 for one in values)
    assert len(axis.marks()) >= 1
    assert math.isclose(axis.high / axis.low, max(10, axis.high / axis.low))

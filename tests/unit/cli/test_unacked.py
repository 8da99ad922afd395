import json
from pathlib import Path
from typing import Any

import pytest

from noticebus.cli.unacked import is_late, line_of, read_instant, show_report

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"


@pytest.fixture
def report() -> Any:
    return json.loads((EXAMPLES / "report-unacknowledged.v1.one-silent.json").read_text())


def test_a_line_says_how_late_what_came_last_what_comes_next_and_whom_to_call(report: Any) -> None:
    line = line_of(report["items"][0], now=read_instant(report["as_of"]))

    assert line["overdue"] == "10 min"
    assert line["last_attempt"] == "webhook delivered 1 h 9 min ago"
    assert line["next_action"] == "head in 16 min"
    assert line["contact"] == "Intake desk  +16015550110"


def test_the_report_names_uncovered_places_debts_of_posters_and_figures_that_do_not_flatter(
    report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    show_report(report)

    shown = capsys.readouterr().out
    assert shown.startswith("1 open obligations, 1 overdue")
    assert "UNCOVERED  Scott County, Mississippi: no school answers" in shown
    assert "OWED BY POSTER  Example federal agency: question, due in 6 h 46 min" in shown
    assert "1 of 2 due (50%)   p50 26 min   p90 not reached" in shown


def test_nothing_overdue_is_not_late_but_a_posters_debt_is(report: Any) -> None:
    report["summary"]["overdue"] = 0
    report["items"] = []

    assert not is_late(report)

    report["owed_by_posters"][0]["overdue_s"] = 1
    assert is_late(report)

"""Policies at the command line: moments that are read, and lines that are shown."""

import datetime as dt
from typing import Any

import pytest

from noticebus.cli import policies
from noticebus.cli.output import CommandError, as_markdown

CALL: dict[str, Any] = {
    "local": "2019-08-09 13:50 CDT",
    "minutes": 0,
    "kind": "step",
    "step": 0,
    "notify": "first_two",
    "contacts": [
        {"name": "A. Lee", "role": "principal", "agency": "Schools", "channels": ["sms", "voice"]},
        {"name": "D. Desk", "role": "dispatch", "agency": "County", "channels": ["voice"]},
    ],
    "endpoints": ["webhook"],
    "why": "nobody has answered",
}
FOUND: dict[str, Any] = {
    "agency": {"name": "Schools"},
    "class": "A",
    "standing": "mandatory",
    "status": "actual",
    "policy_id": "default.x",
    "policy_version": 3,
    "why": "The default.",
    "calls": [
        CALL,
        CALL | {"kind": "due", "contacts": [], "endpoints": []},
        CALL | {"kind": "notice"},
    ],
}
POLICY: dict[str, Any] = {
    "due_after_s": 600,
    "hold": "business_day",
    "hold_at": "07:00",
    "steps": [
        {"after_s": 600, "notify": "on_duty", "channels": ["email"]},
        {"after_s": 7200, "notify": "operators", "channels": []},
    ],
}


@pytest.mark.parametrize("text", ["2026-12-24T15:00-06:00", "2026-12-24T21:00:00Z"])
def test_a_moment_is_read_with_its_zone(text: str) -> None:
    assert policies.moment_of(text) == dt.datetime(2026, 12, 24, 21, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("2026-12-24T15:00", "does not say in which zone"),
        ("2026-12-24", "does not say in which zone"),
        ("tomorrow", "is no moment"),
        ("2026-02-30T15:00Z", "is no moment"),
    ],
)
def test_a_moment_without_a_zone_or_of_no_calendar_is_refused_with_an_example(
    text: str, cause: str
) -> None:
    with pytest.raises(CommandError, match=cause) as refused:
        policies.moment_of(text)

    assert "2026-12-24T15:00-06:00" in refused.value.remedy


def test_a_line_says_who_is_called_over_what() -> None:
    step, due, notice = policies.rows_of(FOUND)

    assert step == {
        "local": "2019-08-09 13:50 CDT",
        "minutes": 0,
        "what": "step 1: first_two",
        "who": "A. Lee (principal); D. Desk (dispatch, County)",
        "how": "webhook, sms, voice",
        "why": "nobody has answered",
    }
    assert (due["what"], due["who"], due["how"]) == ("deadline", None, None)
    assert notice["what"] == "notice"
    assert policies.headline_of(FOUND).splitlines() == [
        "Schools, class A, mandatory, actual: policy default.x version 3",
        "The default.",
    ]


def test_a_policy_is_summed_up_in_a_line() -> None:
    said = policies.summary_of(POLICY)
    silent = policies.summary_of(
        POLICY | {"due_after_s": None, "steps": [], "hold": "never", "hold_at": None}
    )

    assert (said["due"], said["hold"]) == ("10 min", "business_day 07:00")
    assert said["steps"] == "10 min on_duty → 120 min operators (list)"
    assert (silent["due"], silent["hold"], silent["steps"]) == (None, "never", None)


def test_what_others_have_entered_does_not_become_markup() -> None:
    table = as_markdown(
        [{"who": "A | <b>*x*</b> [y](z) _on_", "step": "on_duty"}], columns=("who", "step")
    )

    assert table.splitlines() == [
        "| who | step |",
        "| --- | --- |",
        r"| A \| \<b\>\*x\*\</b\> \[y\](z) \_on\_ | on_duty |",
    ]

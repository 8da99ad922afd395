"""The retry schedules at the command line."""

from collections.abc import Mapping
from typing import Any

import typer

from noticebus.cli.client import client_of, run
from noticebus.cli.output import Format, FormatOption, show_rows

COLUMNS = ("class", "tries", "hours", "jitter", "retry_after_max_s", "phases")
HOUR_S = 3600

schedules = typer.Typer(help="Retry schedules.", no_args_is_help=True)
GROUPS = {"schedule": schedules}


@schedules.callback()
def begin() -> None:
    """Look at the retry schedules in force."""


@schedules.command("list")
def list_schedules(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List how each class of notices is tried again: tries, horizon in hours, phases in order."""
    found = run(client_of(context).call("GET", "/v1/schedules")).body
    rows = found["items"] if form is Format.JSON else [_row(one) for one in found["items"]]
    show_rows(rows, columns=COLUMNS, form=form)


def _row(view: Mapping[str, Any]) -> dict[str, Any]:
    phases = ", ".join(_phase(one) for one in view["phases"])
    return {**view, "hours": f"{view['horizon_s'] / HOUR_S:.1f}", "phases": phases}


def _phase(phase: Mapping[str, Any]) -> str:
    first, top = f"{phase['first_s']:g}", f"{phase['top_s']:g}"
    delays = f"{first} s" if first == top else f"{first} to {top} s"
    return f"{phase['name']} {phase['tries']} x {delays}"

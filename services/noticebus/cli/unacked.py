"""`noticebus unacked`: who has not answered, since when, and whom to call now."""

import csv
import datetime as dt
import io
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, run
from noticebus.cli.output import (
    EXIT_OVERDUE,
    Format,
    FormatOption,
    note,
    say,
    show_json,
    show_table,
)
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status

PATH = "/v1/reports/unacknowledged"
PAGES_MAX = 20
COLUMNS = (
    "overdue", "recipient", "class", "notice", "step", "last_attempt", "next_action", "contact",
    "obligation",
)  # fmt: skip
MINUTE, HOUR, DAY = 60, 3600, 86_400


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("unacked")(unacked)


def unacked(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue.")] = False,
    as_of: Annotated[
        str | None, typer.Option(help="As things stood then, like 2026-11-24T20:02:00Z.")
    ] = None,
    kind: Annotated[AgencyKind | None, typer.Option(help="Recipients of this kind.")] = None,
    area: Annotated[
        str | None, typer.Option(help="Notices that touch it: 28123, state:28.")
    ] = None,
    notice_class: Annotated[NoticeClass | None, typer.Option("--class", help="Of it.")] = None,
    status: Annotated[Status, typer.Option(help="Exercises apart.")] = Status.ACTUAL,
    form: FormatOption = Format.TABLE,
) -> None:
    """Report who has not answered. Ends with 3 when something is overdue, for cron and monitors."""
    asked = {"as_of": as_of, "kind": kind, "area": area, "class": notice_class, "status": status}
    query = {name: str(value) for name, value in asked.items() if value is not None}
    if overdue:
        query["overdue"] = "true"
    client = client_of(context)
    late = run(_csv(client, query)) if form is Format.CSV else run(_report(client, query, form))
    if late:
        raise typer.Exit(EXIT_OVERDUE)


async def _csv(client: Client, query: Mapping[str, str]) -> bool:
    answer = await client.call("GET", PATH, query={**query, "format": "csv"})
    say(answer.text.rstrip("\r\n"))
    if 'rel="next"' in answer.headers.get("Link", ""):
        note("These are the first lines only; narrow the report with --kind, --area or --class.")
    return any(row["overdue_minutes"] for row in csv.DictReader(io.StringIO(answer.text)))


async def _report(client: Client, query: Mapping[str, str], form: Format) -> bool:
    report = (await client.call("GET", PATH, query=query)).body
    following = report["next"]
    for _ in range(PAGES_MAX):
        if following is None:
            break
        page = (await client.call("GET", PATH, query={**query, "cursor": following})).body
        report["items"] += page["items"]
        report["next"] = following = page["next"]
    if form is Format.JSON:
        show_json(report)
    else:
        show_report(report)
    return is_late(report)


def is_late(report: Mapping[str, Any]) -> bool:
    """Say whether anything is overdue: an answer, or what a poster owes."""
    lines = [*report["items"], *report["owed_by_posters"]]
    return bool(report["summary"]["overdue"]) or any(one["overdue_s"] is not None for one in lines)


def show_report(report: Mapping[str, Any]) -> None:
    """Write the report for a person, the most pressing first."""
    summary = report["summary"]
    as_of = read_instant(report["as_of"])
    say(
        f"{summary['open']} open obligations, {summary['overdue']} overdue"
        f"    as of {as_of.astimezone():%Y-%m-%d %H:%M %Z} ({as_of:%H:%MZ})"
        f", ledger index {report['index']}"
    )
    if report["items"]:
        show_table([line_of(one, now=as_of) for one in report["items"]], columns=COLUMNS)
    if report["next"] is not None:
        note(f"These are the first {len(report['items'])} lines; narrow the report for the rest.")
    for one in report["uncovered"]:
        place = one.get("name") or one.get("county_fips") or one.get("lea_id")
        say(f"UNCOVERED  {place}: no {one['missing']} answers ({one['notice_id']})")
    for one in report["owed_by_posters"]:
        when = due_words(read_instant(one["due_at"]), one["overdue_s"], now=as_of)
        many = f", {one['asks']} ask" if (one.get("asks") or 0) > 1 else ""
        say(f"OWED BY POSTER  {one['agency']['name']}: {one['owed']}, {when}{many}")
    for one in report.get("offers_unanswered", ()):
        what = f"{one['quantity']} {one['unit']} ({one['offer_type']})"
        say(f"OFFER  {one['agency']['name']}: {what}, {one['state']}")
    for one in report["data_quality"]:
        say(f"RECORDS  {one['message']}")
    say(target_words(summary))


def line_of(item: Mapping[str, Any], *, now: dt.datetime) -> dict[str, Any]:
    """Write one open obligation as a line."""
    last, following, contact = item["last_attempt"], item["next_action"], item["contact"]
    due = None if item["due_at"] is None else read_instant(item["due_at"])
    return {
        "overdue": due_words(due, item["overdue_s"], now=now),
        "recipient": item["agency"]["name"],
        "class": item["class"],
        "notice": item["notice_id"],
        "step": item["step"] or None,
        "last_attempt": last
        and f"{last['channel']} {last['outcome']} {span(now - read_instant(last['at']))} ago",
        "next_action": following
        and f"{following['what']} in {span(read_instant(following['at']) - now)}",
        "contact": contact and f"{contact['name']}  {contact['phone'] or 'no phone'}",
        "obligation": item["obligation_id"],
    }


def target_words(summary: Mapping[str, Any]) -> str:
    """Write the closing line, over all that fell due, the silent included."""
    share = summary["closed_within_target_share"]
    return (
        f"Acknowledged within target: {summary['closed_within_target']} of {summary['due']} due"
        f" ({'nothing was due' if share is None else f'{share:.0%}'})"
        f"   p50 {summary['time_to_close_p50']['label']}"
        f"   p90 {summary['time_to_close_p90']['label']}"
    )


def due_words(due: dt.datetime | None, overdue_s: int | None, *, now: dt.datetime) -> str:
    """Write how late it is, or how long there is."""
    if overdue_s is not None:
        return span(dt.timedelta(seconds=overdue_s))
    return "no deadline" if due is None else f"due in {span(due - now)}"


def span(length: dt.timedelta) -> str:
    """Write a length of time in the two greatest units that a person would say."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"


def read_instant(text: str) -> dt.datetime:
    """Read an instant as the bus writes it."""
    return dt.datetime.fromisoformat(text)

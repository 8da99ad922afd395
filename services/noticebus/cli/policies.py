"""Escalation policies at the command line: what is in force, changing it, and trying it out."""

import datetime as dt
import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, run
from noticebus.cli.output import (
    CommandError,
    Format,
    FormatOption,
    as_csv,
    as_markdown,
    note,
    say,
    show_json,
    show_record,
    show_rows,
    show_table,
)
from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import NoticeClass, Status

POLICY_COLUMNS = ("id", "version", "class", "due", "hold", "quorum", "steps")
APPLIED_COLUMNS = ("class", "id", "version", "due", "hold", "quorum", "steps", "why")
SIMULATION_COLUMNS = ("local", "minutes", "what", "who", "how", "why")
FILE_BYTES_MAX = 64 * 1024
MINUTE_S = 60

policies = typer.Typer(help="Escalation policies.", no_args_is_help=True)
GROUPS = {"policy": policies}


class SimulationFormat(StrEnum):
    """The forms in which a simulation comes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


Context = typer.Context
Agency = Annotated[str | None, typer.Option("--agency", help="Of this agency: agy_….")]
OwnAgency = Annotated[str, typer.Option("--agency", help="The agency: agy_….")]
Class = Annotated[NoticeClass, typer.Option("--class", help="The notice's class.")]


@policies.command("list")
def list_policies(
    context: Context, agency: Agency = None, form: FormatOption = Format.TABLE
) -> None:
    """List the policies in force, or with --agency which one applies to it per class and why."""
    client = client_of(context)
    if agency is None:
        rows = [summary_of(one) for one in run(client.list_all("/v1/policies"))]
        show_rows(rows, columns=POLICY_COLUMNS, form=form)
        return
    found = run(client.call("GET", f"/v1/agencies/{agency}/policies")).body["items"]
    rows = [{**summary_of(one["policy"]), **one, "policy": one["policy"]} for one in found]
    show_rows(rows, columns=APPLIED_COLUMNS, form=form)


@policies.command("show")
def show_policy(
    context: Context,
    policy: Annotated[str, typer.Argument(help="Its id, like default.cps.state_desk.A.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Show the version of a policy that is in force."""
    show_record(run(client_of(context).call("GET", f"/v1/policies/{policy}")).body, form=form)


@policies.command("set")
def set_policy(
    context: Context,
    file: Annotated[
        Path, typer.Argument(help="JSON with due_after_s, hold, hold_at, quorum and steps.")
    ],
    policy: Annotated[
        str | None, typer.Option("--policy", help="The policy to change, by id.")
    ] = None,
    agency: Agency = None,
    notice_class: Annotated[
        NoticeClass | None, typer.Option("--class", help="With --agency: for this class.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Store a policy's next version: a default's by --policy, an agency's by --agency and --class.

    Rounds that run keep the version they began with.
    """
    path = _path_of(policy, agency, notice_class)
    stored = run(_put(client_of(context), path, _body_of(file)))
    for one in stored["warnings"]:
        note(f"warning: {one['pointer']}: {one['message']}")
    show_record(stored, form=form)


@policies.command("end")
def end_policy(
    context: Context, agency: OwnAgency, notice_class: Class, form: FormatOption = Format.TABLE
) -> None:
    """End an agency's own policy for a class: the default applies again."""
    path = f"/v1/agencies/{agency}/policies/{notice_class}"
    show_record(run(client_of(context).call("DELETE", path)).body, form=form)


@policies.command("simulate")
def simulate(
    context: Context,
    agency: OwnAgency,
    notice_class: Class,
    at: Annotated[
        str | None,
        typer.Option("--at", help="When the notice comes, with its zone; now if left out."),
    ] = None,
    status: Annotated[Status, typer.Option(help="What the notice would be.")] = Status.ACTUAL,
    form: Annotated[
        SimulationFormat, typer.Option("--format", help="How the rows are written.")
    ] = SimulationFormat.TABLE,
) -> None:
    """Say who would be called when, and why, if a notice came then and nobody answered.

    Nothing is stored and nobody is called.
    """
    query = {"class": str(notice_class), "status": str(status)}
    if at is not None:
        query["at"] = write_instant(moment_of(at))
    path = f"/v1/agencies/{agency}/policy-simulation"
    found = run(client_of(context).call("GET", path, query=query)).body
    rows = rows_of(found)
    match form:
        case SimulationFormat.JSON:
            show_json(found)
        case SimulationFormat.CSV:
            say(as_csv(rows, columns=SIMULATION_COLUMNS).rstrip("\r\n"))
        case SimulationFormat.MARKDOWN:
            say(as_markdown(rows, columns=SIMULATION_COLUMNS).rstrip("\n"))
        case SimulationFormat.TABLE:
            say(headline_of(found))
            show_table(rows, columns=SIMULATION_COLUMNS)
    for one in found["warnings"]:
        note(f"warning: {one}")


def moment_of(text: str) -> dt.datetime:
    """Read a moment with its zone; CommandError, with an example, where it is none."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    example = "Write it like 2026-12-24T15:00-06:00, or with Z for UTC."
    if found is None:
        raise CommandError(f"'{text}' is no moment of the calendar.", remedy=example)
    if found.tzinfo is None:
        raise CommandError(f"'{text}' does not say in which zone.", remedy=example)
    return found


def headline_of(found: Mapping[str, Any]) -> str:
    """Say what was played and under which policy, in the lines above the table."""
    played = (
        f"{found['agency']['name']}, class {found['class']}, {found['standing']},"
        f" {found['status']}: policy {found['policy_id']} version {found['policy_version']}"
    )
    return f"{played}\n{found['why']}\n"


def rows_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the lines of a simulation: when, who is called over what, and why."""
    return [
        {
            "local": one["local"],
            "minutes": one["minutes"],
            "what": _what(one),
            "who": "; ".join(_person(found, called) for called in one["contacts"]) or None,
            "how": ", ".join(_channels(one)) or None,
            "why": one["why"],
        }
        for one in found["calls"]
    ]


def _what(one: Mapping[str, Any]) -> str:
    words = {"notice": "notice", "due": "deadline"}
    return words.get(one["kind"]) or f"step {one['step'] + 1}: {one['notify']}"


def _person(found: Mapping[str, Any], called: Mapping[str, Any]) -> str:
    elsewhere = called["agency"] != found["agency"]["name"]
    where = f", {called['agency']}" if elsewhere else ""
    return f"{called['name']} ({called['role']}{where})"


def _channels(one: Mapping[str, Any]) -> list[str]:
    of_people = [channel for called in one["contacts"] for channel in called["channels"]]
    return list(dict.fromkeys([*one["endpoints"], *of_people]))


def summary_of(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Give a policy as one line: everything of it, with its times and steps in words."""
    due = policy["due_after_s"]
    steps = [
        f"{step['after_s'] // MINUTE_S} min {step['notify']}"
        + ("" if step["channels"] else " (list)")
        for step in policy["steps"]
    ]
    hold = policy["hold"] if policy["hold_at"] is None else f"{policy['hold']} {policy['hold_at']}"
    return {
        **policy,
        "due": None if due is None else f"{due // MINUTE_S} min",
        "hold": hold,
        "steps": " → ".join(steps) or None,
    }


def _path_of(policy: str | None, agency: str | None, notice_class: NoticeClass | None) -> str:
    if policy is not None and agency is None and notice_class is None:
        return f"/v1/policies/{policy}"
    if policy is None and agency is not None and notice_class is not None:
        return f"/v1/agencies/{agency}/policies/{notice_class}"
    raise typer.BadParameter("Give --policy, or --agency together with --class.")


def _body_of(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            raw = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(
            f"The file {file} cannot be read: {error.strerror}.", remedy="Check its path."
        ) from error
    if len(raw) > FILE_BYTES_MAX:
        raise CommandError(
            f"The file {file} is larger than {FILE_BYTES_MAX:,} bytes.",
            remedy="A policy has at most 20 steps; check that it is the right file.",
        )
    try:
        return json.loads(raw)
    except ValueError as error:
        raise CommandError(
            f"The file {file} is not JSON: {error}.", remedy="Repair it and run this again."
        ) from error


async def _put(client: Client, path: str, body: Any) -> Any:
    """Put a version on the one there is, or the first where there is none."""
    exactly = await _etag_of(client, path)
    return (await client.call("PUT", path, body=body, headers=exactly)).body


async def _etag_of(client: Client, path: str) -> dict[str, str]:
    """Give the precondition of a change: the version that `path` has now, if it has one."""
    head, _, own = path.partition("/v1/agencies/")
    if not own:
        return {"If-Match": (await client.call("GET", path)).headers["ETag"]}
    agency, _, notice_class = own.partition("/policies/")
    items = (await client.call("GET", f"{head}/v1/agencies/{agency}/policies")).body["items"]
    (now,) = (one["policy"] for one in items if one["class"] == notice_class)
    return {} if now["agency_id"] is None else {"If-Match": f'"{now["version"]}"'}

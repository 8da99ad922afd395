"""When agencies work, who is on duty, and who answers for whom."""

from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, run
from noticebus.cli.output import CommandError, Format, FormatOption, show_record, show_rows
from noticebus.contracts.vocabulary import DelegationHours

FILE_BYTES_MAX = 256 * 1024  # as much as a request may hold
MEDIA_TYPES = {".json": "application/json", ".csv": "text/csv", ".ics": "text/calendar"}
SHIFT_COLUMNS = ("starts_at", "ends_at", "position", "contact_name", "contact_id")
DELEGATION_COLUMNS = ("id", "agency_id", "delegate_id", "hours", "created_at")

calendars = typer.Typer(help="When an agency works.", no_args_is_help=True)
rosters = typer.Typer(help="Who of an agency is on duty when.", no_args_is_help=True)
delegations = typer.Typer(help="Which agency answers for another.", no_args_is_help=True)
GROUPS = {"calendar": calendars, "roster": rosters, "delegation": delegations}

Context = typer.Context
AgencyId = Annotated[str, typer.Argument(metavar="AGENCY", help="Its id: agy_….")]
JsonFile = Annotated[Path, typer.Argument(metavar="FILE", help="The whole calendar as JSON.")]
IcsFile = Annotated[Path, typer.Argument(metavar="FILE", help="An iCalendar file, .ics.")]
RosterFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The shifts: .csv, .ics or .json.")
]
From = Annotated[
    str | None, typer.Option("--from", help="From this instant, like 2026-11-01T00:00:00Z.")
]
Until = Annotated[str | None, typer.Option("--until", help="To before this instant.")]


@calendars.command("show")
def show_calendar(context: Context, agency: AgencyId, form: FormatOption = Format.TABLE) -> None:
    """Show an agency's hours, closures, terms and bell schedule."""
    show_record(run(client_of(context).call("GET", _path(agency, "calendar"))).body, form=form)


@calendars.command("set")
def set_calendar(
    context: Context, agency: AgencyId, file: JsonFile, form: FormatOption = Format.TABLE
) -> None:
    """State an agency's whole calendar anew. What the file leaves out is no longer stated."""
    work = _replace(client_of(context), _path(agency, "calendar"), file)
    show_record(run(work), form=form)


@calendars.command("import")
def import_calendar(
    context: Context, agency: AgencyId, file: IcsFile, form: FormatOption = Format.TABLE
) -> None:
    """Add the closures, terms and early releases of an iCalendar file to a calendar."""
    client = client_of(context)
    work = client.call(
        "POST",
        _path(agency, "calendar/import"),
        body=_read(file),
        headers={"Content-Type": MEDIA_TYPES[".ics"]},
    )
    show_record(run(work).body, form=form)


@rosters.command("show")
def show_roster(
    context: Context,
    agency: AgencyId,
    start: From = None,
    end: Until = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show the shifts of the coming 31 days, or of a span."""
    work = client_of(context).call("GET", _path(agency, "roster"), query=_span(start, end))
    show_rows(run(work).body["shifts"], columns=SHIFT_COLUMNS, form=form)


@rosters.command("import")
def import_roster(
    context: Context,
    agency: AgencyId,
    file: RosterFile,
    start: From = None,
    end: Until = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Replace every shift that begins within the file's span, or the one named; all or nothing."""
    work = _replace(client_of(context), _path(agency, "roster"), file, query=_span(start, end))
    show_rows(run(work)["shifts"], columns=SHIFT_COLUMNS, form=form)


@delegations.command("create")
def create_delegation(
    context: Context,
    agency: AgencyId,
    delegate: Annotated[str, typer.Argument(metavar="DELEGATE", help="Who answers: agy_….")],
    hours: Annotated[
        DelegationHours, typer.Option(help="When it answers.")
    ] = DelegationHours.OUT_OF_HOURS,
    form: FormatOption = Format.TABLE,
) -> None:
    """Let another agency answer for this one."""
    body = {"delegate_id": delegate, "hours": hours}
    work = client_of(context).call("POST", _path(agency, "delegations"), body=body)
    show_record(run(work).body, form=form)


@delegations.command("list")
def list_delegations(context: Context, agency: AgencyId, form: FormatOption = Format.TABLE) -> None:
    """List who answers for an agency, and for whom it answers."""
    found = run(client_of(context).list_all(_path(agency, "delegations")))
    show_rows(found, columns=DELEGATION_COLUMNS, form=form)


@delegations.command("end")
def end_delegation(
    context: Context,
    agency: AgencyId,
    delegation: Annotated[str, typer.Argument(metavar="DELEGATION", help="Its id: dlg_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """End a delegation: the agency answers for itself again."""
    path = _path(agency, f"delegations/{delegation}")
    show_record(run(client_of(context).call("DELETE", path)).body, form=form)


def _path(agency: str, part: str) -> str:
    return f"/v1/agencies/{agency}/{part}"


def _span(start: str | None, end: str | None) -> dict[str, str]:
    return {name: said for name, said in {"from": start, "until": end}.items() if said}


async def _replace(
    client: Client, path: str, file: Path, *, query: dict[str, str] | None = None
) -> Any:
    """Put a file over what is there now; a change by somebody else in between is refused."""
    media_type = MEDIA_TYPES.get(file.suffix.lower())
    if media_type is None:
        raise CommandError(
            f"The file {file} has no ending that says what it is.",
            remedy=f"Name one that ends in {', '.join(MEDIA_TYPES)}.",
        )
    body = _read(file)
    present = await client.call("GET", path)
    headers = {"Content-Type": media_type}
    if present.body["revision"]:
        headers["If-Match"] = present.headers["ETag"]
    return (await client.call("PUT", path, body=body, query=query, headers=headers)).body


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            body = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(
            f"The file {file} cannot be read: {error.strerror}.",
            remedy="Name a file that exists and that you may read.",
        ) from error
    if len(body) > FILE_BYTES_MAX:
        raise CommandError(
            f"The file {file} is larger than {FILE_BYTES_MAX:,} bytes.",
            remedy="Export fewer months.",
        )
    return body

"""`noticebus doctor`: look at everything a bus needs, and say what to do about what is missing."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from noticebus.cli.output import EXIT_FAILED, Format, FormatOption, note, show_rows
from noticebus.cli.session import effective, session_of

COLUMNS = ("check", "state", "finding", "remedy")


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="The embedded profile's folder.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check everything that a bus needs. Ends with 1 when something fails."""
    from noticebus.cli import examination  # noqa: PLC0415 - loads database and bus

    note("Looking …")
    loaded = session_of(context).load()
    settings = effective(loaded, data_dir=data_dir)
    findings = asyncio.run(examination.examine(settings, origins=loaded.origins))
    rows = [
        {"check": one.check, "state": one.state, "finding": one.finding, "remedy": one.remedy}
        for one in findings
    ]
    show_rows(rows, columns=COLUMNS, form=form)
    if any(one.state is examination.State.FAIL for one in findings):
        raise typer.Exit(EXIT_FAILED)

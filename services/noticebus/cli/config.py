"""`noticebus config show`: every setting, its value with secrets masked, and where it came from."""

from typing import Annotated

import typer

from noticebus.cli.output import Format, FormatOption, show_rows
from noticebus.cli.session import session_of

app = typer.Typer(help="The settings in force.", no_args_is_help=True)


@app.callback()
def begin() -> None:
    """Look at the settings in force."""


@app.command("show")
def show(
    context: typer.Context,
    form: FormatOption = Format.TABLE,
    origin: Annotated[
        str, typer.Option(help="Only those from here: default, environment or a file's name.")
    ] = "",
) -> None:
    """Print each setting, its value (secrets masked) and where it came from."""
    rows = [
        {"setting": name, "value": value, "origin": came_from}
        for name, value, came_from in session_of(context).load().shown()
        if origin in {"", came_from}
    ]
    show_rows(rows, columns=("setting", "value", "origin"), form=form)

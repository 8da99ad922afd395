"""`noticebus user`: people who sign in to the console, entered on the machine of the bus."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.output import Format, FormatOption, note, say, show_record, show_rows
from noticebus.cli.session import effective, session_of
from noticebus.settings import Settings

COLUMNS = ("login", "name", "roles", "agency_id", "state", "signed_in_at", "id")

app = typer.Typer(help="People who sign in to the console.", no_args_is_help=True)


class RoleName(StrEnum):
    """The roles of `contracts.vocabulary.UserRole`, for which no database needs to be loaded."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    AGENCY_ADMINISTRATOR = "agency_administrator"
    POSTER = "poster"


Context = typer.Context
Login = Annotated[str, typer.Argument(metavar="LOGIN", help="What the person types to sign in.")]
Roles = Annotated[list[RoleName], typer.Option("--role", help="What they may do (repeatable).")]
Agency = Annotated[
    str | None, typer.Option(help="The agency they belong to: agy_…. Two roles need it.")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Folder = Annotated[Path | None, typer.Option("--data-dir", help="The embedded profile's folder.")]
Url = Annotated[str | None, typer.Option("--database-url", help="Another database.")]


@app.command("add")
def add(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: Context,
    login: Login,
    name: Annotated[str, typer.Option(help="Name, as pages and reports show it.")],
    role: Roles,
    agency: Agency = None,
    password_stdin: FromStdin = False,
    data_dir: Folder = None,
    database_url: Url = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Enter a person. Without --password-stdin a one-time password is printed once.

    A one-time password opens for 72 hours, and only the page on which its owner chooses another.
    """
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    password = _password(password_stdin)
    settings = _settings(context, data_dir, database_url)
    roles = [str(one) for one in role]
    made = accounts.add(
        settings, login=login, name=name, roles=roles, agency=agency, password=password
    )
    _show(made, form=form)


@app.command("list")
def list_users(
    context: Context,
    data_dir: Folder = None,
    database_url: Url = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List people, disabled ones too."""
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    found = accounts.list_all(_settings(context, data_dir, database_url))
    show_rows(found, columns=COLUMNS, form=form)


@app.command("roles")
def roles_of(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: Context,
    login: Login,
    role: Roles,
    agency: Agency = None,
    data_dir: Folder = None,
    database_url: Url = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say anew what a person may do, and for which agency; it holds at their next click."""
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    settings = _settings(context, data_dir, database_url)
    roles = [str(one) for one in role]
    _show(accounts.change_roles(settings, login=login, roles=roles, agency=agency), form=form)


@app.command("disable")
def disable(
    context: Context,
    login: Login,
    data_dir: Folder = None,
    database_url: Url = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Shut a person out at once; every session of theirs ends, and the links they have made."""
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    _show(accounts.disable(_settings(context, data_dir, database_url), login=login), form=form)


@app.command("enable")
def enable(
    context: Context,
    login: Login,
    data_dir: Folder = None,
    database_url: Url = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Let a person in again."""
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    _show(accounts.enable(_settings(context, data_dir, database_url), login=login), form=form)


@app.command("reset-password")
def reset_password(
    context: Context,
    login: Login,
    password_stdin: FromStdin = False,
    data_dir: Folder = None,
    database_url: Url = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Replace a person's password; a wait after wrong ones ends, and every session."""
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    password = _password(password_stdin)
    settings = _settings(context, data_dir, database_url)
    _show(accounts.reset_password(settings, login=login, password=password), form=form)


@app.command("link")
def link(context: Context, login: Login, data_dir: Folder = None, database_url: Url = None) -> None:
    """Print an address that signs a person in, once, within 15 minutes."""
    from noticebus.cli import accounts  # noqa: PLC0415 - loads the database

    settings = _settings(context, data_dir, database_url)
    address = accounts.link(settings, login=login)
    note("Whoever has this address is that person, once, for 15 minutes:")
    say(address)


def _password(from_stdin: bool) -> str | None:
    return sys.stdin.readline().rstrip("\r\n") if from_stdin else None


def _show(found: dict[str, Any], *, form: Format) -> None:
    if "one_time_password" in found:
        note("Hand the one-time password over in person or by telephone: it is not shown again.")
    show_record(found, form=form)


def _settings(context: Context, data_dir: Path | None, database_url: str | None) -> Settings:
    loaded = session_of(context).load()
    return effective(loaded, data_dir=data_dir, database_url=database_url)

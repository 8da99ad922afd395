"""`noticebus db`: bring the database up to date, and say where it stands."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noticebus.cli.output import Format, FormatOption, note, say, show_record
from noticebus.cli.session import effective, session_of
from noticebus.settings import Settings

if TYPE_CHECKING:
    from noticebus.casework.recounting import Recounted

app = typer.Typer(help="The database.", no_args_is_help=True)

UrlOption = Annotated[str | None, typer.Option("--database-url", help="Another database.")]
FolderOption = Annotated[Path | None, typer.Option("--data-dir", help="The embedded profile's.")]


@app.callback()
def begin() -> None:
    """Look after the database."""


@app.command("upgrade")
def upgrade(
    context: typer.Context, database_url: UrlOption = None, data_dir: FolderOption = None
) -> None:
    """Apply the migrations that are missing, all or none; safe to repeat."""
    from noticebus.store import migrate  # noqa: PLC0415 - loading Alembic takes a second

    settings = _settings(context, database_url, data_dir)
    note("Looking for migrations …")
    applied = asyncio.run(migrate.upgrade(settings.database_url))
    for revision in applied:
        say(f"applied {revision}")
    if not applied:
        say("Nothing to do: the database is up to date.")


@app.command("recount")
def recount(
    context: typer.Context, database_url: UrlOption = None, data_dir: FolderOption = None
) -> None:
    """Count the report's counters anew, after a finding of `audit`; safe to repeat.

    The ledger waits for its indexes meanwhile; notices and answers go on. Stop `serve` before on
    the embedded profile's file.
    """
    settings = _settings(context, database_url, data_dir)
    note("Counting …")
    counted = asyncio.run(_recount(settings.database_url))
    assert counted is not None, "it was asked for whatever there is"
    say(
        f"{counted.lines} obligations counted in {counted.counters} counters;"
        f" {counted.mended} of them had been put down as something else."
    )


async def _recount(url: str) -> "Recounted | None":
    from noticebus.casework import recounting  # noqa: PLC0415 - loads the database
    from noticebus.store.database import Database  # noqa: PLC0415

    database = Database(url)
    try:
        return await recounting.recount(database)
    finally:
        await database.close()


@app.command("current")
def current(
    context: typer.Context,
    database_url: UrlOption = None,
    data_dir: FolderOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say which revision the database is at, and what `db upgrade` would apply."""
    settings = _settings(context, database_url, data_dir)
    at, waiting = asyncio.run(_read(settings.database_url))
    show_record({"revision": at, "pending": ", ".join(waiting) or None}, form=form)


async def _read(url: str) -> tuple[str | None, list[str]]:
    from noticebus.store import migrate  # noqa: PLC0415 - loading Alembic takes a second

    return await migrate.current(url), await migrate.pending(url)


def _settings(context: typer.Context, database_url: str | None, data_dir: Path | None) -> Settings:
    return effective(session_of(context).load(), database_url=database_url, data_dir=data_dir)

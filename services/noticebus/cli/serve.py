"""`noticebus serve`: run the bus, all of it or some of its roles."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from noticebus.cli.session import effective, session_of


class RoleName(StrEnum):
    """The roles of `wiring.Role`, said here because loading `wiring` takes seconds."""

    GATEWAY = "gateway"
    DISPATCHER = "dispatcher"
    LEDGER = "ledger"


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    context: typer.Context,
    role: Annotated[
        list[RoleName] | None,
        typer.Option(help="Run only this role (repeatable); without it, all of them."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the database, the keys and nothing else.")
    ] = None,
    database_url: Annotated[str | None, typer.Option(help="Another database.")] = None,
) -> None:
    """Run the bus until it is told to stop (Ctrl-C or SIGTERM).

    Without any set-up this is the embedded profile: a SQLite file, everything in one process. On an
    empty database it makes the first administrator's key and says where it is.
    """
    from noticebus.cli import serving  # noqa: PLC0415 - loads the whole bus, only for this command

    loaded = session_of(context).load()
    settings = effective(loaded, host=host, port=port, data_dir=data_dir, database_url=database_url)
    code = serving.run(
        settings,
        roles=[str(one) for one in role or RoleName],
        follow_port="base_url" not in loaded.origins,
        log_format=None if "log_format" not in loaded.origins else settings.log_format,
    )
    if code:
        raise typer.Exit(code)

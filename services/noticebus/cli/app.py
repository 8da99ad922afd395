"""The command `noticebus`: its parts, the options before them, and how every failure ends."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import structlog
import typer
from typer.exceptions import TyperException

from noticebus.cli import (
    administration,
    audit,
    config,
    credentials,
    database,
    doctor,
    endings,
    endpoints,
    exercises,
    kafka,
    listen,
    notices,
    orders,
    policies,
    replays,
    rosters,
    schedules,
    serve,
    unacked,
    users,
)
from noticebus.cli.demo import command as demo
from noticebus.cli.output import EXIT_FAILED, EXIT_USAGE, CommandError, report_failure, say
from noticebus.cli.session import KEY, KEY_FILE, URL, Session
from noticebus.errors import NoticebusError

# May stand anywhere on the line, since that is where people write them: name, and takes a value.
EVERYWHERE = {
    "--server": True,
    "--key-file": True,
    "--settings": True,
    "--debug": False,
}

app = typer.Typer(
    name="noticebus",
    help="One notice posted, every responsible agency told, every silence noticed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
log = structlog.get_logger(__name__)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"noticebus {version('noticebus')}")
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    server: Annotated[
        str | None, typer.Option(envvar=URL, help="Address of the bus that commands speak to.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(envvar=KEY_FILE, help="File with the API key to use.")
    ] = None,
    key: Annotated[str | None, typer.Option(envvar=KEY, hidden=True)] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Settings file instead of noticebus.toml.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where a failure came from (a traceback).")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which."),
    ] = False,
) -> None:
    """Hand the options that hold for every command to the command."""
    source = context.get_parameter_source("key_file")
    if source is not None and source.name == "COMMANDLINE":
        key = None  # what is written on the line wins over what the environment says
    context.obj = Session(
        debug=debug, settings_file=settings, server=server, key=key, key_file=key_file
    )


def install() -> None:
    """Put the parts together."""
    for part in (demo, serve, doctor, audit, unacked, listen, notices):
        part.install(app)
    endings.install(notices.app)
    orders.install(administration.subscriptions)
    endpoints.install(administration.subscriptions)
    replays.install(administration.subscriptions)
    credentials.install(administration.subscriptions)
    for name, group in {
        "db": database.app,
        "kafka": kafka.app,
        "config": config.app,
        **administration.GROUPS,
        **rosters.GROUPS,
        **policies.GROUPS,
        **schedules.GROUPS,
        "user": users.app,
        "notice": notices.app,
        "exercise": exercises.app,
    }.items():
        app.add_typer(group, name=name)


def hoist(arguments: Sequence[str]) -> list[str]:
    """Move the options that hold for every command before it, wherever they were written."""
    before: list[str] = []
    after: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            after += [word, *rest]
            break
        if word.partition("=")[0] not in EVERYWHERE:
            after.append(word)
            continue
        before.append(word)
        if "=" not in word and EVERYWHERE[word] and rest:
            before.append(rest.pop(0))
    return before + after


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its exit code; a failure is two lines."""
    words = hoist(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words))


def run(words: Sequence[str]) -> int:
    """Run the command and give its exit code: 0 done, 1 failed, 2 misused, 3 overdue."""
    debug = "--debug" in words
    try:
        ended = app(args=list(words), prog_name="noticebus", standalone_mode=False)
    except TyperException as misuse:
        report_failure(_misused(misuse))
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        report_failure(CommandError("Interrupted.", remedy="Repeat it when you want it done."))
        return EXIT_FAILED
    except NoticebusError as error:
        if debug:
            log.exception("command.failed", code=error.code)
        report_failure(error)
        return EXIT_FAILED
    except Exception as error:
        if debug:
            raise
        return _unexpected(error)
    return ended if isinstance(ended, int) else 0


def _unexpected(error: Exception) -> int:
    """Report what the command did not foresee; of a group of failures, the first."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, NoticebusError):
        report_failure(first)
        return EXIT_FAILED
    said = str(first).partition("\n")[0][:200]
    report_failure(
        CommandError(
            f"{type(first).__name__}{f': {said}' if said else ''}.",
            remedy="Repeat it with --debug and report what it shows, or run `noticebus doctor`.",
        )
    )
    return EXIT_FAILED


def _misused(misuse: TyperException) -> CommandError:
    where = getattr(getattr(misuse, "ctx", None), "command_path", "noticebus")
    said = misuse.format_message().replace("\n", " ").strip() or "Nothing to do was named."
    return CommandError(said, remedy=f"See `{where} --help`.")


install()

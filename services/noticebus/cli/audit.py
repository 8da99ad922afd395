"""`noticebus audit`: recount everything from rows and from the ledger, and name what differs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, make_client
from noticebus.cli.output import (
    EXIT_FAILED,
    CommandError,
    Format,
    FormatOption,
    note,
    say,
    show_json,
    show_rows,
)
from noticebus.cli.session import Session, effective, session_of, sqlite_path

PATH = "/v1/audit"
COLUMNS = ("check", "state", "count", "finding", "remedy")
IDS_KEPT_MAX = 1_000  # per check: an audit of a large bus stays small
RUNNING = ("steps_due", "releases_due", "deliveries_due", "ends_due", "index_growth")

View = dict[str, Any]


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="The embedded profile's folder.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Recount every incident from its rows and from the ledger. Ends with 1 when anything differs.

    Where no `serve` runs on the database of this folder, the file is read directly; what only a
    running bus does in time is then not checked. Otherwise the bus is asked, which needs a key with
    the scope `audit`.
    """
    checks, running = asyncio.run(_audit(session_of(context), data_dir))
    shown = [_row(one, running=running) for one in checks.values()]
    if form is Format.JSON:
        show_json([{**one, "state": _state(one, running=running)} for one in checks.values()])
    else:
        show_rows(shown, columns=COLUMNS, form=form)
    if form is Format.TABLE:
        for one in checks.values():
            for name in one["ids"]:
                say(f"{one['check']}  {name}")
    if any(not one["ok"] for one in checks.values()):
        raise typer.Exit(EXIT_FAILED)


async def _audit(session: Session, data_dir: Path | None) -> tuple[dict[str, View], bool]:
    """Give every check, and whether a bus runs."""
    if session.server is None and (path := _idle_file(session, data_dir)) is not None:
        note(f"No bus runs on {path}: reading it directly …")
        return await _added(_read_file(path)), False
    client = make_client(session)
    note(f"Asking {client.server} …")
    return await _added(_ask(client)), True


def _idle_file(session: Session, data_dir: Path | None) -> Path | None:
    """Name the embedded profile's database if it is there and no `serve` holds it."""
    settings = effective(session.load(), data_dir=data_dir)
    path = sqlite_path(settings)
    if path is None:
        return None
    if not path.exists():
        raise CommandError(
            f"The database {path} does not exist.",
            remedy="Name its folder with --data-dir, or a bus with --server.",
        )
    from noticebus.cli.serving import is_served  # noqa: PLC0415 - loads the server

    return None if is_served(path) else path


async def _ask(client: Client) -> AsyncIterator[View]:
    query = {"full": "true"}
    while True:
        view: View = (await client.call("GET", PATH, query=query)).body
        yield view
        if view["next"] is None:
            return
        query["cursor"] = view["next"]


async def _read_file(path: Path) -> AsyncIterator[View]:
    from noticebus.casework import recount  # noqa: PLC0415 - loads the database
    from noticebus.clock import SystemClock  # noqa: PLC0415
    from noticebus.store import migrate  # noqa: PLC0415
    from noticebus.store.database import Database  # noqa: PLC0415

    url = f"sqlite+aiosqlite:///{path}"
    if await migrate.pending(url):
        raise CommandError(
            f"The tables of {path} are those of another version.",
            remedy="Run `noticebus db upgrade` first.",
        )
    database = Database(url)
    try:
        cursor: str | None = ""
        while cursor is not None:
            part = await recount.audit_part(database, cursor=cursor)
            view = await recount.view_of(
                database, part, findings=part.findings, at=SystemClock().now()
            )
            yield view.model_dump(mode="json")
            cursor = part.next
    finally:
        await database.close()


async def _added(parts: AsyncIterator[View]) -> dict[str, View]:
    """Add up the parts of an audit, and say how far it is."""
    checks: dict[str, View] = {}
    incidents = entries = 0
    async for view in parts:
        incidents += view["incidents"]
        entries += view["entries"]
        note(
            f"incidents {incidents} of {view['incidents_in_all']},"
            f" entries {entries} of {view['entries_in_all']}"
        )
        for one in view["checks"]:
            _add(checks.setdefault(one["check"], one), one)
    return checks


def _add(known: View, one: View) -> None:
    if known is one:
        return
    room = IDS_KEPT_MAX - len(known["ids"])
    known["ids"] = [*known["ids"], *one["ids"][:room]]
    if not one["ok"]:
        known["message"] = known["message"] or one["message"]
        known["remedy"] = known["remedy"] or one["remedy"]
    known["count"] += one["count"]
    known["ok"] = known["ok"] and one["ok"]


def _state(one: View, *, running: bool) -> str:
    if not running and one["check"] in RUNNING:
        return "not checked"
    return "ok" if one["ok"] else "FAILED"


def _row(one: View, *, running: bool) -> View:
    state = _state(one, running=running)
    finding = "no bus runs" if state == "not checked" else one["message"] or ""
    return {
        "check": one["check"],
        "state": state,
        "count": one["count"],
        "finding": finding,
        "remedy": one["remedy"] or "",
    }

"""The unacknowledged report over a million open obligations on PostgreSQL: its first page.

python -m bench.report [--open 1000000] [--reads 15] [--json FILE] [--explain] [--database URL]

Filling says how far it is. Ten million take minutes, and 60 GB where temporary files lie (TMPDIR).
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from bench.escalation import Statements, explain
from bench.harness import ROOT, measured, percentile

sys.path.insert(0, str(ROOT / "tests"))

from bench import report_counters, report_filling
from bench.progress import Progress
from harness import desk as furnish
from harness import postgres, run
from noticebus import wiring
from noticebus.access.principals import Principal
from noticebus.casework.desk import Desk
from noticebus.casework.reports import Asked, read_report
from noticebus.clock import SystemClock
from noticebus.collector import spare_what_is_loaded
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Scope
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId
from noticebus.settings import Settings
from noticebus.store import migrate
from noticebus.store.tables import obligations
from noticebus.telemetry import configure_logging

BUDGET_MS = 50
TABLES_SHOWN = 5
EXPLAINED = 4  # of each view, the slowest statements
GB = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way to look at the report: who looks, and for what."""

    principal: Principal
    asked: Asked


@contextlib.asynccontextmanager
async def filled(
    count: int, given: str | None, progress: Progress
) -> AsyncIterator[tuple[Desk, str]]:
    """Lend a desk over `count` open obligations, made anew unless the database has them."""
    if given is not None:
        async with _opened(given) as desk:
            await _fill(desk, count, progress)
            yield desk, given
        return
    os.environ[postgres.DURABLE_SETTING] = "1"  # what is measured waits for the disk
    begun = run.begin()
    try:
        if lacking := report_filling.lacking_bytes(begun, open_count=count):
            sys.exit(f"{begun} lies on a disk that lacks {lacking / GB:.0f} GB for this many.")
        async with postgres.fresh_database() as url, _opened(url) as desk:
            await _fill(desk, count, progress)
            yield desk, url
    finally:
        run.end(begun)


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Desk]:
    await migrate.upgrade(url)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url=url)
        desk = await wiring.open_desk(settings, world=SystemClock())
        yield desk
        await desk.database.close()


async def _fill(desk: Desk, count: int, progress: Progress) -> None:
    async with desk.database.read() as conn:
        some = (await conn.execute(sa.select(obligations.c.id).limit(1))).first()
        if await report_filling.is_half_filled(conn):
            sys.exit("The filling of that database did not come to its end: give an empty one.")
    if some is None:
        await report_filling.fill(desk, open_count=count, progress=progress)


def views() -> Mapping[str, View]:
    """List whose first pages are measured."""
    operator = furnish.principal(Scope.OPERATE)
    agency = AgencyId(f"agy_{42:026}")
    own = replace(operator, agency_id=agency, scopes=frozenset({Scope.ANSWER}))
    poster = replace(operator, agency_id=AgencyId(f"agy_{197:026}"), scopes=frozenset({Scope.POST}))
    by_asked = {
        "operator, all": Asked(),
        "overdue": Asked(overdue=True),
        "not overdue": Asked(overdue=False),
        "kind: school district (34 %)": Asked(kind=AgencyKind.SCHOOL_DISTRICT),
        "kind: tribal (1 %)": Asked(kind=AgencyKind.TRIBAL_CHILD_WELFARE),
        "class A (10 %)": Asked(notice_class=NoticeClass.A),
        "class C, overdue": Asked(notice_class=NoticeClass.C, overdue=True),
        "a county": Asked(area="county:28123"),
        "a state": Asked(area="state:28"),
    }
    found = {name: View(principal=operator, asked=asked) for name, asked in by_asked.items()}
    found["one agency"] = View(principal=own, asked=Asked())
    found["a poster"] = View(principal=poster, asked=Asked())
    return found


async def try_view(desk: Desk, statements: Statements, view: View, reads: int) -> dict[str, Any]:
    """Measure a view; one that the database does not answer in time fails alone."""
    try:
        return await measure_view(desk, statements, view, reads)
    except UnavailableError as error:
        return {"failed": str(error)}


async def measure_view(
    desk: Desk, statements: Statements, view: View, reads: int
) -> dict[str, Any]:
    """Read a first page `reads` times, as the interface does, JSON included."""
    took = []
    read = await read_report(desk, view.principal, asked=view.asked, output="json")
    statements.forget()
    used = time.process_time()
    for _ in range(reads):
        began = time.perf_counter()
        read = await read_report(desk, view.principal, asked=view.asked, output="json")
        read.report.model_dump_json()
        took.append((time.perf_counter() - began) * 1000)
    return {
        "p50_ms": round(percentile(took, 0.5), 1),
        "p95_ms": round(percentile(took, 0.95), 1),
        "best_ms": round(min(took), 1),
        "cpu_ms": round((time.process_time() - used) / reads * 1000, 1),
        "statements": round(sum(statements.counted.values()) / reads, 1),
        "lines": len(read.report.items),
        "summary": read.report.summary.model_dump(mode="json"),
        "slowest_ms": {
            statement: round(total / reads, 1)
            for statement, total in statements.took_ms.most_common(EXPLAINED)
        },
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fill, then read every view, then a past report."""
    configure_logging(log_format="json", level="error")
    began = time.perf_counter()
    progress = Progress()
    async with filled(options.open, options.database, progress) as (desk, url):
        found: dict[str, Any] = {"load": os.getloadavg()[0]}
        found["fill_s"] = round(time.perf_counter() - began)
        found["fill_steps_s"] = dict(progress.took_s)
        found |= await _stored(desk)
        statements = Statements()
        for engine in desk.database.engines:
            statements.listen(engine.sync_engine)
        wanted = {name: one for name, one in views().items() if options.view in name}
        spare_what_is_loaded()  # as `noticebus serve` does
        found["views"], found["plans"] = {}, {}
        for name, view in wanted.items():
            statements.seen.clear()
            with progress.step(f"{options.reads + 1} times {name}"):
                found["views"][name] = await try_view(desk, statements, view, options.reads)
            if options.explain:
                found["plans"][name] = await _plans(url, statements)
        if options.past:
            found["past_s"] = await _past(desk)
    return found


async def _stored(desk: Desk) -> dict[str, Any]:
    """Say how much there is, and what it takes."""
    async with desk.database.read() as conn:
        counted = await report_counters.count_open(conn)
    return {
        "open": counted,
        "stored_bytes": await report_filling.database_bytes(desk),
        "stored_bytes_of": {
            one.name: {"rows": one.rows, "indexes": one.indexes}
            for one in await report_filling.tables(desk)
        },
    }


async def _plans(url: str, statements: Statements) -> list[str]:
    slow = [key for key, _ in statements.took_ms.most_common(EXPLAINED)]
    return [
        f"{told[0]}\n{await explain(url, told)}"
        for key, told in statements.seen.items()
        if key[:80] in slow
    ]


async def _past(desk: Desk) -> float:
    began = time.perf_counter()
    at = desk.world.now() - dt.timedelta(seconds=5)
    asked = Asked(as_of=at)
    await read_report(desk, furnish.principal(Scope.OPERATE), asked=asked, output="json")
    return round(time.perf_counter() - began, 1)


def show(found: dict[str, Any]) -> None:
    """Print the figures as a table, and the plans as they are."""
    console = Console(width=140)
    console.print(_table(found))
    for name, one in found["views"].items():
        if "failed" in one:
            console.print(f"{name}: {one['failed']}", markup=False)
    console.print(f"Filled in {found['fill_s']} s. {_said_stored(found)}", markup=False)
    if "past_s" in found:
        console.print(f"A past report took {found['past_s']} s.")
    for name, plans in found["plans"].items():
        for plan in plans:
            console.print(f"\n{name}\n{plan}", markup=False, highlight=False, soft_wrap=True)


def _table(found: dict[str, Any]) -> Table:
    title = f"First page, {found['open']:,} open obligations, PostgreSQL; load {found['load']:.1f}"
    table = Table(title=title)
    for heading in (
        "",
        "p50 ms",
        "p95 ms",
        "best ms",
        "budget",
        "our CPU ms",
        "statements",
        "lines",
        "slowest",
    ):
        table.add_column(heading, justify="right")
    for name, one in found["views"].items():
        if "failed" in one:
            table.add_row(name, "failed")
            continue
        slowest = ", ".join(f"{took}" for took in one["slowest_ms"].values())
        table.add_row(
            name, str(one["p50_ms"]), str(one["p95_ms"]), str(one["best_ms"]), f"{BUDGET_MS} ms",
            str(one["cpu_ms"]),
            str(one["statements"]), str(one["lines"]), slowest,
        )  # fmt: skip
    return table


def _said_stored(found: dict[str, Any]) -> str:
    told = "; ".join(
        f"{name} {one['rows'] / GB:.2f} and {one['indexes'] / GB:.2f}"
        for name, one in list(found["stored_bytes_of"].items())[:TABLES_SHOWN]
    )
    return f"The database takes {found['stored_bytes'] / GB:.2f} GB (rows and indexes: {told})."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=15)
    parser.add_argument("--view", default="", help="only views whose name holds this")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--past", action="store_true", help="read a past report as well")
    parser.add_argument("--database", help="an empty PostgreSQL, or one an earlier run filled")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measured(measure(options))
    show(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

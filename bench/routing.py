"""What routing one notice costs with 10,000 and 100,000 subscribers, with the bus's own code.

python -m bench.routing [--subscribers 10000 100000] [--databases sqlite postgresql] [--explain]
    [--store] [--json FILE]
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from bench.escalation import Statements, explain
from bench.harness import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from bench import cast, routing_rows, storing
from bench.nation import Nation, largest, nation_of
from harness import desk as furnish
from harness import postgres, run
from noticebus import wiring
from noticebus.access.principals import Principal
from noticebus.casework import recipients
from noticebus.casework.binding import Moment
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft, first_version
from noticebus.casework.recipients import Bound
from noticebus.clock import SystemClock
from noticebus.collector import spare_what_is_loaded
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import AgencyKind, Channel, NoticeClass, Scope
from noticebus.domain.routing import Routing
from noticebus.ids import new_api_key_id
from noticebus.settings import Settings
from noticebus.store import migrate
from noticebus.store.notices import Notice
from noticebus.telemetry import configure_logging

DATABASES = ("sqlite", "postgresql")
SUBSCRIBERS = (10_000, 100_000)
READS = 5
BATCH = 64  # notices of one group commit, each about another county
EXPLAINED = 6
STORED = 40  # notices taken in and delivered, to see what each recipient leaves
STORED_SUBSCRIBERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A desk over a country, with who posts."""

    desk: Desk
    url: str
    nation: Nation
    poster: Principal

    async def draft(
        self,
        areas: Sequence[Mapping[str, Any]],
        *,
        number: int = 0,
        notice_class: NoticeClass = NoticeClass.B,
    ) -> Draft:
        """Prepare a notice about `areas`, as the interface does."""
        body = {**cast.notice(number), "areas": areas, "class": notice_class.value}
        post = NoticePost.model_validate(body)
        return await first_version(self.desk, self.poster, post=post, key=new_api_key_id())


@contextlib.asynccontextmanager
async def filled(
    database: str, nation: Nation, *, readers: Channel = Channel.EMAIL
) -> AsyncIterator[Filled]:
    """Lend a desk over a fresh "sqlite" or "postgresql" with everybody of `nation`."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if database == "sqlite":
            url = f"sqlite+aiosqlite:///{folder}/noticebus.db"
        else:
            os.environ[postgres.DURABLE_SETTING] = "1"  # what is measured waits for the disk
            stack.callback(run.end, run.begin())
            url = await stack.enter_async_context(postgres.fresh_database())
            await migrate.upgrade(url)
        settings = Settings(data_dir=folder, database_url=url, smtp_url="smtp://127.0.0.1:1")
        desk = await wiring.open_desk(settings, world=SystemClock())
        stack.push_async_callback(desk.database.close)
        async with desk.database.begin() as conn:
            await routing_rows.fill(conn, nation, now=desk.world.now(), readers=readers)
        await _settle(desk, url)
        agency = await furnish.add_agency(
            desk, "Field office", kind=AgencyKind.FEDERAL, county_fips=None
        )
        poster = furnish.principal(Scope.POST, agency=agency)
        yield Filled(desk=desk, url=url, nation=nation, poster=poster)


async def _settle(desk: Desk, url: str) -> None:
    """Let the database count its rows, as it does by itself within a minute."""
    if desk.database.is_sqlite:
        async with desk.database.begin() as conn:
            await conn.exec_driver_sql("ANALYZE")
        return
    plain = await asyncpg.connect(url.replace("+asyncpg", ""))
    await plain.execute("VACUUM ANALYZE")
    await plain.close()


@dataclass(slots=True, kw_only=True)
class Parts:
    """Seconds of our CPU, by what was done."""

    find: float = 0
    route: float = 0
    bind: float = 0


async def routed(
    desk: Desk, drafts: Sequence[Draft], *, bind: bool = True
) -> tuple[list[tuple[Notice, Routing]], list[Bound], Parts]:
    """Find, route and, with `bind`, bind the recipients of drafts as the intake does, and no more.

    Nothing is written.
    """
    parts, at = Parts(), Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.read() as conn:
        began = time.process_time()
        found = await recipients.find(
            conn,
            desk,
            area_keys={key for one in drafts for key in one.places.keys},
            kinds={one.kind for one in drafts},
            poster_ids={one.agency_id for one in drafts},
        )
        parts.find = time.process_time() - began
        began = time.process_time()
        pairs = []
        for draft in drafts:
            notice = draft.notice(poster=found.facts[draft.agency_id], now=at.world)
            recipients.uncovered_of(notice, found)
            pairs.append((notice, recipients.route_notice(notice, found)))
        parts.route = time.process_time() - began
        began = time.process_time()
        bound = await recipients.bind_all(conn, pairs, found, at=at) if bind else []
        parts.bind = time.process_time() - began
    return pairs, bound, parts


def scopes(nation: Nation) -> dict[str, list[list[dict[str, Any]]]]:
    """List what is measured: the areas of each notice of a batch."""
    big = largest(nation.places)
    middle = sorted(nation.places, key=lambda one: one.share)[len(nation.places) // 2]
    step = len(nation.places) // BATCH
    some = nation.places[::step][:BATCH]
    return {
        "a county in the middle": [[{"county_fips": [middle.fips]}]],
        "the largest county": [[{"county_fips": [big.fips]}]],
        "its state": [[{"state": [big.state]}]],
        "the whole country": [[{"state": list(nation.states)}]],
        f"{BATCH} notices, a county each": [[{"county_fips": [one.fips]}] for one in some],
    }


async def measure_scope(
    on: Filled, statements: Statements, areas: Sequence[Sequence[Mapping[str, Any]]], reads: int
) -> dict[str, Any]:
    """Route a batch `reads` times; give the cheapest reading of each part, in CPU time."""
    drafts = [await on.draft(one, number=number) for number, one in enumerate(areas)]
    await routed(on.desk, drafts)  # what is prepared or kept once
    statements.forget()
    took: list[Parts] = []
    found: list[tuple[Notice, Routing]] = []
    bound: list[Bound] = []
    for _ in range(reads):
        found, bound, parts = await routed(on.desk, drafts)
        took.append(parts)
    many = sum(len(routing.recipients) for _, routing in found)
    micro = {
        f"{name}_us": round(min(getattr(one, name) for one in took) * 1e6 / max(many, 1), 1)
        for name in ("find", "route", "bind")
    }
    return {
        "notices": len(drafts),
        "recipients": many,
        "deliveries": sum(len(one.deliveries) for one in bound),
        "statements": round(sum(statements.counted.values()) / reads, 1),
        "database_ms": round(sum(statements.took_ms.values()) / reads, 1),
        "cpu_ms": round(min(one.find + one.route + one.bind for one in took) * 1000, 1),
        **micro,
    }


async def measure_one(database: str, subscribers: int, options: argparse.Namespace) -> Any:
    """Fill one database and route every scope."""
    began = time.perf_counter()
    async with filled(database, nation_of(subscribers)) as on:
        result: dict[str, Any] = {"database": database, "subscribers": subscribers}
        result["fill_s"] = round(time.perf_counter() - began, 1)
        statements = Statements()
        for engine in on.desk.database.engines:
            statements.listen(engine.sync_engine)
        spare_what_is_loaded()  # as `noticebus serve` does
        result["scopes"], result["plans"] = {}, {}
        for name, areas in scopes(on.nation).items():
            statements.seen.clear()
            try:
                result["scopes"][name] = await measure_scope(on, statements, areas, options.reads)
            except Exception as error:  # noqa: BLE001 - what it says is the finding
                result["scopes"][name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
                continue
            if options.explain and database == "postgresql":
                result["plans"][name] = await _plans(on.url, statements)
    return result


async def measure_stored(readers: Channel) -> dict[str, Any]:
    """Take in and deliver notices to one county; readers of mail, or all of them servers."""
    async with filled("postgresql", nation_of(STORED_SUBSCRIBERS), readers=readers) as on:
        spare_what_is_loaded()
        areas = [{"county_fips": [largest(on.nation.places).fips]}]
        drafts = [await on.draft(areas, number=number) for number in range(STORED + 1)]
        return {"readers": readers.value, **await storing.measure(on.desk, on.url, drafts)}


async def _plans(url: str, statements: Statements) -> list[str]:
    slow = [key for key, _ in statements.took_ms.most_common(EXPLAINED)]
    return [
        f"{told[0][:1000]}\n{await explain(url, told)}"
        for key, told in statements.seen.items()
        if key[:80] in slow
    ]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every size on every database, then what is stored."""
    configure_logging(log_format="json", level="error")
    found: dict[str, Any] = {
        "routing": [
            await measure_one(database, subscribers, options)
            for database in options.databases
            for subscribers in options.subscribers
        ]
    }
    if options.store:
        found["stored"] = [
            await measure_stored(readers) for readers in (Channel.WEBHOOK, Channel.EMAIL)
        ]
    return found


def show(found: Mapping[str, Any]) -> None:
    """Print the figures as tables, and the plans as they are."""
    console = Console(width=150)
    for one in found["routing"]:
        table = Table(title=f"Routing, {one['subscribers']:,} subscribers, {one['database']}")
        for heading in (
            "", "recipients", "statements", "database ms", "our CPU ms",
            "find µs each", "route µs each", "bind µs each",
        ):  # fmt: skip
            table.add_column(heading, justify="right")
        for name, scope in one["scopes"].items():
            if "failed" in scope:
                table.add_row(name, scope["failed"])
                continue
            table.add_row(
                name, f"{scope['recipients']:,}", str(scope["statements"]),
                str(scope["database_ms"]), str(scope["cpu_ms"]), str(scope["find_us"]),
                str(scope["route_us"]), str(scope["bind_us"]),
            )  # fmt: skip
        console.print(table)
        for name, plans in one["plans"].items():
            for plan in plans:
                console.print(f"\n{name}\n{plan}", markup=False, highlight=False, soft_wrap=True)

    for one in found.get("stored", ()):
        console.print("Each recipient of a county's notices, from post to outcome:", one)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, nargs="*", default=SUBSCRIBERS)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--reads", type=int, default=READS)
    parser.add_argument("--explain", action="store_true", help="PostgreSQL's plans")
    parser.add_argument("--store", action="store_true", help="and what PostgreSQL keeps of it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = uvloop.run(measure(options))
    show(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

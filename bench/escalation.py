"""The escalation clock over a great many open obligations on PostgreSQL: due to written, and idle.

python -m bench.escalation [--open 1000000] [--burst 5000] [--trickle 300] [--json FILE]
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
import uvloop
from rich.console import Console
from rich.table import Table

from bench import options as given
from bench.harness import ROOT, percentile, servers_kept
from noticebus import wiring
from noticebus.casework.desk import Desk
from noticebus.clock import SystemClock
from noticebus.domain.policies import default_policies, policy_to_record
from noticebus.ledger.engine import Engine
from noticebus.settings import Settings
from noticebus.store import migrate
from noticebus.store.tables import obligations, steps
from noticebus.telemetry import configure_logging

sys.path.insert(0, str(ROOT / "tests"))
from harness import owing, postgres

AGENCIES = 1_000
POLICY = "default.cps.state_desk.A"
FAR = dt.timedelta(days=30)
AHEAD = dt.timedelta(seconds=3)
TRICKLE_EVERY = dt.timedelta(milliseconds=50)
IDLE_LOOKS = 300
DONE_WITHIN_S = 300
BUDGET_DUE_MS = 250
BUDGET_IDLE_MS = 1


class TimedDesk(Desk):
    """A desk that notes when each of the engine's transactions has committed."""

    stamps: list[dt.datetime] = []  # noqa: RUF012 - one bench, one list

    def committed(self, shards: Sequence[Any] = ()) -> None:
        """Note the time, and hand on as ever."""
        self.stamps.append(self.world.now())
        Desk.committed(self, shards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Every statement that went to the database: how often, how long, one with its values."""

    counted: Counter[str] = field(default_factory=Counter)
    took_ms: Counter[str] = field(default_factory=Counter)
    seen: dict[str, tuple[str, Sequence[Any]]] = field(default_factory=dict)

    def listen(self, engine: sa.Engine) -> None:
        """Count the statements of an engine from now on."""

        @sa.event.listens_for(engine, "before_cursor_execute")
        def _one(_conn: object, _cursor: object, statement: str, *told: Any) -> None:
            values, _context, many = told
            key = " ".join(statement.split())
            self.counted[key[:80]] += 1
            if not many:
                self.seen[key] = (statement, values)
            _context.noticebus_began = time.perf_counter()

        @sa.event.listens_for(engine, "after_cursor_execute")
        def _done(_conn: object, _cursor: object, statement: str, *told: Any) -> None:
            took = time.perf_counter() - told[1].noticebus_began
            self.took_ms[" ".join(statement.split())[:80]] += round(took * 1000)

    def forget(self) -> None:
        """Begin to count anew."""
        self.counted.clear()
        self.took_ms.clear()

    def find(self, *marks: str) -> tuple[str, Sequence[Any]]:
        """Give one statement in which all `marks` stand."""
        return next(told for key, told in self.seen.items() if all(one in key for one in marks))


@contextlib.asynccontextmanager
async def crowded(count: int) -> AsyncIterator[tuple[TimedDesk, str, Statements]]:
    """Lend a desk over `count` open obligations whose next step is a month away."""
    with servers_kept():
        async with postgres.fresh_database() as url:
            await migrate.upgrade(url)
            with tempfile.TemporaryDirectory() as folder:
                settings = Settings(data_dir=Path(folder), database_url=url)
                plain = await wiring.open_desk(settings, world=SystemClock())
                desk = TimedDesk(**{name: getattr(plain, name) for name in Desk.__slots__})
                await _fill(desk, url, count)
                statements = Statements()
                for engine in desk.database.engines:
                    statements.listen(engine.sync_engine)
                yield desk, url, statements
                await desk.database.close()


async def _fill(desk: Desk, url: str, count: int) -> None:
    """Copy rows by SQL: foreign keys are not looked up, since every row is a copy of a good one."""
    like = await owing.make_prototype(desk)
    incidents = max(count // AGENCIES, 1)
    now = desk.world.now()
    policy = next(one for one in default_policies() if one.id == POLICY)
    async with desk.database.begin() as conn:
        await conn.execute(sa.text("SET LOCAL session_replication_role = replica"))
        await conn.execute(sa.text("SET LOCAL statement_timeout = 0"))
        await owing.add_agencies(conn, like, count=AGENCIES)
        await owing.add_incidents(conn, like, count=incidents)
        await owing.clone(
            conn,
            obligations,
            like.owed.id,
            columns={
                "id": owing.numbered("obl", f"i * {AGENCIES} + a"),
                "incident_id": owing.numbered("inc", "i"),
                "agency_id": owing.numbered("agy", "a"),
                "round_notice_id": owing.numbered("ntc", "i"),
                "policy": ":policy",
                "steps_at": ":steps_at",
                "next_step_at": "CAST(:far AS timestamptz) + (i * 1000 + a) * interval '1 ms'",
                "due_at": "CAST(:far AS timestamptz) + (i * 1000 + a) * interval '1 ms'",
            },
            numbers="generate_series(1, CAST(:incidents AS integer)) AS i,"
            " generate_series(1, CAST(:agencies AS integer)) AS a",
            policy=json.dumps(policy_to_record(policy)),
            steps_at=json.dumps([(now + FAR + one.after).isoformat() for one in policy.steps]),
            far=now + FAR,
            incidents=incidents,
            agencies=AGENCIES,
        )
        prototype = sa.update(obligations).where(obligations.c.id == like.owed.id)
        await conn.execute(prototype.values(next_step_at=None))
    plain = await asyncpg.connect(url.replace("+asyncpg", ""))
    await plain.execute("VACUUM ANALYZE")
    await plain.close()


def some_of(count: int, wanted: int) -> list[str]:
    """Choose obligations, over all incidents and agencies, the same in each run."""
    numbers = random.Random(7).sample(range(count // AGENCIES * AGENCIES), wanted)
    return [f"obl_{AGENCIES + 1 + number:0{owing.ID_DIGITS}}" for number in numbers]


async def make_due(desk: Desk, ids: Sequence[str], planned: Sequence[dt.datetime]) -> None:
    """Let each of `ids` fall due at its instant of `planned`, and its later steps much later."""
    change = (
        sa.update(obligations)
        .where(obligations.c.id == sa.bindparam("b_id"))
        .values(next_step_at=sa.bindparam("b_at"), steps_at=sa.bindparam("b_steps"))
    )
    later = [dt.timedelta(days=one) for one in (1, 2, 3)]
    async with desk.database.begin() as conn:
        await conn.execute(
            change,
            [
                {
                    "b_id": id_,
                    "b_at": at,
                    "b_steps": [one.isoformat() for one in (at, *(at + more for more in later))],
                }
                for id_, at in zip(ids, planned, strict=True)
            ],
        )


async def measure_due(
    desk: TimedDesk, statements: Statements, ids: Sequence[str], planned: Sequence[dt.datetime]
) -> dict[str, Any]:
    """Let obligations fall due while an engine runs; say how long each waited for its commit."""
    before = await _count_steps(desk)
    await make_due(desk, ids, planned)
    desk.signals.steps.ring()
    desk.stamps.clear()
    statements.forget()
    used = time.process_time()
    async with asyncio.timeout(DONE_WITHIN_S):
        while await _count_steps(desk) < before + len(ids):  # noqa: ASYNC110 - rows end it
            await asyncio.sleep(0.5)
    used = time.process_time() - used
    counted, took = dict(statements.counted), statements.took_ms.most_common(8)
    rows = await _fired(desk, ids)
    stamps = sorted(desk.stamps)
    written = {at: next(one for one in stamps if one >= at) for at in {row[1] for row in rows}}
    waited = [(written[fired] - planned_at).total_seconds() * 1000 for planned_at, fired in rows]
    batches = len(written)
    ours = {key: count for key, count in counted.items() if "count(" not in key}
    return {
        "obligations": len(ids),
        "batches": batches,
        "p50_ms": round(percentile(waited, 0.5), 1),
        "p99_ms": round(percentile(waited, 0.99), 1),
        "max_ms": round(max(waited), 1),
        "cpu_ms": round(used / len(ids) * 1000, 2),
        "took_ms": took,
        "statements_per_batch": round(sum(ours.values()) / batches, 1),
    }


async def _count_steps(desk: Desk) -> int:
    """Count the steps that have fired: a small table, so that looking costs next to nothing."""
    async with desk.database.read() as conn:
        return int((await conn.execute(sa.select(sa.func.count()).select_from(steps))).scalar_one())


async def _fired(desk: Desk, ids: Sequence[str]) -> list[tuple[dt.datetime, dt.datetime]]:
    """Read when the first steps of `ids` were planned and fired."""
    rows = sa.select(steps.c.planned_at, steps.c.fired_at).where(
        steps.c.obligation_id.in_(ids), steps.c.step == 0
    )
    async with desk.database.read() as conn:
        return [(row[0], row[1]) for row in await conn.execute(rows)]


async def measure_idle(desk: Desk, statements: Statements) -> dict[str, Any]:
    """Sweep with nothing due, and ask when something will be: what each second of quiet costs."""
    engine = Engine(desk)
    await engine.look()
    statements.forget()
    used, took = time.process_time(), []
    for _ in range(IDLE_LOOKS):
        started = time.perf_counter()
        await engine.look()
        took.append((time.perf_counter() - started) * 1000)
    return {
        "p50_ms": round(percentile(took, 0.5), 2),
        "p99_ms": round(percentile(took, 0.99), 2),
        "cpu_ms": round((time.process_time() - used) / IDLE_LOOKS * 1000, 2),
        "statements": round(sum(statements.counted.values()) / IDLE_LOOKS, 1),
    }


async def explain(url: str, told: tuple[str, Sequence[Any]]) -> str:
    """Give PostgreSQL's own account of how it runs a statement, inside what is rolled back."""
    statement, values = told
    plain = await asyncpg.connect(url.replace("+asyncpg", ""))
    transaction = plain.transaction()
    await transaction.start()
    lines = await plain.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *values)
    await transaction.rollback()
    await plain.close()
    return "\n".join(line[0] for line in lines)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fill, then measure idle looks, a trickle and a burst."""
    configure_logging(log_format="json", level="error")
    filled = time.perf_counter()
    async with crowded(options.open) as (desk, url, statements):
        found: dict[str, Any] = {"open": options.open, "load": os.getloadavg()[0]}
        found["fill_s"] = round(time.perf_counter() - filled)
        found["idle"] = await measure_idle(desk, statements)
        chosen = some_of(options.open, options.trickle + options.burst)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(Engine(desk).run())
            first = desk.world.now() + AHEAD
            trickle = [first + number * TRICKLE_EVERY for number in range(options.trickle)]
            found["trickle"] = await measure_due(desk, statements, chosen[: len(trickle)], trickle)
            burst = [desk.world.now() + AHEAD] * options.burst
            found["burst"] = await measure_due(desk, statements, chosen[len(trickle) :], burst)
            running.cancel()
        found["plans"] = {
            "lock_due": await explain(url, statements.find("next_step_at <=", "SKIP LOCKED")),
            "next_step_at": await explain(url, statements.find("min(obligations.next_step_at)")),
        }
    return found


def as_row(found: dict[str, Any]) -> dict[str, Any]:
    """Give the figures as a row beside those of the other scenarios."""
    row = {"scenario": "escalation", "profile": "production", "open": found["open"]}
    for name, one in (("idle", "idle"), ("due", "trickle"), ("together", "burst")):
        row |= {f"{name}_{key}": value for key, value in found[one].items() if key != "took_ms"}
    return row


def show(found: dict[str, Any]) -> None:
    """Print the figures as a table, and the plans as they are."""
    over = f"{found['open']:,} open obligations, PostgreSQL; load {found['load']:.1f}"
    table = Table(title=f"Escalation over {over}")
    for heading in ("", "p50 ms", "p99 ms", "max ms", "budget p99", "CPU ms", "statements"):
        table.add_column(heading, justify="right")
    idle = found["idle"]
    table.add_row(
        "idle look", str(idle["p50_ms"]), str(idle["p99_ms"]), "", f"{BUDGET_IDLE_MS} ms",
        f"{idle['cpu_ms']} a look", f"{idle['statements']} a look",
    )  # fmt: skip
    for name in ("trickle", "burst"):
        one = found[name]
        table.add_row(
            f"{name} of {one['obligations']}", str(one["p50_ms"]), str(one["p99_ms"]),
            str(one["max_ms"]), f"{BUDGET_DUE_MS} ms", f"{one['cpu_ms']} each",
            f"{one['statements_per_batch']} a batch",
        )  # fmt: skip
    console = Console(width=140)
    console.print(table)
    for name, plan in found["plans"].items():
        console.print(f"\n{name}\n{plan}", markup=False, highlight=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=1_000_000)
    parser.add_argument("--burst", type=int, default=5_000)
    parser.add_argument("--trickle", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = uvloop.run(measure(options))
    show(found)
    if options.json is not None:
        given.write(options.json, {"rows": [as_row(found)], "escalation": found})


if __name__ == "__main__":
    main()

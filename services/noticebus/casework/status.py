"""What the status page says: what runs, what it stands on, and what the auditor found last."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.casework import audit, users
from noticebus.casework.audit import Verdict
from noticebus.casework.desk import Desk
from noticebus.casework.signs_of_life import (
    GATEWAY,
    STALE_AFTER,
    agreed_now,
    own_ticks,
    read_processes,
)
from noticebus.store import ledger, migrate
from noticebus.store.loop_ticks import Tick

# By the loop's own name; the auditor ticks every ten seconds, the others every second.
LOOPS = (GATEWAY, "dispatcher", "engine", "sequencer", "orders", "auditor")
AUDITED_WITHIN = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One kind of work: how many processes do it, and when one did last. None: nobody ever."""

    loop: str
    processes: int
    age: dt.timedelta | None

    @property
    def works(self) -> bool:
        return self.age is not None and self.age <= STALE_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process and its loops, each with the age of its last sign."""

    name: str
    loops: Sequence[tuple[str, dt.timedelta]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the installation. `revision` is the database's, `newest` this release's."""

    at: dt.datetime
    components: Sequence[Component]
    processes: Sequence[Process]
    database: str
    revision: str | None
    newest: str
    bus: str
    bus_faults: Sequence[str]
    disk: str | None
    index: int
    managed: bool  # somebody can manage people
    verdict: Verdict | None
    verdict_is_fresh: bool


async def read_state(desk: Desk) -> State:
    """Read how the installation stands, in a constant number of statements."""
    now = agreed_now(desk)
    ticks, own = await read_processes(desk), own_ticks(desk)
    async with desk.database.read() as conn:
        revision = await migrate.revision_of(conn)
        index = await ledger.newest_index(conn)
    verdict = await audit.last_verdict(desk)
    return State(
        at=desk.world.now(),
        components=[_component(loop, ticks, own=own.get(loop), now=now) for loop in LOOPS],
        processes=_processes(ticks, now=now),
        database="SQLite" if desk.database.is_sqlite else "PostgreSQL",
        revision=revision,
        newest=await asyncio.to_thread(migrate.newest),
        bus="Apache Kafka" if desk.bus.serves_agencies else "in this process",
        bus_faults=desk.bus.faults(),
        disk=await _disk(desk),
        index=index,
        managed=await users.anybody_manages(desk),
        verdict=verdict,
        verdict_is_fresh=verdict is not None
        and desk.machine.now() - verdict.looked_at < AUDITED_WITHIN,
    )


def _component(
    loop: str, ticks: Sequence[Tick], *, own: dt.datetime | None, now: dt.datetime
) -> Component:
    """Put one kind of work together; what this very process does is known before it is written."""
    ages = [_age(one.ticked_at, now=now) for one in ticks if one.loop == loop]
    alive = sum(one <= STALE_AFTER for one in ages)
    if own is not None:
        ages.append(_age(own, now=now))
    age = min(ages, default=None)
    works = age is not None and age <= STALE_AFTER
    return Component(loop=loop, processes=max(alive, int(works)), age=age)


def _processes(ticks: Sequence[Tick], *, now: dt.datetime) -> Sequence[Process]:
    names = dict.fromkeys(one.process for one in ticks)
    return [
        Process(
            name=name,
            loops=[
                (one.loop, _age(one.ticked_at, now=now)) for one in ticks if one.process == name
            ],
        )
        for name in sorted(names)
    ]


def _age(at: dt.datetime, *, now: dt.datetime) -> dt.timedelta:
    return max(now - at, dt.timedelta())


async def _disk(desk: Desk) -> str | None:
    """Say what is wrong with the disk of the embedded profile; a server watches its own."""
    if desk.disk is None:
        return None
    return await desk.disk.refusal() or await desk.disk.warning()

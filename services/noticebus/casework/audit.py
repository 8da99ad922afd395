"""The auditor's quick look: recounts what changed since the last one, and what is late.

What it found is kept in the database, so that it outlives the process and every process shows it.
Lateness is measured in world time; how long the bus had to act, in machine time. Whoever moves the
world's clock by hours raises no alarm while the engine still has its turn.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework.desk import Desk
from noticebus.casework.findings import IDS_SHOWN_MAX, QUICK, Finding, of_ids, of_late, views
from noticebus.contracts.audit import AuditView, Check
from noticebus.contracts.vocabulary import Scope
from noticebus.store import audit, installation, ledger
from noticebus.store.audit import Late
from noticebus.store.ledger import make_entry

log = structlog.get_logger(__name__)

MARKER = "audit.last"
STEP_GRACE = dt.timedelta(seconds=30)
DELIVERY_GRACE = dt.timedelta(seconds=60)
PATIENCE = dt.timedelta(seconds=5)  # machine time in which the bus may still catch up
CLOCKS_APART = dt.timedelta(seconds=2)  # two processes' world clocks, generously
ENTRIES_PER_LOOK = 2_000
CHANGED_PER_LOOK = 50
ROUND_PER_LOOK = 10  # incidents that nothing happens to have their turn as well
SUSPECTS_MAX = 100
READERS = (Scope.AUDIT, Scope.OPERATE, Scope.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a look hands to the next: how far it read, whom to look at again, and since when."""

    index: int | None = None  # entries up to it have been looked at; None before the first look
    round: str = ""  # the last incident of the slow round over all of them
    suspects: tuple[str, ...] = ()
    late: Mapping[Check, dt.datetime] = field(default_factory=dict)  # by check, machine time


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one look found. `at` is world time, `looked_at` machine time."""

    at: dt.datetime
    looked_at: dt.datetime
    findings: tuple[Finding, ...] = ()
    memory: Memory = Memory()

    @property
    def ok(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The incidents one look recounts, and how far it then has come."""

    incident_ids: frozenset[str]
    index: int
    round: str


async def look(desk: Desk) -> Verdict:
    """Make every check once, keep the verdict, and enter it in the ledger where it changed."""
    world, machine = desk.world.now(), desk.machine.now()
    async with desk.database.read() as conn:
        before = _from_text(await installation.read_marker(conn, MARKER))
        memory = Memory() if before is None else before.memory
        verdict = await _look(conn, memory, world=world, machine=machine)
    try:
        verdict, entered = await _keep(desk, verdict, before=before)
    except sa.exc.IntegrityError:  # two auditors' first look: the other one's is kept
        entered = False
    if entered:
        desk.signals.entries.ring()
    for one in verdict.findings:
        log.error("audit.found", kind=one.check, count=one.count)
    desk.metrics.watch.show(
        dict.fromkeys(QUICK, 0) | {one.check: one.count for one in verdict.findings},
        at=machine,
    )
    return verdict


async def _keep(desk: Desk, verdict: Verdict, *, before: Verdict | None) -> tuple[Verdict, bool]:
    """Write the verdict unless another auditor was first; say whether it is a new one."""
    async with desk.database.begin() as conn:
        stored = _from_text(await audit.lock_marker(conn, MARKER))
        if stored is not None and (before is None or stored.looked_at > before.looked_at):
            return stored, False
        # With none stored this is the first; another's, met meanwhile, is not written over.
        write = installation.write_marker if stored else installation.insert_marker
        await write(conn, MARKER, _to_text(verdict))
        if (stored is None or stored.ok) == verdict.ok:
            return verdict, False
        found = [
            {"check": one.check, "count": one.count, "ids": list(one.ids[:IDS_SHOWN_MAX])}
            for one in verdict.findings
        ]
        name = "audit.cleared" if verdict.ok else "audit.found"
        await ledger.append(conn, [make_entry(name, {"findings": found}, at=verdict.at)])
    return verdict, True


async def _look(
    conn: AsyncConnection, memory: Memory, *, world: dt.datetime, machine: dt.datetime
) -> Verdict:
    newest, counted = await audit.newest_indexes(conn)
    chosen = await _choose(conn, memory, newest=newest)
    late = await _late(conn, world=world, machine=machine)
    waiting = {check: memory.late.get(check, machine) for check, found in late.items() if found.ids}
    findings = [
        of_late(check, late[check])
        for check, first in waiting.items()
        if machine - first >= PATIENCE
    ]
    if missing := min(newest + 1, audit.NEWEST_MAX) - counted:
        findings.append(Finding(check=Check.INDEX_GAPS, count=missing))
    about, suspects = await recount(conn, chosen.incident_ids)
    return Verdict(
        at=world,
        looked_at=machine,
        findings=(*findings, *about),
        memory=Memory(
            index=chosen.index,
            round=chosen.round,
            suspects=tuple(sorted(suspects)[:SUSPECTS_MAX]),
            late=waiting,
        ),
    )


async def _choose(conn: AsyncConnection, memory: Memory, *, newest: int) -> _Chosen:
    """Choose what to recount: what entries are about, earlier suspects, and the slow round."""
    after = max(newest - ENTRIES_PER_LOOK, -1) if memory.index is None else memory.index
    changed: set[str] = set()
    reached = after
    for index, incident_id in await audit.incidents_entered(
        conn, after_index=after, limit=ENTRIES_PER_LOOK
    ):
        if incident_id is not None:
            changed.add(incident_id)
        if len(changed) > CHANGED_PER_LOOK:
            changed.discard(incident_id or "")
            break
        reached = index
    turn = await audit.incidents_after(conn, after=memory.round, limit=ROUND_PER_LOOK)
    return _Chosen(
        incident_ids=frozenset({*changed, *turn, *memory.suspects}),
        index=reached,
        round=turn[-1] if len(turn) == ROUND_PER_LOOK else "",
    )


async def _late(
    conn: AsyncConnection, *, world: dt.datetime, machine: dt.datetime
) -> dict[Check, Late]:
    """Find what should have been done by now in world time."""
    steps_before, deliveries_before = world - STEP_GRACE, world - DELIVERY_GRACE
    return {
        Check.STEPS_DUE: await audit.late_steps(conn, before=steps_before),
        Check.RELEASES_DUE: await audit.late_releases(conn, before=steps_before),
        Check.DELIVERIES_DUE: await audit.late_deliveries(
            conn, before=deliveries_before, machine_before=machine - DELIVERY_GRACE
        ),
        Check.ENDS_DUE: await audit.late_ends(conn, before=steps_before),
        Check.INDEX_GROWTH: await audit.late_entries(conn, before=steps_before),
    }


async def recount(
    conn: AsyncConnection, incident_ids: frozenset[str]
) -> tuple[list[Finding], set[str]]:
    """Recount incidents from rows and ledger; give the findings, and the incidents they are in."""
    if not incident_ids:
        return [], set()
    rows = await audit.states_in_rows(conn, incident_ids)
    told = await audit.states_in_ledger(conn, incident_ids)
    differ = {one for one in incident_ids if rows.get(one) != told.get(one)}
    after_end = [
        *await audit.stepped_after_end(conn, incident_ids),
        *await audit.fired_after_end(conn, incident_ids, tolerance=CLOCKS_APART),
    ]
    named = {
        Check.PARKED: await audit.parked(conn, incident_ids),
        Check.STEPPED_AFTER_END: after_end,
        Check.STEPPED_TWICE: await audit.stepped_twice(conn, incident_ids),
    }
    findings = of_ids(Check.CONSERVATION, differ)
    for check, pairs in named.items():
        findings += of_ids(check, [obligation_id for _, obligation_id in pairs])
    return findings, differ.union(*({pair[0] for pair in pairs} for pairs in named.values()))


async def last_verdict(desk: Desk) -> Verdict | None:
    """Read what the last look found, whichever process made it; None before the first."""
    async with desk.database.read() as conn:
        return _from_text(await installation.read_marker(conn, MARKER))


async def read_audit(desk: Desk, principal: Principal) -> AuditView:
    """Show the last look to auditors, operators and administrators."""
    require(principal, *READERS)
    last = await last_verdict(desk)
    findings: Sequence[Finding] = () if last is None else last.findings
    return AuditView(
        at=None if last is None else last.at,
        ok=not findings,
        full=False,
        checks=views(findings, checks=QUICK),
    )


def _to_text(verdict: Verdict) -> str:
    memory = verdict.memory
    return json.dumps(
        {
            "at": verdict.at.isoformat(),
            "looked_at": verdict.looked_at.isoformat(),
            "ok": verdict.ok,
            "findings": [
                {
                    "check": one.check,
                    "count": one.count,
                    "ids": one.ids[:IDS_SHOWN_MAX],
                    "since": None if one.since is None else one.since.isoformat(),
                }
                for one in verdict.findings
            ],
            "index": memory.index,
            "round": memory.round,
            "suspects": memory.suspects,
            "late": {check: first.isoformat() for check, first in memory.late.items()},
        }
    )


def _from_text(text: str | None) -> Verdict | None:
    if text is None:
        return None
    kept = json.loads(text)
    findings = [
        Finding(
            check=Check(one["check"]),
            count=one["count"],
            ids=tuple(one["ids"]),
            since=None if one["since"] is None else dt.datetime.fromisoformat(one["since"]),
        )
        for one in kept["findings"]
    ]
    return Verdict(
        at=dt.datetime.fromisoformat(kept["at"]),
        looked_at=dt.datetime.fromisoformat(kept["looked_at"]),
        findings=tuple(findings),
        memory=Memory(
            index=kept["index"],
            round=kept["round"],
            suspects=tuple(kept["suspects"]),
            late={Check(name): dt.datetime.fromisoformat(at) for name, at in kept["late"].items()},
        ),
    )

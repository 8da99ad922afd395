"""What an installation does for itself: records go, gauges are set, an egress list is entered."""

import datetime as dt
from collections.abc import Iterable

from noticebus.casework import report_figures
from noticebus.casework.desk import Desk
from noticebus.casework.post_drafts import withdraw
from noticebus.store import endpoints, installation, ledger, notices, post_drafts, sessions
from noticebus.store.ledger import make_entry

PRUNE_MAX = 5_000
SESSIONS_KEPT = dt.timedelta(days=90)  # who a link's visitor in the ledger was, is asked later
EGRESS = "egress_allow"


async def prune_idempotency(desk: Desk, *, keep: dt.timedelta) -> int:
    """Delete idempotency records older than `keep`, a batch a transaction; say how many went."""
    gone = 0
    before = desk.world.now() - keep
    while True:
        async with desk.database.begin() as conn:
            count = await notices.prune_idempotency_records(
                conn, before=before, batch_size_max=PRUNE_MAX
            )
        gone += count
        if count < PRUNE_MAX:
            return gone


async def prune_sessions(desk: Desk) -> int:
    """Delete sessions that expired `SESSIONS_KEPT` ago, a batch a time; say how many went."""
    gone = 0
    before = desk.machine.now() - SESSIONS_KEPT
    while True:
        async with desk.database.begin() as conn:
            count = await sessions.prune_sessions(conn, before=before, batch_size_max=PRUNE_MAX)
        gone += count
        if count < PRUNE_MAX:
            return gone


async def prune_post_drafts(desk: Desk) -> int:
    """Delete drafts of notices that have expired, a batch a transaction; say how many went."""
    gone = 0
    before = desk.world.now()
    while True:
        async with desk.database.begin() as conn:
            went = await post_drafts.prune_drafts(conn, before=before, batch_size_max=PRUNE_MAX)
            withdrawn = await withdraw(desk, conn, went, why="expired")
        if withdrawn:
            desk.signals.entries.ring()
        gone += len(went)
        if len(went) < PRUNE_MAX:
            return gone


async def refresh_gauges(desk: Desk) -> None:
    """Set the gauges of open and overdue obligations, and of how endpoints do."""
    now = desk.world.now()
    async with desk.database.read() as conn:
        counts = await report_figures.count_open(conn, now=now)
        standing = await endpoints.count_states(conn)
    oldest = counts.oldest_due_at
    late = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
    desk.metrics.obligations_open.labels(state="open").set(counts.open)
    desk.metrics.obligations_overdue.set(counts.overdue)
    desk.metrics.oldest_overdue.set(late)
    for state, count in standing.items():
        desk.metrics.endpoints.labels(state=state.value).set(count)


async def sample_offset(desk: Desk) -> dt.timedelta:
    """Tell how far the database's clock is ahead of this machine's; nothing on SQLite."""
    if desk.database.is_sqlite:
        return dt.timedelta(0)
    async with desk.database.read() as conn:
        asked = desk.machine.now()
        told = await installation.database_now(conn)
        answered = desk.machine.now()
    return told - (asked + (answered - asked) / 2)


async def enter_egress(desk: Desk, allow: Iterable[object]) -> bool:
    """Enter the networks that webhooks may reach, where they changed since the last start."""
    listed = sorted(map(str, allow))
    value = " ".join(listed)
    async with desk.database.begin() as conn:
        before = await installation.read_marker(conn, EGRESS)
        if (before or "") == value:
            return False
        await installation.write_marker(conn, EGRESS, value)
        data = {"allow": listed, "before": (before or "").split()}
        entry = make_entry("egress.changed", data, at=desk.world.now())
        await ledger.append(conn, [entry])
    desk.signals.entries.ring()
    return True

"""Probes: one delivery at a time finds out whether an endpoint that is down works again."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.administration import enter
from noticebus.casework.desk import Desk
from noticebus.casework.heartbeats import heartbeat
from noticebus.casework.orders import held, names, require_state
from noticebus.contracts.vocabulary import (
    EndpointState,
    HeldReason,
    NoticeClass,
    SubscriptionState,
)
from noticebus.domain.health import DOWN, PROBE_MAX, Health, after_probe_left
from noticebus.errors import ConflictError
from noticebus.ids import SubscriptionId
from noticebus.store import deliveries, endpoints, ledger
from noticebus.store.deliveries import Delivery
from noticebus.store.endpoints import Called, DueProbe
from noticebus.store.heartbeats import Listener
from noticebus.store.ledger import Entry, make_entry
from noticebus.store.subscriptions import Subscription

PROBES_MAX = 100  # endpoints that one round lets a probe through to
EXHAUSTED_MAX = 500


async def probe_due(desk: Desk) -> dt.datetime | None:
    """Let one delivery through to each endpoint that is down and whose time has come.

    Give the machine time of the next probe, or None where no endpoint is down.
    """
    machine_now = desk.machine.now()
    async with desk.database.read() as conn:
        next_at = await endpoints.next_probe_at(conn)
    if next_at is None or next_at > machine_now:
        return next_at
    now = desk.world.now()
    async with desk.database.begin() as conn:
        due = await endpoints.lock_due_probes(
            conn, machine_now=machine_now, batch_size_max=PROBES_MAX
        )
        await _exhaust(conn, desk, [one.subscription_id for one in due], now=now)
        active = [one for one in due if one.subscription_state is SubscriptionState.ACTIVE]
        await _probe(conn, desk, active, now=now)
        moved = {one.subscription_id: _moved(one, machine_now=machine_now) for one in due}
        await endpoints.write(conn, moved, now=now)
    desk.committed_many(steps_by=None, deliveries_by=now)
    async with desk.database.read() as conn:
        return await endpoints.next_probe_at(conn)


def _moved(due: DueProbe, *, machine_now: dt.datetime) -> Health:
    """Give when to look again: what has ended is not probed, what is paused not now."""
    match due.subscription_state:
        case SubscriptionState.ACTIVE:
            return after_probe_left(due.health, machine_now=machine_now)
        case SubscriptionState.ENDED:
            return replace(due.health, probe_at=None)
        case _:
            return replace(due.health, probe_at=machine_now + PROBE_MAX)


async def _probe(
    conn: AsyncConnection, desk: Desk, probed: Sequence[DueProbe], *, now: dt.datetime
) -> None:
    """Let the gravest, oldest delivery of each backlog go, or a heartbeat where there is none."""
    if not probed:
        return
    trips = {one.subscription_id: one.health.trips for one in probed}
    found = await endpoints.let_through(conn, trips.keys(), now=now)
    orders = await endpoints.called(conn, trips.keys() - found)
    machine_now = desk.machine.now()
    made = [
        replace(
            heartbeat(_listener(order, now=now), now=now, machine_now=machine_now),
            round=trips[id_],  # beside the ordinary one of the same minute
            held_reason=HeldReason.TURN,
        )
        for id_, order in sorted(orders.items())
    ]
    await deliveries.insert_missing(conn, made)


def _listener(order: Called, *, now: dt.datetime) -> Listener:
    return Listener(
        subscription_id=order.id,
        agency_id=order.agency_id,
        channel=order.channel,
        content_level=order.content_level,
        state=SubscriptionState.ACTIVE,
        endpoint_state=EndpointState.TRIPPED,
        heartbeat_minutes=None,
        heartbeat_at=now,
        last_sequence=order.last_sequence,
        told_at=None,
    )


async def _exhaust(
    conn: AsyncConnection, desk: Desk, due: Sequence[SubscriptionId], *, now: dt.datetime
) -> None:
    """End what has waited longer than its class may, where everybody sees it."""
    if not due:
        return
    too_old = {one: now - desk.schedules[one].horizon for one in NoticeClass}
    ended = await endpoints.exhaust_held(
        conn, due, too_old=too_old, now=now, batch_size_max=EXHAUSTED_MAX
    )
    await ledger.append(conn, [_exhausted(one, now=now) for one in ended])


def _exhausted(one: Delivery, *, now: dt.datetime) -> Entry:
    data = {
        "delivery_id": one.id,
        "obligation_id": one.obligation_id,
        "subscription_id": one.subscription_id,
        "channel": one.channel,
        "cause": one.cause,
        "sequence": one.sequence,
        "attempt": one.attempts,
        "reason": "its endpoint was down for longer than its schedule lasts",
    }
    return make_entry("delivery.exhausted", data, at=now, incident_id=one.incident_id)


async def take_probes(
    desk: Desk, wanted: Sequence[SubscriptionId]
) -> tuple[set[SubscriptionId], set[SubscriptionId]]:
    """Let the first try of something fresh be the probe where none is under way.

    Give those whose endpoint has recovered since, and those to whom one may go: of several
    dispatchers one gets it.
    """
    machine_now = desk.machine.now()
    async with desk.database.begin() as conn:
        found = await endpoints.lock_endpoints(conn, failed=wanted)
        taken = {
            one: after_probe_left(was, machine_now=machine_now)
            for one, was in found.items()
            if was.state is EndpointState.TRIPPED
        }
        await endpoints.write(conn, taken, now=desk.world.now())
    return {one for one, was in found.items() if was.state not in DOWN}, set(taken)


async def probe_again(
    conn: AsyncConnection, desk: Desk, unsent: Sequence[Delivery], *, now: dt.datetime
) -> None:
    """Let the next probe go at once where what was dropped unsent may have been one.

    Last in the caller's transaction. Each takes something off the backlog, so that it ends.
    """
    called = {one.subscription_id for one in unsent if one.channel in endpoints.CALLED}
    wanted = {one for one in called if one is not None}
    if not wanted:
        return
    found = await endpoints.lock_endpoints(conn, failed=(), succeeded=wanted)
    again = {
        one: replace(was, probe_at=desk.machine.now())
        for one, was in found.items()
        if was.state is EndpointState.PROBING
    }
    await endpoints.write(conn, again, now=now)


async def standing(
    desk: Desk, subscription_ids: Sequence[SubscriptionId]
) -> dict[SubscriptionId, tuple[Health, int]]:
    """Tell how endpoints stand, and how much waits in the backlog of each."""
    if not subscription_ids:
        return {}
    async with desk.database.read() as conn:
        found = await endpoints.endpoints_of(conn, subscription_ids)
        held_back = await endpoints.held_counts(conn, subscription_ids)
    return {one: (found.get(one, Health()), held_back.get(one, 0)) for one in subscription_ids}


async def force_probe(desk: Desk, principal: Principal, *, subscription_id: str) -> Subscription:
    """Let one delivery through to an endpoint that is down, now rather than at its time."""
    async with desk.database.begin() as conn:
        found = await held(conn, principal, subscription_id)
        require_state(found, SubscriptionState.ACTIVE, verb="probed")
        rows = await endpoints.lock_endpoints(conn, failed=[found.id])
        was = rows.get(found.id, Health())
        if was.state not in DOWN:
            raise ConflictError(
                f"The endpoint is {was.state}: what is due goes to it, so there is nothing to "
                "probe. Send a test to try it."
            )
        now = desk.world.now()
        forced = replace(was, probe_at=desk.machine.now())
        await endpoints.write(conn, {found.id: forced}, now=now)
        await enter(conn, "endpoint.probed", names(found), by=principal, at=now)
    desk.committed()
    return found

"""Heartbeats: an endpoint that hears nothing for a while is told its last number (I10)."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.administration import invalid
from noticebus.casework.bodies import LAST_SEQUENCE
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import (
    Cause,
    EndpointState,
    NoticeClass,
    SubscriptionState,
)
from noticebus.domain.heartbeats import Beat, beat, minute_of
from noticebus.domain.leases import CALLED
from noticebus.ids import new_delivery_id
from noticebus.store import heartbeats as rows
from noticebus.store.deliveries import Delivery, insert_missing
from noticebus.store.heartbeats import Listener, Superseded
from noticebus.store.subscriptions import Subscription

BEATS_MAX = 200
DOWN = frozenset({EndpointState.TRIPPED, EndpointState.PROBING})


async def next_heartbeat_at(desk: Desk) -> dt.datetime | None:
    """Tell when the next heartbeat is due, None where nobody wants any."""
    async with desk.database.read() as conn:
        return await rows.next_heartbeat_at(conn)


async def beat_due(desk: Desk) -> int:
    """Send the heartbeats that are due, at most `BEATS_MAX`; say how many were looked at.

    None is sent where a notice has said the same since, nor to what is paused or tripped.
    """
    now = desk.world.now()
    async with desk.database.begin() as conn:
        due = await rows.lock_listeners(conn, now=now, batch_size_max=BEATS_MAX)
        if not due:
            return 0
        beats = {one.subscription_id: _beat(one, now=now) for one in due}
        # Of an endpoint that is down a heartbeat may be the probe that finds out: it is left alone.
        earlier = [_superseded(one) for one in due if _works(one)]
        await rows.moot_heartbeats(conn, earlier, finished_at=now)
        sent = [one for one in due if beats[one.subscription_id].sends]
        made = [heartbeat(one, now=now, machine_now=desk.machine.now()) for one in sent]
        await insert_missing(conn, made)
        await rows.set_heartbeats(conn, {id_: one.next_at for id_, one in beats.items()})
    desk.committed_many(steps_by=None, deliveries_by=now if sent else None)
    return len(due)


def heartbeat(to: Listener, *, now: dt.datetime, machine_now: dt.datetime) -> Delivery:
    """Make the delivery that tells a subscription its last number, due now."""
    return Delivery(
        id=new_delivery_id(),
        subscription_id=to.subscription_id,
        agency_id=to.agency_id,
        subject=to.subscription_id,
        destination=to.subscription_id,
        channel=to.channel,
        cause=Cause.HEARTBEAT,
        version=rows.VERSION,
        round=0,
        step=minute_of(now),
        notice_class=NoticeClass.B,
        content_level=to.content_level,
        due_at=now,
        lease_until=machine_now,
        detail={LAST_SEQUENCE: to.last_sequence},
        created_at=now,
    )


async def stop(conn: AsyncConnection, order: Subscription) -> None:
    """Let no heartbeat follow any more."""
    await rows.set_heartbeats(conn, {order.id: None})


async def begin(conn: AsyncConnection, order: Subscription, *, at: dt.datetime) -> None:
    """Let the first heartbeat of a subscription follow one interval after `at`; none: no more."""
    every = order.heartbeat_minutes
    first = None if every is None else at + dt.timedelta(minutes=every)
    await rows.set_heartbeats(conn, {order.id: first})


async def follow(
    conn: AsyncConnection, old: Subscription, changed: Subscription, *, at: dt.datetime
) -> None:
    """Let heartbeats follow an edit: another interval counts from now.

    What is not verified yet, or not any more, gets its first one when it is.
    """
    if changed.heartbeat_minutes == old.heartbeat_minutes:
        return
    if changed.heartbeat_minutes is not None and changed.channel not in CALLED:
        raise invalid(
            "/heartbeat_minutes", "Only a webhook or a Kafka topic gets heartbeats; leave it out."
        )
    if changed.state in {SubscriptionState.ACTIVE, SubscriptionState.PAUSED}:
        every = dt.timedelta(minutes=old.heartbeat_minutes or 0)
        since = minute_of(at - 2 * every)
        earlier = Superseded(subscription_id=old.id, since=since)
        await rows.moot_heartbeats(conn, [earlier], finished_at=at)
        await begin(conn, changed, at=at)
    else:
        await stop(conn, changed)


def _beat(one: Listener, *, now: dt.datetime) -> Beat:
    every = dt.timedelta(minutes=one.heartbeat_minutes or 0)
    assert every, "what has a time for its heartbeat has an interval"
    return beat(now=now, every=every, told_at=one.told_at, works=_works(one))


def _works(one: Listener) -> bool:
    return one.state is SubscriptionState.ACTIVE and one.endpoint_state not in DOWN


def _superseded(one: Listener) -> Superseded:
    """Name the heartbeats since the last one but one: after each, none that is older waits."""
    every = dt.timedelta(minutes=one.heartbeat_minutes or 0)
    return Superseded(
        subscription_id=one.subscription_id, since=minute_of(one.heartbeat_at - 2 * every)
    )

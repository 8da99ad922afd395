"""Claimed deliveries that are not sent now: held for their endpoint, or due again in a moment.

Neither is a try: nothing was put on the wire.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.casework import next_channel
from noticebus.casework.desk import Desk
from noticebus.casework.next_channel import Undelivered
from noticebus.contracts.vocabulary import HeldReason
from noticebus.domain.delivery import NEXT_CHANNEL_AFTER
from noticebus.store import claims, endpoints
from noticebus.store.claims import GivenBack
from noticebus.store.deliveries import Delivery

AGAIN_MIN = dt.timedelta(seconds=2)
AGAIN_SPREAD = dt.timedelta(seconds=4)  # so that what found a line full does not return as one


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """A claimed delivery that found the line to its endpoint full. `jitter` is from 0 to 1."""

    delivery: Delivery
    jitter: float


async def put_back(desk: Desk, waiting: Sequence[PutBack]) -> None:
    """Queue deliveries again for a few seconds later; it was our own limit, so it is no try.

    What has been on its way for two minutes goes over the next channel as well.
    """
    now, machine_now = desk.world.now(), desk.machine.now()
    given = [_given(one, now=now, machine_now=machine_now) for one in waiting]
    late = [
        Undelivered(delivery=one.delivery, next_at=now)
        for one in waiting
        if now - one.delivery.created_at >= NEXT_CHANNEL_AFTER
    ]
    async with desk.database.begin() as conn:
        await claims.give_back(conn, given, machine_now=machine_now)
        await next_channel.start(conn, desk, late, now=now, machine_now=machine_now)
    desk.committed_many(steps_by=None, deliveries_by=now if late else now + AGAIN_MIN)


def _given(one: PutBack, *, now: dt.datetime, machine_now: dt.datetime) -> GivenBack:
    """Say when it comes again.

    What goes in its turn stays due, so that it counts in the window of its backlog, and has a lease
    that nobody holds. With a later due time it would make room there, and the whole backlog would
    be let go, one window after another, to be put back.
    """
    again = AGAIN_MIN + one.jitter * AGAIN_SPREAD
    in_turn = one.delivery.held_reason is HeldReason.TURN
    return GivenBack(
        delivery_id=one.delivery.id,
        attempts=one.delivery.attempts,
        due_at=one.delivery.due_at if in_turn else now + again,
        held_reason=one.delivery.held_reason,
        lease_until=machine_now + again if in_turn else None,
    )


async def hold_back(desk: Desk, waiting: Sequence[Delivery]) -> None:
    """Put deliveries to endpoints that are down into their backlogs.

    Their contacts are told by the next channel when they have waited for two minutes.
    """
    now, machine_now = desk.world.now(), desk.machine.now()
    given = [
        GivenBack(
            delivery_id=one.id,
            attempts=one.attempts,
            due_at=None,
            held_reason=HeldReason.ENDPOINT_DOWN,
        )
        for one in waiting
    ]
    untold = [
        Undelivered(delivery=one, next_at=max(now, one.created_at + NEXT_CHANNEL_AFTER))
        for one in waiting
    ]
    called = {one.subscription_id for one in waiting if one.subscription_id is not None}
    async with desk.database.begin() as conn:
        await claims.give_back(conn, given, machine_now=machine_now)
        await next_channel.start(conn, desk, untold, now=now, machine_now=machine_now)
        await endpoints.drain_recovered(conn, called, machine_now=machine_now)
    desk.committed_many(
        steps_by=None, deliveries_by=min(one.next_at for one in untold) if untold else None
    )

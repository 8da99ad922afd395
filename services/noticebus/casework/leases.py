"""Leases: whose endpoint is called renews it now and then, or it is paused until a person decides.

Recipients' obligations and their contacts' mail do not depend on it.
"""

import datetime as dt
from dataclasses import replace
from typing import assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.administration import check_revision, enter
from noticebus.casework.desk import Desk
from noticebus.casework.holding import hold_queued, let_go_held
from noticebus.casework.orders import held, names, refuse_ended, write
from noticebus.casework.warn import Warn, WarningKind, warn
from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import PauseReason, SubscriptionState
from noticebus.domain import leases as rules
from noticebus.errors import ConflictError
from noticebus.ids import SubscriptionId
from noticebus.store import leases as rows
from noticebus.store import subscriptions
from noticebus.store.ledger import append, make_entry
from noticebus.store.subscriptions import Subscription

LEASES_MAX = 100
_State = SubscriptionState


def leased(order: Subscription, *, days: int, at: dt.datetime) -> Subscription:
    """Give a subscription a fresh lease, where its endpoint is called and there are leases."""
    lease = rules.grant(days=days, at=at) if order.channel in rules.CALLED else None
    if lease is None:
        return replace(order, lease_until=None, lease_warned=0)
    return replace(order, lease_until=lease.until, lease_warned=lease.warned)


async def renew_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> Subscription:
    """Renew a lease from now. One that had lapsed is resumed, and what was held goes."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        refuse_ended(old)
        _refuse_without_lease(old, days=desk.lease_days)
        if lapsed(old):
            renewed = resumed(old, days=desk.lease_days, at=now)
        else:
            renewed = leased(old.became(old.state), days=desk.lease_days, at=now)
        await write(conn, renewed, revision=old.revision)
        if lapsed(old):
            await let_go_held(conn, desk, renewed)
        body = {**names(old), "lease_until": _written(renewed.lease_until), "resumed": lapsed(old)}
        await enter(conn, "subscription.renewed", body, by=principal, at=now)
    desk.committed()
    return renewed


def lapsed(order: Subscription) -> bool:
    """Say whether a subscription is paused because nobody renewed its lease."""
    return order.state is _State.PAUSED and order.pause_reason is PauseReason.LEASE_LAPSED


async def mind_leases(desk: Desk) -> int:
    """Warn about the leases that are to end, pause what nobody renewed; say how many there were.

    At most `LEASES_MAX`, one short transaction each. An installation that has given up leases
    minds none that were begun before.
    """
    if desk.lease_days == 0:
        return 0
    now = desk.world.now()
    async with desk.database.read() as conn:
        due = await rows.due_leases(
            conn, now=now, warned_before=rules.WARNED_BEFORE, batch_size_max=LEASES_MAX
        )
    for one in due:
        async with desk.database.begin() as conn:
            await _mind(conn, desk, one, now=now)
    if due:
        desk.committed()
    return len(due)


async def _mind(
    conn: AsyncConnection, desk: Desk, subscription_id: SubscriptionId, *, now: dt.datetime
) -> None:
    """Do what is due of one lease, unless somebody was first or has just renewed it."""
    order = await subscriptions.lock_subscription(conn, subscription_id=subscription_id)
    if order is None or order.state is not _State.ACTIVE or order.lease_until is None:
        return
    lease = rules.Lease(until=order.lease_until, warned=order.lease_warned)
    match rules.look(lease, now=now):
        case rules.Stands():
            return
        case rules.Warn(warned=warned):
            await _warn(conn, desk, order, warned=warned)
        case rules.Lapse():
            await _lapse(conn, desk, order, now=now)
        case other:
            assert_never(other)


async def _warn(conn: AsyncConnection, desk: Desk, order: Subscription, *, warned: int) -> None:
    """Warn, without a new revision: whoever edits the subscription meanwhile is not refused.

    Where the agency has no mail, the bus's operators are warned instead.
    """
    until = _written(order.lease_until)
    warning = Warn(kind=WarningKind.LEASE_ENDS, number=warned, facts={"until": until})
    mails = await warn(conn, desk, order, warning)
    if mails == 0:
        mails = await warn(conn, desk, order, warning, operators=True)
    changed = replace(order, lease_warned=warned)
    await write(conn, changed, revision=order.revision)
    body = {**names(order), "lease_until": until, "warning": warned, "mails": mails}
    entry = make_entry("subscription.lease_warned", body, at=desk.world.now())
    await append(conn, [entry])


async def _lapse(
    conn: AsyncConnection, desk: Desk, order: Subscription, *, now: dt.datetime
) -> None:
    until = _written(order.lease_until)
    paused = replace(
        order.became(_State.PAUSED),
        paused_at=now,
        paused_by=None,
        pause_reason=PauseReason.LEASE_LAPSED,
    )
    await write(conn, paused, revision=order.revision)
    held_back = await hold_queued(conn, desk, paused)
    warning = Warn(kind=WarningKind.LEASE_LAPSED, number=0, facts={"until": until})
    mails = await warn(conn, desk, order, warning, operators=True)
    body = {**names(order), "lease_until": until, "mails": mails, "held_back": held_back}
    await append(conn, [make_entry("subscription.lease_lapsed", body, at=now)])


def resumed(order: Subscription, *, days: int, at: dt.datetime) -> Subscription:
    """Give what a paused subscription is once it goes on.

    A lease that ran out meanwhile is a new one: else the next look would pause it again.
    """
    active = replace(order.became(_State.ACTIVE), paused_at=None, paused_by=None, pause_reason=None)
    ran_out = order.lease_until is not None and order.lease_until <= at
    return leased(active, days=days, at=at) if lapsed(order) or ran_out else active


def _refuse_without_lease(order: Subscription, *, days: int) -> None:
    if order.channel not in rules.CALLED:
        raise ConflictError(
            "Only a webhook or a Kafka topic has a lease; this subscription has none to renew."
        )
    if order.state in {_State.PENDING_APPROVAL, _State.PENDING_VERIFICATION}:
        raise ConflictError(
            "Its lease begins when its endpoint has answered the handshake. "
            "Answer that, or ask for it again with 'verify'."
        )
    if days == 0 and not lapsed(order):
        raise ConflictError("This installation has no leases, so there is nothing to renew.")


def _written(until: dt.datetime | None) -> str | None:
    return None if until is None else write_instant(until)

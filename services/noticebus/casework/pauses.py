"""Pausing a subscription and letting it go on."""

from dataclasses import replace

from noticebus.access.principals import Principal
from noticebus.casework import leases
from noticebus.casework.administration import check_revision, enter
from noticebus.casework.desk import Desk
from noticebus.casework.holding import hold_queued, let_go_held
from noticebus.casework.orders import held, names, require_state, write
from noticebus.contracts.vocabulary import HeldBack, PauseReason, SubscriptionState
from noticebus.store.subscriptions import Subscription


async def pause_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> Subscription:
    """Pause an active subscription: obligations go on, its recipient is shown as paused (I6)."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        require_state(old, SubscriptionState.ACTIVE, verb="paused")
        paused = replace(
            old.became(SubscriptionState.PAUSED),
            paused_at=now,
            paused_by=principal.id,
            pause_reason=PauseReason.REQUESTED,
        )
        await write(conn, paused, revision=old.revision)
        count = await hold_queued(conn, desk, paused)
        body = {**names(old), "held_back": count}
        await enter(conn, "subscription.paused", body, by=principal, at=now)
    desk.committed()
    return paused


async def resume_subscription(
    desk: Desk,
    principal: Principal,
    *,
    subscription_id: str,
    held_back: HeldBack = HeldBack.SEND,
    revision: int | None = None,
) -> Subscription:
    """Resume a paused subscription; what was held back goes in its turn, or stays in the inbox."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        require_state(old, SubscriptionState.PAUSED, verb="resumed")
        resumed = leases.resumed(old, days=desk.lease_days, at=now)
        await write(conn, resumed, revision=old.revision)
        count = await let_go_held(conn, desk, resumed, held_back=held_back)
        body = {**names(old), "held": held_back.value, "held_back": count}
        await enter(conn, "subscription.resumed", body, by=principal, at=now)
    desk.committed()
    return resumed

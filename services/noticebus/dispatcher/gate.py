"""Who goes of what was claimed: an endpoint that is down gets one probe at a time, and no more."""

from collections.abc import Sequence

from noticebus.casework import probes, waiting
from noticebus.casework.desk import Desk
from noticebus.casework.holding import hold_claimed
from noticebus.contracts.vocabulary import Cause, EndpointState, HeldReason, SubscriptionState
from noticebus.dispatcher.carrier import Load
from noticebus.domain.health import DOWN
from noticebus.ids import SubscriptionId
from noticebus.store.endpoints import CALLED

PAUSED = frozenset({SubscriptionState.PAUSED, SubscriptionState.PENDING_VERIFICATION})


async def admitted(desk: Desk, loads: Sequence[Load]) -> list[Load]:
    """Give what may go now, and hold the rest in its backlog.

    Where nothing is down or paused it costs nothing.
    """
    if paused := [one.delivery for one in loads if _is_paused(one)]:
        await hold_claimed(desk, paused)
        loads = [one for one in loads if not _is_paused(one)]
    stopped = [one for one in loads if _is_stopped(one)]
    if not stopped:
        return list(loads)
    first = _first_fresh(stopped)
    recovered, probed = await probes.take_probes(desk, sorted(first)) if first else ((), ())
    going = {first[one].delivery.id for one in probed}
    held = [
        one.delivery
        for one in stopped
        if one.delivery.id not in going and one.delivery.subscription_id not in recovered
    ]
    if held:
        await waiting.hold_back(desk, held)
    kept = {one.id for one in held}
    return [one for one in loads if one.delivery.id not in kept]


def _is_paused(load: Load) -> bool:
    """Say whether its subscription was paused after it had been queued, or just before.

    One whose new address has not consented yet is paused until it has.
    """
    return (
        load.destination.subscription_state in PAUSED and load.delivery.cause is not Cause.HANDSHAKE
    )


def _is_stopped(load: Load) -> bool:
    """Say whether it goes to an endpoint that is down, and is not the probe let through to it."""
    delivery, destination = load.delivery, load.destination
    state = destination.endpoint_state
    if state not in DOWN or delivery.channel not in CALLED or delivery.cause is Cause.HANDSHAKE:
        return False
    if destination.subscription_state is not SubscriptionState.ACTIVE:
        return False  # it is not to go at all, whatever its endpoint does
    return not (state is EndpointState.PROBING and delivery.held_reason is HeldReason.TURN)


def _first_fresh(stopped: Sequence[Load]) -> dict[SubscriptionId, Load]:
    """Give, per endpoint, the gravest and oldest of what is tried for the first time."""
    first: dict[SubscriptionId, Load] = {}
    order = sorted(stopped, key=lambda one: (one.delivery.notice_class, one.delivery.id))
    for one in order:
        id_ = one.delivery.subscription_id
        fresh = one.delivery.attempts == 1 and one.delivery.held_reason is None
        if id_ is not None and fresh:
            first.setdefault(id_, one)
    return first

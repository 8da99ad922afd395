"""Who goes of what was claimed: an endpoint that is down gets one probe at a time, and no more."""

import contextlib
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
import structlog

from noticebus.casework import probes, waiting
from noticebus.casework.desk import Desk
from noticebus.casework.holding import hold_claimed
from noticebus.contracts.vocabulary import Cause, EndpointState, HeldReason, SubscriptionState
from noticebus.dispatcher.carrier import Load
from noticebus.domain.health import DOWN
from noticebus.errors import UnavailableError
from noticebus.ids import DeliveryId, SubscriptionId
from noticebus.store.endpoints import CALLED

log = structlog.get_logger(__name__)

PAUSED = frozenset({SubscriptionState.PAUSED, SubscriptionState.PENDING_VERIFICATION})


async def admitted(desk: Desk, loads: Sequence[Load]) -> list[Load]:
    """Give what may go now, and hold the rest in its backlog.

    Where nothing is down or paused it costs nothing. What cannot be held keeps its lease and comes
    again when that ends; the others do not wait for it.
    """
    if paused := [one for one in loads if _is_paused(one)]:
        with _left_to_lease(paused):
            await hold_claimed(desk, [one.delivery for one in paused])
        loads = [one for one in loads if not _is_paused(one)]
    stopped = [one for one in loads if _is_stopped(one)]
    if not stopped:
        return list(loads)
    going: set[DeliveryId] = set()
    with _left_to_lease(stopped):
        going = await _probing(desk, stopped)
    kept = {one.delivery.id for one in stopped} - going
    return [one for one in loads if one.delivery.id not in kept]


async def _probing(desk: Desk, stopped: Sequence[Load]) -> set[DeliveryId]:
    """Give what goes of what is for endpoints that are down, and hold the rest."""
    first = _first_fresh(stopped)
    recovered, probed = await probes.take_probes(desk, sorted(first)) if first else ((), ())
    going = {first[one].delivery.id for one in probed}
    going |= {one.delivery.id for one in stopped if one.delivery.subscription_id in recovered}
    if held := [one for one in stopped if one.delivery.id not in going]:
        with _left_to_lease(held):  # a probe that was taken goes all the same
            await waiting.hold_back(desk, [one.delivery for one in held])
    return going


@contextlib.contextmanager
def _left_to_lease(loads: Sequence[Load]) -> Iterator[None]:
    """Let what fails for `loads` stay with them."""
    try:
        yield
    except UnavailableError:
        log.warning("batch.left_to_lease", count=len(loads), exc_info=True)
    except sa.exc.DBAPIError:  # what the database will never take is for an operator to see
        log.exception("batch.left_to_lease", count=len(loads))


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

"""Holding a subscription while it is changed: who may, in which state, what the ledger keeps."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require_visible
from noticebus.casework.administration import require_manager, stale
from noticebus.contracts.vocabulary import SubscriptionState
from noticebus.errors import ConflictError, NotFoundError
from noticebus.store import subscriptions as rows
from noticebus.store.subscriptions import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class WithSecret:
    """A subscription and the webhook secret just made for it, None for other channels.

    It is shown once.
    """

    subscription: Subscription
    secret: str | None


async def held(conn: AsyncConnection, principal: Principal, subscription_id: str) -> Subscription:
    """Find and lock a subscription that the principal may change."""
    found = visible(principal, await rows.lock_subscription(conn, subscription_id=subscription_id))
    require_manager(principal, found.agency_id, what="subscription")
    return found


def visible(principal: Principal, found: Subscription | None) -> Subscription:
    """Give `found` if the principal may see it; 404 as for one that does not exist."""
    if found is None:
        raise NotFoundError("There is no subscription here that you may see. Check the id.")
    require_visible(principal, found.agency_id, what="subscription")
    return found


def refuse_ended(found: Subscription) -> None:
    """Raise where nothing can be changed any more."""
    if found.state is SubscriptionState.ENDED:
        raise ConflictError("This subscription has ended. Create another one.")


def require_state(found: Subscription, state: SubscriptionState, *, verb: str) -> None:
    """Raise unless the subscription is in `state`."""
    if found.state is not state:
        raise ConflictError(
            f"A subscription can be {verb} while it is '{state}'; this one is '{found.state}'. "
            "Read it again and look at its state."
        )


async def write(conn: AsyncConnection, changed: Subscription, *, revision: int) -> None:
    """Write `changed` over `revision`; 412 where another change came first."""
    if not await rows.update_subscription(conn, changed, revision=revision):
        raise stale(changed.revision)


def names(found: Subscription) -> dict[str, Any]:
    """Give the ids that each entry about a subscription carries."""
    return {"subscription_id": found.id, "agency_id": found.agency_id}


def order_facts(found: Subscription) -> dict[str, Any]:
    """Give what the ledger keeps of an order: what it covers, never where it goes."""
    return {
        **names(found),
        "channel": str(found.channel),
        "content_level": str(found.content_level),
        "area_keys": found.area_keys,
        "kinds": [str(kind) for kind in found.kinds],
    }

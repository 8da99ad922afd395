"""Data-quality warnings of the report: subscriptions that wait for somebody, and what is held."""

import sqlalchemy as sa

from noticebus.contracts.vocabulary import PauseReason, SubscriptionState
from noticebus.store.endpoints import waits
from noticebus.store.tables import agencies, deliveries, subscriptions

SUBSCRIPTION_MOVED = "subscription_moved"
SUBSCRIPTION_PAUSED = "subscription_paused"
AGENCY = (
    agencies.c.id.label("agency_id"),
    agencies.c.name.label("agency_name"),
    agencies.c.kind.label("agency_kind"),
)


def moved() -> sa.Select[tuple[object, ...]]:
    """Select whose new address has not consented yet, with what is held back for it meanwhile."""
    return _held_where(
        subscriptions.c.state == SubscriptionState.PENDING_VERIFICATION,
        subscriptions.c.verified_at.is_not(None),
    )


def paused() -> sa.Select[tuple[object, ...]]:
    """Select who has paused a subscription, with what is held back for it meanwhile."""
    return _held_where(
        subscriptions.c.state == SubscriptionState.PAUSED,
        subscriptions.c.pause_reason.is_distinct_from(PauseReason.LEASE_LAPSED),
    )


def _held_where(*which: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    held = deliveries.alias("held")
    held_back = (
        sa.select(sa.func.count())
        .select_from(held)
        .where(held.c.subscription_id == subscriptions.c.id, waits(held))
        .scalar_subquery()
    )
    return (
        sa.select(*AGENCY, subscriptions.c.id.label("subscription_id"), held_back.label("count"))
        .join(subscriptions, subscriptions.c.agency_id == agencies.c.id)
        .where(*which)
        .order_by(subscriptions.c.id)
    )

"""Data quality of the report: endpoints that failed at their last delivery, and those we failed."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Fault, Outcome, SubscriptionState
from noticebus.domain.health import DOWN
from noticebus.ids import AgencyId
from noticebus.store.paused_quality import AGENCY
from noticebus.store.tables import agencies, attempts, deliveries, endpoints, subscriptions


def failing() -> sa.Select[tuple[object, ...]]:
    """Select living subscriptions whose last numbered delivery that was tried has not arrived.

    Those at which the last attempt failed by a fault of ours are left out: their contacts cannot
    mend it.
    """
    return (
        sa.select(*AGENCY, subscriptions.c.id.label("subscription_id"))
        .join(subscriptions, subscriptions.c.agency_id == agencies.c.id)
        .join(deliveries, deliveries.c.id == _last_tried())
        .where(*_not_arrived(), ~_failed_by_us())
        .order_by(subscriptions.c.id)
    )


async def count_failed_by_us(conn: AsyncConnection, *, agency_id: AgencyId | None) -> int:
    """Count the living subscriptions that `failing` leaves out, of one agency or of all."""
    statement = (
        sa.select(sa.func.count())
        .select_from(subscriptions)
        .join(deliveries, deliveries.c.id == _last_tried())
        .where(*_not_arrived(), _failed_by_us())
    )
    if agency_id is not None:
        statement = statement.where(subscriptions.c.agency_id == agency_id)
    return int((await conn.execute(statement)).scalar_one())


def _last_tried() -> sa.ScalarSelect[str]:
    """Give a subscription's last numbered delivery that was tried.

    Two seeks: its numbered deliveries and their attempts are both indexed.
    """
    tried = deliveries.alias()
    return (
        sa.select(tried.c.id)
        .where(
            tried.c.subscription_id == subscriptions.c.id,
            tried.c.sequence.is_not(None),
            sa.exists().where(attempts.c.delivery_id == tried.c.id),
        )
        .order_by(tried.c.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )


def _not_arrived() -> tuple[sa.ColumnElement[bool], ...]:
    arrived = sa.exists().where(
        attempts.c.delivery_id == deliveries.c.id, attempts.c.outcome == Outcome.DELIVERED
    )
    is_down = sa.exists().where(
        endpoints.c.subscription_id == subscriptions.c.id, endpoints.c.state.in_(sorted(DOWN))
    )
    return subscriptions.c.state == SubscriptionState.ACTIVE, ~arrived, ~is_down


def _failed_by_us() -> sa.ColumnElement[bool]:
    newer = attempts.alias()
    superseded = sa.exists().where(
        newer.c.delivery_id == attempts.c.delivery_id, newer.c.number > attempts.c.number
    )
    return sa.exists().where(
        attempts.c.delivery_id == deliveries.c.id, attempts.c.fault == Fault.OURS, ~superseded
    )

"""Whom the steps of one agency would reach at a moment, as the engine would find them then."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import reach
from noticebus.casework.desk import Desk
from noticebus.domain.policies import ENDPOINTS
from noticebus.domain.policy_rules import Reachable
from noticebus.domain.routing import SubscriptionMatch
from noticebus.store import matching
from noticebus.store.matching import AgencyFacts


async def reachable_at(
    conn: AsyncConnection, desk: Desk, facts: AgencyFacts, *, at: dt.datetime
) -> tuple[Reachable, list[SubscriptionMatch]]:
    """Read who speaks for an agency at `at`, who stands behind it, and its living subscriptions."""
    found = await reach.people(conn, desk, [facts.id], at=at)
    orders = (await reach.endpoints(conn, [facts.id], found)).get(facts.id, [])
    people = Reachable(
        contacts=found.of(facts.id),
        operators=await matching.operator_points(conn, at=at, telephone=desk.dials),
        delegates=found.delegates.get(facts.id, ()),
        endpoints=frozenset(one.channel for one in orders if one.channel in ENDPOINTS),
    )
    return people, orders

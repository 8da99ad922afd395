"""Whom the steps of one agency would reach at a moment, as the engine would find them then."""

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import reach
from noticebus.casework.desk import Desk
from noticebus.casework.reach import People
from noticebus.contracts.vocabulary import Channel
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.policies import ENDPOINTS
from noticebus.domain.policy_rules import Reachable
from noticebus.domain.routing import SubscriptionMatch
from noticebus.ids import AgencyId
from noticebus.store import matching
from noticebus.store.matching import AgencyFacts


async def reachable_at(
    conn: AsyncConnection, desk: Desk, facts: AgencyFacts, *, at: dt.datetime
) -> tuple[Reachable, list[SubscriptionMatch]]:
    """Read who speaks for an agency at `at`, who stands behind it, and its living subscriptions."""
    found = await reach.people(conn, desk, [facts.id], at=at)
    orders = await reach.endpoints(conn, [facts.id], found)
    operators = await matching.operator_points(conn, at=at, telephone=desk.dials)
    people = with_people(facts.id, found, orders, operators=operators)
    return people, orders.get(facts.id, [])


def with_people(
    agency_id: AgencyId,
    found: People,
    orders: Mapping[AgencyId, Sequence[SubscriptionMatch]],
    *,
    operators: Sequence[ContactPoint],
) -> Reachable:
    """Give whom the steps of one agency reach, out of what was read for many."""
    delegate_id = found.delegate_of.get(agency_id)
    return Reachable(
        contacts=found.of(agency_id),
        operators=operators,
        delegates=found.delegates.get(agency_id, ()),
        endpoints=_endpoints(orders.get(agency_id, ())),
        delegate_endpoints=frozenset()
        if delegate_id is None
        else _endpoints(orders.get(delegate_id, ())),
        stood_in=agency_id in found.acting,
    )


def _endpoints(orders: Sequence[SubscriptionMatch]) -> frozenset[Channel]:
    return frozenset(one.channel for one in orders if one.channel in ENDPOINTS)

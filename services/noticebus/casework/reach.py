"""Who speaks for agencies now: their own people and endpoints, and those of who stands in for them.

While a delegate stands in, its desk on duty counts as on duty at the agency too, so that whatever
is told to the one is told to the other.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Notify, Position
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.domain.rosters import stands_in
from noticebus.domain.routing import SubscriptionMatch
from noticebus.ids import AgencyId
from noticebus.store import delegations, matching


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The contacts of agencies, with those of who stands in now.

    `delegates` are the desks of all delegates at any hour, for steps that name them; `acting` says
    which agencies another stands in for now.
    """

    contacts: Mapping[AgencyId, Sequence[ContactPoint]]
    delegates: Mapping[AgencyId, Sequence[ContactPoint]]
    delegate_of: Mapping[AgencyId, AgencyId]
    acting: frozenset[AgencyId]

    def of(self, agency_id: AgencyId) -> Sequence[ContactPoint]:
        """Give everybody who speaks for an agency now."""
        return self.contacts.get(agency_id, ())


async def people(
    conn: AsyncConnection, desk: Desk, agency_ids: Collection[AgencyId], *, at: dt.datetime
) -> People:
    """Read who speaks for agencies at `at`: two statements, a third where one has a delegate."""
    living = await delegations.living_of(conn, agency_ids)
    delegate_of = {one.agency_id: one.delegate_id for one in living.values()}
    points = await matching.contact_points(
        conn, {*agency_ids, *delegate_of.values()}, at=at, telephone=desk.dials
    )
    facts = await matching.agencies_by_id(conn, delegate_of) if delegate_of else {}
    acting = frozenset(
        id_ for id_, one in living.items() if stands_in(one.hours, facts[id_].calendar, at)
    )
    desks = {id_: _desk_of(points.get(delegate_id, ())) for id_, delegate_id in delegate_of.items()}
    return People(
        contacts={
            id_: [*points.get(id_, ()), *(desks[id_] if id_ in acting else ())]
            for id_ in agency_ids
        },
        delegates=desks,
        delegate_of=delegate_of,
        acting=acting,
    )


async def endpoints(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], found: People
) -> dict[AgencyId, list[SubscriptionMatch]]:
    """Read the living subscriptions of agencies and of their delegates: one statement."""
    every = {*agency_ids, *found.delegate_of.values()}
    orders = await matching.orders_of_agencies(conn, every)
    for agency_id in found.acting:
        own, theirs = orders.get(agency_id, []), orders.get(found.delegate_of[agency_id], [])
        orders[agency_id] = [*own, *(one for one in theirs if one not in own)]
    return orders


def _desk_of(points: Sequence[ContactPoint]) -> list[ContactPoint]:
    """Give whoever is on duty at a delegate, as on duty at the agency it stands in for."""
    on_duty = resolve(Notify.ON_DUTY, points).contacts
    return [replace(one, position=Position.ON_DUTY, stands_in=True) for one in on_duty]

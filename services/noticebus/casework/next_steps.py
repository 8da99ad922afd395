"""What the bus will do next by itself, and what comes of it where nobody does anything.

Rules, people and calendars are those that the engine asks; nothing is stored or sent.
"""

import datetime as dt
import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, knows_people_of
from noticebus.casework.binding import round_of
from noticebus.casework.desk import Desk
from noticebus.casework.reachable import reachable_at
from noticebus.contracts.vocabulary import Channel, Notify, ObligationState
from noticebus.domain.escalation import Resolved, backed_by, calls_of
from noticebus.domain.policies import Step, policy_from_record
from noticebus.domain.policy_rules import endpoints_of, reached_by
from noticebus.ids import AgencyId, ContactId
from noticebus.store.agencies import Contact, contacts_by_id
from noticebus.store.matching import AgencyFacts
from noticebus.store.obligations import Obligation

SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One step to come, as the policy says it."""

    owed: Obligation
    number: int  # counted from 1
    at: dt.datetime
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Somebody a step would call, and how."""

    name: str
    role: str
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """One step to come, with whom it would reach with the people there are for that moment.

    `people` are those whom the reader may know; `count` says how many there are in all.
    """

    planned: Planned
    agency: AgencyFacts
    count: int
    people: tuple[Called, ...]
    others: int
    endpoints: tuple[Channel, ...]
    fell_through: Notify | None

    @property
    def reaches_nobody(self) -> bool:
        return not self.count and not self.endpoints and not self.planned.step.lists_only


def planned_steps(owed: Obligation) -> list[Planned]:
    """List the steps that an obligation has left; none once it is answered or its clock stopped."""
    if owed.state is not ObligationState.OPEN or owed.next_step_at is None:
        return []
    steps = policy_from_record(owed.policy).steps
    times = round_of(owed).steps_at
    return [
        Planned(owed=owed, number=index + 1, at=times[index], step=steps[index])
        for index in range(owed.step, min(len(steps), len(times)))
    ]


def soonest(bound: Sequence[Obligation], *, most: int = SHOWN) -> list[Planned]:
    """List the next steps of all `bound`, the soonest first."""
    every = [planned for owed in bound for planned in planned_steps(owed)]
    return heapq.nsmallest(most, every, key=lambda one: (one.at, one.owed.id, one.number))


async def name_steps(
    conn: AsyncConnection,
    desk: Desk,
    planned: Sequence[Planned],
    agencies: Mapping[AgencyId, AgencyFacts],
    *,
    reader: Principal,
) -> list[NextStep]:
    """Say whom steps to come would reach: at most six statements a step, and one for all names."""
    found: list[tuple[Planned, Resolved, tuple[Channel, ...]]] = []
    for one in planned:
        facts = agencies[one.owed.agency_id]
        reach, _ = await reachable_at(conn, desk, facts, at=one.at)
        reach = replace(reach, operators=backed_by(one.owed.standing, reach.operators))
        found.append((one, reached_by(one.step, reach), endpoints_of(one.step, reach)))
    ids = {point.id for _, reached, _ in found for point in reached.contacts}
    known = await known_people(conn, ids, reader=reader)
    return [
        _next_step(one, agencies[one.owed.agency_id], reached, endpoints, known=known)
        for one, reached, endpoints in found
    ]


async def known_people(
    conn: AsyncConnection, contact_ids: Collection[ContactId], *, reader: Principal
) -> dict[ContactId, Contact]:
    """Read those of contacts whose names the reader may know: a recipient's are its own people."""
    found = await contacts_by_id(conn, contact_ids) if contact_ids else {}
    return {id_: one for id_, one in found.items() if knows_people_of(reader, one.agency_id)}


def _next_step(
    one: Planned,
    agency: AgencyFacts,
    reached: Resolved,
    endpoints: tuple[Channel, ...],
    *,
    known: Mapping[ContactId, Contact],
) -> NextStep:
    called = {point.id for point, _ in calls_of(one.step, reached)}
    return NextStep(
        planned=one,
        agency=agency,
        count=len(called),
        people=_people(one, reached, known),
        others=len(called - known.keys()),
        endpoints=endpoints,
        fell_through=reached.fell_through,
    )


def _people(
    one: Planned, reached: Resolved, people: Mapping[ContactId, Contact]
) -> tuple[Called, ...]:
    calls = calls_of(one.step, reached)
    return tuple(
        Called(
            name=people[point.id].name,
            role=people[point.id].role,
            channels=tuple(channel for called, channel in calls if called.id == point.id),
        )
        for point in reached.contacts
        if point.id in people
    )

"""Finding and binding recipients.

One look at the database for a whole batch of notices, then plain rules.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import accepted, reach
from noticebus.casework.binding import Moment, bind, notice_deliveries
from noticebus.casework.desk import Desk
from noticebus.casework.first_rounds import FirstRounds
from noticebus.casework.in_force import policy_ids_of
from noticebus.casework.reach import People
from noticebus.contracts.vocabulary import (
    Channel,
    NoticeKind,
    NoticeState,
    Notify,
    ObligationState,
    Owed,
)
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.domain.routing import (
    County,
    Recipient,
    ResponsibilityMatch,
    Routing,
    coverage,
    route,
    without_mail,
)
from noticebus.ids import AgencyId
from noticebus.store import matching
from noticebus.store.deliveries import Delivery
from noticebus.store.matching import AgencyFacts, OrderMatch
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation
from noticebus.store.policies import latest_policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one look at the database found for a batch of notices."""

    duties: list[ResponsibilityMatch]
    orders: list[OrderMatch]
    contacts: Mapping[AgencyId, Sequence[ContactPoint]]
    facts: Mapping[AgencyId, AgencyFacts]
    sends_mail: bool
    stood_in: frozenset[AgencyId] = frozenset()  # those that another agency stands in for now


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One notice with everybody it binds and what is sent to them, not yet stored or numbered."""

    notice: Notice
    routing: Routing
    obligations: list[Obligation]
    deliveries: list[Delivery]
    facts: Mapping[AgencyId, AgencyFacts]


async def find(
    conn: AsyncConnection,
    desk: Desk,
    *,
    area_keys: Collection[str],
    kinds: Collection[NoticeKind],
    poster_ids: Collection[AgencyId],
) -> Found:
    """Look up everything that routing a batch of notices needs: a constant number of statements."""
    duties = await matching.responsibilities_for(conn, area_keys)
    orders = await matching.orders_for(conn, area_keys, kinds)
    agency_ids = {one.agency_id for one in duties} | {one.match.agency_id for one in orders}
    found = await reach.people(conn, desk, agency_ids, at=desk.world.now())
    orders += await _of_delegates(conn, duties, found)
    return Found(
        duties=duties,
        orders=orders,
        contacts=found.contacts,
        facts=await matching.agencies_by_id(conn, agency_ids | set(poster_ids)),
        sends_mail=desk.sends_mail,
        stood_in=found.acting,
    )


async def _of_delegates(
    conn: AsyncConnection, duties: Sequence[ResponsibilityMatch], found: People
) -> list[OrderMatch]:
    """Let the endpoints of who stands in count as the agency's, wherever it answers."""
    if not found.acting:
        return []
    theirs = await matching.orders_of_agencies(
        conn, {found.delegate_of[one] for one in found.acting}, paused_too=True
    )
    return [
        OrderMatch(
            area_key=duty.area_key,
            kind=matching.ANY_KIND,
            match=replace(order, agency_id=duty.agency_id, agency_kind=duty.agency_kind),
        )
        for duty in duties
        if duty.agency_id in found.acting
        for order in theirs.get(found.delegate_of[duty.agency_id], ())
    ]


async def find_for(conn: AsyncConnection, desk: Desk, batch: Sequence[Notice]) -> Found:
    """Look up what routing stored notices needs."""
    return await find(
        conn,
        desk,
        area_keys={key for notice in batch for key in notice.area_keys},
        kinds={notice.kind for notice in batch},
        poster_ids={notice.agency_id for notice in batch},
    )


def route_notice(notice: Notice, found: Found) -> Routing:
    """Route one notice with what was found for its batch."""
    keys = frozenset(notice.area_keys)
    kinds = {matching.ANY_KIND, notice.kind.value}
    routing = route(
        area_keys=keys,
        poster_id=notice.agency_id,
        notice_class=notice.notice_class,
        responsibilities=found.duties,
        subscriptions=[
            one.match for one in found.orders if one.area_key in keys and one.kind in kinds
        ],
        contacts_by_agency=found.contacts,
    )
    return routing if found.sends_mail else without_mail(routing)


def in_state(owed: Iterable[Obligation], state: ObligationState) -> frozenset[AgencyId]:
    """Name the recipients whose obligations of one incident stand in `state`."""
    return frozenset(
        one.agency_id for one in owed if one.owed is Owed.NOTICE and one.state is state
    )


def uncovered_of(
    notice: Notice,
    found: Found,
    *,
    lost: frozenset[AgencyId] = frozenset(),
    waived: frozenset[AgencyId] = frozenset(),
) -> list[dict[str, str]]:
    """List the places of a notice that nobody answers for, as they are stored and shown."""
    keys = set(notice.area_keys)
    gaps = coverage(
        counties=[County(fips=fips) for fips in _codes(keys, "county:")],
        lea_ids=_codes(keys, "lea:"),
        responsibilities=[one for one in found.duties if one.area_key in keys],
        lost=lost,
        waived=waived,
    )
    return [accepted.uncovered_view(one) for one in gaps]


async def bind_all(
    conn: AsyncConnection,
    routed: Sequence[tuple[Notice, Routing]],
    found: Found,
    *,
    at: Moment,
) -> list[Bound]:
    """Bind every recipient of every routed notice under the policies in force."""
    asked = {
        (one.agency_id, notice.notice_class)
        for notice, routing in routed
        for one in routing.recipients
    }
    wanted = policy_ids_of(
        ((found.facts[agency_id], notice_class) for agency_id, notice_class in asked), at=at.world
    )
    policies = await latest_policies(conn, wanted) if wanted else {}
    rounds = FirstRounds(policies, at=at.world)
    return [_bind(notice, routing, found=found, rounds=rounds, at=at) for notice, routing in routed]


async def tell(
    conn: AsyncConnection,
    notice: Notice,
    bound: Sequence[Obligation],
    recipients: Mapping[AgencyId, Recipient],
    *,
    at: Moment,
) -> list[Delivery]:
    """Make what carries a version to everybody bound before it, none numbered yet.

    Through what routing finds now, else through the agency's desk on duty (I7).
    """
    lost = {one.agency_id for one in bound if one.agency_id not in recipients}
    contacts = (
        await matching.contact_points(conn, lost, at=at.world, telephone=False) if lost else {}
    )
    told: list[Delivery] = []
    for owed in bound:
        recipient = recipients.get(owed.agency_id)
        on_duty = resolve(Notify.ON_DUTY, contacts.get(owed.agency_id, ())).contacts
        told += notice_deliveries(
            owed,
            notice=notice,
            orders=recipient.subscriptions if recipient else (),
            desk=recipient.contacts if recipient else on_duty,
            channels=recipient.first_channels if recipient else (Channel.EMAIL,),
            at=at,
            paused=recipient.paused if recipient else (),
        )
    return told


def without(routing: Routing, known: Collection[AgencyId]) -> Routing:
    """Leave out recipients that are bound already: a later run adds and never removes."""
    left = tuple(one for one in routing.recipients if one.agency_id not in known)
    return Routing(recipients=left)


def _bind(
    notice: Notice,
    routing: Routing,
    *,
    found: Found,
    rounds: FirstRounds,
    at: Moment,
) -> Bound:
    owed: list[Obligation] = []
    sent: list[Delivery] = []
    for recipient in routing.recipients:
        facts = found.facts[recipient.agency_id]
        obligation = bind(
            recipient,
            notice=notice,
            facts=facts,
            rounds=rounds,
            at=at.world,
            stood_in=recipient.agency_id in found.stood_in,
        )
        owed.append(obligation)
        sent += _first_deliveries(notice, obligation, recipient, at=at)
    return Bound(
        notice=notice, routing=routing, obligations=owed, deliveries=sent, facts=found.facts
    )


def _first_deliveries(
    notice: Notice, obligation: Obligation, recipient: Recipient, *, at: Moment
) -> list[Delivery]:
    if notice.state is NoticeState.SCHEDULED:
        return []
    return notice_deliveries(
        obligation,
        notice=notice,
        orders=recipient.subscriptions,
        desk=recipient.contacts,
        channels=recipient.first_channels,
        at=at,
        paused=recipient.paused,
    )


def _codes(keys: Collection[str], prefix: str) -> list[str]:
    return sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))

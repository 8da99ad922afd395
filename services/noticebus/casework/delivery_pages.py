"""One delivery as its page shows it, whatever carries it: endpoint, mail, text message or call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, knows_people_of
from noticebus.casework import replays
from noticebus.casework.desk import Desk
from noticebus.casework.endpoint_pages import may
from noticebus.casework.inspection import Inspected, Sent, inspect_delivery
from noticebus.casework.replays import Progress, Wanted
from noticebus.contracts.vocabulary import Cause, Channel, Status, SubscriptionState
from noticebus.domain.delivery import explain
from noticebus.domain.delivery_words import Tried, diagnose
from noticebus.domain.health import Health
from noticebus.domain.leases import CALLED
from noticebus.errors import ConflictError, NotFoundError
from noticebus.store import agencies, deliveries, endpoints, inbox, notices, subscriptions
from noticebus.store.agencies import Agency, Contact
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.subscriptions import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRead:
    """A delivery and everything its page shows.

    `contact` is None where it goes to none, or to another agency's person, whom the reader is not
    told of. `number` is what a replay of it would send again; None where it cannot be.
    """

    delivery: Delivery
    agency: Agency
    order: Subscription | None
    contact: Contact | None
    attempts: Sequence[Attempt]
    sent: Sent | None
    diagnosis: str
    number: int | None
    may_send_again: bool
    status: Status | None  # of the notice it is about


async def read_delivery(desk: Desk, principal: Principal, *, delivery_id: str) -> DeliveryRead:
    """Read one delivery that the principal may see; 404 otherwise."""
    async with desk.database.read() as conn:
        found = await inbox.find_delivery(conn, delivery_id)
        if found is None:
            raise _unknown()
        order, contact = await _destination(conn, found)
        owner = _owner(found, order)
        if not _sees(principal, owner, contact):
            raise _unknown()
        agency = await agencies.find_agency(conn, agency_id=owner)
        assert agency is not None, "a delivery belongs to an agency"
        health = Health()
        if order is not None:
            health = (await endpoints.endpoints_of(conn, [order.id])).get(order.id, health)
        number = await _number(conn, found)
        status = await _status(conn, found)
        tries = (await deliveries.attempts_of(conn, [found.id])).get(found.id, [])
    inspected = Inspected(delivery=found, attempts=tries, sent=None)
    if order is not None:
        inspected = await inspect_delivery(
            desk, principal, subscription_id=order.id, delivery_id=found.id
        )
    known = contact is not None and knows_people_of(principal, contact.agency_id)
    return DeliveryRead(
        delivery=inspected.delivery,
        agency=agency,
        order=order,
        contact=contact if known else None,
        attempts=inspected.attempts if order or known else _without_words(inspected.attempts),
        sent=inspected.sent,
        diagnosis=_diagnosis(inspected, health),
        number=number,
        may_send_again=number is not None and order is not None and _may_replay(principal, order),
        status=status,
    )


async def send_again(
    desk: Desk, principal: Principal, *, delivery_id: str, counted: int
) -> Progress:
    """Send one numbered delivery of an endpoint again: a replay of that number alone."""
    read = await read_delivery(desk, principal, delivery_id=delivery_id)
    if read.number is None or read.order is None:
        raise ConflictError(
            "Only what has a number is sent again: a notice to a webhook or topic. For anything"
            " else, resend from the notice's page, or ring."
        )
    wanted = Wanted(after=read.number - 1, since=None, until=read.number)
    return await replays.begin_replay(
        desk, principal, subscription_id=read.order.id, wanted=wanted, counted=counted
    )


async def find_test(
    desk: Desk, order: Subscription, *, delivery_id: str
) -> tuple[Delivery, Attempt | None] | None:
    """Find a test or handshake of a subscription and its latest attempt; None for anything else."""
    async with desk.database.read() as conn:
        found = await inbox.find_delivery(conn, delivery_id)
        if found is None or found.subscription_id != order.id or found.cause not in _PROOFS:
            return None
        tries = (await deliveries.attempts_of(conn, [found.id])).get(found.id, [])
    return found, tries[-1] if tries else None


_PROOFS = frozenset({Cause.TEST, Cause.HANDSHAKE})


async def _destination(
    conn: AsyncConnection, found: Delivery
) -> tuple[Subscription | None, Contact | None]:
    order = contact = None
    if found.subscription_id is not None:
        order = await subscriptions.find_subscription(conn, subscription_id=found.subscription_id)
    if found.contact_id is not None:
        contact = await agencies.find_contact(conn, contact_id=found.contact_id)
    return order, contact


def _owner(found: Delivery, order: Subscription | None) -> str:
    """Give the agency it belongs to: what goes to an endpoint is of whose endpoint it is."""
    return found.agency_id if order is None else order.agency_id


def _sees(principal: Principal, owner: str, contact: Contact | None) -> bool:
    if knows_people_of(principal, owner):
        return True
    return contact is not None and knows_people_of(principal, contact.agency_id)


def _without_words(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Leave out what a relay or provider said word for word: it may name whom the mail went to."""
    return [replace(one, response_excerpt="", response_headers=None) for one in attempts]


async def _status(conn: AsyncConnection, found: Delivery) -> Status | None:
    """Say whether what it is about is real; None where it is about no notice."""
    if found.incident_id is None:
        return None
    incident = await notices.incident_by_id(conn, found.incident_id)
    return None if incident is None else incident.status


async def _number(conn: AsyncConnection, found: Delivery) -> int | None:
    """Give the number that a replay would carry again; a replay's delivery carries an older one."""
    if found.channel not in CALLED:
        return None
    if found.replays_id is None:
        return found.sequence
    original = await inbox.find_delivery(conn, found.replays_id)
    return None if original is None else original.sequence


def _may_replay(principal: Principal, order: Subscription) -> bool:
    return may(principal, order).manage and order.state is SubscriptionState.ACTIVE


def _diagnosis(inspected: Inspected, health: Health) -> str:
    found = inspected.delivery
    last = inspected.attempts[-1] if inspected.attempts else None
    return diagnose(
        found.state,
        channel=found.channel,
        held=found.held_reason,
        last=None if last is None else tried(last),
        endpoint=health.state,
    )


def explained(attempt: Attempt, channel: Channel) -> str:
    """Say in plain English what an attempt by a channel came to, and what to do."""
    return explain(
        attempt.outcome, error=attempt.error, status=attempt.status_code, channel=channel
    )


def tried(attempt: Attempt) -> Tried:
    """Give what of an attempt its explanation is made of."""
    return Tried(
        outcome=attempt.outcome,
        fault=attempt.fault,
        error=attempt.error,
        status=attempt.status_code,
    )


def _unknown() -> NotFoundError:
    return NotFoundError("There is no delivery here that you may see. Check the id.")

"""One endpoint as its page shows it: how it stands, its latest attempts, and what may be done."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from noticebus.access.principals import Principal, sees_every_agency
from noticebus.casework import replays
from noticebus.casework.administration import administers_bus
from noticebus.casework.desk import Desk
from noticebus.casework.endpoints import previous_valid_until, valid_secrets
from noticebus.casework.orders import visible
from noticebus.casework.replays import Progress
from noticebus.contracts.vocabulary import Channel, Scope, SubscriptionState
from noticebus.domain import endpoint_words as words
from noticebus.domain.delivery_words import Said
from noticebus.domain.health import Health
from noticebus.domain.leases import CALLED
from noticebus.store import agencies, endpoint_attempts, endpoints, subscriptions
from noticebus.store.actors import Actor, actors_by_id
from noticebus.store.agencies import Agency, Contact
from noticebus.store.endpoint_attempts import AttemptLine
from noticebus.store.subscriptions import Subscription

ATTEMPTS_SHOWN = 50
REPLAYS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class May:
    """What the reader may do to an endpoint, as far as its state lets anybody."""

    manage: bool
    approve: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRead:
    """Everything the page of one endpoint shows."""

    order: Subscription
    agency: Agency
    said: Said
    sentence: str
    health: Health
    held: int
    contact: Contact | None
    last_sequence: int
    secrets: int
    previous_until: dt.datetime | None
    attempts: Sequence[AttemptLine]
    replays: Sequence[Progress]
    may: May

    @property
    def is_called(self) -> bool:
        return self.order.channel in CALLED


async def read_endpoint(desk: Desk, principal: Principal, *, subscription_id: str) -> EndpointRead:
    """Read one endpoint that the principal may see; 404 otherwise."""
    async with desk.database.read() as conn:
        order = visible(
            principal, await subscriptions.find_subscription(conn, subscription_id=subscription_id)
        )
        agency = await agencies.find_agency(conn, agency_id=order.agency_id)
        assert agency is not None, "a subscription belongs to an agency"
        contact = None
        if order.contact_id is not None:
            contact = await agencies.find_contact(conn, contact_id=order.contact_id)
        health = (await endpoints.endpoints_of(conn, [order.id])).get(order.id, Health())
        held = (await endpoints.held_counts(conn, [order.id])).get(order.id, 0)
        sequences = await subscriptions.last_sequences(conn, subscription_ids=[order.id])
        tried = await endpoint_attempts.latest_attempts(conn, order.id, limit=ATTEMPTS_SHOWN)
        who = await actors_by_id(conn, [order.paused_by] if order.paused_by else [])
    shown = await replays.list_replays(
        desk, principal, subscription_id=order.id, before="", limit=REPLAYS_SHOWN
    )
    facts = _facts(desk, order, agency, health=health, held=held)
    paused_by = who.get(order.paused_by or "")
    machine_now = desk.machine.now()
    return EndpointRead(
        order=order,
        agency=agency,
        said=words.said_of(order.state, health, is_called=order.channel in CALLED),
        sentence=words.sentence_of(facts, paused_by=named_for(principal, paused_by)),
        health=health,
        held=held,
        contact=contact,
        last_sequence=sequences[order.id],
        secrets=valid_secrets(order, now=machine_now),
        previous_until=previous_valid_until(order, now=machine_now),
        attempts=tried,
        replays=shown,
        may=may(principal, order),
    )


def may(principal: Principal, order: Subscription) -> May:
    """Say what the principal may do to a subscription it sees."""
    operates = administers_bus(principal)
    own = Scope.SUBSCRIBE in principal.scopes and principal.agency_id == order.agency_id
    living = order.state is not SubscriptionState.ENDED
    return May(manage=living and (operates or own), approve=operates)


def named_for(principal: Principal, actor: Actor | None) -> str:
    """Name who acted for a reader: an agency's people are told no names of the bus's."""
    if actor is None:
        return ""
    if sees_every_agency(principal) or actor.agency_id == principal.agency_id:
        return actor.name
    return "the operators of the bus"


def clock(at: dt.datetime, zone: str) -> str:
    """Write an instant shortly, in a zone and in UTC: `Thu 08 Aug 10:04 CDT (15:04Z)`."""
    return f"{at.astimezone(ZoneInfo(zone)):%a %d %b %H:%M %Z} ({at.astimezone(dt.UTC):%H:%MZ})"


def has_secret(order: Subscription) -> bool:
    """Say whether requests to it are signed by a shared secret."""
    return order.channel is Channel.WEBHOOK


def credentials_of(order: Subscription) -> tuple[str, ...]:
    """Say what its endpoint is shown of the bus, as facts: never a key, a secret or a token."""
    stored = order.credentials_sealed or {}
    certificate, client = stored.get("client_certificate"), stored.get("oauth2")
    said = []
    if certificate is not None:
        ends = f"{dt.datetime.fromisoformat(certificate['not_after']):%d %b %Y}"
        said.append(
            f"a client certificate of {certificate['subject']}, issued by"
            f" {certificate['issuer']}, until {ends}"
        )
    if client is not None:
        host = urlsplit(client["token_url"]).hostname
        said.append(f"a token from {host}, for the client {client['client_id']}")
    return tuple(said)


def _facts(
    desk: Desk, order: Subscription, agency: Agency, *, health: Health, held: int
) -> words.Facts:
    return words.Facts(
        state=order.state,
        is_called=order.channel in CALLED,
        health=health,
        held=held,
        trip_after=desk.trip_after,
        machine_now=desk.machine.now(),
        clock=lambda at: clock(at, agency.zone),
        paused_at=order.paused_at,
        pause_reason=order.pause_reason,
        consented=order.verified_at is not None,
    )

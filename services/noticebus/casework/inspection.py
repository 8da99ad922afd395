"""One delivery as its subscriber may look at it: the request as it went, and every answer to it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.bodies import webhook_body
from noticebus.casework.desk import Desk
from noticebus.casework.orders import visible
from noticebus.casework.views import Contents
from noticebus.contracts.vocabulary import Cause, Channel, Scope, SubscriptionState
from noticebus.contracts.webhook import CONTENT_TYPE
from noticebus.domain.leases import CALLED
from noticebus.errors import NotFoundError
from noticebus.store import claims, deliveries, inbox, notices, subscriptions
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.subscriptions import Subscription

MASKED = "[masked]"
READS_BODIES = frozenset({Scope.SUBSCRIBE, Scope.ANSWER})
NOT_SENT = "Nothing has been put on the wire yet."
NOT_YOURS = (
    "Only the agency it went to may read it: its people, or a key of it with the scope subscribe or"
    " answer."
)
ENDED = "The subscription has ended, and with it the right to what it carried."
CHALLENGE = "It holds the challenge, which only its endpoint may see."
CHANGED = "What this subscription may see has changed since, so it is not shown as it was then."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The request as it went. Headers that a secret made are masked.

    `url` is the subscription's address as it is now, None for a topic. `body` is None where it is
    withheld, and then `withheld` says why.
    """

    url: str | None
    headers: Mapping[str, str]
    body: bytes | None
    withheld: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A delivery with its attempts, first try first; `sent` is None where no system is called."""

    delivery: Delivery
    attempts: Sequence[Attempt]
    sent: Sent | None


async def inspect_delivery(
    desk: Desk, principal: Principal, *, subscription_id: str, delivery_id: str
) -> Inspected:
    """Read one delivery of a subscription the principal may see, with what went and what came."""
    async with desk.database.read() as conn:
        order = visible(
            principal, await subscriptions.find_subscription(conn, subscription_id=subscription_id)
        )
        found = await inbox.find_delivery(conn, delivery_id)
        if found is None or found.subscription_id != order.id:
            raise NotFoundError(f"This subscription was sent no {delivery_id}. Check the id.")
        carried = await _carried(conn, found)
        tries = (await deliveries.attempts_of(conn, [found.id])).get(found.id, [])
        sent = None
        if found.channel in CALLED:
            body, withheld = await _body(conn, desk, principal, order=order, carried=carried)
            sent = Sent(
                url=shown_address(order), headers=_headers(carried), body=body, withheld=withheld
            )
    return Inspected(delivery=found, attempts=tries, sent=sent)


async def _carried(conn: AsyncConnection, found: Delivery) -> Delivery:
    """Give the delivery whose id and body go on the wire: a replay carries an earlier one."""
    if found.replays_id is None:
        return found
    original = await inbox.find_delivery(conn, found.replays_id)
    assert original is not None, "a replay refers to what it carries"
    return original


async def _body(
    conn: AsyncConnection,
    desk: Desk,
    principal: Principal,
    *,
    order: Subscription,
    carried: Delivery,
) -> tuple[bytes | None, str | None]:
    """Make the body again as it went, or say why it is not shown (I8)."""
    if principal.agency_id != order.agency_id or principal.scopes.isdisjoint(READS_BODIES):
        return None, NOT_YOURS
    if order.state is SubscriptionState.ENDED:
        return None, ENDED
    if carried.cause is Cause.HANDSHAKE:
        return None, CHALLENGE
    return await _made_again(conn, desk, carried)


async def _made_again(
    conn: AsyncConnection, desk: Desk, carried: Delivery
) -> tuple[bytes | None, str | None]:
    destination = (await claims.destinations_of(conn, [carried.id]))[carried.id]
    if not destination.first_digest:
        return None, NOT_SENT
    about = [] if carried.notice_id is None else [carried.notice_id]
    found = await notices.notices_by_id(conn, about) if about else {}
    body = webhook_body(
        carried,
        notice=None if carried.notice_id is None else found[carried.notice_id],
        destination=destination,
        contents=Contents(),
        base_url=desk.base_url,
    )
    if hashlib.sha256(body).hexdigest() != destination.first_digest:
        return None, CHANGED
    return body, None


def shown_address(order: Subscription) -> str | None:
    """Give where it goes, without what of a query or a password may be secret."""
    if order.url is None:
        return None
    parts = urlsplit(order.url)
    query = "&".join(f"{name}={MASKED}" for name, _ in parse_qsl(parts.query, True))  # noqa: FBT003
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _headers(carried: Delivery) -> dict[str, str]:
    """Give the headers that a receiver reads; a timestamp and signatures are each try's own."""
    if carried.channel is Channel.KAFKA:
        return {"content-type": CONTENT_TYPE, "ce_id": carried.id}
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": carried.id,
        "webhook-timestamp": "[seconds since 1970 of each try]",
        "webhook-signature": f"v1,{MASKED} v1a,{MASKED}",
    }

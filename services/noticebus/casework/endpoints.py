"""The subscriber's side of an endpoint: consent, secrets, tests, and what was delivered."""

import datetime as dt
import hmac
from dataclasses import dataclass, replace
from typing import Any

from noticebus.access.keyring import new_webhook_secret
from noticebus.access.principals import Principal
from noticebus.casework.administration import check_revision, enter, invalid
from noticebus.casework.consent import ask_consent, carry, confirm_handshake
from noticebus.casework.desk import Desk
from noticebus.casework.orders import (
    WithSecret,
    held,
    names,
    refuse_ended,
    require_state,
    visible,
    write,
)
from noticebus.contracts.vocabulary import Cause, Channel, SubscriptionState
from noticebus.errors import ConflictError
from noticebus.ids import DeliveryId
from noticebus.store import subscriptions as rows
from noticebus.store.deliveries import Attempt, Delivery, attempts_of, deliveries_of
from noticebus.store.subscriptions import Subscription

SECRETS_MAX = 5  # signatures on one request, after rotations in quick succession
SECRET_OVERLAP = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One delivery of a subscription with its attempts, first try first."""

    delivery: Delivery
    attempts: tuple[Attempt, ...]


async def verify_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str, challenge: str | None = None
) -> Subscription:
    """Send the handshake again, for a webhook or topic that has not answered it yet.

    Who reads a topic answers here: with the `challenge` that came over it.
    """
    if challenge is not None:
        return await _confirm(desk, principal, subscription_id=subscription_id, said=challenge)
    async with desk.database.begin() as conn:
        found = await held(conn, principal, subscription_id)
        require_state(found, SubscriptionState.PENDING_VERIFICATION, verb="verified")
        handshake = await ask_consent(conn, desk, found)
        body = {"subscription_id": found.id, "delivery_id": handshake.id}
        await enter(conn, "subscription.asked", body, by=principal, at=desk.world.now())
    desk.committed()
    return found


async def _confirm(
    desk: Desk, principal: Principal, *, subscription_id: str, said: str
) -> Subscription:
    async with desk.database.begin() as conn:
        found = await held(conn, principal, subscription_id)
        if found.channel is not Channel.KAFKA:
            raise invalid(
                "/challenge", "Only a topic's challenge is sent here; a webhook answers it itself."
            )
        require_state(found, SubscriptionState.PENDING_VERIFICATION, verb="verified")
        if not hmac.compare_digest(said.encode(), found.challenge.encode()):
            raise invalid(
                "/challenge",
                "This is not the challenge. Copy data.challenge of the newest handshake.",
            )
        now = desk.world.now()
        await confirm_handshake(conn, subscription_id=found.id, challenge_ok=True, at=now)
        active = await rows.find_subscription(conn, subscription_id=found.id)
        assert active is not None, "it is locked"
    desk.committed()
    return active


async def rotate_secret(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> WithSecret:
    """Make a new webhook secret; requests carry signatures by the old one too for 24 hours."""
    secret = new_webhook_secret()
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        refuse_ended(old)
        if old.channel is not Channel.WEBHOOK:
            raise ConflictError("Only a webhook has a secret; this subscription is none.")
        sealed = _rotated(old, sealed=desk.keyring.seal(secret), now=desk.machine.now())
        changed = replace(old.became(old.state), secrets_sealed=sealed)
        await write(conn, changed, revision=old.revision)
        at = desk.world.now()
        await enter(conn, "subscription.secret_rotated", names(old), by=principal, at=at)
    desk.committed()
    return WithSecret(subscription=changed, secret=secret)


async def send_test(desk: Desk, principal: Principal, *, subscription_id: str) -> Delivery:
    """Queue a test delivery to an active subscription's endpoint or mailbox."""
    async with desk.database.begin() as conn:
        found = await held(conn, principal, subscription_id)
        require_state(found, SubscriptionState.ACTIVE, verb="tested")
        if found.channel is Channel.INBOX:
            raise ConflictError(
                "Nothing is sent to an inbox, so there is nothing to test. Read it."
            )
        delivery = await carry(conn, desk, found, cause=Cause.TEST)
        body = {**names(found), "delivery_id": delivery.id}
        await enter(conn, "subscription.tested", body, by=principal, at=desk.world.now())
    desk.committed()
    return delivery


async def list_deliveries(
    desk: Desk, principal: Principal, *, subscription_id: str, before: str | None, limit: int
) -> list[Carried]:
    """List at most `limit` deliveries older than `before`, newest first, with their attempts."""
    async with desk.database.read() as conn:
        found = visible(
            principal, await rows.find_subscription(conn, subscription_id=subscription_id)
        )
        older_than = None if before is None else DeliveryId(before)
        found_deliveries = await deliveries_of(
            conn, subscription_id=found.id, before=older_than, limit=limit
        )
        tries = await attempts_of(conn, [one.id for one in found_deliveries])
    return [
        Carried(delivery=one, attempts=tuple(tries.get(one.id, ()))) for one in found_deliveries
    ]


def _rotated(old: Subscription, *, sealed: str, now: dt.datetime) -> list[dict[str, Any]]:
    """Put the new secret first.

    The present ones go on for the overlap, never longer than they had.
    """
    ends = now + SECRET_OVERLAP
    kept: list[dict[str, Any]] = [{"sealed": sealed, "expires_at": None}]
    for one in old.secrets_sealed:
        had = one["expires_at"]
        until = ends if had is None else dt.datetime.fromisoformat(had)
        if until > now:
            kept.append({"sealed": one["sealed"], "expires_at": until.isoformat()})
    return kept[:SECRETS_MAX]

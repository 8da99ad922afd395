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
from noticebus.casework.leases import lapsed, leased
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
from noticebus.domain.leases import CALLED
from noticebus.errors import ConflictError
from noticebus.ids import DeliveryId
from noticebus.store import subscriptions as rows
from noticebus.store.deliveries import Attempt, Delivery, attempts_of, deliveries_of
from noticebus.store.subscriptions import Subscription

SECRETS_MAX = 5  # signatures on one request, after rotations in quick succession


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One delivery of a subscription with its attempts, first try first."""

    delivery: Delivery
    attempts: tuple[Attempt, ...]


async def verify_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str, challenge: str | None = None
) -> Subscription:
    """Send the handshake again, for a webhook or topic that has not answered it yet.

    One that has answered goes on meanwhile; its new answer renews the lease and sets its terms.
    Who reads a topic answers here: with the `challenge` that came over it.
    """
    if challenge is not None:
        return await _confirm(desk, principal, subscription_id=subscription_id, said=challenge)
    async with desk.database.begin() as conn:
        found = await held(conn, principal, subscription_id)
        _require_endpoint(found)
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
        _require_endpoint(found)
        if not hmac.compare_digest(said.encode(), found.challenge.encode()):
            raise invalid(
                "/challenge",
                "This is not the challenge. Copy data.challenge of the newest handshake.",
            )
        await confirm_handshake(conn, desk, subscription_id=found.id, challenge_ok=True)
        active = await rows.find_subscription(conn, subscription_id=found.id)
        assert active is not None, "it is locked"
    desk.committed()
    return active


async def rotate_secret(
    desk: Desk,
    principal: Principal,
    *,
    subscription_id: str,
    overlap: dt.timedelta,
    revision: int | None = None,
) -> WithSecret:
    """Make a new webhook secret; requests carry signatures by the old one too for `overlap`.

    Whoever does it still cares for the endpoint, so its lease is renewed, unless it had lapsed.
    """
    secret = new_webhook_secret()
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        refuse_ended(old)
        if old.channel is not Channel.WEBHOOK:
            raise ConflictError("Only a webhook has a secret; this subscription is none.")
        at, machine_now = desk.world.now(), desk.machine.now()
        sealed = _rotated(
            old, sealed=desk.keyring.seal(secret), now=machine_now, ends=machine_now + overlap
        )
        changed = replace(_cared_for(old, desk, at=at).became(old.state), secrets_sealed=sealed)
        await write(conn, changed, revision=old.revision)
        body = {**names(old), "overlap_s": round(overlap.total_seconds())}
        await enter(conn, "subscription.secret_rotated", body, by=principal, at=at)
    desk.committed()
    return WithSecret(subscription=changed, secret=secret)


async def revoke_old_secrets(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> Subscription:
    """Let none but the newest webhook secret sign from now on, without waiting for the overlap."""
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        refuse_ended(old)
        if valid_secrets(old, now=desk.machine.now()) <= 1:
            raise ConflictError("Only the newest secret signs; there is no older one to revoke.")
        changed = replace(old.became(old.state), secrets_sealed=old.secrets_sealed[:1])
        await write(conn, changed, revision=old.revision)
        body = {**names(old), "revoked": len(old.secrets_sealed) - 1}
        at = desk.world.now()
        await enter(conn, "subscription.old_secrets_revoked", body, by=principal, at=at)
    desk.committed()
    return changed


def _require_endpoint(found: Subscription) -> None:
    if found.state is SubscriptionState.ACTIVE and found.channel in CALLED:
        return
    require_state(found, SubscriptionState.PENDING_VERIFICATION, verb="verified")


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


def valid_secrets(order: Subscription, *, now: dt.datetime) -> int:
    """Count the secrets that sign now. `now` is machine time."""
    return sum(until is None or until > now for until in _ends(order))


def previous_valid_until(order: Subscription, *, now: dt.datetime) -> dt.datetime | None:
    """Give when the secret before the newest ends, None where none but the newest signs."""
    return max((until for until in _ends(order) if until is not None and until > now), default=None)


def _ends(order: Subscription) -> list[dt.datetime | None]:
    ends = [one["expires_at"] for one in order.secrets_sealed]
    return [None if one is None else dt.datetime.fromisoformat(one) for one in ends]


def _cared_for(order: Subscription, desk: Desk, *, at: dt.datetime) -> Subscription:
    if order.lease_until is None or lapsed(order):
        return order
    return leased(order, days=desk.lease_days, at=at)


def _rotated(
    old: Subscription, *, sealed: str, now: dt.datetime, ends: dt.datetime
) -> list[dict[str, Any]]:
    """Put the new secret first.

    The present ones go on until `ends`, never longer than they had.
    """
    kept: list[dict[str, Any]] = [{"sealed": sealed, "expires_at": None}]
    for one in old.secrets_sealed:
        had = one["expires_at"]
        until = ends if had is None else min(ends, dt.datetime.fromisoformat(had))
        if until > now:
            kept.append({"sealed": one["sealed"], "expires_at": until.isoformat()})
    return kept[:SECRETS_MAX]

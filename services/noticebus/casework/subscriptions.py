"""Subscriptions: standing orders, from asking through approval and consent to their end."""

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.keyring import new_webhook_secret
from noticebus.access.principals import (
    Principal,
    own_agency,
    require,
    visible_agency,
)
from noticebus.casework import heartbeats, replays
from noticebus.casework.administration import (
    FIRST_REVISION,
    administers_bus,
    check_revision,
    differing,
    enter,
    invalid,
    require_manager,
    require_revision,
    resolve_areas,
)
from noticebus.casework.consent import ask_consent
from noticebus.casework.credentials import refuse_move
from noticebus.casework.desk import Desk
from noticebus.casework.orders import (
    WithSecret,
    held,
    names,
    order_facts,
    refuse_ended,
    require_state,
    visible,
    write,
)
from noticebus.contracts.subscription import SubscriptionPatch, SubscriptionPost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    EndpointState,
    Scope,
    SubscriptionState,
)
from noticebus.domain.egress_rules import Network, check_url
from noticebus.errors import ConflictError, ForbiddenError, InvalidError
from noticebus.ids import AgencyId, SubscriptionId, new_subscription_id
from noticebus.store import agencies as agency_rows
from noticebus.store import backlogs, notices
from noticebus.store import replays as replay_rows
from noticebus.store import subscriptions as rows
from noticebus.store.notices import IdempotencyRecord
from noticebus.store.subscriptions import Subscription

CHALLENGE_BYTES = 24
PROVES_CONSENT = frozenset({Channel.WEBHOOK, Channel.KAFKA})
MAY_READ_CPS = frozenset({AgencyKind.CPS, AgencyKind.TRIBAL_CHILD_WELFARE})
LEVELS = (ContentLevel.ID_ONLY, ContentLevel.PUBLIC, ContentLevel.PARTNER, ContentLevel.CPS)
_State = SubscriptionState


class MadeAlreadyError(ConflictError):
    """What is asked for was made under the same key before; its secret is not shown again."""

    def __init__(self, subscription_id: SubscriptionId) -> None:
        super().__init__("This subscription was made already, by the same form.")
        self.subscription_id = subscription_id


async def create_subscription(
    desk: Desk,
    principal: Principal,
    *,
    post: SubscriptionPost,
    allow: Sequence[Network] = (),
    once: str | None = None,
) -> WithSecret:
    """Ask for a subscription; one that an administrator or operator creates counts as approved.

    `allow` are the networks that an operator opened for endpoints (I11). Under one key `once` a
    principal makes one: MadeAlreadyError for a repeat.
    """
    agency_id = post.agency_id or own_agency(principal)
    require_manager(principal, agency_id, what="agency")
    _check_url(post.url, allow=allow)
    _check_topic(desk, post.channel)
    area_keys = resolve_areas(desk, post.areas)
    secret = new_webhook_secret() if post.channel is Channel.WEBHOOK else None
    new = _new(desk, post, agency_id=agency_id, area_keys=area_keys, secret=secret)
    if administers_bus(principal):
        await _open_topic(desk, new)
    async with desk.database.begin() as conn:
        if once is not None:
            await _claim(conn, new, by=principal, key=f"subscribe {once}")
        await _check_agency(conn, new)
        await rows.insert_subscription(conn, new)
        await enter(conn, "subscription.created", order_facts(new), by=principal, at=new.created_at)
        if administers_bus(principal):
            new = await _approve(conn, desk, new, by=principal)
    desk.committed()
    return WithSecret(subscription=new, secret=secret)


async def _claim(conn: AsyncConnection, new: Subscription, *, by: Principal, key: str) -> None:
    record = IdempotencyRecord(
        client_id=by.id,
        key=key,
        fingerprint="",
        response={"subscription_id": new.id},
        created_at=new.created_at,
    )
    if not await notices.claim_idempotency_record(conn, record):
        (before,) = (await notices.find_idempotency_records(conn, [(by.id, key)])).values()
        raise MadeAlreadyError(SubscriptionId(before.response["subscription_id"]))


async def get_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str
) -> Subscription:
    """Read one subscription; 404 where the principal may not see it."""
    async with desk.database.read() as conn:
        found = await rows.find_subscription(conn, subscription_id=subscription_id)
    return visible(principal, found)


async def list_subscriptions(
    desk: Desk,
    principal: Principal,
    *,
    state: SubscriptionState | None = None,
    endpoint_state: EndpointState | None = None,
    after: str,
    limit: int,
) -> list[Subscription]:
    """List at most `limit` subscriptions with ids after `after`: all, or those of one's agency."""
    only = visible_agency(principal)
    async with desk.database.read() as conn:
        return await rows.list_subscriptions(
            conn,
            agency_id=only,
            state=state,
            endpoint_state=endpoint_state,
            after=after,
            limit=limit,
        )


async def last_sequences(desk: Desk, found: Sequence[Subscription]) -> dict[SubscriptionId, int]:
    """Give the last number each of `found` has taken: recipients compare it with theirs (I10)."""
    async with desk.database.read() as conn:
        return await rows.last_sequences(conn, subscription_ids=[one.id for one in found])


async def edit_subscription(
    desk: Desk,
    principal: Principal,
    *,
    subscription_id: str,
    patch: SubscriptionPatch,
    revision: int | None,
    allow: Sequence[Network] = (),
) -> Subscription:
    """Change a subscription.

    What needs approval is the operator's to change; a new URL must consent again.
    """
    expected = require_revision(revision)
    changes = patch.changes()
    _check_url(changes.get("url"), allow=allow)
    if (areas := changes.pop("areas", None)) is not None:
        changes["area_keys"] = resolve_areas(desk, areas)
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=expected)
        refuse_ended(old)
        changed = _edited(old, changes)
        _check_edit(principal, old, changed)
        await _check_agency(conn, changed)
        await write(conn, changed, revision=old.revision)
        body = {**order_facts(changed), "fields": differing(old, changed)}
        await enter(conn, "subscription.changed", body, by=principal, at=desk.world.now())
        await heartbeats.follow(conn, old, changed, at=desk.world.now())
        if changed.approved_at is not None:
            await rows.index_areas(conn, changed)
        if changed.url != old.url and changed.state is _State.PENDING_VERIFICATION:
            await ask_consent(conn, desk, changed)
    desk.committed()
    return changed


async def approve_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> Subscription:
    """Approve areas and content level: a webhook is asked for consent, other channels begin."""
    require(principal, Scope.OPERATE, Scope.ADMIN)
    seen = await get_subscription(desk, principal, subscription_id=subscription_id)
    if seen.state is _State.PENDING_APPROVAL:
        await _open_topic(desk, seen)
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        require_state(old, _State.PENDING_APPROVAL, verb="approved")
        approved = await _approve(conn, desk, old, by=principal)
    desk.committed()
    return approved


async def end_subscription(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> Subscription:
    """End a subscription for good: it routes nothing any more."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        refuse_ended(old)
        # Nobody is called any more, so the keys to somebody's server are not kept.
        ended = replace(
            old.became(_State.ENDED), credentials_sealed=None, certificate_expires_at=None
        )
        await write(conn, ended, revision=old.revision)
        await rows.drop_areas(conn, subscription_id=old.id)
        await heartbeats.stop(conn, old)
        await _end_backlog(conn, old, at=now)
        await rows.moot_subscription_deliveries(
            conn,
            subscription_id=old.id,
            causes=[Cause.HANDSHAKE, Cause.TEST, Cause.HEARTBEAT],
            finished_at=now,
        )
        await enter(conn, "subscription.ended", names(old), by=principal, at=now)
    desk.committed()
    return ended


async def _end_backlog(conn: AsyncConnection, old: Subscription, *, at: dt.datetime) -> None:
    """End what waits for an endpoint that will not be called any more, and a replay to it."""
    running = await replay_rows.running_of(conn, old.id)
    if running is not None:
        await replays.end(conn, running, at=at)
    await backlogs.end_held(conn, old.id, state=DeliveryState.REVOKED, finished_at=at)


def _new(
    desk: Desk,
    post: SubscriptionPost,
    *,
    agency_id: AgencyId,
    area_keys: list[str],
    secret: str | None,
) -> Subscription:
    sealed: list[dict[str, Any]] = []
    if secret is not None:
        sealed = [{"sealed": desk.keyring.seal(secret), "expires_at": None}]
    return Subscription(
        id=new_subscription_id(),
        agency_id=agency_id,
        name=post.name,
        state=_State.PENDING_APPROVAL,
        channel=post.channel,
        url=post.url,
        contact_id=post.contact_id,
        content_level=post.content_level,
        area_keys=area_keys,
        kinds=list(post.kinds),
        secrets_sealed=sealed,
        challenge=secrets.token_urlsafe(CHALLENGE_BYTES),
        approved_at=None,
        approved_by=None,
        verified_at=None,
        revision=FIRST_REVISION,
        created_at=desk.world.now(),
        heartbeat_minutes=post.beats_every,
    )


async def _approve(
    conn: AsyncConnection, desk: Desk, old: Subscription, *, by: Principal
) -> Subscription:
    now = desk.world.now()
    if old.channel in PROVES_CONSENT:
        approved = old.became(_State.PENDING_VERIFICATION)
    else:
        await _check_mailbox(conn, old)
        approved = old.became(_State.ACTIVE, verified_at=now)
    approved = replace(approved, approved_at=now, approved_by=by.id)
    await write(conn, approved, revision=old.revision)
    await rows.index_areas(conn, approved)
    await enter(conn, "subscription.approved", order_facts(approved), by=by, at=now)
    if approved.state is _State.PENDING_VERIFICATION:
        await ask_consent(conn, desk, approved)
    return approved


def _edited(old: Subscription, changes: dict[str, Any]) -> Subscription:
    if "kinds" in changes:
        changes["kinds"] = list(changes["kinds"])
    changed = replace(old.became(old.state), **changes)
    if changed.url == old.url:
        return changed
    refuse_move(old, changed.url)
    if old.channel is not Channel.WEBHOOK:
        raise invalid("/url", "Only a webhook has a URL; leave it out.")
    # Another address has not consented: it gets a challenge that nobody has seen. `verified_at`
    # stays, so that what comes meanwhile is numbered and held for who had consented before.
    waits = old.state is not _State.PENDING_APPROVAL
    return replace(
        changed,
        state=_State.PENDING_VERIFICATION if waits else old.state,
        challenge=secrets.token_urlsafe(CHALLENGE_BYTES),
    )


def _check_edit(principal: Principal, old: Subscription, new: Subscription) -> None:
    """Let a subscriber narrow what was approved; widening it is for those who approve."""
    if administers_bus(principal) or old.approved_at is None:
        return
    wider = not set(new.area_keys) <= set(old.area_keys)
    if wider or LEVELS.index(new.content_level) > LEVELS.index(old.content_level):
        raise ForbiddenError(
            "More areas or a higher content level need an operator's approval. Create another "
            "subscription with them, and end this one when that is active."
        )


def _check_topic(desk: Desk, channel: Channel) -> None:
    if channel is Channel.KAFKA and not desk.bus.serves_agencies:
        raise invalid(
            "/channel", "This installation has no Kafka; use 'webhook', 'email' or 'inbox'."
        )


async def _open_topic(desk: Desk, order: Subscription) -> None:
    """Make the topic before the transaction: no transaction is held across a network call."""
    if order.channel is Channel.KAFKA:
        await desk.bus.open_topic(order.agency_id)


def _check_url(url: str | None, *, allow: Sequence[Network]) -> None:
    if url is not None and (faults := check_url(url, allow=allow)):
        raise InvalidError(faults[0].message, details=faults)


async def _check_agency(conn: AsyncConnection, order: Subscription) -> None:
    """Refuse content above an agency's kind, another's mailbox, a webhook with nobody behind."""
    agency = await agency_rows.find_agency(conn, agency_id=order.agency_id)
    if agency is None:
        raise invalid("/agency_id", "There is no such agency. The list of agencies has their ids.")
    if order.content_level is ContentLevel.CPS and agency.kind not in MAY_READ_CPS:
        raise invalid(
            "/content_level", "Only child welfare agencies may have 'cps'; use 'partner'."
        )
    if order.contact_id is not None:
        contact = await agency_rows.find_contact(conn, contact_id=order.contact_id)
        if contact is None or contact.agency_id != agency.id or contact.ended_at is not None:
            raise invalid("/contact_id", "The agency has no such contact. Create it first.")
        if contact.email is None:
            raise invalid("/contact_id", "This contact has no mail address. Add one to it first.")
    if order.channel is Channel.WEBHOOK and not await agency_rows.has_reachable_contact(
        conn, agency_id=agency.id
    ):
        raise ConflictError(
            "The agency has no contact with mail or phone to tell when its webhook fails. "
            f"Create one first, at /v1/agencies/{agency.id}/contacts.",
            code="contacts-first",
        )


async def _check_mailbox(conn: AsyncConnection, order: Subscription) -> None:
    if order.contact_id is None:
        return
    contact = await agency_rows.find_contact(conn, contact_id=order.contact_id)
    if contact is None or contact.email_verified_at is None or contact.ended_at is not None:
        raise ConflictError(
            "The contact's mail address is not verified, so nothing may be sent to it. "
            "An operator verifies it by entering it; approve the subscription after that.",
            code="contact-unverified",
        )

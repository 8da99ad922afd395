"""The messages that contacts had lately: what spacing further ones goes by."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    HeldReason,
    Status,
)
from noticebus.ids import ContactId, NoticeId, SubscriptionId
from noticebus.store.rows import among
from noticebus.store.tables import deliveries, notices

MESSAGES_READ_MAX = 20_000
_NEVER_WENT = (DeliveryState.MOOT, DeliveryState.REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A delivery to a contact that went, goes now or waits.

    `message` is one for all that go as one message.
    """

    contact_id: ContactId
    channel: Channel
    status: Status
    message: str
    created_at: dt.datetime
    finished_at: dt.datetime | None
    due_at: dt.datetime | None
    attempts: int
    bundle: str | None
    held_reason: HeldReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What contacts had since an instant, and the status of the notices that are to go now."""

    sent: list[Sent]
    statuses: dict[NoticeId, Status]


async def messages_lately(
    conn: AsyncConnection,
    *,
    contact_ids: Collection[ContactId],
    channels: Collection[Channel],
    notice_ids: Collection[NoticeId],
    since: dt.datetime,
) -> Lately:
    """Read what was made for contacts since `since`, the newest first, in one statement."""
    statement = sa.union_all(_recent(conn, contact_ids, channels, since=since), _about(notice_ids))
    lately = Lately(sent=[], statuses={})
    for row in (await conn.execute(statement)).mappings():
        if row["contact_id"] is None:
            lately.statuses[row["message"]] = row["status"]
        else:
            lately.sent.append(Sent(**row))
    return lately


async def waiting_steps(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]
) -> dict[SubscriptionId, int]:
    """Count the steps to subscriptions that were made before and have not gone yet."""
    statement = (
        sa.select(deliveries.c.subscription_id, sa.func.count())
        .where(
            deliveries.c.subscription_id.in_(sorted(subscription_ids)),
            deliveries.c.due_at.is_not(None),  # what the partial index of due times holds
            deliveries.c.cause == Cause.STEP,
            deliveries.c.attempts == 0,
        )
        .group_by(deliveries.c.subscription_id)
    )
    return {SubscriptionId(id_): count for id_, count in await conn.execute(statement)}


def _recent(
    conn: AsyncConnection,
    contact_ids: Collection[ContactId],
    channels: Collection[Channel],
    *,
    since: dt.datetime,
) -> sa.Select[Any]:
    newest = (
        sa.select(
            deliveries.c.contact_id,
            deliveries.c.channel,
            notices.c.status,
            sa.func.coalesce(deliveries.c.bundle, deliveries.c.id).label("message"),
            deliveries.c.created_at,
            deliveries.c.finished_at,
            deliveries.c.due_at,
            deliveries.c.attempts,
            deliveries.c.bundle,
            deliveries.c.held_reason,
        )
        .join(notices, notices.c.id == deliveries.c.notice_id)
        .where(
            among(deliveries.c.contact_id, contact_ids),
            deliveries.c.channel.in_(sorted(channels)),
            deliveries.c.created_at > since,
            deliveries.c.state.not_in(_NEVER_WENT),
        )
        .order_by(deliveries.c.created_at.desc())
        .limit(MESSAGES_READ_MAX)
        .subquery()
    )
    return sa.select(newest)


def _about(notice_ids: Collection[NoticeId]) -> sa.Select[Any]:
    """Select the status of notices as rows of the same shape: one statement reads both."""
    empty = {
        name: sa.cast(sa.null(), deliveries.c[name].type)
        for name in (
            "contact_id",
            "channel",
            "created_at",
            "finished_at",
            "due_at",
            "attempts",
            "bundle",
            "held_reason",
        )
    }
    return sa.select(
        empty["contact_id"],
        empty["channel"],
        notices.c.status,
        notices.c.id.label("message"),
        empty["created_at"],
        empty["finished_at"],
        empty["due_at"],
        empty["attempts"],
        empty["bundle"],
        empty["held_reason"],
    ).where(notices.c.id.in_(sorted(notice_ids)))

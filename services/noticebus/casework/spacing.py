"""Spacing what is about to be stored: bundles, the hourly cap and bursts, decided in `domain`.

Two transactions that make messages for one contact at the same instant do not see each other: both
messages go at once. Nobody waits on a lock for that; too many is safer than too late.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.binding import BUS_HOLD
from noticebus.contracts.vocabulary import Cause, Channel, Status
from noticebus.domain.spacing import (
    BUNDLED,
    HOUR,
    WINDOW,
    Hold,
    Line,
    Message,
    Past,
    StepMessage,
    bursts,
    space,
    spread,
)
from noticebus.ids import DeliveryId, NoticeId
from noticebus.store.deliveries import Delivery
from noticebus.store.messages import Sent, messages_lately, waiting_steps

TO_SERVER = frozenset({Channel.WEBHOOK, Channel.KAFKA})
LOOK_BACK = 2 * HOUR  # nothing is held for longer than one hour, and counts for one more


async def spaced(
    conn: AsyncConnection, new: Sequence[Delivery], *, now: dt.datetime
) -> list[Delivery]:
    """Give `new`, about to be stored with their notices there, each due when it may go.

    One statement where a contact is written to, one where a recipient would get a burst of steps;
    none for anything else.
    """
    held = await _spaced_messages(conn, new, now=now) | await _spread_steps(conn, new, now=now)
    return [_held(one, held[one.id]) if one.id in held else one for one in new]


async def _spaced_messages(
    conn: AsyncConnection, new: Sequence[Delivery], *, now: dt.datetime
) -> dict[DeliveryId, Hold]:
    written = [one for one in new if _is_message(one)]
    if not written:
        return {}
    lately = await messages_lately(
        conn,
        contact_ids={one.contact_id for one in written if one.contact_id is not None},
        channels=BUNDLED,
        notice_ids={one.notice_id for one in written if one.notice_id is not None},
        since=now - LOOK_BACK,
    )
    messages = [_message(one, lately.statuses) for one in written]
    return space(messages, past=_past(lately.sent, now=now), now=now)


async def _spread_steps(
    conn: AsyncConnection, new: Sequence[Delivery], *, now: dt.datetime
) -> dict[DeliveryId, Hold]:
    steps = [
        StepMessage(
            delivery_id=one.id,
            subscription_id=one.subscription_id,
            notice_class=one.notice_class,
        )
        for one in new
        if one.cause is Cause.STEP and one.channel in TO_SERVER and one.subscription_id is not None
    ]
    in_bursts = bursts(steps)
    if not in_bursts:
        return {}
    waiting = await waiting_steps(conn, in_bursts)
    return spread(
        [one for one in steps if one.subscription_id in in_bursts], waiting=waiting, now=now
    )


def _is_message(one: Delivery) -> bool:
    """Say whether a delivery is to be written to a contact."""
    carries = one.due_at is not None and one.notice_id is not None
    return carries and one.contact_id is not None and one.channel in BUNDLED


def _message(one: Delivery, statuses: Mapping[NoticeId, Status]) -> Message:
    assert one.contact_id is not None, "held by `_is_message`"
    assert one.notice_id is not None, "held by `_is_message`"
    assert one.due_at is not None, "held by `_is_message`"
    line = Line(contact_id=one.contact_id, channel=one.channel, status=statuses[one.notice_id])
    return Message(delivery_id=one.id, line=line, notice_class=one.notice_class, due_at=one.due_at)


def _past(sent: Sequence[Sent], *, now: dt.datetime) -> dict[Line, Past]:
    """Read what each line has had, message by message, however many deliveries one carried."""
    went: dict[Line, dict[str, dt.datetime]] = {}
    waiting: dict[Line, Hold] = {}
    later: dict[Line, str] = {}
    for one in sent:
        line = Line(contact_id=one.contact_id, channel=one.channel, status=one.status)
        if one.attempts or one.due_at is None or one.due_at <= now:
            went.setdefault(line, {}).setdefault(one.message, _went_at(one, now=now))
        elif one.bundle is None:
            continue
        elif one.held_reason is None:
            later[line] = one.bundle
        else:
            waiting[line] = Hold(due_at=one.due_at, bundle=one.bundle, reason=one.held_reason)
    return {
        line: Past(
            went_at=tuple(went.get(line, {}).values()),
            waiting=waiting.get(line),
            later=later.get(line),
        )
        for line in {*went, *waiting, *later}
    }


def _went_at(one: Sent, *, now: dt.datetime) -> dt.datetime:
    """Tell when a message went: at once, or where it was held, about when its wait ended."""
    if one.held_reason is None:
        return one.created_at
    return min(one.finished_at or one.due_at or one.created_at + WINDOW, now)


def _held(one: Delivery, hold: Hold) -> Delivery:
    """Hold a delivery. The bus does not carry it: a lease for the bus would part a bundle."""
    return replace(
        one,
        due_at=hold.due_at,
        bundle=hold.bundle,
        held_reason=hold.reason,
        lease_until=one.lease_until - BUS_HOLD,
    )

"""The other deliveries that one which failed leads to: a contact's next channel, or it again."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.desk import Desk
from noticebus.casework.spacing import spaced
from noticebus.contracts.vocabulary import Cause, Channel, ContentLevel, DeliveryState, Notify
from noticebus.domain.delivery import next_channel
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.ids import AgencyId, ContactId, new_delivery_id
from noticebus.store import claims, deliveries, matching
from noticebus.store.deliveries import Carried, Delivery

CARRIES_DUTY = frozenset({Cause.NOTICE, Cause.STEP, Cause.CORRECTION})
TO_AGENCY = frozenset({Channel.WEBHOOK, Channel.KAFKA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A delivery that has not got through, and when its next channel is to start."""

    delivery: Delivery
    next_at: dt.datetime


def has_next(delivery: Delivery) -> bool:
    """Tell whether another channel may follow where this delivery fails."""
    return delivery.cause in CARRIES_DUTY and delivery.channel not in {
        Channel.INBOX,
        Channel.VOICE,
    }


def carried(sent: Sequence[Delivery]) -> list[Carried]:
    """Give what was carried, and to which contact; what an agency's server took is for all."""
    return [
        Carried(
            obligation_id=one.obligation_id,
            version=one.version,
            contact_id=None if one.channel in TO_AGENCY else one.contact_id,
        )
        for one in sent
        if one.obligation_id is not None
    ]


async def start(
    conn: AsyncConnection,
    desk: Desk,
    failed: Sequence[Undelivered],
    *,
    now: dt.datetime,
    machine_now: dt.datetime,
) -> None:
    """Queue what follows each of `failed`; one that waits already is hastened where it is time.

    An agency's endpoint or topic is followed by its desk on duty, and a contact's channel by its
    next. Nothing follows what a cancel or a waiver has overtaken: it would be newer than the end.
    """
    started = [one for one in failed if has_next(one.delivery)]
    of_contacts = {
        one.delivery.contact_id
        for one in started
        if one.delivery.contact_id is not None and desk.dials
    }
    of_agencies = {one.delivery.agency_id for one in started if one.delivery.channel in TO_AGENCY}
    if not of_contacts and not of_agencies:
        return
    ended = await claims.ended_among(conn, [one.delivery.id for one in started])
    started = [one for one in started if one.delivery.id not in ended]
    people = await matching.points_of_contacts(conn, of_contacts, at=now, telephone=desk.dials)
    desks = await matching.contact_points(conn, of_agencies, at=now, telephone=desk.dials)
    made = [
        replace(over(one.delivery, contact, channel, now=now, machine_now=machine_now), due_at=at)
        for one in started
        for contact in _followed_by(one.delivery, people, desks)
        if (channel := next_channel(one.delivery.channel, reached_by=contact.channels)) is not None
        for at in [one.next_at]
    ]
    await deliveries.insert_missing(conn, await spaced(conn, made, now=now))
    at_once = [one.delivery for one in started if one.next_at <= now]
    if at_once:
        await deliveries.hasten_next_channel(conn, carried(at_once), now=now)


def desk_on_duty(
    points: Mapping[AgencyId, Sequence[ContactPoint]], agency_id: AgencyId
) -> Sequence[ContactPoint]:
    """Give whoever is on duty at an agency."""
    return resolve(Notify.ON_DUTY, points.get(agency_id, ())).contacts


def over(
    failed: Delivery,
    contact: ContactPoint,
    channel: Channel,
    *,
    now: dt.datetime,
    machine_now: dt.datetime,
) -> Delivery:
    """Make the delivery to a contact that stands for one which failed."""
    return replace(
        again(failed, now=now, machine_now=machine_now),
        subscription_id=None,
        contact_id=contact.id,
        destination=f"{contact.id}:{channel}",
        channel=channel,
        content_level=ContentLevel.ID_ONLY,
    )


def again(delivery: Delivery, *, now: dt.datetime, machine_now: dt.datetime) -> Delivery:
    """Make a fresh delivery of the same thing: a new id, no number, nothing tried."""
    return replace(
        delivery,
        id=new_delivery_id(),
        sequence=None,
        state=DeliveryState.QUEUED,
        attempts=0,
        recipient_attempts=0,
        due_at=now,
        lease_until=machine_now,
        first_failed_at=None,
        finished_at=None,
        created_at=now,
        bundle=None,
        held_reason=None,
    )


def _followed_by(
    failed: Delivery,
    people: Mapping[ContactId, ContactPoint],
    desks: Mapping[AgencyId, Sequence[ContactPoint]],
) -> Sequence[ContactPoint]:
    if failed.channel in TO_AGENCY:
        return desk_on_duty(desks, failed.agency_id)
    person = None if failed.contact_id is None else people.get(failed.contact_id)
    return [] if person is None else [person]

"""The other deliveries that one which failed leads to: mail to the desk on duty, or it again."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from noticebus.contracts.vocabulary import Cause, Channel, ContentLevel, DeliveryState, Notify
from noticebus.domain.escalation import ContactPoint, resolve
from noticebus.ids import AgencyId, ObligationId, new_delivery_id
from noticebus.store.deliveries import Delivery

CARRIES_DUTY = frozenset({Cause.NOTICE, Cause.STEP, Cause.CORRECTION})


def has_next(delivery: Delivery) -> bool:
    """Tell whether mail follows where this delivery fails."""
    return delivery.channel is Channel.WEBHOOK and delivery.cause in CARRIES_DUTY


def carried(sent: Sequence[Delivery]) -> set[tuple[ObligationId, int]]:
    """Give the obligations and versions that were carried."""
    return {(one.obligation_id, one.version) for one in sent if one.obligation_id is not None}


def desk_on_duty(
    points: Mapping[AgencyId, Sequence[ContactPoint]], agency_id: AgencyId
) -> Sequence[ContactPoint]:
    """Give whoever is on duty at an agency."""
    return resolve(Notify.ON_DUTY, points.get(agency_id, ())).contacts


def by_mail(
    refused: Delivery, contact: ContactPoint, *, now: dt.datetime, machine_now: dt.datetime
) -> Delivery:
    """Make the mail to a contact that stands for a refused webhook."""
    return replace(
        again(refused, now=now, machine_now=machine_now),
        subscription_id=None,
        contact_id=contact.id,
        destination=f"{contact.id}:{Channel.EMAIL}",
        channel=Channel.EMAIL,
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
    )

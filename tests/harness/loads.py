"""A claimed delivery with its destination, as a dispatcher holds it, made without a database."""

import datetime as dt

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    NoticeClass,
    SubscriptionState,
)
from noticebus.dispatcher.carrier import Load
from noticebus.ids import AgencyId, SubscriptionId, new_delivery_id, new_subscription_id
from noticebus.store.claims import Destination
from noticebus.store.deliveries import Delivery

AT = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)


def a_load(*, url: str | None, subscription_id: SubscriptionId | None = None) -> Load:
    """Make a notice's first try, to an endpoint at `url` that has never failed."""
    delivery = a_delivery(subscription_id or new_subscription_id())
    destination = Destination(
        delivery_id=delivery.id,
        agency_kind=AgencyKind.CPS,
        agency_name="Scott County CPS",
        zone="America/Chicago",
        url=url,
        secrets_sealed=[],
        challenge="c",
        subscription_state=SubscriptionState.ACTIVE,
        content_level=ContentLevel.PARTNER,
        email=None,
        phone=None,
        contact_ended_at=None,
        obligation_state=None,
        obligation_closed_at=None,
        answered_version=None,
        first_digest=None,
    )
    return Load(delivery=delivery, destination=destination, notice=None)


def a_delivery(subscription_id: SubscriptionId, *, cause: Cause = Cause.TEST) -> Delivery:
    """Make a delivery that has just been claimed for its first try."""
    return Delivery(
        id=new_delivery_id(),
        incident_id=None,
        obligation_id=None,
        notice_id=None,
        subscription_id=subscription_id,
        contact_id=None,
        agency_id=AgencyId("agy_01h455vb4pex5vsknk084sn02q"),
        subject=subscription_id,
        destination=subscription_id,
        channel=Channel.WEBHOOK,
        cause=cause,
        version=1,
        round=0,
        step=0,
        notice_class=NoticeClass.B,
        content_level=ContentLevel.PARTNER,
        sequence=None,
        answer_due_at=None,
        state=DeliveryState.SENDING,
        attempts=1,
        recipient_attempts=0,
        due_at=AT,
        lease_until=AT,
        first_failed_at=None,
        finished_at=None,
        detail=None,
        created_at=AT,
    )

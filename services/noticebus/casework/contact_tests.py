"""A test message to one contact, by mail or text: whether it arrives, and if not, why not."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.administration import enter, require_manager
from noticebus.casework.consent import CLASS
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Cause, Channel, ContentLevel
from noticebus.domain.heartbeats import minute_of
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import new_delivery_id
from noticebus.store import agencies, deliveries, inbox
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Attempt, Delivery

BY = (Channel.EMAIL, Channel.SMS)


async def send_test(
    desk: Desk, principal: Principal, *, agency_id: str, contact_id: str, channel: Channel
) -> Delivery:
    """Queue a test to a contact's verified address or telephone: one a minute each."""
    require_manager(principal, agency_id, what="agency")
    now = desk.world.now()
    async with desk.database.read() as conn:
        contact = await _contact(conn, agency_id=agency_id, contact_id=contact_id)
    _refuse_unreachable(desk, contact, channel)
    delivery = Delivery(
        id=new_delivery_id(),
        contact_id=contact.id,
        agency_id=contact.agency_id,
        subject=contact.id,
        destination=f"{contact.id}:{channel}",
        channel=channel,
        cause=Cause.TEST,
        version=1,
        round=0,
        step=minute_of(now),
        notice_class=CLASS,
        content_level=ContentLevel.ID_ONLY,
        due_at=now,
        lease_until=desk.machine.now(),
        created_at=now,
    )
    body = {"agency_id": contact.agency_id, "contact_id": contact.id, "delivery_id": delivery.id}
    try:
        async with desk.database.begin() as conn:
            await deliveries.insert_deliveries(conn, [delivery])
            await enter(conn, "contact.tested", body, by=principal, at=now)
    except sa.exc.IntegrityError as error:
        raise ConflictError(
            "A test went there within this minute. Look what comes of it before you send another."
        ) from error
    desk.committed()
    return delivery


async def find_test(
    desk: Desk, *, agency_id: str, delivery_id: str
) -> tuple[Delivery, Attempt | None] | None:
    """Find a test to a contact of an agency and its latest attempt; None for anything else."""
    async with desk.database.read() as conn:
        found = await inbox.find_delivery(conn, delivery_id)
        if found is None or found.agency_id != agency_id or found.cause is not Cause.TEST:
            return None
        if found.subscription_id is not None:
            return None
        tries = (await deliveries.attempts_of(conn, [found.id])).get(found.id, [])
    return found, tries[-1] if tries else None


def testable(desk: Desk, contact: Contact, channel: Channel) -> bool:
    """Say whether a test may go: only to what is verified, over what this bus has."""
    if channel is Channel.EMAIL:
        return contact.email_verified_at is not None and contact.email is not None
    verified = contact.phone is not None and contact.phone_verified_at is not None
    return channel is Channel.SMS and verified and contact.texts and desk.dials


async def _contact(conn: AsyncConnection, *, agency_id: str, contact_id: str) -> Contact:
    found = await agencies.find_contact(conn, contact_id=contact_id)
    if found is None or found.agency_id != agency_id or found.ended_at is not None:
        raise NotFoundError("There is no such contact here any more. Look at the agency's page.")
    return found


def _refuse_unreachable(desk: Desk, contact: Contact, channel: Channel) -> None:
    if testable(desk, contact, channel):
        return
    if channel is Channel.EMAIL:
        raise ConflictError(
            "This contact has no verified mail address. An operator verifies one by entering it."
        )
    raise ConflictError(
        "No text message can be sent: the contact has no verified telephone that takes them, or the"
        " bus has no telephone provider."
    )

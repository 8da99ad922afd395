"""What a text message and a call to one contact carry: pure functions of stored facts (I3)."""

from noticebus.access import links
from noticebus.casework.bodies import reads_along, reminds
from noticebus.casework.desk import Desk
from noticebus.casework.links import claims_for, link_address
from noticebus.casework.next_channel import CARRIES_DUTY
from noticebus.casework.views import place_line
from noticebus.contracts.vocabulary import Msg, NoticeClass, Notify
from noticebus.domain.telephone import (
    GATHER_PATH,
    Telling,
    callback_address,
    compose_call,
    compose_text,
)
from noticebus.store.claims import Destination
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Notice


def text_message(
    delivery: Delivery, *, notice: Notice, destination: Destination, desk: Desk
) -> str:
    """Write the text message to one contact: how urgent, where, until when, link and code."""
    return compose_text(_telling(delivery, notice, destination, desk))


def call_document(
    delivery: Delivery, *, notice: Notice, destination: Destination, desk: Desk
) -> str:
    """Write what a call to one contact says, and where what is typed goes."""
    told = _telling(delivery, notice, destination, desk)
    return compose_call(told, action=gather_address(desk, delivery))


def gather_address(desk: Desk, delivery: Delivery) -> str:
    """Give the address at which the provider tells what was typed on a call."""
    return callback_address(desk.base_url, GATHER_PATH, delivery.id)


def _telling(delivery: Delivery, notice: Notice, destination: Destination, desk: Desk) -> Telling:
    linked = delivery.obligation_id is not None and delivery.contact_id is not None
    claims = claims_for(delivery, notice) if linked else None
    asked = claims is not None and _asks(delivery, notice)
    return Telling(
        status=notice.status,
        notice_class=delivery.notice_class,
        msg=notice.msg,
        duty=delivery.cause in CARRIES_DUTY,
        reminder=reminds(delivery),
        agency=destination.agency_name,
        place=place_line(notice.area_keys, desk.places),
        due_at=delivery.answer_due_at,
        zone=destination.zone,
        link="" if claims is None else link_address(desk, claims),
        code=links.code_for(desk.keyring, claims) if claims is not None and asked else "",
        reads_along=reads_along(delivery),
    )


def _asks(delivery: Delivery, notice: Notice) -> bool:
    """Say whether this contact is asked for an answer: the bus's operators only read along."""
    told = (delivery.detail or {}).get("notify")
    return (
        delivery.cause in CARRIES_DUTY
        and delivery.notice_class is not NoticeClass.D
        and notice.msg is not Msg.CANCEL
        and told != Notify.OPERATORS
    )

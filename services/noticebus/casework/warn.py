"""Warnings by mail to an agency's contacts about a subscription of theirs, and to the operators.

Over another channel than the endpoint they are about, and whatever state the subscription is in.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Cause, Channel, ContentLevel, NoticeClass
from noticebus.domain.endpoint_mail import EndpointMail, compose_endpoint_mail
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.heartbeats import minute_of
from noticebus.domain.lease_mail import LeaseMail, compose_lease_ends, compose_lease_lapsed
from noticebus.domain.mail import ComposedMail
from noticebus.ids import AgencyId, new_delivery_id
from noticebus.store import matching
from noticebus.store.claims import Destination
from noticebus.store.deliveries import Delivery, insert_missing
from noticebus.store.subscriptions import Subscription


class WarningKind(StrEnum):
    """What a warning is about. Their order numbers them: append, never insert."""

    LEASE_ENDS = "lease_ends"
    LEASE_LAPSED = "lease_lapsed"
    ENDPOINT = "endpoint"  # it fails, or is down


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """One warning. `number` tells those of one kind that may fall in one minute apart.

    `facts` are what its mail says beside the names: nothing secret, nothing about a person.
    """

    kind: WarningKind
    number: int
    facts: Mapping[str, Any]


async def warn(
    conn: AsyncConnection,
    desk: Desk,
    order: Subscription,
    warning: Warn,
    *,
    operators: bool = False,
) -> int:
    """Queue a mail to each contact of the agency, and to the bus's operators where asked.

    Say how many there are. The caller's transaction holds what it is about.
    """
    now = desk.world.now()
    points = await matching.contact_points(conn, [order.agency_id], at=now, telephone=False)
    readers = dict.fromkeys(_mailed(points.get(order.agency_id, ())), order.agency_id)
    if operators and (first := await matching.first_operators(conn)) is not None:
        people = await matching.operator_points(conn, at=now, telephone=False)
        readers |= dict.fromkeys(_mailed(people), first.id)
    if not readers:
        return 0
    facts = await matching.agencies_by_id(conn, [order.agency_id])
    told = {
        "warning": str(warning.kind),
        "subscription_id": order.id,
        "name": order.name,
        "agency": facts[order.agency_id].name,
        **warning.facts,
    }
    mails = [
        replace(_mail(desk, order, warning, contact=one, agency_id=agency_id), detail=told)
        for one, agency_id in readers.items()
    ]
    await insert_missing(conn, mails)
    return len(mails)


def warning_text(delivery: Delivery, destination: Destination, *, base_url: str) -> ComposedMail:
    """Write the mail of a warning, from what was true when it was queued."""
    told = delivery.detail or {}
    return _TEXTS[WarningKind(told["warning"])](told, destination.zone, base_url)


def _lease_mail(told: Mapping[str, Any], zone: str, base_url: str) -> LeaseMail:
    return LeaseMail(
        agency=told["agency"],
        name=told["name"],
        subscription_id=told["subscription_id"],
        until=dt.datetime.fromisoformat(told["until"]),
        zone=zone,
        address=f"{base_url}/v1/subscriptions/{told['subscription_id']}",
    )


def _lease_ends(told: Mapping[str, Any], zone: str, base_url: str) -> ComposedMail:
    return compose_lease_ends(_lease_mail(told, zone, base_url))


def _lease_lapsed(told: Mapping[str, Any], zone: str, base_url: str) -> ComposedMail:
    return compose_lease_lapsed(_lease_mail(told, zone, base_url))


def _endpoint(told: Mapping[str, Any], zone: str, base_url: str) -> ComposedMail:
    return compose_endpoint_mail(
        EndpointMail(
            agency=told["agency"],
            name=told["name"],
            subscription_id=told["subscription_id"],
            per_cent=told["per_cent"],
            failures=told["failures"],
            since=dt.datetime.fromisoformat(told["since"]),
            error=told["error"],
            zone=zone,
            address=f"{base_url}/v1/subscriptions/{told['subscription_id']}",
        )
    )


Text = Callable[[Mapping[str, Any], str, str], ComposedMail]
"""Writes a mail from what was told, the reader's zone and the bus's own address."""

_TEXTS: Mapping[WarningKind, Text] = {
    WarningKind.LEASE_ENDS: _lease_ends,
    WarningKind.LEASE_LAPSED: _lease_lapsed,
    WarningKind.ENDPOINT: _endpoint,
}


def _mailed(points: Iterable[ContactPoint]) -> list[ContactPoint]:
    """Give everybody with mail, once: a contact may hold two positions."""
    return list({one.id: one for one in points if one.email}.values())


def _mail(
    desk: Desk, order: Subscription, warning: Warn, *, contact: ContactPoint, agency_id: AgencyId
) -> Delivery:
    now = desk.world.now()
    return Delivery(
        id=new_delivery_id(),
        subscription_id=None,  # it must arrive while the subscription is paused, too
        contact_id=contact.id,
        agency_id=agency_id,
        subject=order.id,
        destination=f"{contact.id}:{Channel.EMAIL}",
        channel=Channel.EMAIL,
        cause=Cause.WARNING,
        version=list(WarningKind).index(warning.kind) + 1,
        round=warning.number,
        step=minute_of(now),
        notice_class=NoticeClass.B,
        content_level=ContentLevel.ID_ONLY,
        due_at=now,
        lease_until=desk.machine.now(),
        created_at=now,
    )

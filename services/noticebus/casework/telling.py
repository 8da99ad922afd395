"""Telling everybody bound of a version, and noting whom nothing reaches any more (I6, I7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.binding import Moment, counts_of, number
from noticebus.casework.desk import Desk
from noticebus.casework.recipients import find_for, route_notice, tell
from noticebus.contracts.vocabulary import Owed, UnreachableReason
from noticebus.domain.routing import Recipient, Routing
from noticebus.ids import AgencyId
from noticebus.store import matching
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What tells everybody bound, numbered, and what they owe with the reach they have now."""

    routing: Routing
    bound: list[Obligation]
    deliveries: list[Delivery]


async def tell_bound(
    conn: AsyncConnection, desk: Desk, notice: Notice, bound: Sequence[Obligation], *, at: Moment
) -> Told:
    """Tell a version that binds nobody new to those among `bound` who owe an answer to notices."""
    routing = route_notice(notice, await find_for(conn, desk, [notice]))
    recipients = {one.agency_id: one for one in routing.recipients}
    owed = [one for one in bound if one.owed is Owed.NOTICE]
    told = await tell(conn, notice, owed, recipients, at=at)
    reach = {one.id: one for one in reached_now(owed, told, recipients, sends_mail=desk.sends_mail)}
    return Told(
        routing=routing,
        bound=[reach.get(one.id, one) for one in bound],
        deliveries=number(told, await matching.take_sequences(conn, counts_of(told))),
    )


def reached_now(
    bound: Sequence[Obligation],
    told: Sequence[Delivery],
    recipients: Mapping[AgencyId, Recipient],
    *,
    sends_mail: bool,
) -> list[Obligation]:
    """Note on each obligation whether the version just told can reach its recipient.

    One that routing finds no more, its subscription ended and its responsibility too, is reached
    by mail to its desk or not at all.
    """
    carried = {one.obligation_id for one in told}
    return [
        _reach(owed, recipients.get(owed.agency_id), mailed=owed.id in carried, mails=sends_mail)
        for owed in bound
    ]


def _reach(
    owed: Obligation, recipient: Recipient | None, *, mailed: bool, mails: bool
) -> Obligation:
    if recipient is not None:
        reason = recipient.unreachable_reason
    elif not mailed:
        reason = UnreachableReason.NO_VERIFIED_CHANNEL
    else:
        reason = None if mails else UnreachableReason.MAIL_NOT_CONFIGURED
    if owed.reachable is (reason is None) and owed.unreachable_reason is reason:
        return owed
    return replace(owed, reachable=reason is None, unreachable_reason=reason)

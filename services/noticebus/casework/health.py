"""How endpoints do: failures in a row, staged warnings by another channel, and the breaker.

Nothing is disabled here: a tripped endpoint is kept on, probed, and warned about.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import next_channel
from noticebus.casework.consent import CLASS
from noticebus.casework.desk import Desk
from noticebus.casework.warn import WarningKind
from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import Cause, Channel, ContentLevel, Fault
from noticebus.domain.delivery import counts_against_recipient
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.health import DOWN, Change, Tally, after_batch
from noticebus.domain.heartbeats import minute_of
from noticebus.ids import AgencyId, SubscriptionId, new_delivery_id
from noticebus.records import lean
from noticebus.store import deliveries, endpoints, ledger, matching
from noticebus.store.deliveries import Delivery
from noticebus.store.endpoints import Called
from noticebus.store.ledger import Entry, make_entry

_UNHEARD = Tally(succeeded=False, failures=0)
_WELL = Tally(succeeded=True, failures=0)


@lean
class Heard:
    """What one attempt says of the endpoint it went to: a success has no fault."""

    delivery: Delivery
    fault: Fault | None
    error: str
    at: dt.datetime


async def note(
    conn: AsyncConnection,
    desk: Desk,
    heard: Sequence[Heard],
    *,
    now: dt.datetime,
    machine_now: dt.datetime,
) -> None:
    """Count a batch of attempts for and against their endpoints, last in the caller's transaction.

    A batch that only succeeded costs one look, and writes nothing where all was well.
    """
    tallies = _tallies(heard)
    if not tallies:
        return
    failed = {one for one, tally in tallies.items() if tally.failures}
    await endpoints.insert_missing(conn, failed, now=now)
    before = await endpoints.lock_endpoints(conn, failed=failed, succeeded=tallies.keys() - failed)
    changes = {
        one: after_batch(
            was, tallies[one], trip_after=desk.trip_after, now=now, machine_now=machine_now
        )
        for one, was in before.items()
    }
    await endpoints.write(conn, {one: after.health for one, after in changes.items()}, now=now)
    down = {one for one, after in changes.items() if one in failed and after.health.state in DOWN}
    if down:
        await endpoints.hold_waiting(conn, down)
    if any(after.warning or after.recovered for after in changes.values()):
        await _tell(conn, desk, changes, now=now)


def _tallies(heard: Sequence[Heard]) -> dict[SubscriptionId, Tally]:
    """Count, per endpoint, what came after its last success; what we failed counts nothing."""
    tallies: dict[SubscriptionId, Tally] = {}
    for one in heard:
        id_ = one.delivery.subscription_id
        if id_ is None or one.delivery.channel not in endpoints.CALLED:
            continue
        if one.fault is None:
            tallies[id_] = _WELL
        elif counts_against_recipient(one.fault) and one.delivery.cause is not Cause.HANDSHAKE:
            before = tallies.get(id_, _UNHEARD)
            tallies[id_] = Tally(
                succeeded=before.succeeded,
                failures=before.failures + 1,
                failed_at=before.failed_at or one.at,
                last_error=one.error,
            )
    return tallies


async def _tell(
    conn: AsyncConnection,
    desk: Desk,
    changes: Mapping[SubscriptionId, Change],
    *,
    now: dt.datetime,
) -> None:
    """Enter what became of endpoints, and warn whoever can mend them."""
    said = {one: after for one, after in changes.items() if after.warning or after.recovered}
    whose = await endpoints.called(conn, said.keys())
    entries = [
        entry
        for id_, after in sorted(said.items())
        for entry in _entries(whose[id_], after, now=now)
    ]
    await ledger.append(conn, entries)
    warned = [(whose[one], after) for one, after in sorted(said.items()) if after.warning]
    if warned:
        await _warn(conn, desk, warned, now=now)


def _entries(order: Called, after: Change, *, now: dt.datetime) -> list[Entry]:
    ids = {"subscription_id": order.id, "agency_id": order.agency_id}
    entries = [make_entry("endpoint.recovered", ids, at=now)] if after.recovered else []
    if after.warning:
        type_ = "endpoint.tripped" if after.tripped else "endpoint.warned"
        facts = {"per_cent": after.warning, "failures": after.health.failures}
        entries.append(make_entry(type_, {**ids, **facts}, at=now))
    return entries


async def _warn(
    conn: AsyncConnection,
    desk: Desk,
    warned: Sequence[tuple[Called, Change]],
    *,
    now: dt.datetime,
) -> None:
    """Queue a mail to the desk on duty of each, however many there are in as many statements.

    The bus's operators get one too when an endpoint has tripped, and where an agency has no mail.
    """
    agencies = {order.agency_id for order, _ in warned}
    points = await matching.contact_points(conn, agencies, at=now, telephone=False)
    operators = _mailed(await matching.operator_points(conn, at=now, telephone=False))
    first = await matching.first_operators(conn)
    mails = []
    for order, after in warned:
        desks = _mailed(next_channel.desk_on_duty(points, order.agency_id))
        mails += [_mail(desk, order, after, reader=(one, order.agency_id)) for one in desks]
        if first is not None and (after.tripped or not desks):
            mails += [_mail(desk, order, after, reader=(one, first.id)) for one in operators]
    await deliveries.insert_missing(conn, mails)


def _mailed(points: Sequence[ContactPoint]) -> list[ContactPoint]:
    """Give everybody with mail, once: a contact may hold two positions."""
    return list({one.id: one for one in points if one.email}.values())


def _mail(
    desk: Desk, order: Called, after: Change, *, reader: tuple[ContactPoint, AgencyId]
) -> Delivery:
    """Make a mail; an endpoint that comes and goes is warned of once an hour at each stage."""
    contact, agency_id = reader
    now, since = desk.world.now(), after.health.failing_since
    assert since is not None, "what is warned of fails since then"
    return Delivery(
        id=new_delivery_id(),
        subscription_id=None,  # it is about the endpoint, and goes by mail
        contact_id=contact.id,
        agency_id=agency_id,
        subject=order.id,
        destination=f"{contact.id}:{Channel.EMAIL}",
        channel=Channel.EMAIL,
        cause=Cause.WARNING,
        version=list(WarningKind).index(WarningKind.ENDPOINT) + 1,
        round=after.warning or 0,
        step=minute_of(since.replace(minute=0, second=0, microsecond=0)),
        notice_class=CLASS,
        content_level=ContentLevel.ID_ONLY,
        due_at=now,
        lease_until=desk.machine.now(),
        detail={
            "warning": WarningKind.ENDPOINT.value,
            "subscription_id": order.id,
            "name": order.name,
            "agency": order.agency_name,
            "per_cent": after.warning,
            "failures": after.health.failures,
            "since": write_instant(since),
            "error": after.health.last_error,
        },
        created_at=now,
    )

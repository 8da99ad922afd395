"""What was claimed and is not sent: it ends where it stands, or another takes its place."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from noticebus.casework import next_channel, probes
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Cause, DeliveryState
from noticebus.ids import DeliveryId
from noticebus.store import deliveries, ledger
from noticebus.store.deliveries import Delivery, Recording
from noticebus.store.ledger import Entry, make_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A claimed delivery that must not be sent.

    Moot since an answer, or revoked with the recipient's right to it.

    `renewed`: another, with a new id, carries what may still be seen (I3).
    """

    state: DeliveryState
    reason: str
    renewed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """One claimed delivery that was dropped, and why."""

    delivery: Delivery
    dropped: Dropped

    @property
    def claim(self) -> tuple[DeliveryId, int]:
        return (self.delivery.id, self.delivery.attempts)


async def drop(desk: Desk, unsent: Sequence[Unsent]) -> None:
    """End a batch unsent, each with another in its place where something may still be seen."""
    now, machine_now = desk.world.now(), desk.machine.now()
    async with desk.database.begin() as conn:
        ours = await deliveries.held_deliveries(conn, [one.claim for one in unsent])
        kept = [one for one in unsent if one.claim in ours]
        if not kept:
            return
        ended = [_ended(one, now=now) for one in kept]
        await deliveries.record(conn, ended, machine_now=machine_now)
        renewed = [
            _renewed(one.delivery, now=now, machine_now=machine_now)
            for one in kept
            if one.dropped.renewed
        ]
        await deliveries.insert_missing(conn, renewed)
        await ledger.append(conn, [_drop_entry(one, now=now) for one in kept])
        await probes.probe_again(conn, desk, [one.delivery for one in kept], now=now)
    desk.committed()


def _ended(one: Unsent, *, now: dt.datetime) -> Recording:
    return Recording(
        delivery_id=one.delivery.id,
        attempts=one.delivery.attempts,
        state=one.dropped.state,
        due_at=None,
        recipient_attempts=one.delivery.recipient_attempts,
        first_failed_at=one.delivery.first_failed_at,
        finished_at=now,
    )


def _renewed(delivery: Delivery, *, now: dt.datetime, machine_now: dt.datetime) -> Delivery:
    """Make what takes a revoked delivery's place. Its subject is that delivery: one each."""
    again = next_channel.again(delivery, now=now, machine_now=machine_now)
    return replace(again, cause=Cause.CORRECTION, subject=delivery.id)


def _drop_entry(one: Unsent, *, now: dt.datetime) -> Entry:
    data = {"delivery_id": one.delivery.id, "reason": one.dropped.reason}
    type_ = f"delivery.{one.dropped.state}"
    return make_entry(type_, data, at=now, incident_id=one.delivery.incident_id)

"""What a telephone provider says of a text message or call: one transaction each.

Its yes to our request was only a hand-over; its last word makes the delivery delivered, or takes it
back. Words arrive twice and out of order, and never lead backwards.
"""

import asyncio
import datetime as dt
import random
from dataclasses import dataclass, field

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import next_channel
from noticebus.casework.desk import Desk
from noticebus.casework.next_channel import Undelivered
from noticebus.casework.outcomes import mark_obligations
from noticebus.contracts.vocabulary import (
    Channel,
    DeliveryState,
    Fault,
    Outcome,
)
from noticebus.domain.delivery import AttemptResult, RetryAt, after_attempt
from noticebus.domain.telephone import (
    AGAIN_AFTER,
    TRIES_MAX,
    Heard,
    goes_on,
    hear,
)
from noticebus.ids import DeliveryId
from noticebus.store import deliveries, ledger, obligations, telephone
from noticebus.store.deliveries import Attempt, Delivery, Recording
from noticebus.store.ledger import Entry, History, make_entry

log = structlog.get_logger(__name__)

LOOKS_MAX = 20
LOOK_EVERY = dt.timedelta(milliseconds=250)
BY_TELEPHONE = frozenset({Channel.SMS, Channel.VOICE})
_CAN_STILL_ARRIVE = frozenset({DeliveryState.QUEUED, DeliveryState.HANDED_OVER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A provider's word on one message or call."""

    delivery_id: DeliveryId
    provider_id: str
    status: str
    error_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A report with what it is about: the delivery locked, and its attempt where it is known."""

    report: Report
    heard: Heard
    delivery: Delivery
    attempt: Attempt | None
    now: dt.datetime
    machine_now: dt.datetime
    jitter: float

    @property
    def current(self) -> bool:
        """Say whether it is about the attempt that the delivery waits for."""
        return (
            self.attempt is not None
            and self.attempt.number == self.delivery.attempts
            and self.delivery.state is DeliveryState.HANDED_OVER
        )


@dataclass(slots=True, kw_only=True)
class _Written:
    entries: list[Entry] = field(default_factory=list)
    history: list[History] = field(default_factory=list)

    def add(self, more: "_Written") -> None:
        """Take what another delivery of the same message has written."""
        self.entries += more.entries
        self.history += more.history


async def take_report(desk: Desk, report: Report) -> None:
    """Take a provider's word; one that came before, or is older than what is known, is nothing.

    A provider is sometimes quicker than our own record of having called it: then this waits for
    that record, five seconds at most.
    """
    heard = hear(report.status)
    if heard is None:
        log.info("telephone.word_unknown", delivery_id=report.delivery_id)
        return
    for _ in range(LOOKS_MAX):
        if await _take_report(desk, report, heard):
            return
        until = desk.machine.now() + LOOK_EVERY
        await desk.machine.wait_until(until, wake=asyncio.Event())
    log.warning("telephone.report_unmatched", delivery_id=report.delivery_id)


async def _take_report(desk: Desk, report: Report, heard: Heard) -> bool:
    """Take a report in one transaction; false where its attempt is still being recorded."""
    async with desk.database.begin() as conn:
        ids = set(await telephone.attempts_of(conn, report.provider_id)) or {report.delivery_id}
        seen = await telephone.deliveries_by_id(conn, ids)
        owed = {one.obligation_id for one in seen if one.obligation_id is not None}
        if not any(one.channel in BY_TELEPHONE for one in seen):
            log.info("telephone.report_unknown", delivery_id=report.delivery_id)
            return True
        # Before the deliveries: the order of locks.
        await obligations.lock_obligations(conn, ids=sorted(owed))
        locked = await telephone.deliveries_by_id(conn, ids, lock=True)
        tried = await telephone.attempts_of(conn, report.provider_id)
        unsure = [one for one in locked if one.bundle is not None or one.id not in tried]
        sending = [await telephone.is_being_sent(conn, one) for one in unsure]
        if any(sending) or set(tried) - ids:
            return False
        written = _Written()
        jitter = random.random()  # noqa: S311 - jitter, nothing secret; one for all of a bundle
        for delivery in locked:
            case = _Case(
                report=report,
                heard=heard,
                delivery=delivery,
                attempt=tried.get(delivery.id),
                now=desk.world.now(),
                machine_now=desk.machine.now(),
                jitter=jitter,
            )
            written.add(await _apply(conn, desk, case))
        await ledger.append(conn, written.entries)
        await ledger.append_history(conn, written.history)
    if written.entries:
        log.info("telephone.reported", delivery_id=locked[0].id, outcome=heard.value)
        desk.committed()
    return True


async def _apply(conn: AsyncConnection, desk: Desk, case: _Case) -> _Written:
    """Do what a report means for its delivery."""
    attempt = case.attempt
    if attempt is not None:
        if not goes_on(case.report.status, after=attempt.provider_status):
            return _Written()
        await telephone.note_status(conn, attempt, status=case.report.status, at=case.now)
    match case.heard:
        case Heard.REACHED if case.current or _arrived_unasked(case):
            return await _reached(conn, case)
        case Heard.NOT_REACHED if case.current:
            return await _not_reached(conn, desk, case)
        case _:
            known = attempt is not None
            return _Written(entries=[_entry("delivery.reported", case)] if known else [])


def _arrived_unasked(case: _Case) -> bool:
    """Say whether a try whose answer was lost has arrived after all: then none follows."""
    return case.attempt is None and case.delivery.state in _CAN_STILL_ARRIVE


async def _reached(conn: AsyncConnection, case: _Case) -> _Written:
    """Mark a delivery delivered, as an endpoint's 2xx would; its next channel is not needed."""
    delivery = case.delivery
    lines = await mark_obligations(conn, [delivery], told={}, now=case.now)
    await deliveries.finish_delivered(conn, [delivery.id], finished_at=case.now)
    if next_channel.has_next(delivery):
        await deliveries.drop_next_channel(conn, next_channel.carried([delivery]), now=case.now)
    return _Written(
        entries=[_entry("delivery.delivered", case), *(entry for entry, _ in lines)],
        history=[line for _, line in lines],
    )


async def _not_reached(conn: AsyncConnection, desk: Desk, case: _Case) -> _Written:
    """Take a delivery back: it is tried again on its class's schedule, or ended.

    The next channel starts at once.
    """
    delivery = case.delivery
    verdict = after_attempt(
        _refusal(case.report),
        attempts=delivery.recipient_attempts + 1,
        schedule=desk.schedules[delivery.notice_class],
        failed_at=case.now,
        first_failed_at=delivery.first_failed_at,
        jitter=case.jitter,
    )
    tries = delivery.recipient_attempts + 1
    retry = verdict if isinstance(verdict, RetryAt) and tries < TRIES_MAX else None
    recording = Recording(
        delivery_id=delivery.id,
        attempts=delivery.attempts,
        state=DeliveryState.QUEUED if retry else DeliveryState.EXHAUSTED,
        due_at=retry.at if retry else None,
        recipient_attempts=tries,
        first_failed_at=delivery.first_failed_at or case.now,
        finished_at=None if retry else case.now,
    )
    await telephone.take_back(conn, recording)
    undelivered = Undelivered(delivery=delivery, next_at=case.now)
    await next_channel.start(conn, desk, [undelivered], now=case.now, machine_now=case.machine_now)
    if retry is None:
        return _Written(entries=[_entry("delivery.exhausted", case)])
    first = delivery.first_failed_at is None
    return _Written(entries=[_entry("delivery.refused" if first else "delivery.reported", case)])


def _refusal(report: Report) -> AttemptResult:
    return AttemptResult(
        outcome=Outcome.REFUSED,
        fault=Fault.RECIPIENT,
        retry_after=AGAIN_AFTER,
        error=f"The telephone was not reached: {report.status}.",
        body_digest="",
        duration=dt.timedelta(0),
    )


def _entry(type_: str, case: _Case) -> Entry:
    delivery = case.delivery
    data = {
        "delivery_id": delivery.id,
        "obligation_id": delivery.obligation_id,
        "contact_id": delivery.contact_id,
        "channel": delivery.channel,
        "cause": delivery.cause,
        "attempt": delivery.attempts if case.attempt is None else case.attempt.number,
        "provider_id": case.report.provider_id,
        "provider_status": case.report.status,
        "error_code": case.report.error_code,
    }
    return make_entry(type_, data, at=case.now, incident_id=delivery.incident_id)

"""Recording what attempts came to.

A batch of outcomes, one transaction, and what follows from each.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import consent, health, next_channel
from noticebus.casework.desk import Desk
from noticebus.casework.health import Heard
from noticebus.casework.next_channel import Undelivered
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    HeldReason,
    Notify,
    Outcome,
    Status,
)
from noticebus.domain.delivery import (
    NEXT_CHANNEL_AFTER,
    AttemptResult,
    Delivered,
    GiveUp,
    HandedOver,
    RetryAt,
    after_attempt,
    counts_against_recipient,
    diagnosis,
)
from noticebus.domain.handshakes import read_terms
from noticebus.domain.heartbeats import SCHEDULE
from noticebus.domain.schedules import Schedules
from noticebus.faultpoints import FaultPoint, reach
from noticebus.ids import DeliveryId, ObligationId
from noticebus.records import lean
from noticebus.store import claims, deliveries, exercises, ledger, obligations, subscriptions
from noticebus.store.deliveries import Attempt, Delivery, Recording
from noticebus.store.hot import insert_all
from noticebus.store.ledger import Entry, History, make_entry
from noticebus.store.obligations import facts_of

log = structlog.get_logger(__name__)

Claim = tuple[DeliveryId, int]  # a delivery and the number of its attempt: the fence


@lean
class Tried:
    """One claimed delivery and what its attempt came to. Instants are world time.

    `jitter` is drawn from 0 to 1; `status` is that of the notice it carried, where there was one.
    """

    delivery: Delivery
    result: AttemptResult
    started_at: dt.datetime
    finished_at: dt.datetime
    jitter: float
    status: Status | None = None

    @property
    def claim(self) -> Claim:
        return (self.delivery.id, self.delivery.attempts)

    @property
    def recipient_attempts(self) -> int:
        counts = counts_against_recipient(self.result.fault)
        return self.delivery.recipient_attempts + int(counts)


Verdict = Delivered | HandedOver | RetryAt | GiveUp


async def record(desk: Desk, tried: Sequence[Tried]) -> None:
    """Record a batch of outcomes, one of each claim.

    Those whose claim is not ours any more, passed to another dispatcher or lost in a crash of the
    database, change nothing but the log.
    """
    tried = _one_each(tried)
    now, machine_now = desk.world.now(), desk.machine.now()
    verdicts = {one.claim: _verdict(one, desk.schedules) for one in tried}
    delivered = [one for one in tried if isinstance(verdicts[one.claim], Delivered)]
    async with desk.database.begin() as conn:
        told = {one.delivery.id: _told(one) for one in delivered}
        reached = await mark_obligations(
            conn, [one.delivery for one in delivered], told=told, now=now
        )
        await _lock_orders(conn, delivered)
        done = {one.claim for one in delivered}
        others = [one.claim for one in tried if one.claim not in done]
        ours = await claims.finish_claimed(conn, done, finished_at=now)
        ours |= await deliveries.held_deliveries(conn, others)
        kept = [one for one in tried if one.claim in ours]
        handed = [one for one in kept if isinstance(verdicts[one.claim], HandedOver)]
        failed = [one for one in kept if isinstance(verdicts[one.claim], RetryAt | GiveUp)]
        await deliveries.write_attempts(conn, [_attempt(one) for one in kept])
        late = [one for one in tried if one.claim not in ours]
        await deliveries.insert_attempts(conn, [_attempt(one) for one in late])
        recovered = [
            one.delivery
            for one in delivered
            if _went_astray(one.delivery) and next_channel.has_next(one.delivery)
        ]
        if recovered:
            await deliveries.drop_next_channel(conn, next_channel.carried(recovered), now=now)
        if handed:
            ids = [one.delivery.id for one in handed]
            await deliveries.hand_over(conn, ids, machine_now=machine_now)
        if failed:
            recordings = [_recording(one, verdicts[one.claim], now=now) for one in failed]
            await deliveries.record(conn, recordings, machine_now=machine_now)
        undelivered = [_undelivered(one, verdicts[one.claim], now=now) for one in handed + failed]
        await next_channel.start(conn, desk, undelivered, now=now, machine_now=machine_now)
        said = {entry.body["delivery_id"] for entry, _ in reached}
        entries = [
            entry
            for one in kept
            if one.delivery.id not in said and (entry := _entry(one, verdicts, now=now)) is not None
        ]
        written, _ = ledger.entry_rows([*entries, *(entry for entry, _ in reached)])
        await insert_all(conn, [written, ledger.history_rows([line for _, line in reached])])
        for one in kept:
            await _after_handshake(conn, desk, one, verdicts[one.claim])
        heard = [_heard(one) for one in kept]
        await health.note(conn, desk, heard, now=now, machine_now=machine_now)
        live = await _live_among(conn, kept)
        reach(FaultPoint.DISPATCHER_RECORDING)
    reach(FaultPoint.DISPATCHER_RECORDED)
    _count(desk, [one for one in kept if one.delivery.id in live])
    _log(kept)
    if waits := bool(failed or handed):
        reach(FaultPoint.RETRY_RECORDED)
    desk.committed_many(steps_by=None, deliveries_by=now if waits else None)


async def _live_among(conn: AsyncConnection, kept: Sequence[Tried]) -> frozenset[DeliveryId]:
    """Tell which are of the actual, or of no incident: the others are in no figure (I9)."""
    unknown = [one.delivery for one in kept if one.status is None]
    known = {one.delivery.id for one in kept if one.status is Status.ACTUAL}
    return frozenset(known) | await exercises.live_among(conn, unknown)


def _one_each(tried: Sequence[Tried]) -> list[Tried]:
    """Give one outcome of each claim, a success if there is one, else the last.

    A claim that was lost in a crash of the database is made again under the same number.
    """
    successes_last = sorted(tried, key=lambda one: one.result.outcome is Outcome.DELIVERED)
    chosen = {one.claim: one for one in successes_last}
    return [one for one in tried if chosen[one.claim] is one]


def _heard(one: Tried) -> Heard:
    error = "" if one.result.fault is None else diagnosis(one.result)
    return Heard(delivery=one.delivery, fault=one.result.fault, error=error, at=one.finished_at)


def _went_astray(delivery: Delivery) -> bool:
    """Say whether its next channel may have been started: it failed, or waited for its endpoint."""
    waited = delivery.held_reason is HeldReason.TURN
    return waited or delivery.first_failed_at is not None


def _count(desk: Desk, live: Sequence[Tried]) -> None:
    """Count attempts in the metrics; those of exercises and tests are in no figure (I9)."""
    for one in live:
        desk.metrics.count_delivery(one.delivery.channel, one.result.outcome, one.result.duration)


def _log(kept: Sequence[Tried]) -> None:
    """Say how many came to what; each that failed apart. Their rows say all of it."""
    if not kept:
        return
    counts = Counter(one.result.outcome.value for one in kept)
    log.info("deliveries.attempted", **counts)
    for one in kept:
        if one.result.outcome is not Outcome.DELIVERED:
            _log_failure(one)


def _log_failure(one: Tried) -> None:
    log.info(
        "delivery.failed",
        delivery_id=one.delivery.id,
        cause=one.delivery.cause.value,
        channel=one.delivery.channel.value,
        attempt=one.delivery.attempts,
        outcome=one.result.outcome.value,
        status=one.result.status,
        duration_ms=round(one.result.duration.total_seconds() * 1000),
    )


async def give_up(desk: Desk, delivery: Delivery, *, starts_next: bool = True) -> None:
    """End a delivery whose outcome cannot be recorded, so that it is not sent for ever.

    Its next channel starts, unless that is what cannot be recorded either. Where the claim is not
    ours any more nothing is changed or said.
    """
    now, machine_now = desk.world.now(), desk.machine.now()
    ended = Recording(
        delivery_id=delivery.id,
        attempts=delivery.attempts,
        state=DeliveryState.EXHAUSTED,
        due_at=None,
        recipient_attempts=delivery.recipient_attempts,
        first_failed_at=delivery.first_failed_at,
        finished_at=now,
    )
    async with desk.database.begin() as conn:
        if not await deliveries.held_deliveries(conn, [(delivery.id, delivery.attempts)]):
            return
        await deliveries.record(conn, [ended], machine_now=machine_now)
        reason = "its outcome could not be recorded, nor its next channel started"
        if starts_next:
            reason = "its outcome could not be recorded"
            undelivered = Undelivered(delivery=delivery, next_at=now)
            await next_channel.start(conn, desk, [undelivered], now=now, machine_now=machine_now)
        data = {"delivery_id": delivery.id, "reason": reason}
        entry = make_entry("delivery.exhausted", data, at=now, incident_id=delivery.incident_id)
        await ledger.append(conn, [entry])
    desk.committed_many(steps_by=None, deliveries_by=now)


def _verdict(one: Tried, schedules: Schedules) -> Verdict:
    return after_attempt(
        one.result,
        attempts=max(one.recipient_attempts, 1),
        schedule=SCHEDULE
        if one.delivery.cause is Cause.HEARTBEAT
        else schedules[one.delivery.notice_class],
        failed_at=one.finished_at,
        first_failed_at=one.delivery.first_failed_at,
        jitter=one.jitter,
    )


async def mark_obligations(
    conn: AsyncConnection,
    delivered: Sequence[Delivery],
    *,
    told: Mapping[DeliveryId, Mapping[str, Any]],
    now: dt.datetime,
) -> list[tuple[Entry, History]]:
    """Note first deliveries on their obligations, locked before any delivery is (lock order).

    The entry of an obligation's first delivery is the delivery's own as well: it says what is
    `told` of that one.
    """
    reached = [one for one in delivered if _reaches_recipient(one)]
    if not reached:
        return []
    of: dict[ObligationId | None, list[Delivery]] = {}
    for one in reached:
        of.setdefault(one.obligation_id, []).append(one)
    lines = []
    for owed in await obligations.mark_delivered(conn, [one.id for one in reached], at=now):
        first = next(one.id for one in of[owed.id] if one.version >= owed.round_version)
        data = {"obligation_id": owed.id, "delivery_id": first, **told.get(first, {})}
        entry = make_entry("obligation.delivered", data, at=now, incident_id=owed.incident_id)
        line = History(obligation_id=owed.id, entry_id=entry.id, facts=facts_of(owed))
        lines.append((entry, line))
    return lines


def _reaches_recipient(delivery: Delivery) -> bool:
    """Say whether a delivery tells the recipient of its duty; what the operators get does not."""
    told = (delivery.detail or {}).get("notify")
    tells = delivery.cause is Cause.REPLAY or delivery.cause in next_channel.CARRIES_DUTY
    carries = delivery.obligation_id is not None and tells
    return carries and told != Notify.OPERATORS


async def _lock_orders(conn: AsyncConnection, delivered: Sequence[Tried]) -> None:
    """Lock the subscriptions that handshakes may verify, before their deliveries (lock order)."""
    proving = {
        one.delivery.subscription_id
        for one in delivered
        if one.delivery.cause is Cause.HANDSHAKE and one.delivery.subscription_id is not None
    }
    for subscription_id in sorted(proving):
        await subscriptions.lock_subscription(conn, subscription_id=subscription_id)


def _attempt(one: Tried) -> Attempt:
    return Attempt(
        delivery_id=one.delivery.id,
        number=one.delivery.attempts,
        started_at=one.started_at,
        finished_at=one.finished_at,
        outcome=one.result.outcome,
        fault=one.result.fault,
        status_code=one.result.status,
        body_digest=one.result.body_digest,
        response_excerpt=one.result.response_excerpt,
        error=one.result.error,
        duration_ms=round(one.result.duration.total_seconds() * 1000),
        provider_id=one.result.provider_id,
        response_headers=one.result.response_headers,
        dns_ms=one.result.spent.dns_ms,
        connect_ms=one.result.spent.connect_ms,
        tls_ms=one.result.spent.tls_ms,
        first_byte_ms=one.result.spent.first_byte_ms,
    )


def _recording(one: Tried, verdict: Verdict, *, now: dt.datetime) -> Recording:
    retry = verdict if isinstance(verdict, RetryAt) else None
    return Recording(
        delivery_id=one.delivery.id,
        attempts=one.delivery.attempts,
        state=DeliveryState.QUEUED if retry else DeliveryState.EXHAUSTED,
        due_at=retry.at if retry else None,
        recipient_attempts=one.recipient_attempts,
        first_failed_at=one.delivery.first_failed_at or one.finished_at,
        finished_at=None if retry else now,
    )


def _entry(one: Tried, verdicts: Mapping[Claim, Verdict], *, now: dt.datetime) -> Entry | None:
    """Enter a delivery's first success, first refusal and exhaustion.

    Attempts in between are rows only. A success that is its obligation's first is entered with it.
    """
    match verdicts[one.claim]:
        case Delivered():
            type_ = "delivery.delivered"
        case HandedOver():
            type_ = "delivery.handed_over"
        case GiveUp():
            type_ = "delivery.exhausted"
        case RetryAt() if one.delivery.first_failed_at is None and _refused(one):
            type_ = "delivery.refused"
        case _:
            return None
    return make_entry(type_, _told(one), at=now, incident_id=one.delivery.incident_id)


def _told(one: Tried) -> dict[str, Any]:
    """Say of an attempt what its entry says."""
    data = {
        "delivery_id": one.delivery.id,
        "obligation_id": one.delivery.obligation_id,
        "subscription_id": one.delivery.subscription_id,
        "contact_id": one.delivery.contact_id,
        "channel": one.delivery.channel,
        "cause": one.delivery.cause,
        "sequence": one.delivery.sequence,
        "attempt": one.delivery.attempts,
        "outcome": one.result.outcome,
        "status_code": one.result.status,
        "body_sha256": one.result.body_digest,
    }
    if one.result.provider_id is not None:
        data["provider_id"] = one.result.provider_id
    return data


def _refused(one: Tried) -> bool:
    return one.result.outcome in {Outcome.REFUSED, Outcome.BLOCKED}


def _undelivered(one: Tried, verdict: Verdict, *, now: dt.datetime) -> Undelivered:
    """Say when the next channel starts: at once where this one refused or was given up.

    Else two minutes after the first failure, or after a provider took it and said no more; a
    success before then makes it moot.
    """
    if isinstance(verdict, GiveUp) or (isinstance(verdict, RetryAt) and verdict.next_channel_now):
        return Undelivered(delivery=one.delivery, next_at=now)
    since = one.delivery.first_failed_at or one.finished_at
    return Undelivered(delivery=one.delivery, next_at=since + NEXT_CHANNEL_AFTER)


async def _after_handshake(conn: AsyncConnection, desk: Desk, one: Tried, verdict: Verdict) -> None:
    """Let an endpoint that echoed its challenge receive notices, on the terms it agreed to."""
    answered = one.delivery.channel is Channel.WEBHOOK  # a topic takes it and answers nothing
    if one.delivery.cause is Cause.HANDSHAKE and answered and isinstance(verdict, Delivered):
        assert one.delivery.subscription_id is not None, "a handshake belongs to a subscription"
        agreed = read_terms(one.result.response_headers or {}, one.result.response_excerpt)
        await consent.confirm_handshake(
            conn,
            desk,
            subscription_id=one.delivery.subscription_id,
            challenge_ok=True,
            agreed=agreed,
        )

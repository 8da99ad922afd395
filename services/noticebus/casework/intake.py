"""Taking a notice in by group commit.

Whatever waits is routed, bound and stored in one transaction, then answered.

Points of no return, in order: the commit (the notices are accepted, I1), the answer to each poster,
the hand-over to
the bus. A failure before the commit leaves nothing; one after it is made good by the sweep.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import accepted, coverage, debts, shards
from noticebus.casework.admission import Admission
from noticebus.casework.binding import Moment, counts_of, number
from noticebus.casework.coverage import Holding
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft
from noticebus.casework.post_drafts import withdraw
from noticebus.casework.recipients import Bound, bind_all, find, route_notice, uncovered_of
from noticebus.casework.spacing import spaced
from noticebus.casework.tracing import consent_entry, routing_entries
from noticebus.domain.routing import Routing
from noticebus.errors import ConflictError, NoticebusError, RefusedError, UnavailableError
from noticebus.faultpoints import FaultPoint, reach
from noticebus.store import ledger, matching, notices, post_drafts
from noticebus.store.deliveries import delivery_rows
from noticebus.store.hot import insert_all
from noticebus.store.notices import IdempotencyRecord, Notice
from noticebus.store.obligations import obligation_rows

log = structlog.get_logger(__name__)

BATCH_NOTICES_MAX = 64
BATCH_RECIPIENTS_MAX = 2_500  # with their deliveries about 5,000 rows; two areas count as one
WAITING_MAX = 1_000
ANSWER_WAIT_S = 10.0
UNCONFIRMED = (
    "The notice was not confirmed in time. Send it again with the same Idempotency-Key:"
    " it will not be stored twice."
)
TRIES_ALONE = 2  # the second finds what a concurrent post of the same key has stored


class NotStoredError(UnavailableError):
    """Nothing of it is stored; the same again may be."""

    def __init__(self) -> None:
        super().__init__(
            "The notice could not be stored, nor any of it. Send it again with the same key."
        )


class UnconfirmedError(UnavailableError):
    """Nobody knows yet whether it is stored; the same again tells, and stores nothing twice."""

    def __init__(self) -> None:
        super().__init__(UNCONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a poster is told. `fresh` is false where the same key had been answered before."""

    response: dict[str, Any]
    fresh: bool


Answer = Answered | NoticebusError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    draft: Draft
    answer: asyncio.Future[Answered]

    def settle(self, answer: Answer) -> None:
        if self.answer.done():  # the poster has gone; its retry is answered from the record
            return
        if isinstance(answer, NoticebusError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Intake:
    """The one queue into the database. `run` commits batches until it is cancelled.

    `post` waits for its answer.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._admission = Admission(
            desk.machine,
            longest=dt.timedelta(seconds=ANSWER_WAIT_S),
            disk=desk.disk,
            gauges=desk.metrics.pressure,
        )
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(WAITING_MAX)
        self._held_over: list[
            _Waiting
        ] = []  # the second of two equal keys waits for the next batch

    async def post(self, draft: Draft) -> Answered:
        """Hand a draft in and wait for its own commit.

        Raises what refused it, or UnavailableError: at once where it would wait in vain.
        """
        ahead = self._queue.qsize() + len(self._held_over)
        await self._admission.admit(ahead=ahead)
        waiting = _Waiting(draft=draft, answer=asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise self._admission.too_many(ahead=ahead) from None
        self._desk.metrics.pressure.intake_waiting.set(ahead + 1)
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                return await waiting.answer
        except TimeoutError:
            raise UnconfirmedError from None

    async def run(self) -> None:
        """Commit whatever waits, batch after batch; what still waits when it ends is told so."""
        batch: list[_Waiting] = []
        try:
            while True:
                batch = await self._next_batch()
                await self._commit(batch)
        finally:
            for one in batch:  # those that were answered have been told already
                one.settle(UnconfirmedError())
            stopping = UnavailableError("The bus is stopping. Nothing was stored; send it again.")
            while not self._queue.empty():
                self._held_over.append(self._queue.get_nowait())
            for one in self._held_over:
                one.settle(stopping)

    async def _next_batch(self) -> list[_Waiting]:
        """Take what waits, without delay, but no two of one key.

        The second must see the first's record.
        """
        batch = self._held_over or [await self._queue.get()]
        self._held_over = []
        keys = {one.draft.idempotency for one in batch}
        while len(batch) < BATCH_NOTICES_MAX and not self._queue.empty():
            following = self._queue.get_nowait()
            if following.draft.idempotency in keys:
                self._held_over.append(following)
                break
            keys.add(following.draft.idempotency)
            batch.append(following)
        self._desk.metrics.pressure.intake_waiting.set(self._queue.qsize())
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        """Commit a batch and answer each.

        If it fails, try each notice alone, so that one cannot spoil the rest.
        """
        while batch:
            try:
                with self._admission.timed(offered=len(batch)) as measured:
                    answers = await take_in(self._desk, [one.draft for one in batch])
                    measured.stored = len(answers)
            except Exception:  # the boundary of one item is in `_commit_alone`
                log.warning("intake.apart", count=len(batch), exc_info=True)
                await self._commit_apart(batch)
                return
            for one, answer in zip(batch, answers, strict=False):
                one.settle(answer)
            reach(FaultPoint.INTAKE_ANSWERED)
            batch = batch[len(answers) :]

    async def _commit_apart(self, batch: Sequence[_Waiting]) -> None:
        """Try each notice alone until the database is found to be away: then none need wait."""
        away: UnavailableError | None = None
        for one in batch:
            if away is not None:
                one.settle(away)
                continue
            try:
                one.settle(await self._commit_alone(one.draft))
            except UnavailableError as error:
                away = error
                one.settle(error)

    async def _commit_alone(self, draft: Draft) -> Answer:
        for _ in range(TRIES_ALONE):
            try:
                (answer,) = await take_in(self._desk, [draft])
            except sa.exc.DBAPIError:
                continue
            except UnavailableError:
                raise
            except NoticebusError as error:
                return error
            except Exception:  # the boundary of one item: whatever is wrong with it stays with it
                log.exception("intake.broken", notice_id=draft.id)
                break
            return answer
        return NotStoredError()


async def take_in(desk: Desk, drafts: Sequence[Draft]) -> list[Answer]:
    """Store drafts in one transaction and hand what follows to the bus.

    Gives one answer each, in order, for as many of `drafts` as fit one transaction: at least one.
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        records = await notices.find_idempotency_records(conn, [one.idempotency for one in drafts])
        taken, bound = await _bind(
            conn, desk, [one for one in drafts if one.idempotency not in records], at=at
        )
        responses = await _store(conn, desk, taken, bound, at=at) if bound else []
        holdings = [Holding(notice=one.notice) for one in bound]
        held = await coverage.hold(conn, desk, holdings, at=at)
        reach(FaultPoint.INTAKE_STORED)
    reach(FaultPoint.INTAKE_COMMITTED)
    about = {one.notice.id: one.notice for one in bound}
    desk.committed_many(
        shards.of_many(about, [*(each for one in bound for each in one.deliveries), *held]),
        steps_by=at.world if held else _first_due(bound),
        deliveries_by=None,
    )
    for one in bound:
        log.info(
            "notice.accepted",
            notice_id=one.notice.id,
            recipients=len(one.obligations),
            state=one.notice.state.value,
        )
    made = {one.idempotency: response for one, response in zip(taken, responses, strict=True)}
    answers: list[Answer] = []
    for draft in drafts:
        if draft.idempotency in records:
            answers.append(_again(records[draft.idempotency], draft))
        elif draft.idempotency in made:
            answers.append(Answered(response=made[draft.idempotency], fresh=True))
        else:
            break
    return answers


async def take_in_within(
    conn: AsyncConnection, desk: Desk, draft: Draft, *, at: Moment
) -> tuple[Bound, dict[str, Any]]:
    """Store one draft in a transaction that stores more; who opened it hands the shards on."""
    taken, bound = await _bind(conn, desk, [draft], at=at)
    (response,) = await _store(conn, desk, taken, bound, at=at)
    return bound[0], response


def _first_due(bound: Sequence[Bound]) -> dt.datetime | None:
    """Tell when the first step or release of a batch falls due."""
    steps = [owed.next_step_at for one in bound for owed in one.obligations]
    promised = [one.notice.next_update_due for one in bound]
    releases = [one.notice.release_at for one in bound]
    return min((one for one in [*steps, *promised, *releases] if one is not None), default=None)


def _again(record: IdempotencyRecord, draft: Draft) -> Answer:
    try:
        response = accepted.replayed(record, draft.fingerprint)
    except RefusedError as error:
        return error
    return Answered(response=response, fresh=False)


async def _bind(
    conn: AsyncConnection, desk: Desk, drafts: Sequence[Draft], *, at: Moment
) -> tuple[list[Draft], list[Bound]]:
    """Route and bind as many drafts as fit one transaction, the first always."""
    if not drafts:
        return [], []
    found = await find(
        conn,
        desk,
        area_keys={key for one in drafts for key in one.places.keys},
        kinds={one.kind for one in drafts},
        poster_ids={one.agency_id for one in drafts},
    )
    taken: list[Draft] = []
    routed: list[tuple[Notice, Routing]] = []
    recipients = 0
    for draft in drafts:
        notice = draft.notice(poster=found.facts[draft.agency_id], now=at.world)
        notice = replace(notice, uncovered=uncovered_of(notice, found))
        routing = route_notice(notice, found)
        recipients += len(routing.recipients) + len(notice.area_keys) // 2
        if taken and recipients > BATCH_RECIPIENTS_MAX:
            break
        taken.append(draft)
        routed.append((notice, routing))
    return taken, await bind_all(conn, routed, found, at=at)


async def _store(
    conn: AsyncConnection,
    desk: Desk,
    drafts: Sequence[Draft],
    bound: Sequence[Bound],
    *,
    at: Moment,
) -> list[dict[str, Any]]:
    every_delivery = [delivery for one in bound for delivery in one.deliveries]
    first = await matching.take_sequences(conn, counts_of(every_delivery))
    await insert_all(
        conn,
        [
            notices.incident_rows([one.incident(at.world) for one in drafts]),
            *notices.notice_rows([one.notice for one in bound]),
            obligation_rows([owed for one in bound for owed in one.obligations]),
        ],
    )
    sent = await spaced(conn, number(every_delivery, first), now=at.world)
    traces = [
        routing_entries(one.notice, one.obligations, one.routing, at=at.world) for one in bound
    ]
    consents = [
        consent_entry(one.notice, draft.consent, at=at.world)
        for draft, one in zip(drafts, bound, strict=True)
        if draft.consent is not None
    ]
    written = [entry for one in traces for entry in one.entries]
    entries, recorded = ledger.entry_rows([*written, *consents])
    await _take_drafts(conn, desk, [one for one in drafts if one.from_console])
    leaves = {one.id: one for one in recorded}
    responses = [
        accepted.response(
            one.notice,
            routing=one.routing,
            obligations=one.obligations,
            facts=one.facts,
            warnings=draft.warnings,
            receipt=accepted.receipt(desk.keyring, leaves[trace.entries[0].id]),
        )
        for draft, one, trace in zip(drafts, bound, traces, strict=True)
    ]
    keys = [
        draft.record(response, at=at.world)
        for draft, response in zip(drafts, responses, strict=True)
    ]
    lines = [line for one in traces for line in one.history]
    await insert_all(
        conn,
        [
            delivery_rows(sent),
            entries,
            ledger.history_rows(lines),
            notices.idempotency_rows(keys),
        ],
    )
    await debts.promise(conn, [one.notice for one in bound], at=at)
    return responses


async def _take_drafts(conn: AsyncConnection, desk: Desk, drafts: Sequence[Draft]) -> None:
    """Delete what is posted from where it was typed.

    What a second person approved must wait still, as it was asked for: it may have been changed,
    sent back or thrown away since it was read.
    """
    asked = [
        (*one.idempotency, one.consent.asked_at)
        for one in drafts
        if one.consent is not None and one.consent.asked_at is not None
    ]
    if await post_drafts.delete_waiting(conn, asked) != len(asked):
        raise ConflictError(
            "It was changed, sent back or thrown away while you approved it. Nothing was posted."
            " See Post a notice for what waits now."
        )
    gone = await post_drafts.delete_drafts(conn, [one.idempotency for one in drafts])
    await withdraw(desk, conn, gone, why="posted")  # sent alone, or no longer asked for

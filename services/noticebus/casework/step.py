"""The escalation clock's use cases: steps that fall due, and embargoed notices whose release does.

A batch each.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.bus.port import Shard
from noticebus.casework import coverage, debts, shards
from noticebus.casework import reach as reaching
from noticebus.casework.binding import (
    Moment,
    counts_of,
    is_live,
    number,
    round_of,
    to_contact,
    to_subscription,
)
from noticebus.casework.coverage import Holding
from noticebus.casework.desk import Desk
from noticebus.casework.reach import People
from noticebus.casework.recipients import Found, find_for, route_notice, tell
from noticebus.casework.rounds import begin, policies_in_force
from noticebus.casework.spacing import spaced
from noticebus.casework.told import Told, told_at_once
from noticebus.casework.tracing import obligation_entry
from noticebus.contracts.vocabulary import Cause, NoticeState, Notify
from noticebus.domain.escalation import (
    ContactPoint,
    Fire,
    Resolved,
    backed_by,
    calls_of,
    endpoint_channels,
    next_firing,
    resolve,
)
from noticebus.domain.policies import Step, policy_from_record
from noticebus.domain.routing import SubscriptionMatch
from noticebus.faultpoints import FaultPoint, reach
from noticebus.ids import AgencyId
from noticebus.store import ledger, matching, notices, obligations
from noticebus.store.database import is_mistake
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import Entry, History, make_entry
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation, StepRow

log = structlog.get_logger(__name__)

BATCH_OBLIGATIONS_MAX = 500
BATCH_RELEASES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Who can be reached now: people and subscriptions by agency, and the bus's own operators."""

    people: People
    orders: Mapping[AgencyId, Sequence[SubscriptionMatch]]
    operators: Sequence[ContactPoint]
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """One obligation after its step, and everything the step wrote."""

    obligation: Obligation
    rows: list[StepRow]
    deliveries: list[Delivery]
    entry: Entry
    history: History


async def fire_due_steps(desk: Desk) -> int:
    """Fire what is due, a batch of obligations at most; say how many there were.

    After an outage only the step that applies now fires; those it overtook are rows marked skipped
    (I5). One that cannot fire is parked: it has no next step, and stays on the report.
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        due = await obligations.lock_due(conn, now=at.world, batch_size_max=BATCH_OBLIGATIONS_MAX)
        if not due:
            return 0
        fired, handed = await _fire_all(conn, desk, due, at=at)
        reach(FaultPoint.ENGINE_FIRING)
    reach(FaultPoint.ENGINE_FIRED)
    _committed(desk, fired, handed)
    return len(due)


async def fire_first_due(desk: Desk) -> int:
    """Fire the obligation longest due alone, and park it where the database refuses its step.

    It stays locked meanwhile: what another engine holds, or fires next, is never parked for it.
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        due = await obligations.lock_due(conn, now=at.world, batch_size_max=1)
        if not due:
            return 0
        handed: Sequence[Shard] = ()
        try:
            async with conn.begin_nested():
                fired, handed = await _fire_all(conn, desk, due, at=at)
        except sa.exc.DBAPIError as error:
            if not is_mistake(error):
                raise
            log.exception("step.refused", obligation_id=due[0].id)
            fired = [_park(due[0], at=at)]
            await _save(conn, fired)
    _committed(desk, fired, handed)
    return len(due)


async def _fire_all(
    conn: AsyncConnection, desk: Desk, due: Sequence[Obligation], *, at: Moment
) -> tuple[list[Fired], Sequence[Shard]]:
    agency_ids = {one.agency_id for one in due}
    people = await reaching.people(conn, desk, agency_ids, at=at.world)
    reach = Reach(
        people=people,
        orders=await reaching.endpoints(conn, agency_ids, people),
        operators=await matching.operator_points(conn, at=at.world, telephone=desk.dials),
        told=await told_at_once(conn, due),
    )
    about = await notices.notices_by_id(conn, {one.round_notice_id for one in due})
    fired = [_fire_or_park(one, about[one.round_notice_id], reach, at=at) for one in due]
    sent = [delivery for one in fired for delivery in one.deliveries]
    await obligations.insert_steps(conn, [row for one in fired for row in one.rows])
    await insert_deliveries(conn, await spaced(conn, sent, now=at.world))
    await _save(conn, fired)
    return fired, shards.of_many(about, sent)


async def _save(conn: AsyncConnection, fired: Sequence[Fired]) -> None:
    await obligations.save_steps(conn, [one.obligation for one in fired])
    await ledger.append(conn, [one.entry for one in fired])
    await ledger.append_history(conn, [one.history for one in fired])


def _committed(desk: Desk, fired: Sequence[Fired], handed: Sequence[Shard]) -> None:
    for one in fired:
        for row in one.rows[-1:]:
            if is_live(one.obligation.status):
                desk.metrics.count_step(row.notify)
            log.info(
                "step.fired",
                obligation_id=one.obligation.id,
                step=row.step,
                count=len(one.deliveries),
            )
    desk.committed(handed)


def _fire_or_park(owed: Obligation, notice: Notice, reach: Reach, *, at: Moment) -> Fired:
    try:
        return _fire(owed, notice, reach, at=at)
    except Exception:  # the boundary of one item: whatever is wrong with it stays with it
        log.exception("step.broken", obligation_id=owed.id)
        return _park(owed, at=at)


def _park(owed: Obligation, *, at: Moment) -> Fired:
    """Stop the clock of an obligation that cannot fire, for an operator to look at."""
    parked = replace(owed, next_step_at=None)
    entry, line = obligation_entry("obligation.parked", parked, {"step": owed.step}, at=at.world)
    return Fired(obligation=parked, rows=[], deliveries=[], entry=entry, history=line)


def _fire(owed: Obligation, notice: Notice, reach: Reach, *, at: Moment) -> Fired:
    decision = next_firing(current=round_of(owed), step_index=owed.step, now=at.world)
    assert isinstance(decision, Fire), "only what is due is locked"
    policy = policy_from_record(owed.policy)
    step = policy.steps[decision.step_index]
    reached = resolve(
        step.notify,
        reach.people.of(owed.agency_id),
        operators=backed_by(owed.standing, reach.operators),
        delegates=reach.people.delegates.get(owed.agency_id, ()),
        over=step.over,
    )
    after = replace(owed, step=decision.step_index + 1, next_step_at=decision.next_at)
    rows = _rows(owed, decision, policy.steps, reached, now=at.world)
    told = frozenset[str]() if decision.step_index else reach.told.get(owed.id, frozenset())
    made = _deliveries(owed, notice, step, reached, reach, index=decision.step_index, at=at)
    sent = [one for one in made if one.destination not in told]
    data = {
        "epoch": owed.epoch,
        "step": decision.step_index,
        "notify": step.notify,
        "fell_through": reached.fell_through,
        "skipped": list(decision.skipped),
        "contact_ids": [one.id for one in reached.contacts],
        "deliveries": [one.id for one in sent],
    }
    entry, line = obligation_entry("escalation.stepped", after, data, at=at.world)
    return Fired(obligation=after, rows=rows, deliveries=sent, entry=entry, history=line)


def _rows(
    owed: Obligation,
    decision: Fire,
    steps: Sequence[Step],
    reached: Resolved,
    *,
    now: dt.datetime,
) -> list[StepRow]:
    planned = round_of(owed).steps_at
    return [
        StepRow(
            obligation_id=owed.id,
            epoch=owed.epoch,
            step=index,
            notify=steps[index].notify,
            skipped=index in decision.skipped,
            contact_ids=[] if index in decision.skipped else [one.id for one in reached.contacts],
            planned_at=planned[index],
            fired_at=now,
        )
        for index in (*decision.skipped, decision.step_index)
    ]


def _deliveries(  # noqa: PLR0913  (whom the step reaches, over what, about what)
    owed: Obligation,
    notice: Notice,
    step: Step,
    reached: Resolved,
    reach: Reach,
    *,
    index: int,
    at: Moment,
) -> list[Delivery]:
    """Make the messages of a step.

    The recipient's own endpoints where the desk on duty is meant, and mail.
    """
    sent: list[Delivery] = []
    level = reached.fell_through or step.notify
    called = endpoint_channels(step)
    sent += [
        to_subscription(
            owed,
            notice=notice,
            order=order,
            cause=Cause.STEP,
            step=index,
            notify=step.notify,
            at=at,
        )
        for order in _orders(owed, step, reach)
        if order.channel in called
    ]
    sent += [
        to_contact(
            owed,
            notice=notice,
            contact=one,
            channel=channel,
            cause=Cause.STEP,
            step=index,
            notify=level,
            at=at,
        )
        for one, channel in calls_of(step, reached)
    ]
    return sent


def _orders(owed: Obligation, step: Step, reach: Reach) -> Sequence[SubscriptionMatch]:
    """Give the endpoints a step may reach: the agency's, or those of the delegate it names."""
    delegate_id = reach.people.delegate_of.get(owed.agency_id)
    if step.notify is Notify.DELEGATE:
        return () if delegate_id is None else reach.orders.get(delegate_id, ())
    return reach.orders.get(owed.agency_id, ())


async def release_due_notices(desk: Desk) -> int:
    """Release embargoed notices whose time has come.

    Their rounds start, their deliveries are made and numbered.
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        due = await notices.lock_due_releases(conn, now=at.world, batch_size_max=BATCH_RELEASES_MAX)
        if not due:
            return 0
        released = {
            one.id: replace(one, state=NoticeState.RELEASED, released_at=at.world) for one in due
        }
        found = await find_for(conn, desk, due)
        started = [await _release(conn, notice, found, at=at) for notice in released.values()]
        sent = [delivery for one in started for delivery in one.deliveries]
        numbered = number(sent, await matching.take_sequences(conn, counts_of(sent)))
        await obligations.save_all(conn, [owed for one in started for owed in one.obligations])
        await notices.mark_notices(
            conn, list(released), state=NoticeState.RELEASED, released_at=at.world
        )
        await insert_deliveries(conn, await spaced(conn, numbered, now=at.world))
        await ledger.append(conn, [one.entry for one in started])
        await ledger.append_history(conn, [line for one in started for line in one.history])
        await debts.promise(conn, list(released.values()), at=at)
        holdings = [Holding(notice=one) for one in released.values()]
        held = await coverage.hold(conn, desk, holdings, at=at)
    desk.committed(shards.of_many(released, [*numbered, *held]))
    return len(due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """One released notice: the obligations that now run, what is sent to them."""

    obligations: list[Obligation]
    deliveries: list[Delivery]
    entry: Entry
    history: list[History]


async def _release(conn: AsyncConnection, notice: Notice, found: Found, *, at: Moment) -> Released:
    recipients = {one.agency_id: one for one in route_notice(notice, found).recipients}
    bound = await obligations.lock_obligations(conn, incident_id=notice.incident_id)
    facts = await matching.agencies_by_id(conn, {one.agency_id for one in bound})
    waiting = [owed for owed in bound if owed.round_notice_id == notice.id]
    policies = await policies_in_force(
        conn, waiting, facts, classes=[notice.notice_class], at=at.world
    )
    running = [
        begin(
            owed,
            facts[owed.agency_id],
            policies=policies,
            recipient=recipients.get(owed.agency_id),
            at=at.world,
            stood_in=owed.agency_id in found.stood_in,
        )
        for owed in waiting
    ]
    sent = await tell(conn, notice, running, recipients, at=at)
    entry = make_entry(
        "notice.released",
        {"notice_id": notice.id, "version": notice.version},
        at=at.world,
        incident_id=notice.incident_id,
    )
    history = [
        History(obligation_id=owed.id, entry_id=entry.id, facts=obligations.facts_of(owed))
        for owed in running
    ]
    return Released(obligations=running, deliveries=sent, entry=entry, history=history)


async def next_due_at(desk: Desk) -> dt.datetime | None:
    """Tell when the clock has work again: the next step or release of all."""
    async with desk.database.read() as conn:
        found = [await obligations.next_step_at(conn), await notices.next_release_at(conn)]
    return min((one for one in found if one is not None), default=None)

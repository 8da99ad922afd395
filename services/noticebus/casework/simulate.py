"""What a policy would do: a notice that nobody answers, played without storing or sending anything.

Rules, people and calendars are those the engine asks; only the clock is made up.
"""

import datetime as dt
import zoneinfo
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.binding import first_calls
from noticebus.casework.desk import Desk
from noticebus.casework.in_force import in_force, policy_ids
from noticebus.casework.policies import visible_facts, why_applied
from noticebus.casework.reachable import reachable_at
from noticebus.casework.report_views import data_quality_view
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.policy import CalledView, PolicySimulation, SimulatedCall
from noticebus.contracts.vocabulary import Channel, NoticeClass, Notify, Role, Standing, Status
from noticebus.domain.calendars import dismissal_at, terms_end
from noticebus.domain.escalation import (
    ContactPoint,
    Fire,
    Round,
    Wait,
    backed_by,
    base_of,
    calls_of,
    next_firing,
    start_round,
)
from noticebus.domain.policies import Policy, Step
from noticebus.domain.policy_rules import Reachable, endpoints_of, reached_by, weaknesses
from noticebus.domain.routing import (
    NATION,
    Recipient,
    ResponsibilityMatch,
    SubscriptionMatch,
    route,
)
from noticebus.ids import AgencyId
from noticebus.store import matching
from noticebus.store.agencies import contacts_by_id, list_responsibilities
from noticebus.store.matching import AgencyFacts
from noticebus.store.policies import latest_policies
from noticebus.store.report_quality import Warned
from noticebus.store.terms_quality import TERMS_END

NOBODY = AgencyId("")  # a poster that is no agency of the bus, and so excludes none
DUTIES_LOOKED_AT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One moment of the play, before names are put to contacts."""

    at: dt.datetime
    kind: Literal["notice", "due", "step"]
    people: Sequence[ContactPoint]
    calls: Sequence[tuple[ContactPoint, Channel]]
    endpoints: tuple[Channel, ...]
    why: str
    step: int | None = None
    notify: Notify | None = None
    fell_through: Notify | None = None
    lists_only: bool = False


@dataclass(slots=True, kw_only=True)
class Play:
    """What has happened so far, to a recipient of which standing, and what would go wrong."""

    standing: Standing
    happenings: list[Happening]
    warnings: list[str]


async def simulate(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    notice_class: NoticeClass,
    status: Status,
    at: dt.datetime,
) -> PolicySimulation:
    """Play a notice of a class that comes at `at` and that the agency does not answer."""
    async with desk.database.read() as conn:
        facts = await visible_facts(conn, principal, agency_id)
        known = await latest_policies(conn, policy_ids(facts, notice_class, at=at))
        reach, orders = await reachable_at(conn, desk, facts, at=at)
        duty = await _duty(conn, facts)
        bound = _recipient(facts, duty, reach, orders, notice_class=notice_class)
        standing = Standing.MANDATORY if bound is None else bound.standing
        policy = in_force(
            known,
            facts,
            notice_class=notice_class,
            standing=standing,
            at=at,
            stood_in=reach.stood_in,
        )
        current = start_round(policy=policy, hours=facts.hours, started_at=at)
        play = Play(
            standing=standing,
            happenings=[],
            warnings=_warnings_of_the_bus(desk, policy, bound),
        )
        play.warnings += _warnings_of_the_calendar(facts, at=at)
        if bound is not None:
            play.happenings.append(_notice_itself(bound, at=at))
        await _run(conn, desk, facts, policy, current, play)
        return PolicySimulation(
            agency=AgencyRef(id=facts.id, name=facts.name, kind=facts.kind),
            notice_class=notice_class,
            status=status,
            at=at,
            zone=facts.zone,
            standing=standing,
            policy_id=policy.id,
            policy_version=policy.version,
            quorum=policy.quorum,
            why=_why(policy, facts, current),
            held_until=current.held_until,
            dismissal_at=dismissal_at(facts.calendar, current.held_until or at),
            due_at=current.due_at,
            calls=await _shown(conn, facts, play.happenings, started_at=at),
            warnings=tuple(play.warnings),
        )


async def _duty(conn: AsyncConnection, facts: AgencyFacts) -> Role | None:
    found = await list_responsibilities(conn, agency_id=facts.id, after="", limit=DUTIES_LOOKED_AT)
    return found[0].role if found else None


def _recipient(
    facts: AgencyFacts,
    duty: Role | None,
    reach: Reachable,
    orders: Iterable[SubscriptionMatch],
    *,
    notice_class: NoticeClass,
) -> Recipient | None:
    """Route a notice about a place that all its responsibilities and subscriptions are for.

    For its duties the endpoints of who stands in count as its own (casework/recipients.py).
    """
    duties = (
        []
        if duty is None
        else [
            ResponsibilityMatch(
                agency_id=facts.id, agency_kind=facts.kind, role=duty, area_key=NATION
            )
        ]
    )
    routing = route(
        area_keys=frozenset({NATION}),
        poster_id=NOBODY,
        notice_class=notice_class,
        responsibilities=duties,
        subscriptions=[
            replace(one, agency_id=facts.id, agency_kind=facts.kind)
            for one in orders
            if duties or one.agency_id == facts.id
        ],
        contacts_by_agency={facts.id: reach.contacts},
    )
    return routing.recipients[0] if routing.recipients else None


def _warnings_of_the_bus(desk: Desk, policy: Policy, bound: Recipient | None) -> list[str]:
    found = []
    if bound is None:
        found.append(
            "The agency has no responsibility and no subscription: no notice binds it. These are"
            " the steps of what it owes otherwise."
        )
    wanted = {channel for step in policy.steps for channel in step.channels}
    if not desk.sends_mail and Channel.EMAIL in wanted:
        found.append("The bus has no mail server: mails wait until there is one (smtp_url).")
    if not desk.dials and wanted & {Channel.SMS, Channel.VOICE}:
        found.append("The bus has no telephone provider: it texts and rings nobody.")
    return found


def _warnings_of_the_calendar(facts: AgencyFacts, *, at: dt.datetime) -> list[str]:
    """Say of terms that run out what the report says of them (casework/report_views.py)."""
    if not terms_end(facts.calendar, at):
        return []
    warned = Warned(
        code=TERMS_END, agency_id=facts.id, agency_name=facts.name, agency_kind=facts.kind
    )
    return [data_quality_view(warned).message]


def _notice_itself(bound: Recipient, *, at: dt.datetime) -> Happening:
    subscribed, called = first_calls(
        orders=bound.subscriptions, desk=bound.contacts, channels=bound.first_channels
    )
    why = "the notice itself"
    if bound.unreachable_reason is not None:
        why += f": {bound.unreachable_reason.replace('_', ' ')}"
    if bound.fallback_channels:
        why += f"; refused or undelivered, then {', '.join(bound.fallback_channels)}"
    return Happening(
        at=at,
        kind="notice",
        people=[one for one, _ in called],
        calls=called,
        endpoints=tuple(dict.fromkeys(one.channel for one in subscribed)),
        why=why,
    )


async def _run(
    conn: AsyncConnection,
    desk: Desk,
    facts: AgencyFacts,
    policy: Policy,
    current: Round,
    play: Play,
) -> None:
    """Let the clock run from step to step, as the engine does while nobody answers."""
    due_at, now, index = current.due_at, current.started_at, 0
    while True:
        decision = next_firing(current=current, step_index=index, now=now)
        if isinstance(decision, Wait):
            now = decision.until
            continue
        if due_at is not None and (not isinstance(decision, Fire) or due_at <= now):
            play.happenings.append(_deadline(due_at))
            due_at = None
        if not isinstance(decision, Fire):
            return
        reach, _ = await reachable_at(conn, desk, facts, at=now)
        reach = replace(reach, operators=backed_by(play.standing, reach.operators))
        step, index = policy.steps[decision.step_index], decision.step_index + 1
        fired = _fired(step, reach, policy, number=decision.step_index, at=now)
        play.happenings.append(_without_repeats(fired, play.happenings))
        play.warnings += [
            f"{_local(facts, now)}: {one.message}" for one in weaknesses([step], reach)
        ]


def _deadline(due_at: dt.datetime) -> Happening:
    return Happening(
        at=due_at,
        kind="due",
        people=(),
        calls=(),
        endpoints=(),
        why="the answer is due; from now on it is late",
    )


def _fired(
    step: Step, reach: Reachable, policy: Policy, *, number: int, at: dt.datetime
) -> Happening:
    reached = reached_by(step, reach)
    why = "nobody has answered"
    if step.after == dt.timedelta(0) and policy.note:
        why = "too little time is left before dismissal"
    if step.lists_only:
        why += "; it is put on the operators' list, and nobody is written to"
    elif reached.fell_through is not None:
        instead = reached.fell_through if reached.contacts else "no person is called"
        why += f"; nobody is at {step.notify}, so {instead}"
    return Happening(
        at=at,
        kind="step",
        people=reached.contacts,
        calls=calls_of(step, reached),
        endpoints=endpoints_of(step, reach),
        why=why,
        step=number,
        notify=step.notify,
        fell_through=reached.fell_through,
        lists_only=step.lists_only,
    )


def _without_repeats(fired: Happening, before: Sequence[Happening]) -> Happening:
    """Leave out whom the notice itself calls at this very moment (casework/told.py)."""
    told = [one for one in before if one.kind == "notice" and one.at == fired.at]
    if fired.notify is not Notify.FIRST_TWO or not told:
        return fired
    (notice,) = told
    pairs = {(person.id, channel) for person, channel in notice.calls}
    return replace(
        fired,
        calls=[(one, by) for one, by in fired.calls if (one.id, by) not in pairs],
        endpoints=tuple(one for one in fired.endpoints if one not in notice.endpoints),
        why=f"{fired.why}; whom the notice itself calls is called once",
    )


def _why(policy: Policy, facts: AgencyFacts, current: Round) -> str:
    said = [why_applied(policy, facts)]
    base = base_of(policy.hold, facts.hours, started_at=current.started_at)
    if current.due_at is None:
        said.append("Nothing falls due.")
    elif base > current.started_at:
        said.append(f"Delays count from {_local(facts, base)}, when it works again.")
    if policy.note:
        said.append(policy.note)
    return " ".join(said)


def _local(facts: AgencyFacts, at: dt.datetime) -> str:
    return f"{at.astimezone(zoneinfo.ZoneInfo(facts.zone)):%Y-%m-%d %H:%M %Z}"


async def _shown(
    conn: AsyncConnection,
    facts: AgencyFacts,
    happenings: Collection[Happening],
    *,
    started_at: dt.datetime,
) -> tuple[SimulatedCall, ...]:
    people = await contacts_by_id(conn, {one.id for h in happenings for one in h.people})
    named = await matching.agencies_by_id(conn, {one.agency_id for one in people.values()})
    return tuple(
        SimulatedCall(
            at=one.at,
            local=_local(facts, one.at),
            minutes=(one.at - started_at) // dt.timedelta(minutes=1),
            kind=one.kind,
            step=one.step,
            notify=one.notify,
            contacts=tuple(
                CalledView(
                    name=people[point.id].name,
                    role=people[point.id].role,
                    position=point.position,
                    agency=named[people[point.id].agency_id].name,
                    channels=tuple(by for called, by in one.calls if called.id == point.id),
                )
                for point in {person.id: person for person in one.people}.values()
            ),
            endpoints=one.endpoints,
            fell_through=one.fell_through,
            lists_only=one.lists_only,
            why=one.why,
        )
        for one in happenings
    )

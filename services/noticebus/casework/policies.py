"""Escalation policies as administrators see and change them.

A change is a new version. Rounds that run keep the policy that was frozen when they began.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, require_visible, sees_every_agency
from noticebus.casework.administration import check_revision, enter, require_revision
from noticebus.casework.desk import Desk
from noticebus.casework.in_force import chosen, policy_ids
from noticebus.casework.reachable import reachable_at
from noticebus.contracts.policy import PolicyPut
from noticebus.contracts.vocabulary import NoticeClass, Notify, Scope
from noticebus.domain.policies import (
    Hold,
    HoldRule,
    Policy,
    Step,
    own_policy_id,
    owner_of,
    policy_to_record,
)
from noticebus.domain.policy_rules import (
    Reachable,
    loops,
    may_be_silent,
    misplaced_endpoints,
    reaches_somebody,
    weaknesses,
    writes_to_somebody,
)
from noticebus.domain.rosters import makes_loop
from noticebus.errors import ConflictError, Detail, InvalidError, NotFoundError
from noticebus.ids import AgencyId
from noticebus.store import delegations, matching
from noticebus.store import policies as rows
from noticebus.store.agencies import find_agency
from noticebus.store.matching import AgencyFacts
from noticebus.store.policies import StoredPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A policy as it was stored, and what will not work as it is written."""

    stored: StoredPolicy
    warnings: tuple[Detail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a round of a class would run under now, and why it is this one."""

    stored: StoredPolicy
    notice_class: NoticeClass
    why: str


async def list_policies(
    desk: Desk, principal: Principal, *, after: str, limit: int
) -> list[StoredPolicy]:
    """List at most `limit` policies in force with ids after `after`.

    The defaults are everybody's to read, an agency's own is its own.
    """
    only = None if sees_every_agency(principal) else principal.agency_id or ""
    async with desk.database.read() as conn:
        return await rows.list_policies(conn, agency_id=only, after=after, limit=limit)


async def get_policy(desk: Desk, principal: Principal, *, policy_id: str) -> StoredPolicy:
    """Read the version of a policy that is in force."""
    _require_readable(principal, policy_id)
    async with desk.database.read() as conn:
        return _living(await rows.find_policy(conn, policy_id), policy_id)


async def policy_versions(
    desk: Desk, principal: Principal, *, policy_id: str, limit: int
) -> list[StoredPolicy]:
    """Read at most `limit` versions of a policy, the newest first, ended ones too."""
    _require_readable(principal, policy_id)
    async with desk.database.read() as conn:
        found = await rows.versions_of(conn, policy_id, limit=limit)
    if not found:
        raise _unknown(policy_id)
    return found


async def zone_of(desk: Desk, principal: Principal, *, agency_id: str) -> str:
    """Give the time zone of an agency that the principal may see."""
    async with desk.database.read() as conn:
        return (await visible_facts(conn, principal, agency_id)).zone


async def change_policy(
    desk: Desk, principal: Principal, *, policy_id: str, put: PolicyPut, revision: int | None
) -> Changed:
    """Store a new version of a default, or of an agency's own policy."""
    require(principal, Scope.ADMIN, Scope.OPERATE)
    expected = require_revision(revision)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        old = _living(await rows.find_policy(conn, policy_id, lock=True), policy_id)
        check_revision(old.policy.version, revision=expected)
        new = _written(old.policy, put, version=expected + 1)
        changed = await _store(conn, desk, new, agency_id=old.agency_id, now=now)
        await _enter(conn, changed.stored, old, by=principal, at=now)
    desk.committed()
    return changed


async def set_own_policy(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    notice_class: NoticeClass,
    put: PolicyPut,
    revision: int | None,
) -> Changed:
    """Give an agency a policy of its own for a class, or a new version of the one it has."""
    require(principal, Scope.ADMIN, Scope.OPERATE)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        facts = await visible_facts(conn, principal, agency_id)
        policy_id = own_policy_id(facts.id, notice_class)
        old = await rows.find_policy(conn, policy_id, lock=True)
        if old is not None and old.ended_at is None:
            check_revision(old.policy.version, revision=require_revision(revision))
        elif revision is not None:
            check_revision(0, revision=revision)
        version = 1 if old is None else old.policy.version + 1
        bare = Policy(
            id=policy_id,
            version=version,
            recipient_kind=facts.kind,
            notice_class=notice_class,
            due_after=None,
            hold=HoldRule(hold=Hold.NEVER),
            steps=(),
        )
        new = _written(bare, put, version=version)
        changed = await _store(conn, desk, new, agency_id=facts.id, now=now)
        await _enter(conn, changed.stored, old, by=principal, at=now)
    desk.committed()
    return changed


async def end_own_policy(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    notice_class: NoticeClass,
    revision: int | None,
) -> StoredPolicy:
    """End an agency's own policy: rounds from now on run under the default."""
    require(principal, Scope.ADMIN, Scope.OPERATE)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        facts = await visible_facts(conn, principal, agency_id)
        policy_id = own_policy_id(facts.id, notice_class)
        old = _living(await rows.find_policy(conn, policy_id, lock=True), policy_id)
        check_revision(old.policy.version, revision=revision)
        await rows.end_policy(conn, old.policy, now=now)
        body = {"policy_id": policy_id, "version": old.policy.version, "agency_id": facts.id}
        await enter(conn, "policy.ended", body, by=principal, at=now)
    desk.committed()
    return replace(old, ended_at=now)


async def applied_policies(desk: Desk, principal: Principal, *, agency_id: str) -> list[Applied]:
    """Say which policy a round of each class would run under now, before it is fitted to a day."""
    now = desk.world.now()
    async with desk.database.read() as conn:
        facts = await visible_facts(conn, principal, agency_id)
        wanted = {one for cls in NoticeClass for one in policy_ids(facts, cls, at=now)}
        known = await rows.latest_policies(conn, wanted)
        found = []
        for notice_class in NoticeClass:
            policy = chosen(known, facts, notice_class=notice_class, at=now)
            stored = await rows.find_policy(conn, policy.id)
            found.append(
                Applied(
                    stored=stored or _built_in(policy, now=now),
                    notice_class=notice_class,
                    why=why_applied(policy, facts),
                )
            )
        return found


def why_applied(policy: Policy, facts: AgencyFacts) -> str:
    """Say why a policy is the one in force, in a sentence."""
    if owner_of(policy.id) is not None:
        return f"{facts.name} has a policy of its own for class {policy.notice_class}."
    profile = policy.id.split(".")[2].replace("_", " ")
    kind = facts.kind.replace("_", " ")
    return f"The default of a {kind} ({profile}) for class {policy.notice_class}."


def _built_in(policy: Policy, *, now: dt.datetime) -> StoredPolicy:
    return StoredPolicy(policy=policy, agency_id=None, created_at=now, ended_at=None)


def _require_readable(principal: Principal, policy_id: str) -> None:
    owner = owner_of(policy_id)
    if owner is not None:
        require_visible(principal, owner, what="policy")


async def visible_facts(conn: AsyncConnection, principal: Principal, agency_id: str) -> AgencyFacts:
    """Read an agency that the principal may see; 404 where there is none."""
    require_visible(principal, agency_id, what="agency")
    if await find_agency(conn, agency_id=agency_id) is None:
        raise NotFoundError("There is no agency here that you may see. Check the id.")
    found = await matching.agencies_by_id(conn, [AgencyId(agency_id)])
    return found[AgencyId(agency_id)]


def _living(found: StoredPolicy | None, policy_id: str) -> StoredPolicy:
    if found is None or found.ended_at is not None:
        raise _unknown(policy_id)
    return found


def _unknown(policy_id: str) -> NotFoundError:
    return NotFoundError(
        f"No policy {policy_id} is in force. The list of policies has those that are."
    )


def _written(old: Policy, put: PolicyPut, *, version: int) -> Policy:
    at = None if put.hold_at is None else dt.time.fromisoformat(put.hold_at)
    due_after = put.due_after_s
    return replace(
        old,
        version=version,
        due_after=None if due_after is None else dt.timedelta(seconds=due_after),
        hold=HoldRule(hold=Hold(put.hold), at=at),
        quorum=put.quorum,
        steps=tuple(
            Step(
                after=dt.timedelta(seconds=step.after_s),
                notify=step.notify,
                channels=tuple(dict.fromkeys(step.channels)),
            )
            for step in put.steps
        ),
    )


async def _store(
    conn: AsyncConnection,
    desk: Desk,
    policy: Policy,
    *,
    agency_id: AgencyId | None,
    now: dt.datetime,
) -> Changed:
    """Store a version that holds what policies must; raises InvalidError where one does not."""
    _check(policy)
    warnings: tuple[Detail, ...] = ()
    if agency_id is None:
        _check_default(policy)
    else:
        facts = (await matching.agencies_by_id(conn, [agency_id]))[agency_id]
        reach, _ = await reachable_at(conn, desk, facts, at=now)
        await _check_delegation(conn, policy, agency_id)
        _check_reach(policy, reach)
        warnings = weaknesses(policy.steps, reach)
    try:
        await rows.insert_policy(conn, policy, agency_id=agency_id, now=now)
    except rows.TakenError as error:
        raise ConflictError(
            "Another change of this policy was first; nothing was stored. Read it and try again."
        ) from error
    stored = StoredPolicy(policy=policy, agency_id=agency_id, created_at=now, ended_at=None)
    return Changed(stored=stored, warnings=warnings)


def _check(policy: Policy) -> None:
    _refuse(misplaced_endpoints(policy.steps), "Some levels have no such channel.")
    _refuse(loops(policy.steps), "The chain comes back to where it was.", code="policy-loop")
    if not (writes_to_somebody(policy.steps) or may_be_silent(policy)):
        raise _reaches_nobody()


def _check_default(policy: Policy) -> None:
    """Refuse what only an agency can be asked: a default is for those with one contact too."""
    if policy.quorum > 1:
        fault = Detail(
            pointer="/quorum",
            message="leave it at 1: a default is for agencies with one contact too; set it on an"
            " agency's own policy",
        )
        _refuse((fault,), "A default has no quorum.")


async def _check_delegation(conn: AsyncConnection, policy: Policy, agency_id: AgencyId) -> None:
    named = [n for n, step in enumerate(policy.steps) if step.notify is Notify.DELEGATE]
    if not named:
        return
    known = await delegations.every_delegate(conn)
    delegate = known.get(agency_id)
    if delegate is not None and makes_loop(known, agency_id=agency_id, delegate_id=delegate):
        faults = tuple(
            Detail(
                pointer=f"/steps/{index}/notify",
                message="end a delegation first: those of the agency lead back to it",
            )
            for index in named
        )
        _refuse(faults, "The delegate of the agency is the agency.", code="policy-loop")


def _check_reach(policy: Policy, reach: Reachable) -> None:
    people = {one.id for one in reach.contacts if one.channels}
    if policy.quorum > max(len(people), 1):
        message = f"ask for at most {len(people)}: the agency has no more contacts in reach"
        fault = Detail(pointer="/quorum", message=message)
        _refuse((fault,), "Too few people could accept.")
    if not (reaches_somebody(policy.steps, reach) or may_be_silent(policy)):
        raise _reaches_nobody()


def _refuse(faults: Sequence[Detail], sentence: str, *, code: str | None = None) -> None:
    if faults:
        raise InvalidError(
            f"{sentence} `errors` says where and what to do. Nothing was stored.",
            code=code,
            details=tuple(faults),
        )


def _reaches_nobody() -> InvalidError:
    message = "no step gets to anybody: give the agency contacts, or let a step go to operators"
    return InvalidError(
        "With this policy nobody would be called. Nothing was stored: name a level that has"
        " somebody, and a channel that reaches them.",
        code="policy-reaches-nobody",
        details=(Detail(pointer="/steps", message=message),),
    )


async def _enter(
    conn: AsyncConnection,
    new: StoredPolicy,
    old: StoredPolicy | None,
    *,
    by: Principal,
    at: dt.datetime,
) -> None:
    """Write a change into the ledger with the whole policy: it holds no personal data."""
    body = {
        "policy_id": new.id,
        "version": new.policy.version,
        "agency_id": new.agency_id,
        "before": None if old is None else old.policy.version,
        "policy": policy_to_record(new.policy),
    }
    await enter(conn, "policy.changed", body, by=by, at=at)

"""The ledger searched by people: for auditors, operators and administrators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noticebus.access.principals import Principal, require
from noticebus.casework.audit import READERS
from noticebus.casework.desk import Desk
from noticebus.domain.policies import Policy, policy_from_record
from noticebus.ids import AgencyId
from noticebus.store import actors, ledger, ledger_pages, report_facts
from noticebus.store.actors import Actor
from noticebus.store.ledger_pages import LedgerEntry, Wanted
from noticebus.store.policies import StoredPolicy, policies_at
from noticebus.store.report_facts import Named

POLICY_TYPES = ("policy.changed", "policy.ended")
_ACTORS = ("by", "actor", "posted_by", "requested_by", "confirmed_by", "taken_over_from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One page of entries, newest first, with who and whom they name."""

    entries: Sequence[LedgerEntry]
    before: int | None
    newest: int
    actors: Mapping[str, Actor]
    agencies: Mapping[AgencyId, Named]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """One change of a policy: the version before, None for the first, and the one after."""

    entry: LedgerEntry
    policy_id: str
    before: Policy | None
    after: Policy | None


async def search(
    desk: Desk, principal: Principal, *, wanted: Wanted, before: int | None, limit: int
) -> Searched:
    """Search the ledger: bodies hold ids and no names, so whoever may read it reads them whole.

    `before` goes on from an earlier page.
    """
    require(principal, *READERS)
    async with desk.database.read() as conn:
        found = await ledger_pages.search(conn, wanted, before=before, limit=limit)
        named = await actors.actors_by_id(conn, _ids(found.entries, _ACTORS))
        agencies = await report_facts.named(
            conn, {AgencyId(one) for one in _ids(found.entries, ("agency_id",))}
        )
        return Searched(
            entries=found.entries,
            before=found.before,
            newest=await ledger.newest_index(conn),
            actors=named,
            agencies=agencies,
        )


def _ids(entries: Sequence[LedgerEntry], names: Sequence[str]) -> set[str]:
    found = {one.data.get(name) for one in entries for name in names}
    return {one for one in found if isinstance(one, str) and one}


async def policy_changes(
    desk: Desk, principal: Principal, *, before: int | None, limit: int
) -> tuple[Sequence[PolicyChange], Searched]:
    """List the changes of policies, newest first, each with what was before and what came after."""
    wanted = Wanted(types=POLICY_TYPES)
    searched = await search(desk, principal, wanted=wanted, before=before, limit=limit)
    keys = {
        (str(one.data["policy_id"]), int(one.data["before"]))
        for one in searched.entries
        if one.data.get("before")
    }
    async with desk.database.read() as conn:
        old = await policies_at(conn, keys)
    return [_change(one, old) for one in searched.entries], searched


def _change(entry: LedgerEntry, old: Mapping[tuple[str, int], StoredPolicy]) -> PolicyChange:
    data = entry.data
    policy_id = str(data.get("policy_id", ""))
    known = old.get((policy_id, int(data.get("before") or 0)))
    after = data.get("policy")
    return PolicyChange(
        entry=entry,
        policy_id=policy_id,
        before=None if known is None else known.policy,
        after=None if after is None else policy_from_record(after),
    )

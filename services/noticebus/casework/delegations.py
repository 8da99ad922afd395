"""Delegations: which agency answers for another, and when."""

from dataclasses import replace

from noticebus.access.principals import Principal, require
from noticebus.casework.administration import enter, invalid
from noticebus.casework.agencies import visible_agency_row
from noticebus.casework.desk import Desk
from noticebus.contracts.delegation import DelegationPost
from noticebus.contracts.vocabulary import Scope
from noticebus.domain.rosters import makes_loop
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import AgencyId, new_delegation_id
from noticebus.store import agencies
from noticebus.store import delegations as rows
from noticebus.store.delegations import Delegation


async def create_delegation(
    desk: Desk, principal: Principal, *, agency_id: str, post: DelegationPost
) -> Delegation:
    """Let another agency answer for this one; refused where that would lead back to it."""
    require(principal, Scope.ADMIN, Scope.OPERATE)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        if await agencies.find_agency(conn, agency_id=post.delegate_id) is None:
            raise invalid("/delegate_id", "There is no agency with this id. Check it.")
        await rows.lock_all(conn)  # two at once must not close a loop together
        _check(await rows.every_delegate(conn), agency_id=agency.id, delegate_id=post.delegate_id)
        new = Delegation(
            id=new_delegation_id(),
            agency_id=agency.id,
            delegate_id=post.delegate_id,
            hours=post.hours,
            created_at=now,
            ended_at=None,
        )
        await rows.insert_delegation(conn, new)
        body = {
            "delegation_id": new.id,
            "agency_id": new.agency_id,
            "delegate_id": new.delegate_id,
            "hours": str(new.hours),
        }
        await enter(conn, "delegation.created", body, by=principal, at=now)
    desk.committed()
    return new


async def list_delegations(
    desk: Desk, principal: Principal, *, agency_id: str, after: str, limit: int
) -> list[Delegation]:
    """List at most `limit` living delegations to or from an agency, with ids after `after`."""
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        return await rows.list_delegations(conn, agency_id=agency.id, after=after, limit=limit)


async def end_delegation(
    desk: Desk, principal: Principal, *, agency_id: str, delegation_id: str
) -> Delegation:
    """End a delegation: from now on the agency answers for itself."""
    require(principal, Scope.ADMIN, Scope.OPERATE)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        found = await rows.find_delegation(conn, delegation_id=delegation_id)
        if found is None or found.agency_id != agency_id:
            raise NotFoundError("This agency has no such delegation. Check both ids.")
        if not await rows.end_delegation(conn, delegation_id=found.id, ended_at=now):
            raise ConflictError("This delegation has ended already; there is nothing to do.")
        body = {"delegation_id": found.id, "agency_id": found.agency_id}
        await enter(conn, "delegation.ended", body, by=principal, at=now)
    desk.committed()
    return replace(found, ended_at=now)


def _check(living: dict[AgencyId, AgencyId], *, agency_id: AgencyId, delegate_id: AgencyId) -> None:
    if makes_loop(living, agency_id=agency_id, delegate_id=delegate_id):
        raise ConflictError(
            "This would lead back to the agency itself, so that nobody would answer. End one of "
            "the delegations on the way, or name another delegate. Nothing was stored.",
            code="delegation-loop",
        )
    if agency_id in living:
        raise ConflictError(
            "Another agency stands in for this one already. End that delegation first."
        )

"""Waiving: one operator asks with a reason, another confirms that no answer is needed any more.

Until then nothing changes and the bus goes on calling. An answer undoes a waiver; a new round opens
what was waived again.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, sees_every_agency
from noticebus.casework import reroute
from noticebus.casework.answer import MOOT_CAUSES, rules_view
from noticebus.casework.desk import Desk
from noticebus.casework.obligation_views import waiver_view
from noticebus.casework.second_person import is_second_person
from noticebus.casework.tracing import obligation_entry
from noticebus.contracts.vocabulary import ObligationState, Owed, Scope
from noticebus.contracts.waiver import WaiverConfirmPost, WaiverPost, WaiverView
from noticebus.domain.obligation import NoChange, waive
from noticebus.errors import ConflictError, ForbiddenError, NotFoundError
from noticebus.ids import ObligationId
from noticebus.store import deliveries, ledger, notices, obligations, waivers
from noticebus.store.obligations import Obligation
from noticebus.store.waivers import WaiveRequest


async def ask(
    desk: Desk, principal: Principal, *, obligation_id: ObligationId, post: WaiverPost
) -> WaiverView:
    """Record that an operator wants an answer waived; nobody is told and nothing changes.

    The same request again is answered the same; another while one waits is a ConflictError.
    """
    require(principal, Scope.OPERATE)
    async with desk.database.begin() as conn:
        owed, before = await _locked(conn, obligation_id)
        now = desk.world.now()
        _refuse_what_cannot_be_waived(owed)
        wanted = WaiveRequest(
            obligation_id=owed.id,
            epoch=owed.epoch,
            reason=post.reason,
            requested_by=principal.id,
            by_name=post.by_name,
            requested_at=now,
        )
        if before is not None:
            if replace(wanted, requested_at=before.requested_at) == before:
                return waiver_view(owed, before)
            raise _waits_already(before)
        await waivers.put(conn, wanted)
        await _enter(conn, "waiver.requested", owed, wanted, {}, at=now)
    desk.committed()
    return waiver_view(owed, wanted)


async def confirm(
    desk: Desk,
    principal: Principal,
    *,
    obligation_id: ObligationId,
    post: WaiverConfirmPost,
) -> WaiverView:
    """Waive an obligation as the second person: its steps end, and what is queued is moot (I5).

    Raises ForbiddenError for the person or the key that asked for it. Whoever says which request
    was read, by its `requested_at`, gets a ConflictError where another stands in its place.
    """
    require(principal, Scope.OPERATE)
    async with desk.database.begin() as conn:
        before, asked = await _locked(conn, obligation_id, routes=True)
        now = desk.world.now()
        _refuse_what_cannot_be_waived(before)
        if asked is None or isinstance(waive(rules_view(before), epoch=asked.epoch), NoChange):
            raise _nothing_waits()
        if not is_second_person(asked, principal, name=post.by_name):
            raise _same_person(asked)
        if post.requested_at not in {None, asked.requested_at}:
            raise _other_request()
        after = replace(before, state=ObligationState.WAIVED, closed_at=now, next_step_at=None)
        asked = replace(
            asked,
            confirmed_by=principal.id,
            confirmed_by_name=post.by_name,
            confirmed_at=now,
        )
        data = _facts(asked) | {"confirmed_by": principal.id}
        entry, line = obligation_entry("waiver.confirmed", after, data, at=now)
        await obligations.save_all(conn, [after])
        await waivers.confirm(conn, asked)
        await ledger.append(conn, [entry])
        await ledger.append_history(conn, [line])
        await deliveries.make_moot(conn, [after.id], finished_at=now, causes=MOOT_CAUSES)
        told = await reroute.after_waiver(conn, desk, after)
    desk.committed(told)
    return waiver_view(after, asked)


async def take_back(desk: Desk, principal: Principal, *, obligation_id: ObligationId) -> bool:
    """Take a request back, or turn down another's; False where none waits."""
    require(principal, Scope.OPERATE)
    async with desk.database.begin() as conn:
        owed, asked = await _locked(conn, obligation_id)
        if asked is None or owed.state is not ObligationState.OPEN:
            return False
        now = desk.world.now()
        await waivers.remove(conn, owed.id)
        await _enter(conn, "waiver.taken_back", owed, asked, {"by": principal.id}, at=now)
    desk.committed()
    return True


async def waivers_for(
    conn: AsyncConnection, principal: Principal, ids: Collection[ObligationId]
) -> dict[ObligationId, WaiveRequest]:
    """Read the waivers of obligations, for the bus's own people: others see the state alone."""
    return await waivers.of(conn, ids) if sees_every_agency(principal) else {}


def may_be_waived(owed: Obligation) -> bool:
    """Say whether somebody may ask that an obligation be waived."""
    waits = not isinstance(waive(rules_view(owed), epoch=owed.epoch), NoChange)
    return waits and owed.round_started_at is not None


async def _locked(
    conn: AsyncConnection, obligation_id: ObligationId, *, routes: bool = False
) -> tuple[Obligation, WaiveRequest | None]:
    """Lock an obligation, and read what is asked for its present round.

    `routes`: the places of its incident may change with it, whose lock comes first then.
    """
    seen = await obligations.obligation_by_id(conn, obligation_id)
    if seen is None:
        raise NotFoundError(f"There is no obligation {obligation_id}. Check the id.")
    if routes:
        await notices.lock_incidents(conn, [seen.incident_id])
        owed = await obligations.lock_with_coverage(
            conn, obligation_id, incident_id=seen.incident_id
        )
    else:
        (owed,) = await obligations.lock_obligations(conn, ids=[obligation_id])
    return owed, (await waivers.of(conn, [owed.id])).get(owed.id)


def _refuse_what_cannot_be_waived(owed: Obligation) -> None:
    if may_be_waived(owed):
        return
    if owed.owed is not Owed.NOTICE:
        raise ConflictError(
            "Only a recipient's answer to a notice is waived. A question, a promised update or a"
            " place without anybody ends by its answer, the update, or somebody found."
        )
    if owed.state is not ObligationState.OPEN:
        raise ConflictError(
            f"This is {owed.state}, so there is nothing to waive. Read the obligation again."
        )
    raise ConflictError(
        "This is embargoed: nobody has been asked for an answer yet. Wait until it is released."
    )


def _waits_already(before: WaiveRequest) -> ConflictError:
    return ConflictError(
        f"{before.by_name} has asked already that this be waived."
        " Confirm that request as the second person, or take it back first.",
        code="waiver-pending",
    )


def _nothing_waits() -> ConflictError:
    return ConflictError(
        "Nobody's request to waive this waits: it was taken back, or ended with a new round."
        " Ask for it with a reason; another person then confirms it.",
        code="no-waiver-requested",
    )


def _other_request() -> ConflictError:
    return ConflictError(
        "That request was taken back, and another was made. Read it, then confirm it.",
        code="waiver-pending",
    )


def _same_person(asked: WaiveRequest) -> ForbiddenError:
    return ForbiddenError(
        f"{asked.by_name} asked for this waiver as {asked.requested_by}. Somebody else must confirm"
        " it, under another name and with another account.",
        code="second-person-needed",
    )


def _facts(asked: WaiveRequest) -> dict[str, object]:
    """Name who asked by the account: the ledger keeps no names, and no free text."""
    return {"epoch": asked.epoch, "requested_by": asked.requested_by}


async def _enter(
    conn: AsyncConnection,
    type_: str,
    owed: Obligation,
    asked: WaiveRequest,
    data: Mapping[str, object],
    *,
    at: dt.datetime,
) -> None:
    facts = {"obligation_id": owed.id, "agency_id": owed.agency_id, **_facts(asked), **data}
    entry = ledger.make_entry(type_, facts, at=at, incident_id=owed.incident_id)
    await ledger.append(conn, [entry])

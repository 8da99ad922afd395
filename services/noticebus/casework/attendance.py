"""Working on it: an operator says so, so that two do not ring the same principal.

It tells people, and nothing else: the clock of the obligation does not know of it.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import ObligationState, Scope
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import ActorId, ObligationId
from noticebus.store import attendances, ledger, obligations
from noticebus.store.attendances import Attendance
from noticebus.store.obligations import Obligation

LASTS: Final = dt.timedelta(minutes=15)
RENEWED_AFTER: Final = dt.timedelta(minutes=1)  # the same button pressed twice is one fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The attendance a person saw and takes over: who, and since when."""

    actor: str
    began_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attends:
    """The caller is the one who works on it now."""

    attendance: Attendance


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Somebody else works on it: nothing was stored."""

    attendance: Attendance


async def attend(
    desk: Desk,
    principal: Principal,
    *,
    obligation_id: ObligationId,
    taking_over: Seen | None = None,
) -> Attends | Held:
    """Say that the caller works on an obligation for the next `LASTS`.

    Of two at once one wins, and the other is told who. Somebody else's is taken over only where
    `taking_over` names the very one that is there. ConflictError where nothing is left to do.
    """
    require(principal, Scope.OPERATE)
    async with desk.database.begin() as conn:
        owed = await _locked(conn, obligation_id)
        if owed.state is not ObligationState.OPEN:
            raise ConflictError(
                "This has been answered or ended meanwhile: nobody needs to work on it."
            )
        now = desk.world.now()
        held = (await attendances.of(conn, [owed.id], now=now)).get(owed.id)
        if held is not None and held.actor != principal.id and not _is(held, taking_over):
            return Held(attendance=held)
        mine = held if held is not None and held.actor == principal.id else None
        if mine is not None and mine.lapses_at - now > LASTS - RENEWED_AFTER:
            return Attends(attendance=mine)
        made = Attendance(
            obligation_id=owed.id,
            actor=principal.id,
            name=principal.name,
            began_at=now if mine is None else mine.began_at,
            lapses_at=now + LASTS,
        )
        await attendances.put(conn, made)
        taken_from = None if held is None or mine is not None else held.actor
        data = {"lapses_at": made.lapses_at.isoformat(), "taken_over_from": taken_from}
        await _enter(conn, "obligation.attended", owed, principal.id, data, at=now)
    desk.committed()
    return Attends(attendance=made)


async def leave(desk: Desk, principal: Principal, *, obligation_id: ObligationId) -> bool:
    """Say that the caller works on it no more; False where it was not the caller."""
    require(principal, Scope.OPERATE)
    async with desk.database.begin() as conn:
        owed = await _locked(conn, obligation_id)
        now = desk.world.now()
        held = (await attendances.of(conn, [owed.id], now=now)).get(owed.id)
        if held is None or held.actor != principal.id:
            return False
        await attendances.remove(conn, owed.id)
        await _enter(conn, "obligation.left", owed, principal.id, {}, at=now)
    desk.committed()
    return True


async def _locked(conn: AsyncConnection, obligation_id: ObligationId) -> Obligation:
    """Lock the obligation: two who come at once come one after the other."""
    found = await obligations.lock_obligations(conn, ids=[obligation_id])
    if not found:
        raise NotFoundError(f"There is no obligation {obligation_id}. Check the id.")
    return found[0]


def _is(held: Attendance, seen: Seen | None) -> bool:
    return seen is not None and (seen.actor, seen.began_at) == (held.actor, held.began_at)


async def _enter(
    conn: AsyncConnection,
    type_: str,
    owed: Obligation,
    actor: ActorId,
    data: dict[str, str | None],
    *,
    at: dt.datetime,
) -> None:
    """Enter it by ids: the person's name stays in the row."""
    facts = {"obligation_id": owed.id, "actor": actor, **data}
    entry = ledger.make_entry(type_, facts, at=at, incident_id=owed.incident_id)
    await ledger.append(conn, [entry])

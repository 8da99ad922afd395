"""Who may answer for whom: an agency for itself, its delegate, or an operator who was told."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework.answer import About, Actor, Answered, GivenAnswer, answer
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import How, Owed, Scope, VerifiedBy
from noticebus.errors import ConflictError, Detail, InvalidError, NotFoundError
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId
from noticebus.store import delegations, matching, notices, obligations
from noticebus.store.obligations import Obligation

ANSWERABLE = frozenset({Owed.NOTICE, Owed.COVERAGE})


async def answer_as_agency(
    desk: Desk, principal: Principal, *, notice_id: NoticeId, given: GivenAnswer
) -> Answered:
    """Record the answer of the caller's own agency to a notice.

    Where it owes none, that of the one agency it stands in for.
    """
    require(principal, Scope.ANSWER)
    agency_id = own_agency(principal)
    async with desk.database.read() as conn:
        notice = (await notices.notices_by_id(conn, [notice_id])).get(notice_id)
        owed = None if notice is None else await _owed_by(conn, notice.incident_id, agency_id)
        if owed is None or notice is None or owed.round_started_at is None:
            raise NotFoundError(
                f"There is no notice {notice_id} that your agency must answer. Check the id."
            )
        actor = await _actor(conn, principal, agency_id, owed)
        given = _by_account(principal, given)
    about = About(notice_id=notice.id, version=notice.version)
    return await answer(desk, obligation_id=owed.id, about=about, given=given, actor=actor)


async def answer_obligation(
    desk: Desk,
    principal: Principal,
    *,
    obligation_id: ObligationId,
    given: GivenAnswer,
    how: How | None,
    on_behalf_of: str | None,
) -> Answered:
    """Record an answer to the round that is running.

    An operator says how the recipient told it and for whom that person spoke; the recipient itself
    and its delegate answer with their own key, or signed in, and say neither. Whoever is signed in
    answers by that name. Nothing is recorded where a newer version runs than the one that was read.
    """
    require(principal, Scope.OPERATE, Scope.ANSWER)
    async with desk.database.read() as conn:
        owed = await obligations.obligation_by_id(conn, obligation_id)
        if owed is None or owed.owed not in ANSWERABLE or owed.round_started_at is None:
            raise _nothing(obligation_id)
        if given.read_version not in {None, owed.round_version}:
            raise _newer(owed)
        if Scope.OPERATE in principal.scopes:
            _require_told(how, on_behalf_of)
            actor = Actor(
                verified_by=VerifiedBy.OPERATOR,
                id=principal.id,
                how=how,
                on_behalf_of=on_behalf_of,
            )
        else:
            _refuse_hearsay(how, on_behalf_of)
            agency_id = own_agency(principal)
            if not await speaks_for(conn, agency_id, owed.agency_id):
                raise _nothing(obligation_id)
            actor = await _actor(conn, principal, agency_id, owed)
            given = _by_account(principal, given)
    about = About(notice_id=owed.round_notice_id, version=owed.round_version)
    return await answer(desk, obligation_id=owed.id, about=about, given=given, actor=actor)


async def speaks_for(conn: AsyncConnection, agency_id: AgencyId, recipient_id: AgencyId) -> bool:
    """Say whether an agency may answer for a recipient: itself, or by a living delegation.

    At any hour: the hours of a delegation say whom to tell, and an answer is never refused for
    coming while somebody else was on duty.
    """
    if agency_id == recipient_id:
        return True
    found = (await delegations.living_of(conn, [recipient_id])).get(recipient_id)
    return found is not None and found.delegate_id == agency_id


async def on_behalf(
    conn: AsyncConnection, agency_id: AgencyId, recipient_id: AgencyId
) -> str | None:
    """Name the recipient where another agency answers for it."""
    if agency_id == recipient_id:
        return None
    return (await matching.agencies_by_id(conn, [recipient_id]))[recipient_id].name


async def _actor(
    conn: AsyncConnection, principal: Principal, agency_id: AgencyId, owed: Obligation
) -> Actor:
    return Actor(
        verified_by=VerifiedBy.SESSION if principal.is_signed_in else VerifiedBy.API_KEY,
        id=principal.id,
        on_behalf_of=await on_behalf(conn, agency_id, owed.agency_id),
        agency_id=agency_id,
    )


def _by_account(principal: Principal, given: GivenAnswer) -> GivenAnswer:
    """Put an account's own name under its answer: one account is one person of a quorum."""
    return replace(given, by_name=principal.name) if principal.is_signed_in else given


async def _owed_by(
    conn: AsyncConnection, incident_id: IncidentId, agency_id: AgencyId
) -> Obligation | None:
    """Find what an agency owes an incident, else what the one agency it stands in for does."""
    own = await obligations.find_obligation(conn, incident_id=incident_id, agency_id=agency_id)
    if own is not None:
        return own
    standing_in = {one.agency_id for one in await delegations.delegators_of(conn, agency_id)}
    if not standing_in:
        return None
    found = await obligations.owed_by_any(conn, incident_id=incident_id, agency_ids=standing_in)
    if len(found) > 1:
        raise ConflictError(
            "You stand in for several agencies that must answer this notice. Answer each at"
            " /v1/obligations/{id}/acknowledgements: " + ", ".join(one.id for one in found) + ".",
            code="several-obligations",
        )
    return found[0] if found else None


def _require_told(how: How | None, on_behalf_of: str | None) -> None:
    faults = [
        Detail(pointer=pointer, message=message)
        for pointer, message, said in (
            ("/how", f"say how the answer reached you: one of {', '.join(How)}", how),
            ("/on_behalf_of", "say for whom the person spoke", on_behalf_of),
        )
        if said is None
    ]
    if faults:
        raise InvalidError(
            "An operator's record says how the answer came and for whom it was given.",
            details=tuple(faults),
        )


def _refuse_hearsay(how: How | None, on_behalf_of: str | None) -> None:
    """Raise where an agency's own key says what only an operator's record says."""
    faults = [
        Detail(pointer=pointer, message="leave it out: only an operator's record says this")
        for pointer, said in (("/how", how), ("/on_behalf_of", on_behalf_of))
        if said is not None
    ]
    if faults:
        raise InvalidError(
            "An answer with your agency's own key is its own. Nothing was stored.",
            details=tuple(faults),
        )


def _newer(owed: Obligation) -> ConflictError:
    return ConflictError(
        f"A newer version of this notice is what must be answered now: version"
        f" {owed.round_version}. Nothing was recorded. Read it, then answer it.",
        code="stale-version",
    )


def _nothing(obligation_id: ObligationId) -> NotFoundError:
    return NotFoundError(
        f"There is no obligation {obligation_id} that you may answer. Check the id."
    )

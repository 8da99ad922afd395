"""Offers of help for an incident: made by a recipient, answered by child protection or an operator.

Child protection, the operators and whoever made an offer see it, and nobody else. It lapses by
itself; a hold ends by itself. Each change is an entry in the ledger.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require, sees_every_agency
from noticebus.bus.port import Shard
from noticebus.casework import accepted, shards
from noticebus.casework.binding import Moment
from noticebus.casework.desk import Desk
from noticebus.casework.ended import refuse_ended_exercise
from noticebus.casework.informing import Message, Telling, inform, inform_all
from noticebus.casework.spacing import spaced
from noticebus.contracts.offer import OfferAnswerPost, OfferPost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    IncidentState,
    OfferAnswer,
    OfferState,
    Scope,
)
from noticebus.errors import ConflictError, Detail, InvalidError, NotFoundError
from noticebus.ids import AgencyId, IncidentId, OfferId, new_offer_id
from noticebus.store import ledger, notices, obligations, offers
from noticebus.store.deliveries import Delivery, insert_deliveries, insert_missing
from noticebus.store.ledger import Entry, make_entry
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.offers import LIVING, Offer

OFFERS_PER_INCIDENT_MAX = 200
BATCH_OFFERS_MAX = 500
LAPSES_AFTER = dt.timedelta(days=1)
LAPSES_WITHIN = dt.timedelta(days=30)
CHILD_WELFARE = (AgencyKind.CPS, AgencyKind.TRIBAL_CHILD_WELFARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An offer with the receipt of its entry, None where it is only read."""

    offer: Offer
    receipt: dict[str, str] | None = None


async def make_offer(
    desk: Desk, principal: Principal, *, incident_id: IncidentId, post: OfferPost
) -> Made:
    """Offer something for an incident that the caller's agency must answer."""
    require(principal, Scope.ANSWER)
    agency_id = own_agency(principal)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        incident = await _lock_open(conn, incident_id, offerer=agency_id, now=at.world)
        if await offers.count_offers(conn, incident.id) >= OFFERS_PER_INCIDENT_MAX:
            raise ConflictError(
                "This incident can take no more offers. Ring child protection or the operators.",
                code="too-many-offers",
            )
        offer = _offer(post, incident, agency_id=agency_id, now=at.world)
        notice = await _latest(conn, incident)
        await offers.insert_offer(conn, offer)
        sent = await _tell_child_welfare(conn, desk, notice, offer, at=at)
        entry = _entry("offer.made", offer, at=at.world)
        (recorded,) = await ledger.append(conn, [entry])
    desk.committed(shards.of(notice, sent))
    return Made(offer=offer, receipt=accepted.receipt(desk.keyring, recorded))


async def answer_offer(
    desk: Desk, principal: Principal, *, offer_id: OfferId, post: OfferAnswerPost
) -> Made:
    """Accept, decline or hold an offer, and tell whoever made it.

    Raises ConflictError once it was accepted or declined or has lapsed, and while another holds it.
    """
    require(principal, Scope.ANSWER, Scope.OPERATE)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        before = await offers.lock_offer(conn, offer_id)
        if before is None or not await _may_answer(conn, principal, before):
            raise NotFoundError(f"There is no offer {offer_id} that you may answer. Check the id.")
        by = None if Scope.OPERATE in principal.scopes else principal.agency_id
        offer = _answered(_due_by_now(before, now=at.world), post, by=by, now=at.world)
        await offers.save_offers(conn, [offer])
        incident = await notices.incident_by_id(conn, offer.incident_id)
        assert incident is not None, "an offer belongs to an incident"
        notice = await _latest(conn, incident)
        offerer = await obligations.bound_among(conn, incident.id, agency_ids=[offer.agency_id])
        sent = await _tell(conn, desk, notice, offerer, offer, at=at)
        entry = _entry(f"offer.{offer.state}", offer, at=at.world, by=principal)
        (recorded,) = await ledger.append(conn, [entry])
    desk.committed(shards.of(notice, sent))
    return Made(offer=offer, receipt=accepted.receipt(desk.keyring, recorded))


async def list_offers(
    desk: Desk, principal: Principal, *, incident_id: IncidentId
) -> Sequence[Offer]:
    """Read the offers for an incident: all for child protection and operators, else one's own."""
    async with desk.database.read() as conn:
        if await notices.incident_by_id(conn, incident_id) is None:
            raise _unknown_incident(incident_id)
        if sees_every_agency(principal) or await _is_child_welfare(conn, principal, incident_id):
            own = None
        else:
            own = own_agency(principal)
            if not await obligations.bound_among(conn, incident_id, agency_ids=[own]):
                raise _unknown_incident(incident_id)
        return await offers.offers_of(
            conn, incident_id, agency_id=own, limit=OFFERS_PER_INCIDENT_MAX
        )


async def end_due_offers(desk: Desk, *, most: int = BATCH_OFFERS_MAX) -> int:
    """Let offers lapse whose time has come, and open again those whose hold is over; say how many.

    What lapsed before its hold was over lapses. Whoever made an offer is told that it has lapsed.
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        due = await offers.lock_due(conn, now=at.world, batch_size_max=most)
        if not due:
            return 0
        ended = [_due_by_now(one, now=at.world) for one in due]
        await _write(conn, ended, now=at.world)
        lapsed = [one for one in ended if one.state is OfferState.LAPSED]
        handed = await _tell_offerers(conn, desk, lapsed, at=at)
    desk.committed(handed)
    return len(due)


async def next_end_at(desk: Desk) -> dt.datetime | None:
    """Tell when the next offer lapses or the next hold is over."""
    async with desk.database.read() as conn:
        return await offers.next_due_at(conn)


async def lapse_all(conn: AsyncConnection, incident_id: IncidentId, *, now: dt.datetime) -> None:
    """Let what is still offered for a cancelled incident lapse; the incident is locked."""
    living = await offers.lock_living(conn, incident_id)
    if living:
        await _write(conn, [_lapsed(one) for one in living], now=now)


async def _write(conn: AsyncConnection, ended: Sequence[Offer], *, now: dt.datetime) -> None:
    await offers.save_offers(conn, ended)
    names = {OfferState.OPEN: "offer.reopened", OfferState.LAPSED: "offer.lapsed"}
    await ledger.append(conn, [_entry(names[one.state], one, at=now) for one in ended])


async def _tell_offerers(
    conn: AsyncConnection, desk: Desk, lapsed: Sequence[Offer], *, at: Moment
) -> Sequence[Shard]:
    """Tell whoever made them that offers have lapsed: a constant number of statements a batch."""
    if not lapsed:
        return ()
    latest = await notices.latest_of(conn, {one.incident_id for one in lapsed})
    offerers = await offers.offerers(conn, {one.id for one in lapsed})
    tellings = [
        Telling(
            notice=latest[one.incident_id],
            bound=[offerers[one.id]],
            message=_message(one, latest[one.incident_id]),
        )
        for one in lapsed
        if one.id in offerers
    ]
    sent = await inform_all(conn, desk, tellings, at=at)
    # Nothing that was told already may stop the clock that offers lapse by.
    await insert_missing(conn, await spaced(conn, sent, now=at.world))
    return shards.of_many({one.id: one for one in latest.values()}, sent)


async def _tell_child_welfare(
    conn: AsyncConnection, desk: Desk, notice: Notice, offer: Offer, *, at: Moment
) -> list[Delivery]:
    bound = await obligations.bound_among(conn, offer.incident_id, kinds=CHILD_WELFARE)
    others = [one for one in bound if one.agency_id != offer.agency_id]
    return await _tell(conn, desk, notice, others, offer, at=at)


async def _tell(
    conn: AsyncConnection,
    desk: Desk,
    notice: Notice,
    bound: Sequence[Obligation],
    offer: Offer,
    *,
    at: Moment,
) -> list[Delivery]:
    sent = await inform(conn, desk, notice, bound, _message(offer, notice), at=at)
    await insert_deliveries(conn, await spaced(conn, sent, now=at.world))
    return sent


def _message(offer: Offer, notice: Notice) -> Message:
    """Tell how an offer stands: each answer has its number, and a lapse the one after them."""
    answer = offer.answer or {}
    told = {
        "id": offer.id,
        "incident_id": offer.incident_id,
        "notice_id": notice.id,
        "offer_type": offer.offer_type.value,
        "quantity": offer.body["quantity"],
        "unit": offer.body["unit"],
        "state": offer.state.value,
        "accepted_quantity": answer.get("quantity"),
        "lapses_at": offer.lapses_at.isoformat(),
    }
    answers = answer.get("number", 0)
    return Message(
        cause=Cause.OFFER,
        subject=offer.id,
        detail={"offer": told},
        number=answers + 1 if offer.state is OfferState.LAPSED else answers,
    )


def _offer(post: OfferPost, incident: Incident, *, agency_id: AgencyId, now: dt.datetime) -> Offer:
    body = post.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Offer(
        id=new_offer_id(),
        incident_id=incident.id,
        agency_id=agency_id,
        status=incident.status,
        offer_type=post.offer_type,
        state=OfferState.OPEN,
        body=body,
        lapses_at=_lapses_at(post, now=now),
        held_until=None,
        answered_by=None,
        answer=None,
        answered_at=None,
        created_at=now,
    )


def _lapses_at(post: OfferPost, *, now: dt.datetime) -> dt.datetime:
    """Choose when an offer lapses; a time that has passed or is far away is refused."""
    at = post.lapses_at or post.until or now + LAPSES_AFTER
    if now < at <= now + LAPSES_WITHIN:
        return at
    field = "lapses_at" if post.lapses_at is not None else "until"
    sentence = (
        f"`{field}` has passed: send a time to come."
        if at <= now
        else f"An offer stands for at most {LAPSES_WITHIN.days} days: send an earlier `lapses_at`."
    )
    raise InvalidError(
        sentence, code="offer-time", details=(Detail(pointer=f"/{field}", message=sentence),)
    )


def _due_by_now(offer: Offer, *, now: dt.datetime) -> Offer:
    """Give what time alone has made of an offer, whether or not the clock has written it yet."""
    if offer.state in LIVING and offer.lapses_at <= now:
        return _lapsed(offer)
    if offer.state is OfferState.HELD and offer.held_until is not None and offer.held_until <= now:
        return replace(offer, state=OfferState.OPEN, held_until=None)
    return offer


def _lapsed(offer: Offer) -> Offer:
    return replace(offer, state=OfferState.LAPSED, held_until=None)


def _answered(
    offer: Offer, post: OfferAnswerPost, *, by: AgencyId | None, now: dt.datetime
) -> Offer:
    """Write an answer onto an offer that may still be answered."""
    _refuse_settled(offer, by=by)
    number = (offer.answer or {}).get("number", 0) + 1
    said: dict[str, Any] = {"answer": post.answer.value, "number": number}
    kept = replace(offer, answered_by=by, answered_at=now, held_until=None)
    match post.answer:
        case OfferAnswer.ACCEPT:
            taken = said | {"quantity": _taken(offer, post)}
            return replace(kept, state=OfferState.ACCEPTED, answer=taken)
        case OfferAnswer.DECLINE:
            return replace(kept, state=OfferState.DECLINED, answer=said | {"reason": post.reason})
        case OfferAnswer.HOLD:
            until = _held_until(offer, post, now=now)
            held = said | {"until": accepted.wire_instant(until)}
            return replace(kept, state=OfferState.HELD, held_until=until, answer=held)
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(post.answer)


def _refuse_settled(offer: Offer, *, by: AgencyId | None) -> None:
    if offer.state not in LIVING:
        raise ConflictError(
            f"The offer is {offer.state} and takes no further answer. Read the incident's offers.",
            code="offer-settled",
        )
    if offer.state is OfferState.HELD and by is not None and by != offer.answered_by:
        raise ConflictError(
            "Another holds this offer. Wait until the hold is over, or ring who holds it.",
            code="offer-held",
        )


def _taken(offer: Offer, post: OfferAnswerPost) -> int:
    offered: int = offer.body["quantity"]
    if post.quantity is not None and post.quantity > offered:
        raise _wrong("quantity", f"only {offered} are offered")
    return post.quantity or offered


def _held_until(offer: Offer, post: OfferAnswerPost, *, now: dt.datetime) -> dt.datetime:
    assert post.until is not None, "held by OfferAnswerPost"
    if not now < post.until <= offer.lapses_at:
        raise _wrong("until", "a hold lies ahead, and ends at latest when the offer lapses")
    return post.until


def _wrong(field: str, why: str) -> InvalidError:
    sentence = f"`{field}` does not fit the offer: {why}."
    return InvalidError(sentence, details=(Detail(pointer=f"/{field}", message=sentence),))


async def _may_answer(conn: AsyncConnection, principal: Principal, offer: Offer) -> bool:
    if Scope.OPERATE in principal.scopes:
        return True
    return await _is_child_welfare(conn, principal, offer.incident_id)


async def _is_child_welfare(
    conn: AsyncConnection, principal: Principal, incident_id: IncidentId
) -> bool:
    """Say whether the caller's agency is child protection and bound by the incident."""
    if principal.agency_id is None or principal.agency_kind not in CHILD_WELFARE:
        return False
    return bool(await obligations.bound_among(conn, incident_id, agency_ids=[principal.agency_id]))


async def _lock_open(
    conn: AsyncConnection, incident_id: IncidentId, *, offerer: AgencyId, now: dt.datetime
) -> Incident:
    """Lock an incident that binds the offerer; nobody else hears that it is over (I8)."""
    incident = (await notices.lock_incidents(conn, [incident_id])).get(incident_id)
    if incident is None:
        raise _unknown_incident(incident_id)
    if not await obligations.bound_among(conn, incident.id, agency_ids=[offerer]):
        raise _unknown_incident(incident_id)
    if incident.state is IncidentState.CANCELLED:
        raise ConflictError(
            "The incident was cancelled: nothing is needed for it any more.",
            code="incident-cancelled",
        )
    await refuse_ended_exercise(conn, incident, what="offer", now=now)
    return incident


async def _latest(conn: AsyncConnection, incident: Incident) -> Notice:
    found = await notices.notices_by_id(conn, [incident.latest_notice_id])
    return found[incident.latest_notice_id]


def _unknown_incident(incident_id: IncidentId) -> NotFoundError:
    return NotFoundError(
        f"There is no incident {incident_id} whose offers concern your agency. Check the id."
    )


def _entry(type_: str, offer: Offer, *, at: dt.datetime, by: Principal | None = None) -> Entry:
    """Say what became of an offer: never the person to ring, who stays in the row."""
    data = {
        "offer_id": offer.id,
        "agency_id": offer.agency_id,
        "status": offer.status,
        "offer_type": offer.offer_type,
        "quantity": offer.body["quantity"],
        "state": offer.state,
        "lapses_at": accepted.wire_instant(offer.lapses_at),
        "held_until": accepted.wire_instant(offer.held_until),
        "answered_by": offer.answered_by,
        "accepted": (offer.answer or {}).get("quantity"),
        "by": None if by is None else by.id,
    }
    return make_entry(type_, data, at=at, incident_id=offer.incident_id)

"""Offers of help over HTTP: made, read and answered."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Body

from noticebus.casework import offers as casework
from noticebus.casework import reading
from noticebus.casework.desk import Desk
from noticebus.casework.offers import Made
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.answers import Page
from noticebus.contracts.offer import (
    OfferAnswerPost,
    OfferAnswerView,
    OfferContactView,
    OfferPost,
    OfferView,
)
from noticebus.contracts.receipt import Receipt
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import OFFER_ANSWER_EXAMPLES, OFFER_EXAMPLES
from noticebus.gateway.problems import MADE, READ, responses
from noticebus.ids import AgencyId, IncidentId, OfferId
from noticebus.store.offers import Offer

router = APIRouter(prefix="/v1", tags=["offers"])


@router.post(
    "/incidents/{incident_id}/offers",
    status_code=201,
    responses=responses(*MADE, "not-found", "incident-cancelled", "offer-time", "too-many-offers"),
)
async def make_offer(
    incident_id: str,
    post: Annotated[OfferPost, Body(openapi_examples=OFFER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> OfferView:
    """Offer help for an incident your agency must answer. Needs `answer`.

    Child protection of the incident is told and answers; nobody else sees the offer but the bus's
    operators and you. Families are given what you offer: you are never given a list of families,
    and nothing about one belongs here. Childcare is offered by cleared persons only. The offer
    lapses by itself at `lapses_at`, else at `until`, else after a day; at most 30 days ahead.
    """
    made = await casework.make_offer(desk, caller, incident_id=IncidentId(incident_id), post=post)
    return await _one(desk, made)


@router.get("/incidents/{incident_id}/offers", responses=responses(*READ))
async def list_offers(incident_id: str, desk: TheDesk, caller: Caller) -> Page[OfferView]:
    """List the offers for an incident, oldest first.

    All of them for child protection of the incident and for operators; your own for everybody else
    it binds. An incident takes at most 200, all on this page.
    """
    found = await casework.list_offers(desk, caller, incident_id=IncidentId(incident_id))
    agencies = await _agencies(desk, found)
    return Page(items=tuple(_view(Made(offer=one), agencies) for one in found), next=None)


@router.post(
    "/offers/{offer_id}/answers",
    status_code=201,
    responses=responses(*MADE, "not-found", "offer-held", "offer-settled"),
)
async def answer_offer(
    offer_id: str,
    post: Annotated[OfferAnswerPost, Body(openapi_examples=OFFER_ANSWER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> OfferView:
    """Answer an offer: `accept` all or a `quantity`, `decline` with a `reason`, `hold` `until`.

    For child protection of the incident (`answer`) and operators (`operate`). Whoever made the
    offer is told. A hold keeps it for you, no longer than the offer stands, and ends by itself.
    After `accept`, `decline` or a lapse it takes no further answer.
    """
    made = await casework.answer_offer(desk, caller, offer_id=OfferId(offer_id), post=post)
    return await _one(desk, made)


async def _one(desk: Desk, made: Made) -> OfferView:
    return _view(made, await _agencies(desk, [made.offer]))


async def _agencies(desk: Desk, found: Sequence[Offer]) -> Mapping[AgencyId, AgencyRef]:
    named = {one.agency_id for one in found}
    named |= {one.answered_by for one in found if one.answered_by is not None}
    return await reading.agency_refs(desk, named)


def _view(made: Made, agencies: Mapping[AgencyId, AgencyRef]) -> OfferView:
    offer, body = made.offer, made.offer.body
    return OfferView.model_validate(
        {
            "id": offer.id,
            "incident_id": offer.incident_id,
            "agency": agencies[offer.agency_id],
            "state": offer.state,
            "offer_type": offer.offer_type,
            "quantity": body["quantity"],
            "unit": body["unit"],
            "where": body["where"],
            "from": body.get("from"),
            "until": body.get("until"),
            "contact": OfferContactView.model_validate(body["contact"]),
            "background_checked": body["background_checked"],
            "conditions": body.get("conditions"),
            "lapses_at": offer.lapses_at,
            "held_until": offer.held_until,
            "answer": _answer(offer, agencies),
            "created_at": offer.created_at,
            "receipt": None if made.receipt is None else Receipt.model_validate(made.receipt),
        }
    )


def _answer(offer: Offer, agencies: Mapping[AgencyId, AgencyRef]) -> OfferAnswerView | None:
    if offer.answer is None or offer.answered_at is None:
        return None
    return OfferAnswerView.model_validate(
        {
            **{name: value for name, value in offer.answer.items() if name != "number"},
            "by": None if offer.answered_by is None else agencies[offer.answered_by],
            "answered_at": offer.answered_at,
        }
    )

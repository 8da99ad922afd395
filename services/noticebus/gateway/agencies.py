"""Agencies, contacts and responsibilities over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import agencies as casework
from noticebus.contracts.agency import (
    AgencyPatch,
    AgencyPost,
    AgencyView,
    ContactPatch,
    ContactPost,
    ContactView,
    ResponsibilityPost,
    ResponsibilityView,
)
from noticebus.contracts.answers import Page
from noticebus.contracts.places import standing_areas
from noticebus.gateway.dependencies import (
    Caller,
    IfMatch,
    TheDesk,
    ThePage,
    cut,
    link_next,
    set_etag,
)
from noticebus.gateway.examples import (
    AGENCY_EXAMPLES,
    AGENCY_PATCH_EXAMPLES,
    CONTACT_EXAMPLES,
    CONTACT_PATCH_EXAMPLES,
    RESPONSIBILITY_EXAMPLES,
)
from noticebus.gateway.problems import EDITED, LISTED, MADE, READ, responses
from noticebus.store.agencies import Agency, Contact, Responsibility
from noticebus.store.rows import values_of

router = APIRouter(prefix="/v1/agencies", tags=["agencies"])


@router.post("", status_code=201, responses=responses(*MADE))
async def create_agency(
    post: Annotated[AgencyPost, Body(openapi_examples=AGENCY_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    response: Response,
) -> AgencyView:
    """Take an agency onto the bus. Needs the scope `admin`.

    An agency alone gets no notices: give it contacts, then responsibilities or subscriptions.
    """
    return _agency(await casework.create_agency(desk, caller, post=post), response)


@router.get("", responses=responses(*LISTED))
async def list_agencies(
    desk: TheDesk, caller: Caller, page: ThePage, request: Request, response: Response
) -> Page[AgencyView]:
    """List the agencies: your own, or all of them with `admin`, `operate` or `audit`."""
    found = await casework.list_agencies(desk, caller, after=page.after, limit=page.limit + 1)
    shown, last = cut(found, page)
    items = tuple(AgencyView(**values_of(one)) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.get("/{agency_id}", responses=responses(*READ))
async def get_agency(
    agency_id: str, desk: TheDesk, caller: Caller, response: Response
) -> AgencyView:
    """Read one agency. Its `ETag` is what an edit sends back in `If-Match`."""
    return _agency(await casework.get_agency(desk, caller, agency_id=agency_id), response)


@router.patch("/{agency_id}", responses=responses(*EDITED))
async def edit_agency(
    agency_id: str,
    patch: Annotated[AgencyPatch, Body(openapi_examples=AGENCY_PATCH_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> AgencyView:
    """Change an agency's name, time zone or holidays. Needs `admin` and `If-Match`.

    The body is a JSON merge patch (RFC 7396): what you leave out stays.
    """
    changed = await casework.edit_agency(
        desk, caller, agency_id=agency_id, patch=patch, revision=if_match
    )
    return _agency(changed, response)


@router.post("/{agency_id}/contacts", status_code=201, responses=responses(*MADE, "not-found"))
async def create_contact(
    agency_id: str,
    post: Annotated[ContactPost, Body(openapi_examples=CONTACT_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    response: Response,
) -> ContactView:
    """Enter a person or desk who answers for the agency.

    Mail and phone entered with `admin` or `operate` count as verified. With an agency's own key
    (scope `subscribe`) they wait until an operator has entered them too.
    """
    made = await casework.create_contact(desk, caller, agency_id=agency_id, post=post)
    return _contact(made, response)


@router.get("/{agency_id}/contacts", responses=responses(*LISTED, "not-found"))
async def list_contacts(
    agency_id: str,
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
) -> Page[ContactView]:
    """List the agency's contacts that have not ended."""
    found = await casework.list_contacts(
        desk, caller, agency_id=agency_id, after=page.after, limit=page.limit + 1
    )
    shown, last = cut(found, page)
    items = tuple(ContactView(**values_of(one)) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.get("/{agency_id}/contacts/{contact_id}", responses=responses(*READ))
async def get_contact(
    agency_id: str, contact_id: str, desk: TheDesk, caller: Caller, response: Response
) -> ContactView:
    """Read one contact. Its `ETag` is what an edit sends back in `If-Match`."""
    found = await casework.get_contact(desk, caller, agency_id=agency_id, contact_id=contact_id)
    return _contact(found, response)


@router.patch("/{agency_id}/contacts/{contact_id}", responses=responses(*EDITED))
async def edit_contact(  # noqa: PLR0913, PLR0917 - the parts of a request
    agency_id: str,
    contact_id: str,
    patch: Annotated[ContactPatch, Body(openapi_examples=CONTACT_PATCH_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> ContactView:
    """Change a contact. Needs `If-Match`; a new address must be verified anew.

    The body is a JSON merge patch (RFC 7396): null removes a channel.
    """
    changed = await casework.edit_contact(
        desk,
        caller,
        agency_id=agency_id,
        contact_id=contact_id,
        patch=patch,
        revision=if_match,
    )
    return _contact(changed, response)


@router.delete("/{agency_id}/contacts/{contact_id}", responses=responses(*READ, "stale-revision"))
async def end_contact(
    agency_id: str,
    contact_id: str,
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> ContactView:
    """End a contact: nothing is carried to it any more, and what it answered stays on record."""
    ended = await casework.end_contact(
        desk, caller, agency_id=agency_id, contact_id=contact_id, revision=if_match
    )
    return _contact(ended, response)


@router.post(
    "/{agency_id}/responsibilities", status_code=201, responses=responses(*MADE, "not-found")
)
async def create_responsibility(
    agency_id: str,
    post: Annotated[ResponsibilityPost, Body(openapi_examples=RESPONSIBILITY_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> ResponsibilityView:
    """Record that the agency answers in a role for areas. Needs `admin` or `operate`.

    From now on every notice that touches one of them obliges the agency to answer.
    """
    made = await casework.create_responsibility(desk, caller, agency_id=agency_id, post=post)
    return _responsibility(made)


@router.get("/{agency_id}/responsibilities", responses=responses(*LISTED, "not-found"))
async def list_responsibilities(
    agency_id: str,
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
) -> Page[ResponsibilityView]:
    """List the agency's responsibilities that have not ended."""
    found = await casework.list_responsibilities(
        desk, caller, agency_id=agency_id, after=page.after, limit=page.limit + 1
    )
    shown, last = cut(found, page)
    items = tuple(_responsibility(one) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.delete(
    "/{agency_id}/responsibilities/{responsibility_id}", responses=responses(*READ, "conflict")
)
async def end_responsibility(
    agency_id: str, responsibility_id: str, desk: TheDesk, caller: Caller
) -> ResponsibilityView:
    """End a responsibility.

    Obligations it has made stay; later notices make none. Needs `admin` or `operate`.
    """
    ended = await casework.end_responsibility(
        desk, caller, agency_id=agency_id, responsibility_id=responsibility_id
    )
    return _responsibility(ended)


def _agency(agency: Agency, response: Response) -> AgencyView:
    set_etag(response, agency.revision)
    return AgencyView(**values_of(agency))


def _contact(contact: Contact, response: Response) -> ContactView:
    set_etag(response, contact.revision)
    return ContactView(**values_of(contact))


def _responsibility(found: Responsibility) -> ResponsibilityView:
    values: dict[str, Any] = values_of(found)
    areas = standing_areas(values.pop("area_keys"))
    return ResponsibilityView(**values, areas=areas)

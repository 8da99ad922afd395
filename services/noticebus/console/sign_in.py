"""Signing in and out: by password, through an identity provider or a proxy, by a link."""

import contextlib
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from noticebus.access import devices, sign_in_links
from noticebus.access.devices import Device
from noticebus.access.oidc import CALLBACK, STATE_FOR, Oidc
from noticebus.access.passwords import LENGTH_MIN
from noticebus.access.sessions import COOKIE, Begun, Visitor
from noticebus.access.sign_in_links import AgencyLink
from noticebus.access.ways import Ways
from noticebus.casework.desk import Desk
from noticebus.casework.sign_in import MustChoose, SignIn
from noticebus.console.forms import Form, read_form
from noticebus.console.guests import (
    carry,
    drop_cookie,
    guest_nonce,
    guest_token,
    read_guest_form,
    set_cookie,
)
from noticebus.console.pages import (
    HEADERS,
    SAYINGS,
    SEE_OTHER,
    SIGN_IN,
    SIGN_IN_AGAIN,
    PageRoute,
    redirect,
    refuse,
    render,
)
from noticebus.console.visitors import (
    TheDesk,
    TheVisitor,
    cookie_name,
    find_visitor,
    proxy_login,
)
from noticebus.errors import (
    InvalidError,
    NotFoundError,
    NoticebusError,
    UnauthenticatedError,
    UnavailableError,
)
from noticebus.ids import SessionId
from noticebus.store.agencies import find_agency
from noticebus.store.users import user_by_id

OIDC_COOKIE = "noticebus_oidc"
LINK_PATH = f"{sign_in_links.PATH}{{token}}"
SIGNED_OUT = "signed-out"
NEXT_MAX = 2000
# A path of our own: not `//host`, no backslash, space or control character that browsers read over.
_OWN_PATH = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]*", re.ASCII)
SAYINGS |= {SIGNED_OUT: "You are signed out."}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


def get_ways(request: Request) -> Ways:
    """Give the ways that this installation offers."""
    ways: Ways = request.app.state.ways
    return ways


def get_sign_in(request: Request) -> SignIn:
    """Give what signs people in."""
    sign_in: SignIn = request.app.state.sign_in
    return sign_in


def get_oidc(ways: Annotated[Ways, Depends(get_ways)]) -> Oidc:
    """Give the identity provider; NotFoundError where none is set."""
    if ways.oidc is None:
        raise NotFoundError("No identity provider is set on this bus. Use the sign-in page.")
    return ways.oidc


TheWays = Annotated[Ways, Depends(get_ways)]
TheSignIn = Annotated[SignIn, Depends(get_sign_in)]
TheOidc = Annotated[Oidc, Depends(get_oidc)]
MaybeVisitor = Annotated[Visitor | None, Depends(find_visitor)]
Next = Annotated[str, Query(alias="next")]
Said = Annotated[str, Query(max_length=100)]


@router.get(SIGN_IN)
async def show_sign_in(
    request: Request,
    desk: TheDesk,
    sign_in: TheSignIn,
    visitor: MaybeVisitor,
    wanted: Next = "",
    said: Said = "",
) -> Response:
    """Show the form; whom a trusted proxy names is signed in without one."""
    target = own_path(wanted)
    if visitor is not None:
        return redirect(target)
    login = proxy_login(request)
    if login is not None and said != SIGNED_OUT:
        begun = await sign_in.by_proxy(login)
        if begun is not None:
            return _signed_in(desk, begun, target=target)
    return await _form(request, desk, target=target, unknown=login if said != SIGNED_OUT else None)


@router.post(SIGN_IN)
async def take_password(
    request: Request, desk: TheDesk, ways: TheWays, sign_in: TheSignIn, visitor: MaybeVisitor
) -> Response:
    """Sign in with a password, or show the form again with what to do."""
    form = await read_guest_form(request, desk)
    _need_passwords(ways)
    target = own_path(form.text("next"))
    password = next(iter(form.every("password")), "")
    try:
        found = await sign_in.by_password(
            form.text("login"),
            password,
            ends=_session_of(visitor),
            known=_known_as(request, desk),
        )
    except UnauthenticatedError as error:
        return await _form(
            request, desk, target=target, login=form.text("login")[:100], error=error.message
        )
    if isinstance(found, MustChoose):
        return await _choice(request, desk, ticket=found.ticket, target=target)
    return await _remembered(request, desk, found, target=target)


@router.post(f"{SIGN_IN}/password")
async def choose_password(
    request: Request, desk: TheDesk, ways: TheWays, sign_in: TheSignIn, visitor: MaybeVisitor
) -> Response:
    """Take the password that replaces a one-time one."""
    form = await read_guest_form(request, desk)
    _need_passwords(ways)
    ticket, target = form.text("ticket"), own_path(form.text("next"))
    try:
        password = _typed_twice(form)
        begun = await sign_in.choose_password(ticket, password, ends=_session_of(visitor))
    except InvalidError as error:
        return await _choice(request, desk, ticket=ticket, target=target, error=error)
    return await _remembered(request, desk, begun, target=target)


@router.post("/sign-out")
async def sign_out(
    request: Request, desk: TheDesk, sign_in: TheSignIn, visitor: TheVisitor
) -> Response:
    """Sign out."""
    await read_form(request, visitor)
    await sign_in.out(visitor)
    response = redirect(SIGN_IN, said=SIGNED_OUT)
    drop_cookie(response, desk, COOKIE)
    return response


@router.get(f"{SIGN_IN}/oidc")
async def go_to_provider(desk: TheDesk, oidc: TheOidc, wanted: Next = "") -> Response:
    """Send the browser to the identity provider."""
    started = await oidc.start(next_path=own_path(wanted))
    response = RedirectResponse(started.address, status_code=SEE_OTHER, headers=HEADERS)
    seconds = int(STATE_FOR.total_seconds())
    set_cookie(response, desk, OIDC_COOKIE, started.cookie, seconds=seconds)
    return response


@router.get(CALLBACK)
async def come_back(
    request: Request, desk: TheDesk, oidc: TheOidc, sign_in: TheSignIn, visitor: MaybeVisitor
) -> Response:
    """Take what the identity provider says. What waited for it is over, however it ends."""
    cookie = request.cookies.get(cookie_name(desk, OIDC_COOKIE), "")
    try:
        identity = await oidc.finish(cookie=cookie, answer=dict(request.query_params))
        begun = await sign_in.by_identity(identity, ends=_session_of(visitor))
    except NoticebusError as error:
        response = await refuse(request, error)
    else:
        response = _signed_in(desk, begun, target=own_path(identity.next))
    drop_cookie(response, desk, OIDC_COOKIE)
    return response


@router.api_route(LINK_PATH, methods=["GET", "HEAD"])
async def show_link(request: Request, desk: TheDesk, token: str) -> Response:
    """Show what a link opens and its button; whoever only looks, as scanners do, uses nothing."""
    link = sign_in_links.read(desk.keyring, token, now=desk.machine.now())
    async with desk.database.read() as conn:
        if isinstance(link, AgencyLink):
            agency = await find_agency(conn, agency_id=link.agency_id)
            name, of = link.name, "" if agency is None else agency.name
        else:
            user = await user_by_id(conn, link.user_id)
            name, of = "" if user is None else user.name, ""
    nonce = guest_nonce(request, desk)
    page = await render(
        request,
        "sign_in_link.html",
        visitor=None,
        title="Sign in",
        csrf=guest_token(desk, nonce),
        path=f"{sign_in_links.PATH}{token}",
        name=name,
        agency=of,
        expires_at=link.expires_at,
    )
    return carry(page, desk, nonce)


@router.post(LINK_PATH)
async def use_link(
    request: Request, desk: TheDesk, sign_in: TheSignIn, visitor: MaybeVisitor, token: str
) -> Response:
    """Sign in by a link."""
    await read_guest_form(request, desk)
    begun = await sign_in.by_link(token, ends=_session_of(visitor))
    agency_id = begun.session.agency_id
    target = "/" if agency_id is None else f"/agencies/{agency_id}"
    return await _remembered(request, desk, begun, target=target)


def own_path(wanted: str) -> str:
    """Give the page to go on to: a path of this site, else the first page (no open redirect)."""
    fits = len(wanted) <= NEXT_MAX and _OWN_PATH.fullmatch(wanted) is not None
    return wanted if fits and not wanted.startswith("/sign-") else "/"


async def _form(
    request: Request,
    desk: Desk,
    *,
    target: str,
    login: str = "",
    unknown: str | None = None,
    error: str = "",
) -> Response:
    ways, nonce = get_ways(request), guest_nonce(request, desk)
    page = await render(
        request,
        "sign_in.html",
        visitor=None,
        status=SIGN_IN_AGAIN if error else 200,
        title="Sign in",
        csrf=guest_token(desk, nonce),
        target=target,
        login=login,
        error=error,
        passwords=ways.passwords,
        provider=None if ways.oidc is None else ways.oidc.provider.host,
        proxy=ways.proxy is not None,
        unknown=unknown,
    )
    return carry(page, desk, nonce)


async def _choice(
    request: Request, desk: Desk, *, ticket: str, target: str, error: InvalidError | None = None
) -> Response:
    holder = await get_sign_in(request).holder(ticket)
    nonce = guest_nonce(request, desk)
    page = await render(
        request,
        "choose_password.html",
        visitor=None,
        status=200 if error is None else error.status,
        title="Choose a password",
        csrf=guest_token(desk, nonce),
        ticket=ticket,
        target=target,
        login=holder.login,
        length_min=LENGTH_MIN,
        error="" if error is None else error.message,
    )
    return carry(page, desk, nonce)


def _signed_in(desk: Desk, begun: Begun, *, target: str) -> Response:
    """Go on as the person signed in: the cookie is a new one, whatever the browser had before."""
    response = redirect(target)
    set_cookie(response, desk, COOKIE, begun.cookie)
    return response


async def _remembered(request: Request, desk: Desk, begun: Begun, *, target: str) -> Response:
    """Go on as the person signed in, and let the browser be known as theirs from now on.

    Their sign-in stands, and a link is used, also where the database is away by now.
    """
    response = _signed_in(desk, begun, target=target)
    user_id = begun.session.user_id
    if user_id is None:
        return response
    with contextlib.suppress(UnavailableError):
        async with desk.database.read() as conn:
            user = await user_by_id(conn, user_id)
        cookie = devices.remember(
            desk.keyring,
            _known_as(request, desk),
            user_id=user_id,
            stored=None if user is None else user.password_hash,
            now=desk.machine.now(),
        )
        seconds = int(devices.KNOWN_FOR.total_seconds())
        set_cookie(response, desk, devices.COOKIE, cookie, seconds=seconds)
    return response


def _known_as(request: Request, desk: Desk) -> tuple[Device, ...]:
    cookie = request.cookies.get(cookie_name(desk, devices.COOKIE), "")
    return devices.read_devices(desk.keyring, cookie, now=desk.machine.now())


def _session_of(visitor: Visitor | None) -> SessionId | None:
    return None if visitor is None else visitor.session_id


def _typed_twice(form: Form) -> str:
    password, again = (next(iter(form.every(name)), "") for name in ("password", "again"))
    if password != again:
        raise InvalidError("The two passwords differ. Type the same one twice.")
    return password


def _need_passwords(ways: Ways) -> None:
    if not ways.passwords:
        raise NotFoundError("Passwords are not used on this bus. Sign in as its page says.")

"""Who looks at a page: found by the cookie, or sent to the sign-in page and back again."""

from typing import Annotated

from fastapi import Depends, Request

from noticebus.access.principals import require
from noticebus.access.sessions import COOKIE, Sessions, Visitor
from noticebus.access.ways import Ways
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Scope, SignInMethod
from noticebus.errors import UnauthenticatedError

REFRESHED = "refreshed"  # in the address of a page that loads itself again


class SignInNeededError(UnauthenticatedError):
    """Nobody is signed in; the page's route answers with the way to the sign-in page."""


async def get_desk(request: Request) -> Desk:
    """Give the desk the application was created with."""
    desk: Desk = request.app.state.desk
    return desk


async def find_visitor(request: Request) -> Visitor | None:
    """Give who is signed in, if anybody is."""
    sessions: Sessions = request.app.state.sessions
    cookie = request.cookies.get(cookie_name(request.app.state.desk))
    visitor = await sessions.find(cookie, touches=not asks_by_itself(request))
    if visitor is None or visitor.method is not SignInMethod.PROXY:
        return visitor
    # The proxy says with each request who is there: whoever signs out there is signed out here.
    return visitor if proxy_login(request) == visitor.login else None


def asks_by_itself(request: Request) -> bool:
    """Say whether a page keeps itself fresh with this request: nobody need be there.

    Every GET of htmx is such a one; without scripts it is the refresh that the page names so.
    """
    if request.method != "GET":
        return False
    return "hx-request" in request.headers or REFRESHED in request.query_params


def proxy_login(request: Request) -> str | None:
    """Give whom the trusted proxy names, where there is one."""
    ways: Ways = request.app.state.ways
    if ways.proxy is None:
        return None
    desk: Desk = request.app.state.desk
    return ways.proxy.login(
        request.headers.getlist(ways.proxy.header),
        peer=None if request.client is None else request.client.host,
        now=desk.machine.now(),
    )


async def get_visitor(visitor: Annotated[Visitor | None, Depends(find_visitor)]) -> Visitor:
    """Give who is signed in; SignInNeededError where nobody is."""
    if visitor is None:
        raise SignInNeededError("Sign in to see this page.")
    return visitor


def cookie_name(desk: Desk, name: str = COOKIE) -> str:
    """Name a cookie; over HTTPS so that no other host may set it (RFC 6265bis, `__Host-`)."""
    return f"__Host-{name}" if desk.base_url.startswith("https://") else name


def allow(visitor: Visitor, *scopes: Scope) -> None:
    """Raise ForbiddenError unless the visitor has at least one of `scopes`."""
    require(visitor.principal, *scopes)


TheDesk = Annotated[Desk, Depends(get_desk)]
TheVisitor = Annotated[Visitor, Depends(get_visitor)]

"""How a page is made: one environment of templates, one frame around it, one set of headers."""

import asyncio
import datetime as dt
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from noticebus.access.sessions import Visitor
from noticebus.casework.desk import Desk
from noticebus.casework.page_views import PageViews
from noticebus.casework.reading import READERS
from noticebus.casework.signs_of_life import Signs, read_signs
from noticebus.console.refusals import told
from noticebus.console.signs import TROUBLES, clock, icon, moment
from noticebus.console.static_files import static
from noticebus.console.visitors import REFRESHED, SignInNeededError
from noticebus.contracts.vocabulary import Scope
from noticebus.domain.figures import how_long
from noticebus.domain.phone_numbers import telephone
from noticebus.errors import InvalidError, NoticebusError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self';"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
SIGN_IN = "/sign-in"
SEE_OTHER = 303
SIGN_IN_AGAIN = 401
HERE_MAX = 2000
_PLAIN = {"cps": "child protection", "faith": "church", "community": "community organisation"}
_OWN_PATH = re.compile(r'/(?![/\\])[!"$-\[\]-~]*', re.ASCII)  # of this host, without a backslash


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the navigation, and the scopes any one of which shows it; none: everybody."""

    label: str
    path: str
    scopes: frozenset[Scope] = frozenset()


_WATCH = frozenset({Scope.OPERATE, Scope.ADMIN, Scope.AUDIT})
_READ = frozenset(READERS)
NAVIGATION = (
    Entry(label="Home", path="/"),
    Entry(label="Not acknowledged", path="/reports/unacknowledged", scopes=_READ),
    Entry(label="Incidents", path="/incidents", scopes=_READ),
    Entry(label="Recipients", path="/agencies"),
    Entry(label="Post a notice", path="/post", scopes=frozenset({Scope.POST})),
    Entry(label="Exercises", path="/exercises", scopes=_WATCH | {Scope.POST}),
    Entry(label="Policies", path="/policies", scopes=_WATCH),
    Entry(label="Ledger", path="/ledger", scopes=_WATCH),
    Entry(label="People", path="/users", scopes=frozenset({Scope.ADMIN})),
    Entry(label="Status", path="/status"),
)
# What a page says once after something was done: `?said=` names it, nothing else can be said.
SAYINGS: dict[str, str] = {
    "attending": "You are on this. The bus goes on calling until an answer is recorded.",
    "left": "You are off this. The bus goes on calling.",
    "not-on-it": "You were not on this, or no longer. Nothing was changed.",
    "resent": "Sent again to those who are silent. The bus goes on calling by itself.",
    "question-answered": "Answered. Everybody who asked is told.",
    "question-promised": "Your time is recorded. The question stays open, its answer stays due.",
    "cancel-asked": "Asked for. Nobody is told until a second person confirms it.",
    "cancel-taken-back": "No cancel waits any more: the incident stands.",
    "waiver-asked": "Asked for. The bus goes on calling until a second operator confirms it.",
    "waiver-taken-back": "No waiver waits any more: the answer is still needed.",
    "waived": "It is waived. The bus has stopped calling; they may still answer.",
    "cancelled": "It is cancelled. Everybody who was told of it hears so.",
    "cleared": "The all-clear is posted. Everybody who was told of it hears so.",
    "approval-asked": "Asked for. Nobody is told until a colleague approves it: ring one.",
    "approved": "Approved and posted, in the name of whoever wrote it.",
    "posted-already": "It is posted already: this is its incident.",
    "sent-back": "Sent back. Whoever wrote it reads why.",
    "draft-gone": "The draft is gone. Nobody was told of it.",
    "not-yours": "Somebody else is on this already. Nothing was changed.",
}


class PageRoute(APIRoute):
    """A route of the console: what is refused is said on a page, not as a problem document."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInNeededError:
                return _to_sign_in(request)
            except RequestValidationError:
                unreadable = InvalidError(
                    "The address or the form says something it cannot. Go back and check it."
                )
                return await refuse(request, unreadable)
            except NoticebusError as error:
                return await refuse(request, error)

        return answer


async def render(
    request: Request,
    template: str,
    *,
    visitor: Visitor | None,
    status: int = 200,
    **facts: Any,
) -> Response:
    """Render a page of the console in its frame. `title` must be among `facts`.

    `overdue` among them puts that count into the tab's title and icon.
    """
    page = _PAGES.get_template(template)
    desk: Desk = request.app.state.desk
    frame = {
        "visitor": visitor,
        "entries": entries_for(visitor),
        "here": request.url.path,
        "back": here(request),
        "said": SAYINGS.get(request.query_params.get("said", "")),
        "signs": None if visitor is None or "signs" in facts else await _signs(desk, visitor),
        "was": "",
        "now": desk.world.now(),
        "base_url": desk.base_url,
        "operators_phone": desk.operators_phone,
    }
    html = await asyncio.to_thread(page.render, frame | facts)
    return HTMLResponse(html, status_code=status, headers=HEADERS)


async def render_part(request: Request, template: str, **facts: Any) -> Response:
    """Render a part that a page asks for anew."""
    html = await asyncio.to_thread(_PAGES.get_template(template).render, facts)
    return HTMLResponse(html, headers=HEADERS)


async def _signs(desk: Desk, visitor: Visitor) -> Signs:
    return await read_signs(desk, agency_id=visitor.principal.agency_id)


async def enter_view(request: Request, visitor: Visitor, page: str, **about: str) -> None:
    """Enter in the ledger that a page with restricted content is looked at, before it is shown."""
    views: PageViews = request.app.state.page_views
    await views.enter(request.app.state.desk, visitor.principal, page=page, about=about)


async def refuse(request: Request, error: NoticebusError) -> Response:
    """Say on a page why something was refused, and what to do."""
    return await render(
        request,
        "refusal.html",
        visitor=None,
        status=error.status,
        title="This did not work" if error.status != 404 else "Nothing here",  # noqa: PLR2004
        error=error,
        told=told(error),
    )


def redirect(path: str, *, said: str = "", fragment: str = "") -> Response:
    """Go on to a page by GET, where one of `SAYINGS` is shown; to one of its parts."""
    assert not said or said in SAYINGS, f"no such saying: {said}"
    join = "&" if "?" in path else "?"
    target = f"{path}{join}said={said}" if said else path
    target += f"#{fragment}" if fragment else ""
    return RedirectResponse(target, status_code=SEE_OTHER, headers=HEADERS)


def here(request: Request) -> str:
    """Give the page's own address with its filters, for forms that come back to it.

    What it says of something done is left out, lest it be said twice, and that it loaded itself.
    """
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in {"said", REFRESHED}
    ]
    return request.url.path + (f"?{urlencode(kept)}" if kept else "")


def back_to(path: str) -> str:
    """Give the page a form comes back to; the first page where it is none of this console."""
    if len(path) > HERE_MAX or not _OWN_PATH.fullmatch(path):
        return "/"
    return path


def entries_for(visitor: Visitor | None) -> list[Entry]:
    """Give what of the navigation a visitor may use."""
    if visitor is None:
        return []
    held = visitor.principal.scopes
    return [one for one in NAVIGATION if not one.scopes or not held.isdisjoint(one.scopes)]


def _to_sign_in(request: Request) -> Response:
    """Send a browser to the sign-in page and back; a part that htmx asked for has it go there."""
    if "hx-request" in request.headers:
        headers = {**HEADERS, "HX-Redirect": SIGN_IN}
        return Response(status_code=SIGN_IN_AGAIN, headers=headers)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = here[:HERE_MAX] if request.method == "GET" else "/"
    return redirect(f"{SIGN_IN}?next={quote(back, safe='')}")


def duration(seconds: float) -> str:
    """Say how long something takes."""
    return how_long(dt.timedelta(seconds=seconds))


def local(at: dt.datetime, zone: str) -> str:
    """Write an instant in a zone, with the zone's abbreviation."""
    return f"{at.astimezone(ZoneInfo(zone)):%a %d %b %Y, %H:%M %Z}"


def utc(at: dt.datetime) -> str:
    """Write an instant in UTC."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def zulu(at: dt.datetime, zone: str) -> str:
    """Write an instant's time in UTC beside its local form; with the day where it is another."""
    there = at.astimezone(dt.UTC)
    same = there.date() == at.astimezone(ZoneInfo(zone)).date()
    return f"{there:%H:%MZ}" if same else f"{there:%Y-%m-%d %H:%MZ}"


def words(name: str) -> str:
    """Write a word of the vocabulary for people."""
    return _PLAIN.get(name) or name.replace("_", " ")


def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("noticebus.console"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(
        instant=dt.datetime.fromisoformat,
        duration=duration,
        local=local,
        moment=moment,
        telephone=telephone,
        utc=utc,
        words=words,
    )
    pages.filters.update(zulu=zulu)
    pages.globals.update(
        static=static, icon=icon, clock=clock, troubles=TROUBLES, version=version("noticebus")
    )
    return pages


_PAGES = _environment()

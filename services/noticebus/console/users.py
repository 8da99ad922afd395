"""The page People: who signs in here, and as what. For supervisors."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from noticebus.access.passwords import new_one_time_password
from noticebus.access.sessions import Visitor
from noticebus.access.ways import Ways
from noticebus.casework import users as people
from noticebus.casework.agencies import list_agencies
from noticebus.casework.desk import Desk
from noticebus.casework.sign_in import SignIn
from noticebus.casework.users import Change, NewUser
from noticebus.console.forms import Form, read_form
from noticebus.console.pages import SAYINGS, PageRoute, enter_view, redirect, render
from noticebus.console.presses import presses_of
from noticebus.console.reading import read_whole
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import Scope, UserRole
from noticebus.errors import ConflictError, InvalidError, NoticebusError, PreconditionError
from noticebus.store.users import User, list_users

PATH = "/users"
PAGE = 100
OFFERED_MAX = 200  # agencies that the form offers; any other can be typed
ROLES = {
    UserRole.OPERATOR: "watches, rings, records answers; sees everything",
    UserRole.SUPERVISOR: "the same, and people, agencies, keys and policies",
    UserRole.AUDITOR: "sees everything and changes nothing",
    UserRole.AGENCY_ADMINISTRATOR: "one agency's endpoints, contacts and rosters; answers for it",
    UserRole.POSTER: "posts notices for one agency",
}
ADDED_TWICE = (
    "You clicked twice: the person was added once, and the one-time password was shown to nobody."
    " Open the person's page from the list and give another."
)
RESET_TWICE = (
    "You clicked twice: a one-time password was made, and shown to nobody. Give another, and wait"
    " for the page that shows it."
)
SAYINGS |= {
    "user-changed": "Changed. It holds at the person's next click.",
    "user-disabled": "Disabled. Every session of this person has ended.",
    "user-unlocked": "Unlocked. This person can sign in now, with the same password.",
    "user-enabled": "Enabled. This person can sign in again.",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get(PATH)
async def show_people(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    after: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """List people by login, and the form that adds one."""
    allow(visitor, Scope.ADMIN)
    return await _list(request, desk, visitor, after=after)


@router.post(PATH)
async def add_person(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Enter a person, and show the one-time password this once."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.ADMIN)
    change = _change(desk, visitor)
    presses = presses_of(request)
    press = (visitor.principal.id, "person", form.text("login").casefold())
    twice = presses.begin(press, now=change.machine)
    try:
        new = NewUser(
            login=form.text("login"),
            name=form.text("name"),
            roles=_roles(form),
            agency_id=form.text("agency") or None,
        )
        async with presses.turn(press):
            if form.text("way") == "elsewhere":
                password, stored = None, None
            else:
                password, stored = await _one_time(request, change)
            async with desk.database.begin() as conn:
                user = await people.add_user(conn, new, password_hash=stored, change=change)
    except (InvalidError, ConflictError) as error:
        hid = presses.hid(press, twice=twice) and form.text("way") != "elsewhere"
        if hid and isinstance(error, ConflictError):
            return await _list(request, desk, visitor, error=ConflictError(ADDED_TWICE))
        return await _list(request, desk, visitor, error=error, typed=form)
    desk.committed()
    if password is None:
        return redirect(f"{PATH}/{user.id}", said="user-changed")
    return await _show_password(request, visitor, user, password=password)


@router.get(f"{PATH}/{{user_id}}")
async def show_person(
    request: Request, desk: TheDesk, visitor: TheVisitor, user_id: str
) -> Response:
    """Show a person, and what can be changed."""
    allow(visitor, Scope.ADMIN)
    return await _person(request, desk, visitor, user_id)


@router.post(f"{PATH}/{{user_id}}/roles")
async def change_roles(
    request: Request, desk: TheDesk, visitor: TheVisitor, user_id: str
) -> Response:
    """Say anew what a person may do."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.ADMIN)
    change = _change(desk, visitor, form)
    try:
        roles, agency_id = _roles(form), form.text("agency") or None
        async with desk.database.begin() as conn:
            await people.change_roles(
                conn, user_id, roles=roles, agency_id=agency_id, change=change
            )
    except InvalidError as error:
        return await _person(request, desk, visitor, user_id, error=error)
    desk.committed()
    return redirect(f"{PATH}/{user_id}", said="user-changed")


@router.post(f"{PATH}/{{user_id}}/disable")
async def disable(request: Request, desk: TheDesk, visitor: TheVisitor, user_id: str) -> Response:
    """Shut a person out."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.ADMIN)
    change = _change(desk, visitor, form)
    async with desk.database.begin() as conn:
        await people.disable_user(conn, user_id, change=change)
    desk.committed()
    return redirect(f"{PATH}/{user_id}", said="user-disabled")


@router.post(f"{PATH}/{{user_id}}/enable")
async def enable(request: Request, desk: TheDesk, visitor: TheVisitor, user_id: str) -> Response:
    """Let a person in again."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.ADMIN)
    change = _change(desk, visitor, form)
    async with desk.database.begin() as conn:
        await people.enable_user(conn, user_id, change=change)
    desk.committed()
    return redirect(f"{PATH}/{user_id}", said="user-enabled")


@router.post(f"{PATH}/{{user_id}}/unlock")
async def unlock(request: Request, desk: TheDesk, visitor: TheVisitor, user_id: str) -> Response:
    """End a wait after wrong passwords."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.ADMIN)
    change = _change(desk, visitor, form)
    async with desk.database.begin() as conn:
        await people.unlock_user(conn, user_id, change=change)
    desk.committed()
    return redirect(f"{PATH}/{user_id}", said="user-unlocked")


@router.post(f"{PATH}/{{user_id}}/reset-password")
async def reset_password(
    request: Request, desk: TheDesk, visitor: TheVisitor, user_id: str
) -> Response:
    """Replace a person's password by a one-time one, which is shown this once."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.ADMIN)
    change = _change(desk, visitor, form)
    presses = presses_of(request)
    press = (visitor.principal.id, "password", user_id, str(change.revision))
    twice = presses.begin(press, now=change.machine)
    password, stored = await _one_time(request, change)
    try:
        async with desk.database.begin() as conn:
            user = await people.reset_password(conn, user_id, password_hash=stored, change=change)
    except (ConflictError, PreconditionError) as error:
        hid = presses.hid(press, twice=twice)
        lost = ConflictError(RESET_TWICE) if hid else error
        return await _person(request, desk, visitor, user_id, error=lost)
    desk.committed()
    return await _show_password(request, visitor, user, password=password)


async def _list(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    *,
    after: str = "",
    error: NoticebusError | None = None,
    typed: Form | None = None,
) -> Response:
    await enter_view(request, visitor, "people")
    async with desk.database.read() as conn:
        found = await list_users(conn, after=after, limit=PAGE + 1)
    ways: Ways = request.app.state.ways
    form = typed or Form(values={})
    return await render(
        request,
        "users.html",
        visitor=visitor,
        status=200 if error is None else error.status,
        title="People",
        people=found[:PAGE],
        following=found[PAGE - 1].login if len(found) > PAGE else None,
        now=desk.machine.now(),
        roles=ROLES,
        passwords=ways.passwords,
        proxy=ways.proxy is not None,
        agencies=await list_agencies(desk, visitor.principal, after="", limit=OFFERED_MAX),
        error="" if error is None else _said(error, nothing="Nobody was added."),
        typed={name: form.text(name) for name in ("login", "name", "agency")},
        chosen=form.every("role"),
    )


async def _person(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    user_id: str,
    *,
    error: NoticebusError | None = None,
) -> Response:
    async with desk.database.read() as conn:
        user = await people.found(conn, user_id, change=_change(desk, visitor))
    await enter_view(request, visitor, "person", user_id=user.id)
    ways: Ways = request.app.state.ways
    return await render(
        request,
        "user.html",
        visitor=visitor,
        status=200 if error is None else error.status,
        title=user.name,
        person=user,
        now=desk.machine.now(),
        roles=ROLES,
        resets=ways.passwords and user.issuer is None,
        agencies=await list_agencies(desk, visitor.principal, after="", limit=OFFERED_MAX),
        oneself=user.id == visitor.principal.id,
        error="" if error is None else _said(error, nothing="Nothing was changed."),
    )


async def _show_password(
    request: Request, visitor: Visitor, user: User, *, password: str
) -> Response:
    return await render(
        request,
        "user_password.html",
        visitor=visitor,
        title="One-time password",
        person=user,
        password=password,
    )


def _said(error: NoticebusError, *, nothing: str) -> str:
    """Say what went wrong, and that it left no trace; a second press does, by its first."""
    return error.message if error.message in {ADDED_TWICE, RESET_TWICE} else f"{error} {nothing}"


async def _one_time(request: Request, change: Change) -> tuple[str, str]:
    sign_in: SignIn = request.app.state.sign_in
    password = new_one_time_password()
    return password, await sign_in.passwords.hash_one_time(password, now=change.machine)


def _roles(form: Form) -> frozenset[UserRole]:
    try:
        return frozenset(UserRole(role) for role in form.every("role"))
    except ValueError as error:
        raise InvalidError("There is no such role. Choose among those of the form.") from error


def _change(desk: Desk, visitor: Visitor, form: Form | None = None) -> Change:
    """Say who changes something; from a form on the revision that its page showed."""
    revision = None if form is None else read_whole(form.text("revision"))
    if form is not None and revision is None:
        raise InvalidError("The form does not say which revision it changes. Load the page again.")
    return Change(
        by=visitor.principal.id,
        world=desk.world.now(),
        machine=desk.machine.now(),
        revision=revision,
    )

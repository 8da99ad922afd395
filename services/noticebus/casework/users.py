"""People who sign in: who is entered, what they may, and how an account ends.

The ledger hears of ids, roles and the names of fields, never a name, a login or what was typed.
Those that change somebody work in their caller's transaction: the command line has no desk.
"""

import asyncio
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.first_key import write_key_file
from noticebus.access.logins import FORM_SAID, read_login
from noticebus.access.passwords import Passwords, new_one_time_password
from noticebus.access.sessions import OF_ONE_AGENCY
from noticebus.casework.administration import FIRST_REVISION, check_revision, differing, invalid
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind, UserRole
from noticebus.errors import ConflictError, ForbiddenError, NotFoundError
from noticebus.ids import AgencyId, new_user_id
from noticebus.store import ledger, sessions, users
from noticebus.store.agencies import find_agency
from noticebus.store.users import User

NAME_MAX = 100
OF_THE_BUS = frozenset({UserRole.OPERATOR, UserRole.SUPERVISOR, UserRole.AUDITOR})
COMMAND_LINE = "command-line"  # whoever reaches the database: who that was is for the machine
INSTALLATION = "installation"
FIRST_LOGIN = "supervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A person to be entered. `login` as it was typed."""

    login: str
    name: str
    roles: frozenset[UserRole]
    agency_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changes something, at which instants, and from which revision on (None: whichever)."""

    by: str
    world: dt.datetime
    machine: dt.datetime
    revision: int | None = None


async def add_user(
    conn: AsyncConnection, new: NewUser, *, password_hash: str | None, change: Change
) -> User:
    """Enter a person who signs in here, with a password or by way of a proxy."""
    login = read_login(new.login)
    if login is None:
        raise invalid("/login", f"The login must be {FORM_SAID}.")
    if await users.find_user(conn, login=login) is not None:
        raise ConflictError(f"The login {login} is taken. Choose another.")
    user = make_user(new, login=login, at=change.world)
    await check_roles(conn, user)
    try:
        return await store_new(conn, replace(user, password_hash=password_hash), change=change)
    except sa.exc.IntegrityError as error:  # entered by another at the same time
        raise ConflictError(f"The login {login} is taken. Choose another.") from error


def make_user(new: NewUser, *, login: str, at: dt.datetime) -> User:
    """Make a person as it will be stored."""
    name = " ".join(new.name.split())
    if not 0 < len(name) <= NAME_MAX or not name.isprintable():
        raise invalid("/name", f"The name must have 1 to {NAME_MAX} printable characters.")
    return User(
        id=new_user_id(),
        login=login,
        name=name,
        agency_id=None if new.agency_id is None else AgencyId(new.agency_id),
        roles=tuple(sorted(new.roles)),
        password_hash=None,
        issuer=None,
        subject=None,
        failed_tries=0,
        locked_until=None,
        disabled_at=None,
        signed_in_at=None,
        revision=FIRST_REVISION,
        created_at=at,
    )


async def store_new(conn: AsyncConnection, user: User, *, change: Change) -> User:
    """Store a person that `make_user` made and `check_roles` let pass.

    An integrity error says that the same was entered by another at the same time.
    """
    await users.insert_user(conn, user)
    await enter(conn, "user.created", user, change=change, **_standing(user))
    return user


async def create_first_user(desk: Desk, passwords: Passwords, *, path: Path) -> User | None:
    """Enter the first supervisor with a one-time password, in `path`; None where people exist.

    The file is written before the commit, as the first administrator's key is.
    """
    async with desk.database.read() as conn:
        if await users.any_user_exists(conn):
            return None
    change = Change(by=INSTALLATION, world=desk.world.now(), machine=desk.machine.now())
    password = new_one_time_password()
    stored = await passwords.hash_one_time(password, now=change.machine)
    new = NewUser(
        login=FIRST_LOGIN, name="First supervisor", roles=frozenset({UserRole.SUPERVISOR})
    )
    async with desk.database.begin() as conn:
        if await users.any_user_exists(conn) or not await users.claim_first_user(conn):
            return None
        user = await add_user(conn, new, password_hash=stored, change=change)
        told = f"{desk.base_url}/sign-in\nlogin: {user.login}\none-time password: {password}"
        await asyncio.to_thread(write_key_file, path, secret=told)
    desk.committed()
    return user


async def change_roles(
    conn: AsyncConnection,
    user_id: str,
    *,
    roles: Iterable[UserRole],
    agency_id: str | None,
    change: Change,
) -> User:
    """Say anew what a person may do; it holds at the person's next click."""
    user = await found(conn, user_id, change=change)
    of = None if agency_id is None else AgencyId(agency_id)
    changed = replace(user, roles=tuple(sorted(set(roles))), agency_id=of)
    await _keep_a_supervisor(conn, user, changed, change=change)
    await check_roles(conn, changed)
    return await follow(conn, user, changed, change=change)


async def follow(conn: AsyncConnection, old: User, new: User, *, change: Change) -> User:
    """Store what differs, and enter the names of what does."""
    fields = differing(old, new)
    if not fields:
        return old
    await _store(conn, old, new)
    standing = _standing(new) if {"roles", "agency_id"} & set(fields) else {}
    await enter(conn, "user.changed", new, change=change, fields=fields, **standing)
    return replace(new, revision=old.revision + 1)


async def disable_user(conn: AsyncConnection, user_id: str, *, change: Change) -> User:
    """Shut a person out at once: every session ends, and those of the links they have made."""
    user = await found(conn, user_id, change=change)
    if user.disabled_at is not None:
        return user
    disabled = replace(user, disabled_at=change.world)
    await _keep_a_supervisor(conn, user, disabled, change=change)
    await _store(conn, user, disabled)
    await sessions.end_sessions_of(conn, user.id, now=change.machine)
    await enter(conn, "user.disabled", user, change=change)
    return replace(disabled, revision=user.revision + 1)


async def enable_user(conn: AsyncConnection, user_id: str, *, change: Change) -> User:
    """Let a person in again."""
    user = await found(conn, user_id, change=change)
    if user.disabled_at is None:
        return user
    enabled = replace(user, disabled_at=None)
    await _store(conn, user, enabled)
    await enter(conn, "user.enabled", user, change=change)
    return replace(enabled, revision=user.revision + 1)


async def reset_password(
    conn: AsyncConnection, user_id: str, *, password_hash: str, change: Change
) -> User:
    """Replace a password; every session ends, and a lock."""
    user = await found(conn, user_id, change=change)
    if user.issuer is not None:
        raise ConflictError(
            "This person signs in through the identity provider and has no password here."
            " Reset it there."
        )
    reset = replace(user, password_hash=password_hash, failed_tries=0, locked_until=None)
    await _store(conn, user, reset)
    await sessions.end_sessions_of(conn, user.id, now=change.machine)
    await enter(conn, "user.password_reset", user, change=change)
    return replace(reset, revision=user.revision + 1)


async def unlock_user(conn: AsyncConnection, user_id: str, *, change: Change) -> User:
    """End a wait after wrong passwords; the password stays, and so does every session."""
    user = await found(conn, user_id, change=change)
    if user.locked_until is None or user.locked_until <= change.machine:
        return user
    await users.forgive_tries(conn, user.id)
    await enter(conn, "user.unlocked", user, change=change)
    return replace(user, failed_tries=0, locked_until=None)


async def found(conn: AsyncConnection, user_id: str, *, change: Change) -> User:
    """Find a person at the revision that the change was made for."""
    user = await users.user_by_id(conn, user_id)
    if user is None:
        raise NotFoundError("There is no such person here. The list of people shows everybody.")
    if change.revision is not None:
        check_revision(user.revision, revision=change.revision)
    return user


async def anybody_manages(desk: Desk) -> bool:
    """Say whether somebody here can manage people: an identity provider may take the last one."""
    async with desk.database.read() as conn:
        return await users.anybody_has(conn, UserRole.SUPERVISOR)


async def check_roles(conn: AsyncConnection, user: User) -> None:
    """Raise InvalidError where roles and agency do not go together."""
    roles = frozenset(user.roles)
    if not roles:
        raise invalid("/roles", "A person without a role sees nothing; choose at least one.")
    if user.agency_id is None:
        if acting := roles & OF_ONE_AGENCY:
            raise invalid("/agency_id", f"{_said(acting)} belongs to one agency; say which.")
        return
    agency = await find_agency(conn, agency_id=user.agency_id)
    if agency is None:
        raise invalid("/agency_id", "There is no such agency. Copy its id, agy_…, from its page.")
    if agency.kind is not AgencyKind.OPERATOR and (ruling := roles & OF_THE_BUS):
        raise invalid(
            "/roles",
            f"{_said(ruling)} sees what concerns every agency, so belongs to none that is told or"
            " tells. Leave the role or the agency out.",
        )


async def enter(
    conn: AsyncConnection, type_: str, user: User, *, change: Change, **facts: Any
) -> None:
    """Enter what was done about a person's account."""
    body: Mapping[str, Any] = {"user_id": user.id, "by": change.by, **facts}
    await ledger.append(conn, [ledger.make_entry(type_, body, at=change.world)])


async def _store(conn: AsyncConnection, old: User, new: User) -> None:
    if not await users.change_user(conn, old, new):
        raise ConflictError("Somebody else changed this person at the same moment. Look again.")


async def _keep_a_supervisor(
    conn: AsyncConnection, old: User, new: User, *, change: Change
) -> None:
    """Refuse that supervisors shut out themselves, or each other at once: so one always stays.

    The machine's own user may: it can enter another.
    """
    if _rules(new):
        return
    if old.id == change.by:
        raise ConflictError(
            "This is yourself: you would shut yourself out. Ask another supervisor to do it."
        )
    locked = await users.lock_users(conn, {old.id, change.by})
    if any(one.id == change.by and not _rules(one) for one in locked):
        raise ForbiddenError(
            "You are no supervisor any more: somebody took that from you at the same moment."
            " Nothing was changed."
        )


def _rules(user: User) -> bool:
    return UserRole.SUPERVISOR in user.roles and user.disabled_at is None


def _standing(user: User) -> dict[str, Any]:
    return {"roles": [str(role) for role in user.roles], "agency_id": user.agency_id}


def _said(roles: Iterable[UserRole]) -> str:
    return " and ".join(f"'{role}'" for role in sorted(roles)).replace("_", " ")

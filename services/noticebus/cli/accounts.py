"""What `noticebus user` does: each verb one transaction on the database, beside a bus that runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.passwords import Passwords, check_new_password, new_one_time_password
from noticebus.casework import users as people
from noticebus.casework.sign_in_links import make_user_link
from noticebus.casework.users import COMMAND_LINE, Change, NewUser
from noticebus.cli.output import CommandError
from noticebus.cli.session import sqlite_path
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import UserRole
from noticebus.settings import Settings
from noticebus.store import migrate, users
from noticebus.store.database import Database
from noticebus.store.users import User

PAGE = 500
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A password's hash, and the password itself where it was made here."""

    stored: str
    shown: str | None


def add(
    settings: Settings,
    *,
    login: str,
    name: str,
    roles: Sequence[str],
    agency: str | None,
    password: str | None,
) -> Row:
    """Enter a person."""

    async def do() -> Row:
        new = NewUser(
            login=login,
            name=name,
            roles=frozenset(UserRole(role) for role in roles),
            agency_id=agency,
        )
        chosen = await _choose(password, own=(login, name))
        async with _opened(settings) as (conn, change):
            user = await people.add_user(conn, new, password_hash=chosen.stored, change=change)
        return _row(user, shown=chosen.shown)

    return asyncio.run(do())


def list_all(settings: Settings) -> list[Row]:
    """List everybody."""

    async def do() -> list[Row]:
        found: list[User] = []
        async with _opened(settings) as (conn, _change):
            while len(page := await users.list_users(conn, after=_last(found), limit=PAGE)) > 0:
                found += page
        return [_row(user) for user in found]

    return asyncio.run(do())


def change_roles(
    settings: Settings, *, login: str, roles: Sequence[str], agency: str | None
) -> Row:
    """Say anew what a person may do."""
    wanted = [UserRole(role) for role in roles]

    async def do(conn: AsyncConnection, user: User, change: Change) -> User:
        return await people.change_roles(
            conn, user.id, roles=wanted, agency_id=agency, change=change
        )

    return asyncio.run(_changed(settings, login, do))


def disable(settings: Settings, *, login: str) -> Row:
    """Shut a person out."""
    return asyncio.run(
        _changed(
            settings,
            login,
            lambda conn, user, change: people.disable_user(conn, user.id, change=change),
        )
    )


def enable(settings: Settings, *, login: str) -> Row:
    """Let a person in again."""
    return asyncio.run(
        _changed(
            settings,
            login,
            lambda conn, user, change: people.enable_user(conn, user.id, change=change),
        )
    )


def reset_password(settings: Settings, *, login: str, password: str | None) -> Row:
    """Replace a password."""

    async def do() -> Row:
        chosen = await _choose(password, own=(login,))

        async def reset(conn: AsyncConnection, user: User, change: Change) -> User:
            return await people.reset_password(
                conn, user.id, password_hash=chosen.stored, change=change
            )

        return await _changed(settings, login, reset) | _shown(chosen.shown)

    return asyncio.run(do())


def link(settings: Settings, *, login: str) -> str:
    """Make the address that signs a person in once."""
    from noticebus.ports import load_keyring  # noqa: PLC0415 - loads the whole bus

    async def do() -> str:
        keyring = await asyncio.to_thread(load_keyring, settings)
        async with _opened(settings) as (conn, change):
            user = await _find(conn, login)
            return await make_user_link(
                conn, keyring, user, base_url=settings.base_url, change=change
            )

    return asyncio.run(do())


async def _changed(
    settings: Settings,
    login: str,
    do: Callable[[AsyncConnection, User, Change], Awaitable[User]],
) -> Row:
    async with _opened(settings) as (conn, change):
        return _row(await do(conn, await _find(conn, login), change))


async def _find(conn: AsyncConnection, login: str) -> User:
    user = await users.find_user(conn, login=login.strip().lower())
    if user is None:
        raise CommandError(
            f"Nobody has the login {login}.", remedy="`noticebus user list` shows everybody."
        )
    return user


async def _choose(password: str | None, *, own: Sequence[str]) -> _Chosen:
    """Hash a password that was given, or make one that opens once."""
    passwords = Passwords()
    if password is not None:
        check_new_password(password, own=own)
        return _Chosen(stored=await passwords.hash(password), shown=None)
    made = new_one_time_password()
    now = SystemClock().now()
    return _Chosen(stored=await passwords.hash_one_time(made, now=now), shown=made)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[AsyncConnection, Change]]:
    """Open a transaction on a database whose tables are those of this version."""
    path = sqlite_path(settings)
    if path is not None and not path.exists():
        raise CommandError(
            f"The database {path} does not exist.",
            remedy="Run `noticebus serve` in its folder once, or name the folder with --data-dir.",
        )
    if await migrate.pending(settings.database_url):
        raise CommandError(
            "The tables of the database are those of another version.",
            remedy="Run `noticebus db upgrade` first.",
        )
    now = SystemClock().now()
    database = Database(settings.database_url)
    try:
        async with database.begin() as conn:
            yield conn, Change(by=COMMAND_LINE, world=now, machine=now)
    finally:
        await database.close()


def _row(user: User, *, shown: str | None = None) -> Row:
    return {
        "id": user.id,
        "login": user.login,
        "name": user.name,
        "roles": ", ".join(user.roles),
        "agency_id": user.agency_id,
        "state": _state(user),
        "signed_in_at": user.signed_in_at and f"{user.signed_in_at:%Y-%m-%dT%H:%M:%SZ}",
        **_shown(shown),
    }


def _state(user: User) -> str:
    if user.disabled_at is not None:
        return "disabled"
    if user.locked_until is not None and user.locked_until > SystemClock().now():
        return "locked"
    return "active"


def _shown(password: str | None) -> Row:
    return {} if password is None else {"one_time_password": password}


def _last(found: Sequence[User]) -> str:
    return found[-1].login if found else ""

"""People with passwords: made in a test's database, and hashed at a fraction of the real cost."""

import json
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher

from harness.console import Console
from noticebus.access.passwords import Passwords
from noticebus.access.sessions import Sessions
from noticebus.casework import users as people
from noticebus.casework.sign_in import SignIn
from noticebus.casework.users import Change, NewUser
from noticebus.contracts.vocabulary import UserRole
from noticebus.store.tables import entries
from noticebus.store.users import User

PASSWORD = "Vier Enten rudern sonntags"
LOGIN = "dana.reyes"


class CountingHasher(PasswordHasher):
    """argon2id as the bus runs it, with 64 KiB instead of MiB; it counts how often it compares."""

    def __init__(self, *, passes: int = 1) -> None:
        super().__init__(time_cost=passes, memory_cost=64, parallelism=1)
        self.compared = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002 - the library's own name
        self.compared += 1
        return super().verify(hash, password)


def hash_fast(console: Console, *, passes: int = 1) -> CountingHasher:
    """Let the console compare passwords with a counting hasher."""
    hasher = CountingHasher(passes=passes)
    desk = console.desk
    sessions_of = Sessions(desk.database, keyring=desk.keyring, machine=desk.machine)
    passwords = Passwords(hasher)
    console.api.app.state.sign_in = SignIn(desk, sessions_of=sessions_of, passwords=passwords)
    return hasher


def change(console: Console, *, by: str = "test") -> Change:
    """Say that `by` changes something now."""
    return Change(by=by, world=console.desk.world.now(), machine=console.desk.machine.now())


async def add_person(
    console: Console,
    *roles: UserRole,
    login: str = LOGIN,
    password: str | None = PASSWORD,
    agency_id: str | None = None,
) -> User:
    """Enter a person who signs in with `password`; without one, through a proxy or link alone."""
    passwords = console.api.app.state.sign_in.passwords
    new = NewUser(login=login, name="Dana Reyes", roles=frozenset(roles), agency_id=agency_id)
    stored = None if password is None else await passwords.hash(password)
    async with console.desk.database.begin() as conn:
        return await people.add_user(conn, new, password_hash=stored, change=change(console))


async def account_entries(console: Console) -> list[dict[str, Any]]:
    """Read what the ledger has about accounts and sign-ins, oldest first."""
    wanted = entries.c.type.like("user.%") | entries.c.type.like("agency.link%")
    statement = (
        sa.select(entries.c.body).where(wanted).order_by(entries.c.recorded_at, entries.c.id)
    )
    async with console.desk.database.read() as conn:
        return [json.loads(body) for body in (await conn.execute(statement)).scalars()]

"""Signing in and out, each way with its entry in the ledger, never with what was typed.

Wrong passwords lock an account for browsers that are strangers to it; those that have signed in as
that person before, under the same password, have tries apart. Whoever cannot sign in hears the same
words after the same work, whether the login is unknown, the password wrong, or the account locked
or disabled (NIST SP 800-63B-4, section 3.2.2; OWASP ASVS).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access import sign_in_links
from noticebus.access.devices import Device
from noticebus.access.logins import OIDC, read_login
from noticebus.access.oidc import Identity
from noticebus.access.passwords import Passwords, check_new_password, name_of
from noticebus.access.sessions import Begun, Sessions, Visitor, may_link
from noticebus.access.sign_in_links import AgencyLink, UserLink
from noticebus.access.signed_claims import Claims, read_claims, sign_claims
from noticebus.casework import users as people
from noticebus.casework.desk import Desk
from noticebus.casework.users import Change, NewUser
from noticebus.contracts.vocabulary import SignInMethod, UserRole
from noticebus.errors import (
    ForbiddenError,
    RefusedError,
    UnauthenticatedError,
)
from noticebus.ids import SessionId
from noticebus.store import devices, ledger, sessions, users
from noticebus.store.users import User

TRIES_MAX = 5  # in a row
LOCKED_FOR = dt.timedelta(minutes=15)
STRANGERS_EVERY = dt.timedelta(minutes=5)  # tries with logins of nobody: one entry with their count
CHOOSE_WITHIN = dt.timedelta(minutes=10)
NOBODY = ""
_TICKET = b"password ticket v1"
REFUSED = (
    "This login and password open nothing at this moment. Check both, capital letters too. After"
    " five wrong passwords in a row an account waits for 15 minutes. To get in before that, ask a"
    " supervisor, who unlocks it on the page People, or whoever runs the bus."
)
NOBODY_MANAGES = (
    "Nobody can manage people any more: no supervisor is left. Give somebody the supervisors' group"
    " at the identity provider (`oidc_roles`), or on the machine of the bus run"
    " `noticebus user add LOGIN --name NAME --role supervisor`."
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Charged:
    """A try that is counted: whose, which in a row (None: no more may be made), and of whom."""

    user: User | None
    tries: int | None
    by_known_device: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MustChoose:
    """A one-time password was right; `ticket` opens the page on which to choose another."""

    ticket: str


class SignIn:
    """Every way to sign in, over one desk."""

    def __init__(self, desk: Desk, *, sessions_of: Sessions, passwords: Passwords) -> None:
        self._desk = desk
        self._sessions = sessions_of
        self.passwords = passwords
        # Of this process: tries with logins that are nobody's since the last entry about them.
        self._strangers = 0
        self._entered_at: dt.datetime | None = None

    async def by_password(
        self,
        login: str,
        password: str,
        *,
        ends: SessionId | None = None,
        known: Sequence[Device] = (),
    ) -> Begun | MustChoose:
        """Sign in with a password; `ends` is the session that the browser had until now.

        `known` is as whom the browser has signed in before.
        """
        now = self._desk.machine.now()
        charged = await self._charge(read_login(login) or NOBODY, known=known, now=now)
        user = charged.user
        open_ = user is not None and charged.tries is not None and user.disabled_at is None
        stored = user.password_hash if user is not None and open_ else None
        verdict = await self.passwords.verify(stored, password, now=now)
        if user is None or not verdict.matches:
            await self._failed(charged, now=now)
            raise UnauthenticatedError(REFUSED)
        if verdict.one_time:
            async with self._desk.database.begin() as conn:
                await users.forgive_tries(conn, user.id)
            return MustChoose(ticket=self._ticket(user, now=now))
        async with self._desk.database.begin() as conn:
            if verdict.fresh is not None:
                before, fresh = user.password_hash or "", verdict.fresh
                await users.store_password(conn, user.id, before=before, fresh=fresh)
                user = replace(user, password_hash=fresh)
            if charged.by_known_device:
                await devices.forgive_known(conn, user.id)
            begun = await self._begin(
                conn,
                user,
                method=SignInMethod.PASSWORD,
                ends=ends,
                forgives=not charged.by_known_device,
            )
        self._desk.committed()
        return begun

    async def choose_password(
        self, ticket: str, password: str, *, ends: SessionId | None = None
    ) -> Begun:
        """Replace a one-time password by one of the person's own, and sign in."""
        user = await self.holder(ticket)
        check_new_password(password, own=(user.login, user.name))
        fresh = await self.passwords.hash(password)
        change = self._change(user.id)
        async with self._desk.database.begin() as conn:
            before = user.password_hash or ""
            if not await users.store_password(conn, user.id, before=before, fresh=fresh):
                raise _ticket_ended()
            await sessions.end_sessions_of(conn, user.id, now=change.machine)
            await people.enter(conn, "user.password_chosen", user, change=change)
            user = replace(user, password_hash=fresh)
            begun = await self._begin(conn, user, method=SignInMethod.PASSWORD, ends=ends)
        self._desk.committed()
        return begun

    async def holder(self, ticket: str) -> User:
        """Give whose ticket it is; RefusedError for one that opens nothing any more."""
        claims = read_claims(self._desk.keyring, _TICKET, ticket)
        now = self._desk.machine.now()
        if claims is None or now.timestamp() >= int(claims["expires"]):
            raise _ticket_ended()
        async with self._desk.database.read() as conn:
            user = await users.user_by_id(conn, str(claims["user"]))
        if (
            user is None
            or user.disabled_at is not None
            or name_of(user.password_hash) != claims["hash"]
        ):
            raise _ticket_ended()
        return user

    async def by_proxy(self, login: str) -> Begun | None:
        """Sign in whom a trusted proxy named; None where that is nobody who may."""
        async with self._desk.database.begin() as conn:
            user = await users.find_user(conn, login=login)
            if user is None or user.disabled_at is not None:
                return None
            begun = await self._begin(conn, user, method=SignInMethod.PROXY)
        self._desk.committed()
        return begun

    async def by_identity(self, identity: Identity, *, ends: SessionId | None = None) -> Begun:
        """Sign in whom the identity provider named; who comes with a role is entered at first."""
        took = False
        try:
            async with self._desk.database.begin() as conn:
                user, took = await self._known(conn, identity)
                begun = None
                if user is not None:
                    begun = await self._begin(
                        conn,
                        user,
                        method=SignInMethod.OIDC,
                        session_id=identity.session_id,
                        ends=ends,
                    )
        except sa.exc.IntegrityError as error:
            raise RefusedError(
                "This sign-in is over: it was used, or another began at the same moment."
                " Go to the sign-in page and begin again."
            ) from error
        self._desk.committed()
        if took and not await people.anybody_manages(self._desk):
            log.warning("users.nobody_manages", remedy=NOBODY_MANAGES)
        if begun is None:
            raise ForbiddenError(
                "The identity provider knows you, but gives you no role on this bus. Ask its"
                " administrators for one, and then sign in again."
            )
        return begun

    async def by_link(self, token: str, *, ends: SessionId | None = None) -> Begun:
        """Sign in by a link: its first time where it is a person's, each time where an agency's."""
        link = sign_in_links.read(self._desk.keyring, token, now=self._desk.machine.now())
        try:
            async with self._desk.database.begin() as conn:
                if isinstance(link, UserLink):
                    begun = await self._by_user_link(conn, link, ends=ends)
                else:
                    begun = await self._by_agency_link(conn, link, ends=ends)
        except sa.exc.IntegrityError as error:
            raise sign_in_links.ended() from error
        self._desk.committed()
        return begun

    async def out(self, visitor: Visitor) -> None:
        """Sign out: the cookie opens nothing from now on."""
        body = {"by": visitor.principal.id, "session_id": visitor.session_id}
        entry = ledger.make_entry("user.signed_out", body, at=self._desk.world.now())
        async with self._desk.database.begin() as conn:
            await sessions.end_session(conn, visitor.session_id, now=self._desk.machine.now())
            await ledger.append(conn, [entry])
        self._desk.committed()

    async def _charge(self, login: str, *, known: Sequence[Device], now: dt.datetime) -> _Charged:
        """Count the try before the password is compared; of nobody the same is asked.

        Known devices of one person share their tries; when those are used up they have those of
        strangers left.
        """
        async with self._desk.database.begin() as conn:
            user = await users.find_user(conn, login=login)
            user_id = NOBODY if user is None else user.id
            if user is not None and any(one.is_of(user.id, user.password_hash) for one in known):
                await users.lock_users(conn, [user.id])
                tries = await devices.charge_known(
                    conn, user.id, now=now, since=now - LOCKED_FOR, tries_max=TRIES_MAX
                )
                if tries is not None:
                    return _Charged(user=user, tries=tries, by_known_device=True)
            tries = await users.charge_try(
                conn, user_id, now=now, tries_max=TRIES_MAX, locked_until=now + LOCKED_FOR
            )
        return _Charged(user=user, tries=tries, by_known_device=False)

    async def _failed(self, charged: _Charged, *, now: dt.datetime) -> None:
        """Enter a failed try; those of strangers, and at a locked account, as a count at times."""
        user, tries = charged.user, charged.tries
        body: dict[str, Any] = {"user_id": None if user is None else user.id, "tries": tries}
        if charged.by_known_device:
            body["known_device"] = True
        if tries is None:
            self._strangers += 1
            if self._entered_at is not None and now - self._entered_at < STRANGERS_EVERY:
                return
            body, self._strangers, self._entered_at = (
                {"user_id": None, "tries": self._strangers},
                0,
                now,
            )
        entry = ledger.make_entry("user.sign_in_failed", body, at=self._desk.world.now())
        async with self._desk.database.begin() as conn:
            await ledger.append(conn, [entry])
        self._desk.committed()

    async def _begin(
        self,
        conn: AsyncConnection,
        user: User,
        *,
        method: SignInMethod,
        session_id: SessionId | None = None,
        ends: SessionId | None = None,
        forgives: bool = True,
    ) -> Begun:
        """Begin the session, end the one before, and enter it.

        Not `forgives`: what strangers tried stays counted, and their lock.
        """
        at = self._desk.world.now()
        if not await users.record_sign_in(conn, user, at=at, forgives=forgives):
            raise UnauthenticatedError(REFUSED)
        if ends is not None:
            await sessions.end_session(conn, ends, now=self._desk.machine.now())
        begun = await self._sessions.begin_in(conn, user, method=method, session_id=session_id)
        await people.enter(
            conn,
            "user.signed_in",
            user,
            change=self._change(user.id),
            method=str(method),
            session_id=begun.session.id,
        )
        return begun

    async def _known(self, conn: AsyncConnection, identity: Identity) -> tuple[User | None, bool]:
        """Bring what the token says of a person into the row; nobody where it gives no role.

        Say with it whether that took a supervisor's role away: the provider may, even the last.
        """
        change = self._change("oidc")
        user = await users.user_by_subject(conn, issuer=identity.issuer, subject=identity.subject)
        if user is None and not identity.roles:
            return None, False
        new = NewUser(
            login=identity.login,
            name=identity.name[: people.NAME_MAX],
            roles=identity.roles,
            agency_id=identity.agency_id,
        )
        if user is None:
            return await self._newcomer(conn, new, identity=identity, change=change), False
        if user.disabled_at is not None:
            raise ForbiddenError(
                "Your account on this bus is disabled. Ask a supervisor to enable it."
            )
        told = people.make_user(new, login=user.login, at=user.created_at)
        changed = replace(user, name=told.name, roles=told.roles, agency_id=told.agency_id)
        if not identity.roles:
            changed = replace(changed, agency_id=user.agency_id)
            await sessions.end_sessions_of(conn, user.id, now=change.machine)
        else:
            await people.check_roles(conn, changed)
        took = UserRole.SUPERVISOR in set(user.roles) - set(changed.roles)
        user = await people.follow(conn, user, changed, change=change)
        return (user if identity.roles else None), took

    async def _newcomer(
        self, conn: AsyncConnection, new: NewUser, *, identity: Identity, change: Change
    ) -> User:
        login = f"{OIDC}{identity.login.lower()}"
        user = people.make_user(new, login=login, at=change.world)
        if await users.find_user(conn, login=login) is not None:
            user = replace(user, login=f"{OIDC}{user.id}")  # two people may be called the same
        user = replace(user, issuer=identity.issuer, subject=identity.subject)
        await people.check_roles(conn, user)
        return await people.store_new(conn, user, change=change)

    async def _by_user_link(
        self, conn: AsyncConnection, link: UserLink, *, ends: SessionId | None
    ) -> Begun:
        user = await users.user_by_id(conn, link.user_id)
        if user is None or user.disabled_at is not None or user.revision != link.revision:
            raise sign_in_links.ended()
        return await self._begin(
            conn, user, method=SignInMethod.LINK, session_id=link.session_id, ends=ends
        )

    async def _by_agency_link(
        self, conn: AsyncConnection, link: AgencyLink, *, ends: SessionId | None
    ) -> Begun:
        maker = await users.user_by_id(conn, link.granted_by)
        if maker is None or not may_link(maker, agency_id=link.agency_id):
            raise sign_in_links.ended()
        if ends is not None:
            await sessions.end_session(conn, ends, now=self._desk.machine.now())
        begun = await self._sessions.begin_by_link(
            conn, agency_id=link.agency_id, name=link.name, granted_by=link.granted_by
        )
        body = {
            "user_id": None,
            "by": begun.session.id,
            "method": str(SignInMethod.LINK),
            "session_id": begun.session.id,
            "agency_id": link.agency_id,
            "granted_by": link.granted_by,
        }
        entry = ledger.make_entry("user.signed_in", body, at=self._desk.world.now())
        await ledger.append(conn, [entry])
        return begun

    def _ticket(self, user: User, *, now: dt.datetime) -> str:
        claims: Claims = {
            "user": user.id,
            "hash": name_of(user.password_hash),
            "expires": int((now + CHOOSE_WITHIN).timestamp()),
        }
        return sign_claims(self._desk.keyring, _TICKET, claims)

    def _change(self, by: str) -> Change:
        return Change(by=by, world=self._desk.world.now(), machine=self._desk.machine.now())


def _ticket_ended() -> RefusedError:
    return RefusedError(
        "Choosing a password took too long, or it was chosen already."
        " Sign in again; with the one-time password, if it was not replaced."
    )

"""Sessions of people: a signed cookie turned into a visitor, who then asks like any principal.

The cookie holds a random secret and its MAC; the database its SHA-256. What a visitor may do is
read with every page, so a role that was taken away is gone at the next click.
"""

import contextlib
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.keyring import Keyring, base64url
from noticebus.access.principals import Principal
from noticebus.clock import Clock
from noticebus.contracts.vocabulary import Scope, SignInMethod, UserRole
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId, SessionId, UserId, new_session_id
from noticebus.store import sessions
from noticebus.store.database import Database
from noticebus.store.sessions import KnownSession, Session
from noticebus.store.users import User

# NIST SP 800-63B-4, section 2.2.3: no longer than a shift, and not through an hour of nothing.
SESSION_FOR = dt.timedelta(hours=12)
IDLE_FOR = dt.timedelta(hours=1)
LINK_FOR = dt.timedelta(hours=1)
TOUCH_EVERY = dt.timedelta(minutes=1)
SECRET_BYTES = 32
COOKIE = "noticebus_session"
COOKIE_MAX = 200
_MAC_BYTES = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104, section 5)
_COOKIE, _CSRF = b"session cookie v1", b"form token v1"

SCOPES_OF: dict[UserRole, frozenset[Scope]] = {
    UserRole.OPERATOR: frozenset({Scope.OPERATE}),
    UserRole.SUPERVISOR: frozenset({Scope.OPERATE, Scope.ADMIN}),
    UserRole.AUDITOR: frozenset({Scope.AUDIT}),
    UserRole.AGENCY_ADMINISTRATOR: frozenset({Scope.SUBSCRIBE, Scope.ANSWER}),
    UserRole.POSTER: frozenset({Scope.POST}),
}
OF_ONE_AGENCY = frozenset({UserRole.AGENCY_ADMINISTRATOR, UserRole.POSTER})
LINKING = frozenset({UserRole.OPERATOR, UserRole.SUPERVISOR})
LINK_SCOPES = frozenset({Scope.SUBSCRIBE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody signed in. `csrf` goes into each form of theirs and comes back with it."""

    principal: Principal
    session_id: SessionId
    roles: frozenset[UserRole]
    method: SignInMethod
    csrf: str
    login: str = ""  # of a person; the visitor of a link has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A session that has just begun, and what its cookie holds; that is stored nowhere."""

    session: Session
    cookie: str


class Sessions:
    """Begins, finds and ends sessions in one database."""

    def __init__(self, database: Database, *, keyring: Keyring, machine: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._machine = machine

    async def begin(self, user: User, *, method: SignInMethod) -> Begun:
        """Begin the session of a person whose identity has been shown."""
        async with self._database.begin() as conn:
            return await self.begin_in(conn, user, method=method)

    async def begin_in(
        self,
        conn: AsyncConnection,
        user: User,
        *,
        method: SignInMethod,
        session_id: SessionId | None = None,
    ) -> Begun:
        """Do the same in the caller's transaction.

        With `session_id` what showed the identity opens once: an integrity error the second time.
        """
        return await self._begin(
            conn,
            self._session(session_id, name=user.name, method=method, lasts=SESSION_FOR),
            user_id=user.id,
        )

    async def begin_by_link(
        self, conn: AsyncConnection, *, agency_id: AgencyId, name: str, granted_by: UserId
    ) -> Begun:
        """Begin the session of whoever holds a link to one agency's pages."""
        return await self._begin(
            conn,
            self._session(None, name=name, method=SignInMethod.LINK, lasts=LINK_FOR),
            agency_id=agency_id,
            granted_by=granted_by,
        )

    async def find(self, cookie: str | None, *, touches: bool = True) -> Visitor | None:
        """Give the visitor that a cookie belongs to; None where it opens nothing any more.

        What a page asks for by itself (not `touches`) does not show that anybody is there.
        """
        secret = self._secret_in(cookie or "")
        if secret is None:
            return None
        now = self._machine.now()
        async with self._database.read() as conn:
            known = await sessions.find_session(conn, secret_hash=_hash(secret))
        if known is None or not _lives(known, now=now):
            return None
        if touches and now - known.session.seen_at >= TOUCH_EVERY:
            # A full disk must not keep operators from looking at who is silent.
            with contextlib.suppress(UnavailableError):
                async with self._database.begin() as conn:
                    await sessions.touch_session(conn, known.session.id, now=now)
        return _visitor(known, csrf=self._csrf(secret))

    async def end(self, session_id: SessionId) -> None:
        """End a session: its cookie opens nothing from now on."""
        async with self._database.begin() as conn:
            await sessions.end_session(conn, session_id, now=self._machine.now())

    def _session(
        self,
        session_id: SessionId | None,
        *,
        name: str,
        method: SignInMethod,
        lasts: dt.timedelta,
    ) -> Session:
        now = self._machine.now()
        return Session(
            id=session_id or new_session_id(),
            user_id=None,
            agency_id=None,
            name=name,
            method=method,
            granted_by=None,
            created_at=now,
            seen_at=now,
            expires_at=now + lasts,
            ended_at=None,
        )

    async def _begin(self, conn: AsyncConnection, session: Session, **whose: Any) -> Begun:
        """Store a session under a secret that has never been anywhere before."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        begun = replace(session, **whose)
        await sessions.insert_session(conn, begun, secret_hash=_hash(secret))
        return Begun(session=begun, cookie=f"{secret}.{self._mac(_COOKIE, secret)}")

    def _secret_in(self, cookie: str) -> str | None:
        secret, _, mac = cookie[:COOKIE_MAX].partition(".")
        expected = self._keyring.token_macs([_COOKIE, secret.encode()])
        found = [
            hmac.compare_digest(base64url(one[:_MAC_BYTES]), mac)
            for one in expected
            if mac.isascii()
        ]
        return secret if any(found) else None

    def _csrf(self, secret: str) -> str:
        return self._mac(_CSRF, secret)

    def _mac(self, purpose: bytes, secret: str) -> str:
        return base64url(self._keyring.token_mac([purpose, secret.encode()])[:_MAC_BYTES])


def scopes_of(roles: Iterable[UserRole]) -> frozenset[Scope]:
    """Give what the holder of all `roles` may do."""
    return frozenset().union(*(SCOPES_OF[role] for role in roles))


def may_link(maker: User, *, agency_id: str) -> bool:
    """Say whether a person may lend others the pages of an agency, by link."""
    if maker.disabled_at is not None:
        return False
    if not LINKING.isdisjoint(maker.roles):
        return True
    return UserRole.AGENCY_ADMINISTRATOR in maker.roles and maker.agency_id == agency_id


def _lives(known: KnownSession, *, now: dt.datetime) -> bool:
    session, user = known.session, known.user
    if session.ended_at is not None or now >= session.expires_at:
        return False
    if now - session.seen_at >= IDLE_FOR:
        return False
    if user is not None:
        return user.disabled_at is None
    # A link's session: it lives no longer than its maker's right to make it.
    maker, agency_id = known.maker, session.agency_id
    return maker is not None and agency_id is not None and may_link(maker, agency_id=agency_id)


def _visitor(known: KnownSession, *, csrf: str) -> Visitor:
    session, user = known.session, known.user
    principal = Principal(
        id=session.id if user is None else user.id,
        name=session.name if user is None else user.name,
        agency_id=session.agency_id if user is None else user.agency_id,
        agency_kind=known.agency_kind,
        scopes=LINK_SCOPES if user is None else scopes_of(user.roles),
    )
    return Visitor(
        principal=principal,
        session_id=session.id,
        roles=frozenset(() if user is None else user.roles),
        method=session.method,
        csrf=csrf,
        login="" if user is None else user.login,
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

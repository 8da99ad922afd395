"""Who is asking: API keys turned into principals, and what a principal may do and see."""

import datetime as dt
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from noticebus.clock import Clock
from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from noticebus.ids import ActorId, AgencyId, ApiKeyId
from noticebus.store.database import Database
from noticebus.store.keys import KnownKey, find_key_by_hash

USER_PREFIX = "usr_"
KEY_PREFIX = "noticebus_live_"
KEY_SECRET_BYTES = 32
KEY_FORM = re.compile(r"noticebus_live_[0-9a-z]{26}_[A-Za-z0-9_-]{32,64}", re.ASCII)
CACHED_MAX = 10_000
CACHED_FOR = dt.timedelta(seconds=5)  # how long a revoked key may still work
SEES_EVERY_AGENCY = frozenset({Scope.ADMIN, Scope.OPERATE, Scope.AUDIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking: the key, person or visitor `id`, of one agency or (None) of the bus itself."""

    id: ActorId
    name: str
    agency_id: AgencyId | None
    agency_kind: AgencyKind | None
    scopes: frozenset[Scope]

    @property
    def is_signed_in(self) -> bool:
        """Say whether a person of the console asks, whose name is the account's own."""
        return self.id.startswith(USER_PREFIX)


class Principals:
    """Authenticates bearers against one database, remembering each good one for `CACHED_FOR`."""

    def __init__(self, database: Database, *, machine: Clock) -> None:
        self._database = database
        self._machine = machine
        # Owned by the event loop's thread; the oldest entry is dropped when it is full.
        self._known: OrderedDict[str, tuple[dt.datetime, Principal]] = OrderedDict()

    async def authenticate(self, bearer: str) -> Principal:
        """Turn a key into its principal; raises UnauthenticatedError where it opens nothing."""
        now = self._machine.now()
        secret_hash = hash_key(bearer)
        cached = self._known.get(secret_hash)
        if cached is not None and now < cached[0]:
            return cached[1]
        self._known.pop(secret_hash, None)
        principal, expires_at = await authenticate(self._database, bearer=bearer, now=now)
        good_until = now + CACHED_FOR if expires_at is None else min(now + CACHED_FOR, expires_at)
        self._known[secret_hash] = (good_until, principal)
        if len(self._known) > CACHED_MAX:
            self._known.popitem(last=False)
        return principal


async def authenticate(
    database: Database, *, bearer: str, now: dt.datetime
) -> tuple[Principal, dt.datetime | None]:
    """Look a key up: its principal and when it expires; raises where it opens nothing."""
    if KEY_FORM.fullmatch(bearer) is None:
        raise UnauthenticatedError(
            "This is not an API key of the bus. "
            "Send 'Authorization: Bearer noticebus_live_…' with the whole key."
        )
    async with database.read() as conn:
        known = await find_key_by_hash(conn, secret_hash=hash_key(bearer))
    return _living(known, now=now), known.key.expires_at if known else None


def new_key(key_id: ApiKeyId) -> str:
    """Make the secret of key `key_id`: shown once, stored only as a hash."""
    return f"{KEY_PREFIX}{key_id.partition('_')[2]}_{secrets.token_urlsafe(KEY_SECRET_BYTES)}"


def hash_key(bearer: str) -> str:
    """Hash a key for storing and finding: 256 random bits need no slow hash, only a one-way one."""
    return hashlib.sha256(bearer.encode()).hexdigest()


class MissingScopeError(ForbiddenError):
    """The principal has none of the scopes that are needed.

    The message is for programs: to people a page names the role that has one.
    """

    def __init__(self, needed: Collection[Scope], *, held: Collection[Scope]) -> None:
        named = " or ".join(f"'{scope}'" for scope in needed)
        super().__init__(
            f"This needs a key with the scope {named}; yours has: "
            f"{', '.join(sorted(held)) or 'none'}. "
            "Ask an administrator of the bus for a key that has it."
        )
        self.needed = frozenset(needed)


class NoAgencyError(ForbiddenError):
    """The principal belongs to no agency. Its message, too, is for programs."""

    def __init__(self) -> None:
        super().__init__(
            "This key belongs to no agency, so it cannot act as one. "
            "Use a key made for your agency."
        )


def require(principal: Principal, *scopes: Scope) -> None:
    """Raise MissingScopeError unless the principal has at least one of `scopes`."""
    if principal.scopes.isdisjoint(scopes):
        raise MissingScopeError(scopes, held=principal.scopes)


def sees_every_agency(principal: Principal) -> bool:
    """Say whether the principal sees the things of agencies other than its own."""
    return not principal.scopes.isdisjoint(SEES_EVERY_AGENCY)


def knows_people_of(principal: Principal, agency_id: str) -> bool:
    """Say whether the principal may be told who an agency's people are, and their telephones."""
    return sees_every_agency(principal) or principal.agency_id == agency_id


def visible_agency(principal: Principal) -> AgencyId | None:
    """Give the one agency a list must be limited to, or None where the principal sees all."""
    if sees_every_agency(principal):
        return None
    return own_agency(principal)


def own_agency(principal: Principal) -> AgencyId:
    """Give the principal's agency; NoAgencyError where it belongs to none."""
    if principal.agency_id is None:
        raise NoAgencyError
    return principal.agency_id


def require_visible(principal: Principal, agency_id: str, *, what: str) -> None:
    """Raise NotFoundError, as for what does not exist, where `what` is another's and not seen."""
    if not sees_every_agency(principal) and principal.agency_id != agency_id:
        raise NotFoundError(f"There is no {what} here that you may see. Check the id.")


def _living(known: KnownKey | None, *, now: dt.datetime) -> Principal:
    if known is None:
        raise UnauthenticatedError(
            "No such API key. Check that it was copied whole, "
            "or ask an administrator of the bus for a new one."
        )
    key = known.key
    if key.revoked_at is not None:
        raise UnauthenticatedError(
            f"The API key {key.id} was revoked. Ask an administrator of the bus for a new one.",
            code="key-revoked",
        )
    if key.expires_at is not None and key.expires_at <= now:
        raise UnauthenticatedError(
            f"The API key {key.id} expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}. "
            "Ask an administrator of the bus for a new one.",
            code="key-expired",
        )
    return Principal(
        id=key.id,
        name=key.name,
        agency_id=key.agency_id,
        agency_kind=known.agency_kind,
        scopes=frozenset(key.scopes),
    )

"""API keys: making the first, making and revoking the others. A secret is shown once."""

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.first_key import write_key_file
from noticebus.access.principals import Principal, hash_key, new_key, require
from noticebus.casework.administration import invalid
from noticebus.casework.desk import Desk
from noticebus.contracts.key import ApiKeyPost
from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import new_api_key_id
from noticebus.store import agencies, keys, ledger
from noticebus.store.keys import ApiKey

FIRST_KEY_NAME = "first administrator"
FIRST_KEY_SCOPES = (Scope.ADMIN, Scope.OPERATE, Scope.AUDIT)
OF_THE_BUS = frozenset(
    {Scope.ADMIN, Scope.OPERATE}
)  # never for a key of an agency that is told or tells
OF_AN_AGENCY = frozenset(
    {Scope.POST, Scope.ANSWER, Scope.SUBSCRIBE}
)  # act as an agency, so need one


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made, with the secret that nobody can read again."""

    key: ApiKey
    secret: str


async def create_first_key(desk: Desk, *, path: Path) -> NewKey | None:
    """Make the first administrator's key and write it to `path`; None where keys exist.

    The file is written before the commit: a crash between the two leaves a file that opens
    nothing, and the next start writes a new one. The other order could leave an installation
    that nobody can administer.
    """
    made = _make(ApiKeyPost(name=FIRST_KEY_NAME, scopes=FIRST_KEY_SCOPES), now=desk.machine.now())
    async with desk.database.begin() as conn:
        if await keys.any_key_exists(conn) or not await keys.claim_first_key(conn):
            return None
        await _store(conn, made, by="installation", at=desk.world.now())
        await asyncio.to_thread(write_key_file, path, secret=made.secret)
    desk.committed()
    return made


async def create_key(desk: Desk, principal: Principal, *, post: ApiKeyPost) -> NewKey:
    """Make a key for an agency or for the bus itself."""
    require(principal, Scope.ADMIN)
    now = desk.machine.now()
    if post.expires_at is not None and post.expires_at <= now:
        raise invalid("/expires_at", "The key would have expired already; choose a later time.")
    made = _make(post, now=now)
    async with desk.database.begin() as conn:
        await _check_scopes(conn, post)
        await _store(conn, made, by=principal.id, at=desk.world.now())
    desk.committed()
    return made


async def list_keys(desk: Desk, principal: Principal, *, after: str, limit: int) -> list[ApiKey]:
    """List at most `limit` keys with ids after `after`; revoked and expired ones stay listed."""
    require(principal, Scope.ADMIN)
    async with desk.database.read() as conn:
        return await keys.list_keys(conn, agency_id=None, after=after, limit=limit)


async def revoke_key(desk: Desk, principal: Principal, *, key_id: str) -> ApiKey:
    """Revoke a key: it stops working within five seconds in every process, for good."""
    require(principal, Scope.ADMIN)
    if key_id == principal.id:
        raise ConflictError(
            "This is the key you are using. "
            "Make another administrator's key and revoke this one with it."
        )
    async with desk.database.begin() as conn:
        revoked = await keys.revoke_key(conn, key_id=key_id, now=desk.machine.now())
        key = await keys.find_key(conn, key_id=key_id)
        if key is None:
            raise NotFoundError(
                "There is no such API key. Check the id; keys are listed at /v1/api-keys."
            )
        if revoked:
            body = {"key_id": key.id, "agency_id": key.agency_id, "by": principal.id}
            await ledger.append(conn, [ledger.make_entry("key.revoked", body, at=desk.world.now())])
    desk.committed()
    return key


def _make(post: ApiKeyPost, *, now: dt.datetime) -> NewKey:
    key_id = new_api_key_id()
    key = ApiKey(
        id=key_id,
        name=post.name,
        agency_id=post.agency_id,
        scopes=tuple(sorted(set(post.scopes))),
        created_at=now,
        expires_at=post.expires_at,
        revoked_at=None,
    )
    return NewKey(key=key, secret=new_key(key_id))


async def _store(conn: AsyncConnection, made: NewKey, *, by: str, at: dt.datetime) -> None:
    await keys.insert_key(conn, made.key, secret_hash=hash_key(made.secret))
    body = {
        "key_id": made.key.id,
        "agency_id": made.key.agency_id,
        "scopes": [str(scope) for scope in made.key.scopes],
        "by": by,
    }
    await ledger.append(conn, [ledger.make_entry("key.created", body, at=at)])


async def _check_scopes(conn: AsyncConnection, post: ApiKeyPost) -> None:
    wanted = frozenset(post.scopes)
    if not wanted:
        raise invalid("/scopes", "A key without a scope opens nothing; name at least one.")
    if post.agency_id is None:
        if acting := wanted & OF_AN_AGENCY:
            named = ", ".join(sorted(acting))
            raise invalid("/agency_id", f"A key with {named} acts as an agency; say which one.")
        return
    agency = await agencies.find_agency(conn, agency_id=post.agency_id)
    if agency is None:
        raise invalid("/agency_id", "There is no such agency. Agencies are listed at /v1/agencies.")
    if agency.kind is not AgencyKind.OPERATOR and (ruling := wanted & OF_THE_BUS):
        named = ", ".join(sorted(ruling))
        raise invalid(
            "/scopes",
            f"Only the bus's own keys or those of an operator may have {named}; leave it out.",
        )

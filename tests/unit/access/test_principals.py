"""Who is asking: keys, their cache, and what scopes allow."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import tables
from noticebus.access import principals
from noticebus.access.first_key import write_key_file
from noticebus.access.principals import (
    Principal,
    Principals,
    hash_key,
    new_key,
    own_agency,
    require,
    require_visible,
    visible_agency,
)
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from noticebus.ids import AgencyId, ApiKeyId, new_api_key_id
from noticebus.store.database import Database
from noticebus.store.keys import ApiKey, insert_key, revoke_key

START = dt.datetime(2019, 8, 7, 12, 55, tzinfo=dt.UTC)
MINE, THEIRS = AgencyId("agy_mine"), AgencyId("agy_theirs")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with tables.database("sqlite", tmp_path) as lent:
        yield lent


def a_principal(*scopes: Scope, agency_id: AgencyId | None = MINE) -> Principal:
    return Principal(
        id=ApiKeyId("key_1"),
        name="test",
        agency_id=agency_id,
        agency_kind=None,
        scopes=frozenset(scopes),
    )


async def a_stored_key(database: Database) -> tuple[ApiKeyId, str]:
    key_id = new_api_key_id()
    secret = new_key(key_id)
    key = ApiKey(
        id=key_id,
        name="test",
        agency_id=None,
        scopes=(Scope.AUDIT,),
        created_at=START,
        expires_at=None,
        revoked_at=None,
    )
    async with database.begin() as conn:
        await insert_key(conn, key, secret_hash=hash_key(secret))
    return key_id, secret


async def test_revoked_key_works_five_seconds_at_most(database: Database) -> None:
    clock = ManualClock(START)
    guard = Principals(database, machine=clock)
    key_id, secret = await a_stored_key(database)
    assert (await guard.authenticate(secret)).id == key_id
    async with database.begin() as conn:
        await revoke_key(conn, key_id=key_id, now=START)

    clock.advance(dt.timedelta(seconds=4.9))
    assert (await guard.authenticate(secret)).id == key_id
    clock.advance(dt.timedelta(seconds=0.1))
    with pytest.raises(UnauthenticatedError, match="revoked"):
        await guard.authenticate(secret)


async def test_cache_forgets_the_oldest_beyond_its_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals, "CACHED_MAX", 2)
    guard = Principals(database, machine=ManualClock(START))
    for _ in range(5):
        _, secret = await a_stored_key(database)
        await guard.authenticate(secret)

    assert len(guard._known) == 2


async def test_key_that_opens_nothing_is_not_remembered(database: Database) -> None:
    guard = Principals(database, machine=ManualClock(START))
    with pytest.raises(UnauthenticatedError, match="No such API key"):
        await guard.authenticate(new_key(new_api_key_id()))

    assert not guard._known


def test_refusal_names_the_scope_that_is_needed() -> None:
    require(a_principal(Scope.OPERATE), Scope.ADMIN, Scope.OPERATE)
    with pytest.raises(ForbiddenError, match="'admin' or 'operate'; yours has: answer"):
        require(a_principal(Scope.ANSWER), Scope.ADMIN, Scope.OPERATE)


@pytest.mark.parametrize("scope", [Scope.ADMIN, Scope.OPERATE, Scope.AUDIT])
def test_those_who_oversee_see_every_agency(scope: Scope) -> None:
    require_visible(a_principal(scope), THEIRS, what="agency")
    assert visible_agency(a_principal(scope)) is None


@pytest.mark.parametrize("scope", [Scope.POST, Scope.ANSWER, Scope.SUBSCRIBE])
def test_agency_sees_its_own_and_another_is_as_if_it_did_not_exist(scope: Scope) -> None:
    require_visible(a_principal(scope), MINE, what="agency")
    assert visible_agency(a_principal(scope)) == MINE
    with pytest.raises(NotFoundError):
        require_visible(a_principal(scope), THEIRS, what="agency")


def test_key_of_no_agency_cannot_act_as_one() -> None:
    with pytest.raises(ForbiddenError, match="belongs to no agency"):
        own_agency(a_principal(Scope.POST, agency_id=None))


def test_key_file_is_for_its_owner_only_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "first-key"
    write_key_file(path, secret="first")
    path.chmod(0o644)

    write_key_file(path, secret="second")

    assert path.read_text() == "second\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["first-key"]

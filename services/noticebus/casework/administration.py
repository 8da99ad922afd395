"""What every administrative change shares: who may, on which revision, its line in the ledger."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, require_visible
from noticebus.casework.desk import Desk
from noticebus.contracts.places import StandingArea
from noticebus.contracts.vocabulary import Scope
from noticebus.domain.places import AreaFacts, subscription_keys
from noticebus.errors import Detail, InvalidError, NotFoundError, PreconditionError
from noticebus.store.ledger import append, make_entry

FIRST_REVISION = 1


def administers_bus(principal: Principal) -> bool:
    """Say whether what the principal enters counts as approved and verified."""
    return not principal.scopes.isdisjoint({Scope.ADMIN, Scope.OPERATE})


def require_manager(principal: Principal, agency_id: str, *, what: str) -> None:
    """Raise unless the principal administers the bus, or subscribes for this very agency."""
    require(principal, Scope.ADMIN, Scope.OPERATE, Scope.SUBSCRIBE)
    if administers_bus(principal):
        return
    require_visible(principal, agency_id, what=what)
    if principal.agency_id != agency_id:  # an auditor sees it, and changes nothing
        raise NotFoundError(f"There is no {what} here that you may change. Check the id.")


def require_revision(revision: int | None) -> int:
    """Give the revision an edit is based on; 428 where the caller did not say."""
    if revision is None:
        raise PreconditionError(
            "Say which revision you change: send the 'ETag' you read in the header 'If-Match'.",
            code="precondition-required",
        )
    return revision


def check_revision(newest: int, *, revision: int | None) -> None:
    """Raise unless `revision`, where the caller named one, is the newest."""
    if revision is not None and revision != newest:
        raise stale(newest)


def following_revision(newest: int | None, *, revision: int | None) -> int:
    """Give the revision that an edit makes; the first (`newest` is None) needs none to be based on.

    Raises where it is based on none, or on another than the newest.
    """
    if newest is None:
        check_revision(0, revision=revision)
        return FIRST_REVISION
    check_revision(newest, revision=require_revision(revision))
    return newest + 1


def stale(newest: int) -> PreconditionError:
    """Make the refusal of an edit that is based on an older revision."""
    return PreconditionError(
        f"This is at revision {newest} now, not at the one you named. "
        "Read it again and repeat your change on it."
    )


def invalid(pointer: str, message: str) -> InvalidError:
    """Make the refusal of one field."""
    return InvalidError(message, details=(Detail(pointer=pointer, message=message),))


def resolve_areas(desk: Desk, areas: Sequence[StandingArea]) -> list[str]:
    """Turn areas as written into sorted keys to store; raises with a pointer to each fault."""
    facts = [
        AreaFacts(
            county_fips=area.county_fips,
            lea_id=area.lea_id,
            state=area.state,
            tribal_area=area.tribal_area,
            nation=area.nation,
        )
        for area in areas
    ]
    keys, faults = subscription_keys(facts, gazetteer=desk.places)
    if faults:
        raise InvalidError(
            "Some areas do not exist; `errors` says which. Nothing was stored.", details=faults
        )
    return sorted(keys)


async def enter(
    conn: AsyncConnection, type_: str, body: Mapping[str, Any], *, by: Principal, at: dt.datetime
) -> None:
    """Write one change into the ledger: ids and names of fields, never personal data or secrets."""
    await append(conn, [make_entry(type_, {**body, "by": by.id}, at=at)])


def differing(old: object, new: object) -> list[str]:
    """Name the fields in which two records of one kind differ, never their values."""
    names: list[str] = sorted(type(old).__dataclass_fields__)  # type: ignore[attr-defined]
    return [one for one in names if getattr(old, one) != getattr(new, one) and one != "revision"]

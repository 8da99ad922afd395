"""Report links: one report for a browser without a key, for a while, read only.

The token names the key that made it, never holds it: when that key is revoked or expires, so does
the link, and what it shows is what the key may see at that moment.
"""

import datetime as dt
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any

from noticebus.access.keyring import base64url, from_base64url
from noticebus.access.principals import Principal, require, visible_agency
from noticebus.casework.desk import Desk
from noticebus.casework.reading import READERS
from noticebus.casework.reports import Asked
from noticebus.contracts.canonical import canonical
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status
from noticebus.errors import NotFoundError, RefusedError
from noticebus.store import ledger
from noticebus.store.agencies import find_agency
from noticebus.store.keys import find_key

VALID_FOR = dt.timedelta(minutes=15)
VALID_FOR_MAX = dt.timedelta(hours=12)
TOKEN_MAX = 1000
PATH = "/r/"
ENTRY_TYPE = "report.linked"
_PURPOSE = b"report link v1"
_MAC_BYTES = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104, section 5)
_FIELDS = ("kind", "area", "notice_class", "overdue", "status", "as_of")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLink:
    """A link and until when it opens."""

    url: str
    expires_at: dt.datetime


async def make_link(
    desk: Desk, principal: Principal, *, asked: Asked, valid_for: dt.timedelta = VALID_FOR
) -> ReportLink:
    """Make a link to one report as the caller sees it, and enter in the ledger that it was made."""
    assert dt.timedelta() < valid_for <= VALID_FOR_MAX, "held by the wire model"
    require(principal, *READERS)
    visible_agency(principal)  # refuses a key that sees no report
    expires_at = (desk.machine.now() + valid_for).replace(microsecond=0)
    claims = {"key": principal.id, "expires": int(expires_at.timestamp()), **_chosen(asked)}
    packed = canonical(claims)
    token = base64url(desk.keyring.token_mac([_PURPOSE, packed])[:_MAC_BYTES] + packed)
    entry = ledger.make_entry(
        ENTRY_TYPE,
        {"by": principal.id, "expires_at": expires_at.isoformat(), "filter": _chosen(asked)},
        at=desk.world.now(),
    )
    async with desk.database.begin() as conn:
        await ledger.append(conn, [entry])
    desk.committed()
    return ReportLink(url=f"{desk.base_url.rstrip('/')}{PATH}{token}", expires_at=expires_at)


async def open_link(desk: Desk, token: str) -> tuple[Principal, Asked]:
    """Give whose report a link shows and which.

    NotFoundError for a link that is not ours, RefusedError where it or its key has ended.
    """
    claims = _claims(desk, token)
    now = desk.machine.now()
    if now >= dt.datetime.fromtimestamp(claims["expires"], dt.UTC):
        raise _ended()
    async with desk.database.read() as conn:
        key = await find_key(conn, key_id=claims["key"])
        agency = await find_agency(conn, agency_id=key.agency_id) if key and key.agency_id else None
    if key is None or key.revoked_at is not None or (key.expires_at and key.expires_at <= now):
        raise _ended()
    principal = Principal(
        id=key.id,
        name=key.name,
        agency_id=key.agency_id,
        agency_kind=agency.kind if agency else None,
        scopes=frozenset(key.scopes),
    )
    return principal, _asked(claims)


def _chosen(asked: Asked) -> dict[str, Any]:
    values = asdict(asked)
    as_of = asked.as_of and asked.as_of.isoformat()
    return {name: values[name] for name in _FIELDS} | {"as_of": as_of}


def _asked(claims: dict[str, Any]) -> Asked:
    kind, notice_class, as_of = claims["kind"], claims["notice_class"], claims["as_of"]
    return Asked(
        kind=None if kind is None else AgencyKind(kind),
        area=claims["area"],
        notice_class=None if notice_class is None else NoticeClass(notice_class),
        overdue=claims["overdue"],
        status=Status(claims["status"]),
        as_of=None if as_of is None else dt.datetime.fromisoformat(as_of),
    )


def _claims(desk: Desk, token: str) -> dict[str, Any]:
    try:
        raw = from_base64url(token)
    except ValueError as error:
        raise _unknown() from error
    mac, packed = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    expected = desk.keyring.token_macs([_PURPOSE, packed])
    if not sum(hmac.compare_digest(one[:_MAC_BYTES], mac) for one in expected):
        raise _unknown()
    claims: dict[str, Any] = json.loads(packed)
    return claims


def _unknown() -> NotFoundError:
    return NotFoundError(
        "There is no such link. Copy the whole address, without a line break.", code="link-unknown"
    )


def _ended() -> RefusedError:
    return RefusedError(
        "This link has ended. Ask whoever sent it for a new one; such links live for a short time.",
        code="link-expired",
    )

"""Links that sign somebody in: the holder of an agency's link, or once a person that is known.

Opening a link shows a button and does nothing else, so that a scanner of mail uses none up. A link
names who made it, or the revision of the person: it ends with either.
"""

import datetime as dt
from dataclasses import dataclass
from typing import assert_never

from noticebus.access.keyring import Keyring
from noticebus.access.signed_claims import Claims, read_claims, sign_claims
from noticebus.errors import NotFoundError, RefusedError
from noticebus.ids import AgencyId, SessionId, UserId

PATH = "/sign-in/link/"
AGENCY_LINK_FOR_MAX = dt.timedelta(hours=24)
USER_LINK_FOR = dt.timedelta(minutes=15)
_PURPOSE = b"sign-in link v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyLink:
    """The pages of one agency for whoever `name` is; opens as often as it is used."""

    agency_id: AgencyId
    name: str
    granted_by: UserId
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLink:
    """A person's sign-in at one revision. The session it begins has its id: so it opens once."""

    user_id: UserId
    revision: int
    session_id: SessionId
    expires_at: dt.datetime


def mint(keyring: Keyring, link: AgencyLink | UserLink) -> str:
    """Make a link's token (expiry in whole seconds)."""
    return sign_claims(keyring, _PURPOSE, _claims_of(link))


def read(keyring: Keyring, token: str, *, now: dt.datetime) -> AgencyLink | UserLink:
    """Read a token; NotFoundError for one that is not ours, RefusedError for one that has ended."""
    claims = read_claims(keyring, _PURPOSE, token)
    if claims is None:
        raise NotFoundError(
            "There is no such link. Copy the whole address, without a line break.",
            code="link-unknown",
        )
    link = _link_of(claims)
    if now >= link.expires_at:
        raise ended()
    return link


def ended() -> RefusedError:
    """Say that a link opens no more, for whatever reason."""
    return RefusedError(
        "This link has ended, or was used. Ask whoever sent it for a new one; such links live for"
        " a short time.",
        code="link-expired",
    )


def _claims_of(link: AgencyLink | UserLink) -> Claims:
    expires = int(link.expires_at.timestamp())
    match link:
        case AgencyLink():
            return {
                "agency": link.agency_id,
                "name": link.name,
                "by": link.granted_by,
                "expires": expires,
            }
        case UserLink():
            return {
                "user": link.user_id,
                "revision": link.revision,
                "session": link.session_id,
                "expires": expires,
            }
        case _:
            assert_never(link)


def _link_of(claims: Claims) -> AgencyLink | UserLink:
    expires_at = dt.datetime.fromtimestamp(int(claims["expires"]), dt.UTC)
    if "agency" in claims:
        return AgencyLink(
            agency_id=AgencyId(str(claims["agency"])),
            name=str(claims["name"]),
            granted_by=UserId(str(claims["by"])),
            expires_at=expires_at,
        )
    return UserLink(
        user_id=UserId(str(claims["user"])),
        revision=int(claims["revision"]),
        session_id=SessionId(str(claims["session"])),
        expires_at=expires_at,
    )

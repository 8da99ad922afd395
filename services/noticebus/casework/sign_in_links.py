"""Making links that sign somebody in: to the pages of an agency, or once as a known person."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access import sign_in_links
from noticebus.access.keyring import Keyring
from noticebus.access.principals import Principal, require_visible
from noticebus.access.sessions import may_link
from noticebus.access.sign_in_links import AGENCY_LINK_FOR_MAX, USER_LINK_FOR, AgencyLink, UserLink
from noticebus.casework import users as people
from noticebus.casework.administration import invalid
from noticebus.casework.desk import Desk
from noticebus.casework.users import Change
from noticebus.errors import ConflictError, ForbiddenError, NotFoundError
from noticebus.ids import UserId, new_session_id
from noticebus.store import ledger, users
from noticebus.store.agencies import Agency, find_agency
from noticebus.store.users import User

HOUR = dt.timedelta(hours=1)
HOURS_MAX = AGENCY_LINK_FOR_MAX // HOUR


async def make_agency_link(
    desk: Desk, principal: Principal, *, agency_id: str, name: str, hours: int
) -> tuple[Agency, AgencyLink, str]:
    """Make a link to the pages of one agency for the person called `name`; give its address too."""
    for_whom = " ".join(name.split())
    if not 0 < len(for_whom) <= people.NAME_MAX or not for_whom.isprintable():
        raise invalid("/name", f"Say who gets the link, in 1 to {people.NAME_MAX} characters.")
    if not 1 <= hours <= HOURS_MAX:
        raise invalid("/hours", f"A link lives for 1 to {HOURS_MAX} hours.")
    async with desk.database.begin() as conn:
        maker = await users.user_by_id(conn, principal.id)
        agency = await find_agency(conn, agency_id=agency_id)
        require_visible(principal, agency_id, what="agency")
        if agency is None:
            raise NotFoundError("There is no agency here that you may see. Check the address.")
        if maker is None or not may_link(maker, agency_id=agency.id):
            raise ForbiddenError(
                "Links to these pages are made by operators, supervisors, or the administrator of"
                " this very agency. Ask one of them."
            )
        link = AgencyLink(
            agency_id=agency.id,
            name=for_whom,
            granted_by=maker.id,
            expires_at=(desk.machine.now() + hours * HOUR).replace(microsecond=0),
        )
        body = {
            "by": maker.id,
            "agency_id": agency.id,
            "expires_at": link.expires_at.isoformat(),
        }
        await ledger.append(
            conn, [ledger.make_entry("agency.link_made", body, at=desk.world.now())]
        )
    desk.committed()
    return agency, link, address_of(desk.keyring, link, base_url=desk.base_url)


async def make_user_link(
    conn: AsyncConnection, keyring: Keyring, user: User, *, base_url: str, change: Change
) -> str:
    """Make the address that signs a person in once, within `USER_LINK_FOR`."""
    if user.disabled_at is not None:
        raise ConflictError(f"{user.login} is disabled. Enable it first: `noticebus user enable`.")
    link = UserLink(
        user_id=UserId(user.id),
        revision=user.revision,
        session_id=new_session_id(),
        expires_at=(change.machine + USER_LINK_FOR).replace(microsecond=0),
    )
    await people.enter(conn, "user.link_made", user, change=change)
    return address_of(keyring, link, base_url=base_url)


def address_of(keyring: Keyring, link: AgencyLink | UserLink, *, base_url: str) -> str:
    """Write the address of a link."""
    return f"{base_url.rstrip('/')}{sign_in_links.PATH}{sign_in_links.mint(keyring, link)}"

"""An agency's new webhook: who stands behind it, and what came of its first handshake."""

from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.access.principals import Principal
from noticebus.casework.administration import administers_bus, require_manager
from noticebus.casework.desk import Desk
from noticebus.casework.subscriptions import LEVELS, MAY_READ_CPS
from noticebus.contracts.vocabulary import Cause, ContentLevel
from noticebus.errors import NotFoundError
from noticebus.store import agencies
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Attempt
from noticebus.store.endpoint_attempts import AttemptLine

CONTACTS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What stands before the form: the agency, and how many people of it can be told.

    Without anybody who `is_backed` by, `casework.subscriptions` refuses a webhook. `levels` are the
    content levels its kind of agency may have.
    """

    agency: Agency
    is_backed: bool
    by_mail: int
    by_phone: int
    levels: Sequence[ContentLevel]
    is_approved: bool  # at once: whoever asks approves it


async def read_start(desk: Desk, principal: Principal, *, agency_id: str) -> Start:
    """Read what a new webhook of an agency starts from; 404 where the principal manages none."""
    require_manager(principal, agency_id, what="agency")
    async with desk.database.read() as conn:
        agency = await agencies.find_agency(conn, agency_id=agency_id)
        if agency is None:
            raise NotFoundError("There is no such agency. Find it on the page of recipients.")
        backed = await agencies.has_reachable_contact(conn, agency_id=agency.id)
        people = await agencies.list_contacts(
            conn, agency_id=agency.id, after="", limit=CONTACTS_MAX
        )
    return Start(
        agency=agency,
        is_backed=backed,
        by_mail=sum(one.email is not None for one in people),
        by_phone=sum(one.phone is not None for one in people),
        levels=[
            one for one in LEVELS if one is not ContentLevel.CPS or agency.kind in MAY_READ_CPS
        ],
        is_approved=administers_bus(principal),
    )


def first_answer(attempts: Sequence[AttemptLine]) -> Attempt | None:
    """Give the latest attempt of a handshake among the latest of an endpoint, newest first."""
    return next((one.attempt for one in attempts if one.cause is Cause.HANDSHAKE), None)

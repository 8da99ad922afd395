"""Until when a recipient may ask for more time, where a school day's end bounds it."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.binding import round_of
from noticebus.contracts.vocabulary import Owed
from noticebus.domain import dismissal
from noticebus.store import matching
from noticebus.store.obligations import Obligation


async def latest_eta(
    conn: AsyncConnection, owed: Obligation, *, now: dt.datetime
) -> dt.datetime | None:
    """Give the latest promise that a school can make now; None where only the class bounds it.

    By the bell schedule of now: an early release that was stated since the round began counts.
    """
    bounded = owed.owed is Owed.NOTICE and owed.notice_class in dismissal.MARGIN
    if not bounded or owed.round_started_at is None:
        return None
    facts = (await matching.agencies_by_id(conn, [owed.agency_id]))[owed.agency_id]
    return dismissal.latest_eta(
        facts.calendar,
        notice_class=owed.notice_class,
        left=round_of(owed).steps_at[owed.step :],
        now=now,
    )

"""What keeps the reports of areas whole: the house enters what an upgrade left out."""

import datetime as dt

import structlog

from noticebus.casework.desk import Desk
from noticebus.ids import first_notice_id
from noticebus.store import report_areas

log = structlog.get_logger(__name__)

AT_ONCE = 5_000
OVERLAP = dt.timedelta(hours=2)  # far more than clocks differ and transactions last
NOTED_EVERY = dt.timedelta(hours=1)


async def tend_areas(desk: Desk) -> None:
    """Enter the areas of notices that an older release accepted while this one was brought in.

    All notices are looked at once, then those from shortly before the last look on: it is noted
    once an hour, so that a release brought back for a day leaves nothing out. Where nothing is
    missing and nothing is to be noted, nothing is written.
    """
    now = desk.machine.now()
    async with desk.database.read() as conn:
        noted = await report_areas.looked_until(conn)
        since = None if noted is None else first_notice_id(min(noted, now) - OVERLAP)
        is_missing = await report_areas.is_any_missing(conn, since=since)
    if not is_missing and noted is not None and now - noted < NOTED_EVERY:
        return
    added = 0
    async with desk.database.begin() as conn:
        if is_missing:
            added = await report_areas.add_missing(conn, since=since, limit=AT_ONCE)
        if not added:
            await report_areas.note_look(conn, until=now)
    if added:
        log.info("notices.areas_entered", count=added)

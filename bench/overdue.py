"""A backlog made by SQL: live deliveries to some endpoints become overdue at one instant."""

import datetime as dt

import sqlalchemy as sa

from noticebus.casework.desk import Desk
from noticebus.store.tables import deliveries, endpoints, subscriptions

AGO = dt.timedelta(minutes=1)


async def make_overdue(desk: Desk, part: str) -> int:
    """Queue what still goes to endpoints whose address holds `part`, due a minute ago; count it.

    What the bus has learnt of these endpoints is forgotten, as if they had just begun to hang.
    """
    theirs = sa.select(subscriptions.c.id).where(subscriptions.c.url.contains(part))
    live = deliveries.c.state.in_(["queued", "sending"])
    async with desk.database.begin() as conn:
        await conn.execute(endpoints.delete().where(endpoints.c.subscription_id.in_(theirs)))
        done = await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.subscription_id.in_(theirs), live)
            .values(
                state="queued",
                held_reason=None,
                lease_until=desk.machine.now() - AGO,
                due_at=desk.world.now() - AGO,
                attempts=deliveries.c.attempts + 1,  # what is under way is no longer its holder's
            )
        )
    desk.committed()
    return done.rowcount

"""Tries of browsers that are known. Times are machine time.

Each try is a record that is used once, and goes as the other records of `idempotency_records` go.
"""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store.tables import idempotency_records as records


async def charge_known(
    conn: AsyncConnection, user_id: str, *, now: dt.datetime, since: dt.datetime, tries_max: int
) -> int | None:
    """Count a try of one's known browsers before it is made; give which after `since` it is.

    All that a person has share them, also copies of a cookie. None, and nothing counted, where
    there were `tries_max`. The caller holds the person's row, so that many at once are as many.
    """
    client_id = _client_of(user_id)
    made = (records.c.client_id == client_id) & (records.c.created_at > since)
    before: int = (
        await conn.execute(sa.select(sa.func.count()).select_from(records).where(made))
    ).scalar_one()
    if before >= tries_max:
        return None
    values = {
        "client_id": client_id,
        "key": f"sign-in {now.isoformat()} {before}",
        "fingerprint": "",
        "response": {},
        "created_at": now,
    }
    await conn.execute(records.insert().values(values))
    return before + 1


async def forgive_known(conn: AsyncConnection, user_id: str) -> None:
    """Give one's known browsers their tries back: a password was right."""
    await conn.execute(sa.delete(records).where(records.c.client_id == _client_of(user_id)))


def _client_of(user_id: str) -> str:
    """Name a person's known browsers, apart from what the person posted under keys."""
    return f"device {user_id}"

"""Who did something, by name: a key, a person, or whoever came by a link."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.ids import AgencyId
from noticebus.store.tables import api_keys, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted, and for which agency; None for the bus itself."""

    id: str
    name: str
    agency_id: AgencyId | None


async def actors_by_id(conn: AsyncConnection, actor_ids: Collection[str]) -> dict[str, Actor]:
    """Name those who acted: one statement, however many."""
    ids = sorted(set(actor_ids))
    if not ids:
        return {}
    statement = sa.union_all(
        *(
            sa.select(one.c.id, one.c.name, one.c.agency_id).where(one.c.id.in_(ids))
            for one in (api_keys, users, sessions)
        )
    )
    found = [Actor(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.id: one for one in found}

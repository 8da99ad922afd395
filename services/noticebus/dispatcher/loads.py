"""What claimed deliveries need to go: read in the transaction that claims them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.dispatcher.carrier import Load
from noticebus.store import claims, notices, replays
from noticebus.store.deliveries import Delivery


async def loads_of(conn: AsyncConnection, claimed: Sequence[Delivery]) -> list[Load]:
    """Read where each goes as things stand now, and what it carries: a constant few statements."""
    if not claimed:
        return []
    about = {one.notice_id for one in claimed if one.notice_id is not None}
    repeated = {one.replays_id for one in claimed if one.replays_id is not None}
    destinations = await claims.destinations_of(conn, [*(one.id for one in claimed), *repeated])
    carried = await notices.notices_by_id(conn, about) if about else {}
    originals = await replays.deliveries_by_id(conn, repeated)
    return [
        Load(
            delivery=one,
            destination=destinations[one.id],
            notice=carried.get(one.notice_id) if one.notice_id is not None else None,
            original=originals[one.replays_id] if one.replays_id is not None else None,
            original_digest=destinations[one.replays_id or one.id].first_digest,
        )
        for one in claimed
    ]

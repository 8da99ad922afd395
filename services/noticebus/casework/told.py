"""Who was told at the very moment a round began: a step that falls then calls them no second time.

Only where two people are called at once (domain/dismissal.py) does a step fall with the notice.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Notify
from noticebus.ids import ObligationId
from noticebus.store import deliveries
from noticebus.store.obligations import Obligation

Told = Mapping[ObligationId, frozenset[str]]


async def told_at_once(conn: AsyncConnection, due: Sequence[Obligation]) -> Told:
    """Give the destinations that carry the notice since the first step's own time.

    No statement where no such step is due. A notice told before a hold ended does not count.
    """
    since = {one.id: dt.datetime.fromisoformat(one.steps_at[0]) for one in due if _calls_now(one)}
    if not since:
        return {}
    carried = await deliveries.notices_carried(conn, since)
    rounds = {one.id: one.epoch for one in due}
    return {
        id_: frozenset(
            one.destination
            for one in carried
            if one.obligation_id == id_ and one.round == rounds[id_] and one.created_at >= began
        )
        for id_, began in since.items()
    }


def _calls_now(owed: Obligation) -> bool:
    steps = owed.policy["steps"]
    return owed.step == 0 and bool(steps) and steps[0]["notify"] == Notify.FIRST_TWO

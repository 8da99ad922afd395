"""Agencies whose policy in force would reach nobody: found before the night it is needed."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import reach
from noticebus.casework.desk import Desk
from noticebus.casework.reachable import with_people
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.policy_rules import may_be_silent, reaches_somebody
from noticebus.ids import AgencyId
from noticebus.store import matching, policy_quality
from noticebus.store.policies import StoredPolicy, own_policies
from noticebus.store.report_quality import Warned

OWN_POLICIES_MAX = 2_000


async def silent_policies(
    conn: AsyncConnection, desk: Desk, *, agency_id: AgencyId | None, now: dt.datetime
) -> list[Warned]:
    """List agencies that a round beginning now would leave alone, in at most seven statements.

    A default ends with the operators: it is silent only where they are out of reach as well.
    """
    operators = await matching.operator_points(conn, at=now, telephone=desk.dials)
    own = await own_policies(conn, agency_id=agency_id, limit=OWN_POLICIES_MAX)
    silent = await _silent(conn, desk, own, operators, now=now) if own else set()
    return await policy_quality.warnings(
        conn,
        agency_id=agency_id,
        silent=silent,
        without_operators=not any(one.channels for one in operators),
        telephone=desk.dials,
        now=now,
    )


async def _silent(
    conn: AsyncConnection,
    desk: Desk,
    own: Sequence[StoredPolicy],
    operators: Sequence[ContactPoint],
    *,
    now: dt.datetime,
) -> set[AgencyId]:
    ids = {one.agency_id for one in own if one.agency_id is not None}
    people = await reach.people(conn, desk, ids, at=now)
    orders = await reach.endpoints(conn, ids, people)
    return {
        one.agency_id
        for one in own
        if one.agency_id is not None
        and not may_be_silent(one.policy)
        and not reaches_somebody(
            one.policy.steps,
            with_people(one.agency_id, people, orders, operators=operators),
        )
    }

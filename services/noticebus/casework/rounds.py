"""Beginning a round: the policy in force at that time, and the reach the recipient has by then."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.binding import run
from noticebus.casework.in_force import in_force, policy_ids_of
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.domain.policies import Policy, policy_to_record
from noticebus.domain.routing import Recipient
from noticebus.ids import AgencyId
from noticebus.store.matching import AgencyFacts
from noticebus.store.obligations import Obligation
from noticebus.store.policies import latest_policies


async def policies_in_force(
    conn: AsyncConnection,
    known: Sequence[Obligation],
    facts: Mapping[AgencyId, AgencyFacts],
    *,
    classes: Collection[NoticeClass],
    at: dt.datetime,
) -> dict[str, Policy]:
    """Read the policies that rounds of `known` may run under: one statement."""
    asked = ((facts[one.agency_id], notice_class) for one in known for notice_class in classes)
    wanted = policy_ids_of(asked, at=at)
    return await latest_policies(conn, wanted) if wanted else {}


def begin(
    owed: Obligation,
    facts: AgencyFacts,
    *,
    policies: Mapping[str, Policy],
    recipient: Recipient | None,
    at: dt.datetime,
    stood_in: bool = False,
) -> Obligation:
    """Start the clock of a round whose class is set, under the policy of now.

    `recipient` is what routing finds now; one that it no longer finds keeps the reach it had (I6).
    """
    policy = in_force(
        policies,
        facts,
        notice_class=owed.notice_class,
        standing=owed.standing,
        at=at,
        stood_in=stood_in,
    )
    ready = replace(owed, policy=policy_to_record(policy))
    if recipient is not None:
        ready = replace(
            ready,
            reachable=recipient.reachable,
            unreachable_reason=recipient.unreachable_reason,
        )
    return run(ready, facts, at)

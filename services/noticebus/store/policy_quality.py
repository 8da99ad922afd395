"""Which agencies would be left alone by their policies: the report's warnings about silence."""

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Channel, SubscriptionState
from noticebus.ids import AgencyId
from noticebus.store.matching import reached, valid_at
from noticebus.store.report_quality import WARNINGS_MAX, Warned
from noticebus.store.tables import agencies, contacts, responsibilities, subscriptions

POLICY_REACHES_NOBODY = "policy_reaches_nobody"


async def warnings(
    conn: AsyncConnection,
    *,
    agency_id: AgencyId | None,
    silent: Collection[AgencyId],
    without_operators: bool,
    telephone: bool,
    now: dt.datetime,
) -> list[Warned]:
    """Read at most `WARNINGS_MAX` agencies to warn of: those in `silent`, in one statement.

    And, where the operators are out of reach, those that must answer and have nobody themselves.
    """
    left_alone: sa.ColumnElement[bool] = agencies.c.id.in_(sorted(silent))
    if without_operators:
        left_alone |= _has_nobody(telephone=telephone, at=now)
    statement = (
        sa.select(
            agencies.c.id.label("agency_id"),
            agencies.c.name.label("agency_name"),
            agencies.c.kind.label("agency_kind"),
        )
        .where(left_alone)
        .order_by(agencies.c.id)
        .limit(WARNINGS_MAX)
    )
    if agency_id is not None:
        statement = statement.where(agencies.c.id == agency_id)
    rows = (await conn.execute(statement)).mappings()
    return [Warned(code=POLICY_REACHES_NOBODY, **row) for row in rows]


def _has_nobody(*, telephone: bool, at: dt.datetime) -> sa.ColumnElement[bool]:
    answers = sa.exists().where(
        responsibilities.c.agency_id == agencies.c.id, responsibilities.c.ended_at.is_(None)
    )
    person = sa.exists().where(
        contacts.c.agency_id == agencies.c.id,
        valid_at(at),
        reached(telephone=sa.literal(telephone)),
    )
    endpoint = sa.exists().where(
        subscriptions.c.agency_id == agencies.c.id,
        subscriptions.c.state == SubscriptionState.ACTIVE,
        subscriptions.c.channel.in_([Channel.WEBHOOK, Channel.KAFKA]),
    )
    return answers & ~person & ~endpoint

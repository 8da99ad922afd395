"""Which school districts will be outside all their terms: a data-quality warning of the report."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import AgencyKind
from noticebus.domain.calendars import terms_must_pass
from noticebus.ids import AgencyId
from noticebus.store.paused_quality import AGENCY
from noticebus.store.report_quality import WARNINGS_MAX, Warned
from noticebus.store.tables import agencies, calendars, responsibilities

TERMS_END = "terms_end"


async def warnings(
    conn: AsyncConnection, *, agency_id: AgencyId | None, now: dt.datetime
) -> list[Warned]:
    """Read at most `WARNINGS_MAX` districts whose terms all end within 30 days, in one statement.

    Of those that must answer and have stated terms (`domain.calendars.terms_end`).
    """
    answers = sa.exists().where(
        responsibilities.c.agency_id == agencies.c.id, responsibilities.c.ended_at.is_(None)
    )
    statement = (
        sa.select(*AGENCY)
        .join(calendars, calendars.c.agency_id == agencies.c.id)
        .where(
            agencies.c.kind == AgencyKind.SCHOOL_DISTRICT,
            answers,
            _last_day_of_terms(conn) <= terms_must_pass(now).isoformat(),
        )
        .order_by(agencies.c.id)
        .limit(WARNINGS_MAX)
    )
    if agency_id is not None:
        statement = statement.where(agencies.c.id == agency_id)
    return [
        Warned(code=TERMS_END, **row) for row in (await conn.execute(statement)).mappings().all()
    ]


def _last_day_of_terms(conn: AsyncConnection) -> sa.ScalarSelect[str]:
    """Find the last day of all terms of a calendar; null where it states none.

    Each database has functions of its own for a list within JSON text.
    """
    if conn.dialect.name == "sqlite":
        term = sa.func.json_each(calendars.c.body, "$.terms").table_valued("value")
        last = sa.func.json_extract(term.c.value, "$.last")
    else:
        terms = sa.cast(calendars.c.body, sa.JSON)["terms"]
        term = sa.func.json_array_elements(terms).table_valued(sa.column("value", sa.JSON))
        last = term.c.value["last"].as_string()
    return sa.select(sa.func.max(last)).select_from(term).correlate(calendars).scalar_subquery()

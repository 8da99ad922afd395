"""The figures cut by kind, class and hour of day: sums over the counters, in one statement."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.domain.tallies import MINUTES_OF_HOUR, Counted
from noticebus.store.counters import HOUR, MINUTE, Sort, of_sort
from noticebus.store.tables import report_counters

HOURS_OF_DAY = 24
BY_KIND, BY_CLASS, BY_HOUR = "kind", "class", "hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How many of one part of a cut count as `counted`, with a time to close of bucket `took`."""

    cut: str
    name: str
    counted: Counted
    took: int
    n: int


async def parts(conn: AsyncConnection, sort: Sort, *, since: int, until: int) -> list[Part]:
    """Add up what fell due from the hour `since` up to the minute `until`, which is left out.

    Hours and minutes are numbered from 1970, so an hour of day is one of UTC.
    """
    counter = report_counters.c
    hour = until // MINUTES_OF_HOUR
    in_span = ((counter.span == HOUR) & counter.due.between(since, hour - 1)) | (
        (counter.span == MINUTE) & counter.due.between(hour * MINUTES_OF_HOUR, until - 1)
    )
    hour_due = sa.case((counter.span == HOUR, counter.due), else_=counter.due // MINUTES_OF_HOUR)
    fell_due = (
        sa.select(
            sa.type_coerce(counter.kind, sa.Text).label(BY_KIND),
            sa.type_coerce(counter.notice_class, sa.Text).label(BY_CLASS),
            (hour_due % HOURS_OF_DAY).label(BY_HOUR),
            counter.counted,
            counter.took,
            sa.func.sum(counter.n).label("n"),
        )
        .where(*of_sort(sort), in_span, counter.counted.in_(_IN_DENOMINATOR))
        .group_by(sa.text("1"), sa.text("2"), sa.text("3"), counter.counted, counter.took)
        .cte("fell_due")
    )
    cuts = [
        sa.select(
            sa.literal(cut).label("cut"),
            sa.cast(fell_due.c[cut], sa.Text).label("name"),
            fell_due.c.counted,
            fell_due.c.took,
            sa.func.sum(fell_due.c.n).label("n"),
        ).group_by(fell_due.c[cut], fell_due.c.counted, fell_due.c.took)
        for cut in (BY_KIND, BY_CLASS, BY_HOUR)
    ]
    rows = (await conn.execute(sa.union_all(*cuts))).mappings()
    return [
        Part(
            cut=row["cut"],
            name=row["name"],
            counted=Counted(row["counted"]),
            took=row["took"],
            n=int(row["n"]),
        )
        for row in rows
        if row["n"]
    ]


_IN_DENOMINATOR = (Counted.OPEN, Counted.IN_TIME, Counted.LATE, Counted.UNANSWERED)

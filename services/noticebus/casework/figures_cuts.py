"""The report's figures cut by kind, class and hour of day (research/ux.md, section 4.3).

For the report's page: `read_cuts(desk, principal, asked)` gives rows in the order to show them,
`cut` by `cut`. All that fell due are in the denominator, the silent and the declined among them,
waived ones not; `asked.status` chooses actual or exercise, which never mix (I9). It is one
statement over the counters, however much there is, beside one that asks whether they may be read.
They know no area and no single agency (for those see `figures_ranks`): only who sees every agency
may ask, and not with an area; else there are no rows.

Percentiles are to the resolution of the counters, a thirty-second part: the shortest time of the
bucket that the nearest rank falls in. None is "not reached": it falls among the silent. Where
`is_few` is set, n is below 10: show the lines instead (ux.md, section 4.3).
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from noticebus.access.principals import Principal, sees_every_agency
from noticebus.casework.desk import Desk
from noticebus.casework.report_figures import sort_of
from noticebus.casework.reports import Asked, wanted_for
from noticebus.domain.figures import nearest_rank, share
from noticebus.domain.tallies import (
    MINUTES_OF_HOUR,
    NO_TIME,
    Counted,
    bounds_of,
    minute_of,
    start_of,
)
from noticebus.store import report_cuts
from noticebus.store.report_cuts import BY_CLASS, BY_HOUR, BY_KIND, Part

WINDOW = dt.timedelta(days=30)
FEW = 10
_ORDER = (BY_KIND, BY_CLASS, BY_HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One row: of a kind, a class, or an hour of day (UTC, of falling due, `00` to `23`).

    `due` is n: everything that fell due in the window. `share` is None where that is nothing.
    """

    cut: str
    name: str
    due: int
    closed_within_target: int
    share: float | None
    p50: dt.timedelta | None
    p90: dt.timedelta | None

    @property
    def is_few(self) -> bool:
        """Tell whether there are too few to say anything of."""
        return self.due < FEW


async def read_cuts(
    desk: Desk, principal: Principal, asked: Asked, *, window: dt.timedelta = WINDOW
) -> tuple[Cut, ...]:
    """Cut what fell due within `window` before this minute; nothing for a past report."""
    now = desk.world.now()
    wanted = wanted_for(desk, principal, asked, now=now)
    if wanted.is_past or not sees_every_agency(principal):
        return ()
    async with desk.database.read() as conn:
        sort = await sort_of(conn, wanted.selection)
        if sort is None:
            return ()
        found = await report_cuts.parts(
            conn,
            sort,
            since=_hour_of(now - window),
            until=minute_of(now),
        )
    return cuts_of(found)


def started_at(now: dt.datetime, *, window: dt.timedelta) -> dt.datetime:
    """Give the hour that a window of the counters begins with."""
    return start_of(_hour_of(now - window) * MINUTES_OF_HOUR)


def _hour_of(at: dt.datetime) -> int:
    return minute_of(at) // MINUTES_OF_HOUR


def cuts_of(found: Iterable[Part]) -> tuple[Cut, ...]:
    """Work out each part's figures."""
    by_name: dict[tuple[int, str], list[Part]] = {}
    for one in found:
        name = one.name.zfill(2) if one.cut == BY_HOUR else one.name
        by_name.setdefault((_ORDER.index(one.cut), name), []).append(one)
    return tuple(
        _cut(_ORDER[place], name, parts) for (place, name), parts in sorted(by_name.items())
    )


def _cut(cut: str, name: str, parts: Iterable[Part]) -> Cut:
    due = in_time = 0
    took: Counter[int] = Counter()
    for one in parts:
        due += one.n
        if one.counted is Counted.IN_TIME:
            in_time += one.n
        if one.took != NO_TIME:
            took[one.took] += one.n
    return Cut(
        cut=cut,
        name=name,
        due=due,
        closed_within_target=in_time,
        share=share(in_time, of=due),
        p50=_percentile(took, due, 50),
        p90=_percentile(took, due, 90),
    )


def _percentile(took: Counter[int], due: int, percent: int) -> dt.timedelta | None:
    rank = nearest_rank(due, percent=percent)
    before = 0
    for bucket in sorted(took):
        before += took[bucket]
        if rank <= before:
            return bounds_of(bucket)[0]
    return None

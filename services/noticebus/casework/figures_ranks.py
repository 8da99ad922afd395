"""The figures cut by what the counters do not know: place, recipient, way, step, and whose time.

For the report's page, and as `figures_cuts`: all that fell due are in the denominator, waived ones
are not, exercises are apart, and only who sees every agency is shown any. They are read from the
rows, in one statement each, so that the counters are asked first how many those are: of more than
`ROWS_MAX` nothing is read, and fewer days are to be asked for.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.desk import Desk
from noticebus.casework.figures_cuts import FEW, WINDOW, Cut, read_cuts, started_at
from noticebus.casework.report_places import name_of
from noticebus.casework.reports import Asked
from noticebus.domain.figures import share
from noticebus.domain.tallies import minute_of, start_of
from noticebus.errors import Detail, InvalidError
from noticebus.ids import AgencyId
from noticebus.store import report_facts, report_ranks
from noticebus.store.report_cuts import BY_KIND
from noticebus.store.report_ranks import NO_ANSWER, Ranked, Span
from noticebus.store.reports import Scope

ROWS_MAX = 100_000  # some seconds of the database, at most
WORST = 20


class By(StrEnum):
    """What to cut by."""

    AREA = "area"
    AGENCY = "agency"
    WAY = "way"
    STEP = "step"
    LEG = "leg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """A part of all that fell due, which says how it ended: shares are of all, not of the part."""

    name: str
    due: int
    share: float | None
    closed_within_target: int
    share_within: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """What was asked for. `names` has what a row's name is called, where it is a key or an id."""

    due: int
    is_too_many: bool = False
    rows: Mapping[By, Sequence[Cut]]
    portions: Mapping[By, Sequence[Portion]]
    names: Mapping[str, str]


async def read_ranks(  # noqa: PLR0913 - of what, cut how, how much of it
    desk: Desk,
    principal: Principal,
    asked: Asked,
    *,
    by: Sequence[By],
    state: str | None = None,
    window: dt.timedelta = WINDOW,
    rows_max: int = ROWS_MAX,
) -> Cuts:
    """Cut what fell due within `window` before this minute, by each of `by`.

    `state` is the FIPS code of the one whose counties are asked for; InvalidError for no state.
    """
    if state is not None and not _is_state(desk, state):
        message = f"There is no state with the FIPS code {state}. Give one like 28."
        raise InvalidError(message, details=(Detail(pointer="/query:state", message=message),))
    counted = await read_cuts(desk, principal, asked, window=window)
    due = sum(one.due for one in counted if one.cut == BY_KIND)
    if not 0 < due <= rows_max:
        return Cuts(due=due, is_too_many=due > rows_max, rows={}, portions={}, names={})
    now = desk.world.now()
    scope = Scope(status=asked.status, kind=asked.kind, notice_class=asked.notice_class)
    span = Span(since=started_at(now, window=window), until=start_of(minute_of(now)))
    async with desk.database.read() as conn:
        found = {one: await _read(conn, scope, span, by=one, state=state) for one in by}
        agencies = {AgencyId(one.name) for one in found.get(By.AGENCY, ())}
        named = await report_facts.named(conn, agencies) if agencies else {}
    return Cuts(
        due=due,
        rows={one: cuts_of(one, rows) for one, rows in found.items() if one not in _ENDINGS},
        portions={one: portions_of(rows) for one, rows in found.items() if one in _ENDINGS},
        names={id_: agency.name for id_, agency in named.items()}
        | {one.name: name_of(desk.places, one.name) or one.name for one in found.get(By.AREA, ())},
    )


def cuts_of(by: By, found: Sequence[Ranked]) -> list[Cut]:
    """Give rows whose shares are of their own: what is known before anybody answers."""
    return [
        Cut(
            cut=by,
            name=one.name,
            due=one.due,
            closed_within_target=one.in_time,
            share=share(one.in_time, of=one.due),
            p50=one.p50,
            p90=one.p90,
        )
        for one in found
    ]


def portions_of(found: Sequence[Ranked]) -> list[Portion]:
    """Give rows whose shares are of all: who is silent has no way of its own to be silent in."""
    due = sum(one.due for one in found)
    known = due >= FEW
    return [
        Portion(
            name=one.name,
            due=one.due,
            share=share(one.due, of=due) if known else None,
            closed_within_target=one.in_time,
            share_within=share(one.in_time, of=due) if known else None,
        )
        for one in sorted(found, key=lambda one: (one.name == NO_ANSWER, _number(one), one.name))
    ]


async def _read(
    conn: AsyncConnection, scope: Scope, span: Span, *, by: By, state: str | None
) -> list[Ranked]:
    match by:
        case By.AREA:
            return await report_ranks.by_area(conn, scope, span, state=state)
        case By.AGENCY:
            return await report_ranks.by_agency(conn, scope, span, at_least=FEW, limit=WORST)
        case By.WAY:
            return await report_ranks.by_way(conn, scope, span)
        case By.STEP:
            return await report_ranks.by_step(conn, scope, span)
        case By.LEG:
            return await report_ranks.by_leg(conn, scope, span)


def _is_state(desk: Desk, code: str) -> bool:
    found = desk.places.state(code)
    return found is not None and found.fips == code


def _number(one: Ranked) -> int:
    return int(one.name) if one.name.isdecimal() else 0


_ENDINGS = frozenset({By.WAY, By.STEP})

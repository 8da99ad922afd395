"""Many open obligations at once, copied by SQL from one that the bus made. PostgreSQL only."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import desk as furnish
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind, Position
from noticebus.domain.policies import Policy, policy_to_record
from noticebus.ids import IncidentId
from noticebus.store import ledger
from noticebus.store.obligations import Obligation
from noticebus.store.tables import (
    agencies,
    contacts,
    entries,
    incidents,
    notices,
    obligation_history,
    obligations,
)

POSITIONS = (Position.ON_DUTY, Position.SECOND, Position.HEAD)
ID_DIGITS = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Prototype:
    """One obligation of each kind of row that is cloned: what the others are copies of."""

    owed: Obligation
    contact_ids: Sequence[str]


async def make_prototype(desk: Desk) -> Prototype:
    """Let the bus bind one agency with three contacts to one notice."""
    poster = await furnish.add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    county = await furnish.add_agency(desk, "Scott County CPS")
    made = [
        await furnish.add_contact(desk, county, f"Contact {position}", position=position)
        for position in POSITIONS
    ]
    notice = await furnish.post_notice(
        desk, poster, body=furnish.notice_body(desk, **{"class": "A"})
    )
    owed = await furnish.obligation_of(desk, notice, county.id)
    return Prototype(owed=owed, contact_ids=[one.id for one in made])


def numbered(prefix: str, number: str) -> str:
    """Write the SQL of an id made of a number."""
    return f"'{prefix}_' || lpad(({number})::text, {ID_DIGITS}, '0')"


async def clone(
    conn: AsyncConnection,
    table: sa.Table,
    key: str,
    *,
    columns: Mapping[str, str],
    numbers: str = "generate_series(1, CAST(:count AS integer)) AS n",
    **values: object,
) -> None:
    """Insert copies of the row `key`, with the SQL of `columns` in place of what it says there."""
    names = [column.name for column in table.columns]
    said = ", ".join(f'"{name}"' for name in names)
    chosen = ", ".join(columns.get(name, f'p."{name}"') for name in names)
    statement = (
        f"INSERT INTO {table.name} ({said}) SELECT {chosen}"  # noqa: S608 - names of ours
        f" FROM {table.name} AS p, {numbers} WHERE p.id = :key"
    )
    await conn.execute(sa.text(statement), {"key": key, **values})


async def add_agencies(conn: AsyncConnection, like: Prototype, *, count: int) -> None:
    """Add `count` agencies, each with three contacts who have a mail address."""
    await clone(
        conn, agencies, like.owed.agency_id, columns={"id": numbered("agy", "n")}, count=count
    )
    for place, contact_id in enumerate(like.contact_ids):
        await clone(
            conn,
            contacts,
            contact_id,
            columns={
                "id": numbered("cnt", f"n * 10 + {place}"),
                "agency_id": numbered("agy", "n"),
                "email": f"'contact' || n || '.{place}@agency.example'",
            },
            count=count,
        )


async def add_incidents(conn: AsyncConnection, like: Prototype, *, count: int) -> None:
    """Add `count` incidents of one notice each."""
    await clone(
        conn,
        incidents,
        like.owed.incident_id,
        columns={"id": numbered("inc", "n"), "latest_notice_id": numbered("ntc", "n")},
        count=count,
    )
    await clone(
        conn,
        notices,
        like.owed.round_notice_id,
        columns={"id": numbered("ntc", "n"), "incident_id": numbered("inc", "n")},
        count=count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which obligations to add: of incidents `first` to `last`, for the first `agencies`."""

    first: int
    last: int
    agencies: int


async def add_obligations(
    conn: AsyncConnection,
    like: Prototype,
    span: Span,
    *,
    policy: Policy,
    started_at: dt.datetime,
) -> None:
    """Add an open obligation of every agency to every incident of `span`, its round just begun."""
    steps_at = [started_at + step.after for step in policy.steps]
    await clone(
        conn,
        obligations,
        like.owed.id,
        columns={
            "id": numbered("obl", "i * 1000 + a"),
            "incident_id": numbered("inc", "i"),
            "agency_id": numbered("agy", "a"),
            "round_notice_id": numbered("ntc", "i"),
            "policy": ":policy",
            "steps_at": ":steps_at",
            "next_step_at": "CAST(:next_step_at AS timestamptz)",
            "due_at": "CAST(:next_step_at AS timestamptz)",
            "round_started_at": "CAST(:started_at AS timestamptz)",
        },
        numbers="generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS i,"
        " generate_series(1, CAST(:agencies AS integer)) AS a",
        policy=json.dumps(policy_to_record(policy)),
        steps_at=json.dumps([at.isoformat() for at in steps_at]),
        next_step_at=steps_at[0],
        started_at=started_at,
        first=span.first,
        last=span.last,
        agencies=span.agencies,
    )


async def enter_obligations(conn: AsyncConnection, *, at: dt.datetime) -> None:
    """Enter every cloned obligation in the ledger, an entry for each incident."""
    found = sa.select(obligations.c.incident_id, obligations.c.id).where(
        ~obligations.c.id.in_(sa.select(obligation_history.c.obligation_id))
    )
    named: dict[str, list[str]] = {}
    for incident_id, obligation_id in await conn.execute(found):
        named.setdefault(incident_id, []).append(obligation_id)
    made = [
        ledger.make_entry(
            "routing.decided", {"recipients": ids}, at=at, incident_id=IncidentId(incident_id)
        )
        for incident_id, ids in named.items()
    ]
    await ledger.append(conn, made)
    lines = sa.select(
        obligations.c.id, entries.c.id, sa.literal('{"state":"open","epoch":1}')
    ).where(
        entries.c.incident_id == obligations.c.incident_id,
        entries.c.id.in_([one.id for one in made]),
    )
    columns = ["obligation_id", "entry_id", "facts"]
    await conn.execute(obligation_history.insert().from_select(columns, lines))

"""Rows for the report's measure, made by SQL on PostgreSQL: a year's bus with a bad weekend.

Older incidents are nearly all answered; those of the last two days nearly all are not. Who answers,
when, and what falls due is drawn from hashes, so that each run has the same rows.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.report_counters import counted_lines
from harness import owing
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.domain.policies import default_policies, policy_to_record
from noticebus.store.tables import agencies, contacts, incidents, notices, obligations

AGENCIES = 3_000
PER_INCIDENT = 50
OPEN_SHARE = 0.9  # of what the incidents of the last two days brought
SETTLED_SHARE = 0.4  # how many older obligations there are for each open one
KINDS = (
    "CASE WHEN {a} % 100 < 20 THEN 'cps' WHEN {a} % 100 < 21 THEN 'tribal_child_welfare'"
    " WHEN {a} % 100 < 55 THEN 'school_district' WHEN {a} % 100 < 85 THEN 'faith'"
    " WHEN {a} % 100 < 95 THEN 'community' WHEN {a} % 100 < 97 THEN 'law_enforcement'"
    " WHEN {a} % 100 < 99 THEN 'federal' ELSE 'operator' END"
)
ZONES = "(ARRAY['America/New_York','America/Chicago','America/Denver','Pacific/Honolulu'])[1+{a}%4]"
POLICY = "default.cps.state_desk.{}"
UNCHANGING = frozenset(
    {"id", "incident_id", "agency_id", "owed", "owed_for", "status", "created_at"}
)
CLASS = (
    "CASE WHEN {draw} < 0.10 THEN 'A' WHEN {draw} < 0.60 THEN 'B' WHEN {draw} < 0.95 THEN 'C'"
    " ELSE 'D' END"
)
COUNTY = "(CAST(:counties AS text[]))[1 + {n} % CAST(:counties_count AS integer)]"
SLICES = 20
SLICE_MAX = 1_000  # incidents, whose obligations are made by one statement
OURS = "LIKE '{}_00000%'"  # an id that was made of a number


def draw(number: str, salt: int) -> str:
    """Write the SQL of a number from 0 up to 1 that looks drawn and is always the same."""
    hashed = f"hashint8extended(CAST({number} AS bigint), {salt})"
    return f"(CAST({hashed} & 1048575 AS float) / 1048576)"


def _begins(number: str) -> str:
    """Write the SQL of when an incident began: in the last two days, or in the weeks before."""
    return f"""CASE WHEN {number} > CAST(:settled AS integer)
        THEN CAST(:now AS timestamptz) - {draw(number, 9)} * interval '48 hours'
        ELSE CAST(:now AS timestamptz) - interval '3 days' - {draw(number, 9)} * interval '57 days'
    END"""


def _status(number: str) -> str:
    return f"CASE WHEN {number} % 33 = 0 THEN 'exercise' ELSE 'actual' END"


# One obligation of each agency that an incident concerns, as it stands: `about` is of the incident,
# `drawn` draws, `made` follows from it. They are written as the bus writes them, those of an
# incident together. OFFSET 0: what is selected there is worked out once.
_DRAWN = f"""
    SELECT about.*, i * 1000 + k AS n, 1 + (i * 37 + k * 61) % CAST(:agencies AS integer) AS a,
        {draw("i * 1000 + k", 1)} AS r1, {draw("i * 1000 + k", 2)} AS r2,
        {draw("i * 1000 + k", 3)} AS r3, {draw("i * 1000 + k", 4)} AS r4
    FROM (SELECT i, i > CAST(:settled AS integer) AS is_new, {_begins("i")} AS started,
            {CLASS.format(draw=draw("i", 8))} AS class, {_status("i")} AS status,
            {owing.numbered("inc", "i")} AS incident_id, {owing.numbered("ntc", "i")} AS notice_id
        FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS i OFFSET 0
        ) AS about,
        generate_series(0, CAST(:per AS integer) - 1) AS k
    OFFSET 0
"""  # noqa: S608 - all names here are ours
_TIMED = """
    SELECT *, CASE class WHEN 'A' THEN started + interval '30 minutes'
            WHEN 'B' THEN started + interval '4 hours' + r4 * interval '2 minutes'
            WHEN 'C' THEN started + interval '24 hours' + r4 * interval '12 hours' END AS due,
        started - ln(1 - r2 * 0.9999) * (CASE class WHEN 'A' THEN interval '10 minutes'
            WHEN 'B' THEN interval '90 minutes' ELSE interval '10 hours' END) AS would_close
    FROM drawn OFFSET 0
"""
_MADE = """
    SELECT *, CASE WHEN r1 < (CASE WHEN is_new THEN CAST(:open_share AS float) ELSE 0.03 END)
            OR would_close > CAST(:now AS timestamptz) THEN 'open'
        WHEN r3 < 0.85 THEN 'closed' WHEN r3 < 0.90 THEN 'declined'
        WHEN r3 < 0.95 THEN 'withdrawn' ELSE 'waived' END AS state
    FROM timed OFFSET 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many incidents there are, and how many of them are settled."""

    incidents: int
    settled: int

    @property
    def slices(self) -> Iterator[range]:
        """Cut the incidents into slices, whose obligations are made by one statement each."""
        each = min(-(-self.incidents // SLICES), SLICE_MAX)
        for first in range(1, self.incidents + 1, each):
            yield range(first, min(first + each, self.incidents + 1))

    @classmethod
    def of(cls, open_count: int) -> "Size":
        """Choose how many incidents make about `open_count` open obligations."""
        settled = int(open_count * SETTLED_SHARE / PER_INCIDENT)
        fresh = int(open_count / OPEN_SHARE / PER_INCIDENT * 0.99)
        return cls(incidents=settled + fresh, settled=settled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is made: copies of `like`, as many as `size` says, as things stand at `now`."""

    like: owing.Prototype
    size: Size
    now: dt.datetime
    counties: Sequence[str]

    @classmethod
    def of(cls, desk: Desk, like: owing.Prototype, *, open_count: int) -> "Plan":
        """Plan about `open_count` open obligations, as things stand now."""
        states = (desk.places.counties_of_state(f"{code:02}") for code in range(1, 57))
        return cls(
            like=like,
            size=Size.of(open_count),
            now=desk.world.now(),
            counties=sorted(county for counties in states for county in counties),
        )


async def add_agencies(conn: AsyncConnection, plan: Plan) -> None:
    """Add agencies of every kind, each with people, a duty and an endpoint; a few with nobody."""
    like = plan.like
    await owing.add_agencies(conn, like, count=AGENCIES)
    number = "CAST(substr(id, 5) AS bigint)"
    await conn.execute(
        sa.update(agencies)
        .where(agencies.c.id != like.owed.agency_id, agencies.c.id.like("agy_00000%"))
        .values(
            kind=sa.text(KINDS.format(a=number)),
            zone=sa.text(ZONES.format(a=number)),
            name=sa.text(f"'Agency ' || {number}"),
        )
    )
    with_nobody = sa.text("CAST(substr(agency_id, 5) AS bigint) % 50 = 0")
    await conn.execute(sa.delete(contacts).where(contacts.c.id.like("cnt_00000%"), with_nobody))
    every = "generate_series(1, CAST(:count AS integer)) AS n"
    since = "CAST(:now AS timestamptz) - interval '300 days'"
    duty = {
        "id": owing.numbered("rsp", "n"),
        "agency_id": owing.numbered("agy", "n"),
        "role": "'cps'",
        "area_keys": f"""'["county:' || {COUNTY.format(n="n")} || '"]'""",
        "created_at": since,
    }
    endpoint = {
        "id": owing.numbered("sub", "n"),
        "agency_id": owing.numbered("agy", "n"),
        "name": "'Duty desk'",
        "state": "'active'",
        "channel": "'webhook'",
        "url": "'https://agency' || n || '.example/hooks'",
        "content_level": "'public'",
        "area_keys": "'[]'",
        "kinds": "'[]'",
        "secrets_sealed": "'[]'",
        "challenge": "''",
        "approved_at": since,
        "verified_at": since,
        "revision": "1",
        "created_at": since,
    }
    values = {"count": AGENCIES, "now": plan.now}
    told = {"counties": plan.counties, "counties_count": len(plan.counties)}
    await insert(conn, "responsibilities", duty, every, **told, **values)
    await insert(conn, "subscriptions", endpoint, every, **values)


async def add_incidents(conn: AsyncConnection, plan: Plan) -> None:
    """Add incidents of one notice each, in one county each; one in fifty is covered by nobody.

    Each has an entry in the ledger, with its index.
    """
    numbers = f"""(SELECT n, {_begins("n")} AS started, {COUNTY.format(n="n")} AS county,
            {_status("n")} AS status, {owing.numbered("agy", "97 + 100 * (n % 30)")} AS poster
        FROM generate_series(1, CAST(:count AS integer)) AS n OFFSET 0) AS made"""  # noqa: S608 - as above
    values: dict[str, object] = {
        "count": plan.size.incidents,
        "settled": plan.size.settled,
        "now": plan.now,
        "counties": plan.counties,
        "counties_count": len(plan.counties),
    }
    incident = {
        "id": owing.numbered("inc", "n"),
        "latest_notice_id": owing.numbered("ntc", "n"),
        "agency_id": "poster",
        "status": "made.status",
        "created_at": "started",
        "ended_at": "CASE WHEN n <= CAST(:settled AS integer) THEN started + interval '9 days' END",
    }
    notice = {
        "id": owing.numbered("ntc", "n"),
        "incident_id": owing.numbered("inc", "n"),
        "agency_id": "poster",
        "status": "made.status",
        "notice_class": CLASS.format(draw=draw("n", 8)),
        "occurred_at": "started",
        "accepted_at": "started",
        "released_at": "started",
        "area_keys": """'["county:' || county || '","state:' || substr(county, 1, 2)
            || '","nation:us"]'""",
        "uncovered": """CASE WHEN n % 50 = 0 AND n > CAST(:settled AS integer)
            THEN '[{"county_fips":"' || county || '","missing":"school"}]' ELSE '[]' END""",
    }
    await owing.clone(
        conn, incidents, plan.like.owed.incident_id, columns=incident, numbers=numbers, **values
    )
    await owing.clone(
        conn, notices, plan.like.owed.round_notice_id, columns=notice, numbers=numbers, **values
    )
    await run(
        conn,
        f"""INSERT INTO notice_areas (area_key, notice_id) SELECT DISTINCT keys.value, id
        FROM notices CROSS JOIN jsonb_array_elements_text(CAST(area_keys AS jsonb)) AS keys
        WHERE id {OURS.format("ntc")}""",  # noqa: S608 - as above
    )
    await run(
        conn,
        f"""INSERT INTO entries (id, "index", type, incident_id, body, salt, leaf_hash, recorded_at,
            sequenced_at)
        SELECT 'ent' || substr(id, 4), row_number() OVER (ORDER BY id)
                + (SELECT max("index") FROM entries), 'routing.decided',
            id, '', '', '', created_at, created_at
        FROM incidents WHERE id {OURS.format("inc")} ORDER BY id""",  # noqa: S608 - as above
    )


async def add_obligations(conn: AsyncConnection, plan: Plan, incidents: range) -> None:
    """Add what every agency concerned owes these incidents, as it stands by now; with its history.

    The incidents are there, with their entries.
    """
    await owing.clone(
        conn,
        obligations,
        plan.like.owed.id,
        columns=_obligation(),
        numbers=f"(WITH drawn AS ({_DRAWN}), timed AS ({_TIMED}) {_MADE}) AS made",
        policies=_policies(),
        now=plan.now,
        agencies=AGENCIES,
        open_share=OPEN_SHARE,
        per=PER_INCIDENT,
        first=incidents[0],
        last=incidents[-1],
        settled=plan.size.settled,
    )
    numbers = range(incidents[0] * 1000, incidents[-1] * 1000 + 1000)
    await add_history(conn, numbers, incidents=incidents)


def _policies() -> str:
    """Write the policy of each class as the bus stores it, by class."""
    return json.dumps(
        {
            one: orjson.dumps(policy_to_record(policy)).decode()
            for one in NoticeClass
            for policy in default_policies()
            if policy.id == POLICY.format(one)
        }
    )


def _obligation() -> Mapping[str, str]:
    late_s = "extract(epoch FROM CAST(:now AS timestamptz) - due)"
    step = f"""CASE WHEN due <= CAST(:now AS timestamptz) THEN LEAST(
        CASE class WHEN 'C' THEN 3 ELSE 5 END, 1 + floor({late_s} / 14400))::integer ELSE 0 END"""
    return {
        "id": owing.numbered("obl", "n"),
        "incident_id": "made.incident_id",
        "agency_id": owing.numbered("agy", "a"),
        "round_notice_id": "made.notice_id",
        "standing": "CASE WHEN r4 < 0.7 THEN 'mandatory' ELSE 'advisory' END",
        "status": "made.status",
        "state": "made.state",
        "notice_class": "class",
        "round_started_at": "started",
        "created_at": "started",
        "due_at": "due",
        "policy": "CAST(:policies AS jsonb) ->> class",
        "steps_at": "'[]'",
        "step": step,
        "next_step_at": "CASE WHEN made.state = 'open' AND due IS NOT NULL"
        " THEN CAST(:now AS timestamptz) + r3 * interval '4 hours' + interval '30 days' END",
        "reachable": "r3 >= 0.02",
        "closed_at": "CASE WHEN made.state <> 'open' THEN would_close END",
    }


async def add_history(conn: AsyncConnection, numbers: range, *, incidents: range) -> None:
    """Add the line of each obligation with such a number: how it stands, from its entry's index."""
    facts = ", ".join(f"{sql} AS {name}" for name, sql in _facts().items())
    columns = ("id", "incident_id", *_facts())
    await run(
        conn,
        f"""INSERT INTO obligation_history (obligation_id, entry_id, facts, from_index, counted,
            notice_class, due_minute, took)
        SELECT o.id, e.id, CAST(row_to_json(told) AS text), e."index", o.counted, o.counted_class,
            o.due_minute, o.took
        FROM {counted_lines(columns, where=f"id {_between('obl', numbers)}")} AS o
        JOIN entries e ON e.id = 'ent' || substr(o.incident_id, 4)
            AND e.id {_between("ent", incidents)}
        CROSS JOIN LATERAL (SELECT {facts}) AS told""",  # noqa: S608 - as above
    )


def _between(prefix: str, numbers: range) -> str:
    first, last = (f"'{prefix}_{one:0{owing.ID_DIGITS}}'" for one in (numbers[0], numbers[-1]))
    return f"BETWEEN {first} AND {last}"


def _facts() -> Mapping[str, str]:
    """Write the SQL of what `store.obligations.facts_of` says of a row."""
    return {
        column.name: f"CAST(o.{column.name} AS json)"
        if column.name in {"policy", "steps_at"}
        else f"o.{column.name}"
        for column in obligations.columns
        if column.name not in UNCHANGING
    }


async def insert(
    conn: AsyncConnection, table: str, columns: Mapping[str, str], rows: str, **values: object
) -> None:
    """Insert one row for each of `rows`, with the SQL of `columns`."""
    names, told = ", ".join(columns), ", ".join(columns.values())
    await run(conn, f"INSERT INTO {table} ({names}) SELECT {told} FROM {rows}", **values)  # noqa: S608 - names of ours


async def run(conn: AsyncConnection, statement: str, **values: object) -> None:
    """Run a statement with its values."""
    await conn.execute(sa.text(statement), values)

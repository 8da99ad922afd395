"""Rows for the report's measure, made by SQL on PostgreSQL: a year's bus with a bad weekend.

Older incidents are nearly all answered; those of the last two days nearly all are not. Who answers,
when, and what falls due is drawn from hashes, so that each run has the same rows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import owing
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.domain.policies import default_policies, policy_to_record
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.tables import agencies, contacts, obligations

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
DEBTS = 5_000  # of each kind, at most one an incident
UNCHANGING = frozenset(
    {"id", "incident_id", "agency_id", "owed", "owed_for", "status", "created_at"}
)
CLASS = (
    "CASE WHEN {draw} < 0.10 THEN 'A' WHEN {draw} < 0.60 THEN 'B' WHEN {draw} < 0.95 THEN 'C'"
    " ELSE 'D' END"
)
COUNTY = "(:counties)[1 + {n} % array_length(:counties, 1)]"


def draw(number: str, salt: int) -> str:
    """Write the SQL of a number from 0 up to 1 that looks drawn and is always the same."""
    return f"((hashint8extended(CAST({number} AS bigint), {salt}) & 1048575) / 1048576.0)::float"


# One obligation of each agency that an incident concerns, as it stands: `drawn` draws, `made`
# follows from it. They are written as the bus writes them, those of an incident together.
_DRAWN = f"""
    SELECT i, a, i * 1000 + k AS n, i > :settled AS is_new,
        {CLASS.format(draw=draw("i", 8))} AS class,
        CASE WHEN i % 33 = 0 THEN 'exercise' ELSE 'actual' END AS status,
        {draw("i * 1000 + k", 1)} AS r1, {draw("i * 1000 + k", 2)} AS r2,
        {draw("i * 1000 + k", 3)} AS r3, {draw("i * 1000 + k", 4)} AS r4,
        CASE WHEN i > :settled
            THEN CAST(:now AS timestamptz) - {draw("i", 9)} * interval '48 hours'
            ELSE CAST(:now AS timestamptz) - interval '3 days' - {draw("i", 9)} * interval '57 days'
        END AS started
    FROM (SELECT i, k, 1 + (i * 37 + k * 61) % :agencies AS a
          FROM generate_series(1, CAST(:incidents AS integer)) AS i,
               generate_series(0, CAST(:per AS integer) - 1) AS k
          ORDER BY i, k) AS pairs
"""  # noqa: S608 - all names here are ours
_TIMED = """
    SELECT *, CASE class WHEN 'A' THEN started + interval '30 minutes'
            WHEN 'B' THEN started + interval '4 hours' + r4 * interval '2 minutes'
            WHEN 'C' THEN started + interval '24 hours' + r4 * interval '12 hours' END AS due,
        started - ln(1 - r2 * 0.9999) * (CASE class WHEN 'A' THEN interval '10 minutes'
            WHEN 'B' THEN interval '90 minutes' ELSE interval '10 hours' END) AS would_close
    FROM drawn
"""
_MADE = """
    SELECT *, CASE WHEN r1 < (CASE WHEN is_new THEN CAST(:open_share AS float) ELSE 0.03 END)
            OR would_close > CAST(:now AS timestamptz) THEN 'open'
        WHEN r3 < 0.85 THEN 'closed' WHEN r3 < 0.90 THEN 'declined'
        WHEN r3 < 0.95 THEN 'withdrawn' ELSE 'waived' END AS state
    FROM timed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many incidents there are, and how many of them are settled."""

    incidents: int
    settled: int

    @classmethod
    def of(cls, open_count: int) -> "Size":
        """Choose how many incidents make about `open_count` open obligations."""
        settled = int(open_count * SETTLED_SHARE / PER_INCIDENT)
        fresh = int(open_count / OPEN_SHARE / PER_INCIDENT * 0.99)
        return cls(incidents=settled + fresh, settled=settled)


async def fill(desk: Desk, *, open_count: int) -> None:
    """Make the rows; each obligation has one line in the history, which says how it stands."""
    size = Size.of(open_count)
    like = await owing.make_prototype(desk)
    await Sequencer(desk).sweep()
    async with desk.database.begin() as conn:
        await conn.execute(sa.text("SET LOCAL session_replication_role = replica"))
        await conn.execute(sa.text("SET LOCAL statement_timeout = 0"))
        await _add_agencies(conn, desk, like)
        await _add_incidents(conn, desk, like, size)
        await _add_obligations(conn, desk, like, size)
        await _enter(conn)
        await _add_debts(conn, desk, like, size)
        await _add_deliveries(conn)


async def _add_agencies(conn: AsyncConnection, desk: Desk, like: owing.Prototype) -> None:
    """Add agencies of every kind, each with people, a duty and an endpoint; a few with nobody."""
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
    values = {"count": AGENCIES, "now": desk.world.now()}
    await _insert(conn, "responsibilities", duty, every, counties=_counties(desk), **values)
    await _insert(conn, "subscriptions", endpoint, every, **values)


def _counties(desk: Desk) -> list[str]:
    return sorted(
        county for code in range(1, 57) for county in desk.places.counties_of_state(f"{code:02}")
    )


async def _add_incidents(
    conn: AsyncConnection, desk: Desk, like: owing.Prototype, size: Size
) -> None:
    """Add incidents of one notice each, in one county each; one in fifty is covered by nobody."""
    await owing.add_incidents(conn, like, count=size.incidents)
    number = "CAST(substr(id, 5) AS bigint)"
    started = f"""CASE WHEN {number} > {size.settled}
        THEN CAST(:now AS timestamptz) - {draw(number, 9)} * interval '48 hours'
        ELSE CAST(:now AS timestamptz) - interval '3 days'
            - {draw(number, 9)} * interval '57 days' END"""
    status = f"CASE WHEN {number} % 33 = 0 THEN 'exercise' ELSE 'actual' END"
    poster = owing.numbered("agy", f"97 + 100 * ({number} % 30)")
    county = COUNTY.format(n=number)
    await _run(
        conn,
        f"""UPDATE notices SET accepted_at = {started}, released_at = {started},
        occurred_at = {started}, status = {status}, agency_id = {poster},
        notice_class = {CLASS.format(draw=draw(number, 8))},
        area_keys = '["county:' || {county} || '","state:' || substr({county}, 1, 2)
            || '","nation:us"]',
        uncovered = CASE WHEN {number} % 50 = 0 AND {number} > {size.settled}
            THEN '[{{"county_fips":"' || {county} || '","missing":"school"}}]' ELSE '[]' END
        WHERE id LIKE 'ntc_00000%'""",  # noqa: S608 - as above
        now=desk.world.now(),
        counties=_counties(desk),
    )
    await _run(
        conn,
        """INSERT INTO notice_areas (area_key, notice_id) SELECT DISTINCT keys.value, id
        FROM notices CROSS JOIN jsonb_array_elements_text(CAST(area_keys AS jsonb)) AS keys
        WHERE id LIKE 'ntc_00000%'""",
    )
    await _run(
        conn,
        f"""UPDATE incidents SET created_at = {started}, status = {status}, agency_id = {poster},
        ended_at = CASE WHEN {number} <= {size.settled} THEN {started} + interval '9 days' END
        WHERE id LIKE 'inc_00000%'""",  # noqa: S608 - as above
        now=desk.world.now(),
    )


async def _add_obligations(
    conn: AsyncConnection, desk: Desk, like: owing.Prototype, size: Size
) -> None:
    """Add what every agency concerned owes every incident, as it stands by now."""
    late_s = "extract(epoch FROM CAST(:now AS timestamptz) - due)"
    step = f"""CASE WHEN due <= CAST(:now AS timestamptz) THEN LEAST(
        CASE class WHEN 'C' THEN 3 ELSE 5 END, 1 + floor({late_s} / 14400))::integer ELSE 0 END"""
    columns = {
        "id": owing.numbered("obl", "n"),
        "incident_id": owing.numbered("inc", "i"),
        "agency_id": owing.numbered("agy", "a"),
        "round_notice_id": owing.numbered("ntc", "i"),
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
    await owing.clone(
        conn,
        obligations,
        like.owed.id,
        columns=columns,
        numbers=f"(WITH drawn AS ({_DRAWN}), timed AS ({_TIMED}) {_MADE}) AS made",
        policies=json.dumps(
            {
                one: json.dumps(policy_to_record(policy))
                for one in NoticeClass
                for policy in default_policies()
                if policy.id == POLICY.format(one)
            }
        ),
        now=desk.world.now(),
        agencies=AGENCIES,
        open_share=OPEN_SHARE,
        per=PER_INCIDENT,
        incidents=size.incidents,
        settled=size.settled,
    )


async def _add_debts(conn: AsyncConnection, desk: Desk, like: owing.Prototype, size: Size) -> None:
    """Add questions and promised updates that posters owe, and offers that wait."""
    now = "CAST(:now AS timestamptz)"
    of_incident = f"CAST(:settled AS integer) + n % ({size.incidents} - {size.settled}) + 1"
    numbers = "generate_series(1, CAST(:count AS integer)) AS n"
    values: dict[str, object] = {
        "now": desk.world.now(),
        "count": min(DEBTS, size.incidents - size.settled),
        "settled": size.settled,
    }
    for place, owed in enumerate(("question", "update")):
        columns = {
            "id": owing.numbered("obl", f"{place + 1} * 100000000000 + n"),
            "incident_id": owing.numbered("inc", of_incident),
            "agency_id": owing.numbered("agy", f"97 + 100 * (({of_incident}) % 30)"),
            "round_notice_id": owing.numbered("ntc", of_incident),
            "owed": f"'{owed}'",
            "owed_for": owing.numbered(*(("qst", "n") if not place else ("ntc", of_incident))),
            "due_at": f"{now} + (n - 2000) * interval '1 minute'",
            "next_step_at": "NULL",
        }
        await owing.clone(
            conn, obligations, like.owed.id, columns=columns, numbers=numbers, **values
        )
    question = {
        "id": owing.numbered("qst", "n"),
        "incident_id": owing.numbered("inc", of_incident),
        "notice_id": owing.numbered("ntc", of_incident),
        "asked_by": owing.numbered("agy", "1 + n % 900"),
        "obligation_id": owing.numbered("obl", "100000000000 + n"),
        "topic": "'ages'",
        "text": "'How many?'",
        "due_at": f"{now} + (n - 2000) * interval '1 minute'",
        "state": "'open'",
        "created_at": f"{now} - interval '5 hours'",
        "tier": "'partner'",
    }
    offer = {
        "id": owing.numbered("ofr", "n"),
        "incident_id": owing.numbered("inc", of_incident),
        "agency_id": owing.numbered("agy", "1 + n % 900"),
        "status": "'actual'",
        "offer_type": "'meals'",
        "state": "'open'",
        "body": '\'{"quantity": 40, "unit": "meals"}\'',
        "lapses_at": f"{now} + n * interval '1 minute'",
        "created_at": f"{now} - interval '5 hours'",
    }
    await _insert(conn, "questions", question, numbers, **values)
    await _insert(conn, "offers", offer, numbers, **values)


async def _add_deliveries(conn: AsyncConnection) -> None:
    """Add a delivery and its attempt to one open obligation in four."""
    await _run(
        conn,
        """INSERT INTO deliveries (id, incident_id, obligation_id, notice_id, subscription_id,
            agency_id, subject, destination, channel, cause, version, round, step, notice_class,
            content_level, sequence, state, attempts, recipient_attempts, lease_until, created_at)
        SELECT 'dlv' || substr(id, 4), incident_id, id, round_notice_id,
            'sub' || substr(agency_id, 4), agency_id, id, 'sub' || substr(agency_id, 4),
            'webhook', 'notice', 1, 1, 0, notice_class, 'public',
            row_number() OVER (PARTITION BY agency_id ORDER BY id), 'delivered', 1, 0,
            created_at, created_at
        FROM obligations WHERE state = 'open' AND owed = 'notice' AND id LIKE 'obl_00000%'
            AND CAST(substr(id, 5) AS bigint) % 4 = 0""",
    )
    await _run(
        conn,
        """INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, status_code,
            body_digest, response_excerpt, error, duration_ms)
        SELECT id, 1, created_at, created_at, 'delivered', 200, '', '', '', 12 FROM deliveries
        WHERE id LIKE 'dlv_00000%'""",
    )


async def _enter(conn: AsyncConnection) -> None:
    """Enter each incident in the ledger, and what each obligation has become, with its index."""
    await _run(
        conn,
        """INSERT INTO entries (id, "index", type, incident_id, body, salt, leaf_hash, recorded_at,
            sequenced_at)
        SELECT 'ent' || substr(id, 4), row_number() OVER (ORDER BY id)
                + (SELECT max("index") FROM entries), 'routing.decided',
            id, '', '', '', created_at, created_at
        FROM incidents WHERE id LIKE 'inc_00000%'""",
    )
    facts = ", ".join(f"'{name}', {sql}" for name, sql in _facts().items())
    await _run(
        conn,
        f"""INSERT INTO obligation_history (obligation_id, entry_id, facts, from_index)
        SELECT o.id, e.id, CAST(json_build_object({facts}) AS text), e."index"
        FROM obligations o JOIN entries e ON e.id = 'ent' || substr(o.incident_id, 4)
        WHERE o.id LIKE 'obl_00000%'""",  # noqa: S608 - as above
    )


def _facts() -> Mapping[str, str]:
    """Write the SQL of what `store.obligations.facts_of` says of a row."""
    told = {}
    for column in obligations.columns:
        if column.name in UNCHANGING:
            continue
        told[column.name] = f"o.{column.name}"
        if column.name in {"policy", "steps_at"}:
            told[column.name] = f"CAST(o.{column.name} AS json)"
    return told


async def _insert(
    conn: AsyncConnection, table: str, columns: Mapping[str, str], rows: str, **values: object
) -> None:
    """Insert one row for each of `rows`, with the SQL of `columns`."""
    names, told = ", ".join(columns), ", ".join(columns.values())
    await _run(conn, f"INSERT INTO {table} ({names}) SELECT {told} FROM {rows}", **values)  # noqa: S608 - names of ours


async def _run(conn: AsyncConnection, statement: str, **values: object) -> None:
    told = sa.text(statement)
    if "counties" in values:
        told = told.bindparams(sa.bindparam("counties", type_=postgresql.ARRAY(sa.Text)))
    await conn.execute(told, values)

"""Rows beside the obligations of the report's measure: debts, questions, offers, deliveries."""

from sqlalchemy.ext.asyncio import AsyncConnection

from bench.report_rows import Plan, add_history, insert, run
from harness import owing
from noticebus.store.tables import obligations

DEBTS = 5_000  # of each kind, at most one an incident


async def add_debts(conn: AsyncConnection, plan: Plan) -> None:
    """Add questions and promised updates that posters owe, and offers that wait."""
    size = plan.size
    now = "CAST(:now AS timestamptz)"
    of_incident = f"CAST(:settled AS integer) + n % ({size.incidents} - {size.settled}) + 1"
    numbers = "generate_series(1, CAST(:count AS integer)) AS n"
    values: dict[str, object] = {
        "now": plan.now,
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
            conn, obligations, plan.like.owed.id, columns=columns, numbers=numbers, **values
        )
    of_debts = range(100_000_000_000, 300_000_000_000)
    await add_history(conn, of_debts, incidents=range(1, size.incidents + 1))
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
    await insert(conn, "questions", question, numbers, **values)
    await insert(conn, "offers", offer, numbers, **values)


async def add_deliveries(conn: AsyncConnection) -> None:
    """Add a delivery and its attempt to one open obligation in four."""
    await run(
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
            AND CAST(substr(id, 5) AS bigint) % 4 = 0
        ORDER BY id""",
    )
    await run(
        conn,
        """INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, status_code,
            body_digest, response_excerpt, error, duration_ms)
        SELECT id, 1, created_at, created_at, 'delivered', 200, '', '', '', 12 FROM deliveries
        WHERE id LIKE 'dlv_00000%' ORDER BY id""",
    )

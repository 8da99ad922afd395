"""What a system has stored, read past its interface."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from harness.member import Posted
from noticebus.casework.desk import Desk
from noticebus.store import acknowledgements, deliveries
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.tables import agencies as agency_rows
from noticebus.store.tables import entries, obligation_history
from noticebus.store.tables import notices as notice_rows
from noticebus.store.tables import obligations as obligation_rows


class Records:
    """The rows behind a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def unacknowledged(self) -> list[tuple[str, str]]:
        """List (incident, agency's name) of every obligation still open."""
        statement = (
            sa.select(obligation_rows.c.incident_id, agency_rows.c.name)
            .join(agency_rows, agency_rows.c.id == obligation_rows.c.agency_id)
            .where(obligation_rows.c.state == "open")
            .order_by(obligation_rows.c.incident_id, agency_rows.c.name)
        )
        async with self.desk.database.read() as conn:
            return [(row[0], row[1]) for row in await conn.execute(statement)]

    async def uncovered(self, notice: Posted) -> list[dict[str, str]]:
        """List the places that nobody answers for, by the incident's latest version."""
        statement = (
            sa.select(notice_rows.c.uncovered)
            .where(notice_rows.c.incident_id == notice.incident_id)
            .order_by(notice_rows.c.version.desc())
            .limit(1)
        )
        async with self.desk.database.read() as conn:
            found: list[dict[str, str]] = (await conn.execute(statement)).scalar_one()
            return found

    async def deliveries_of(self, notice: Posted) -> list[Delivery]:
        """Read every delivery of an incident, oldest first."""
        async with self.desk.database.read() as conn:
            found = await deliveries.deliveries_of(
                conn, incident_id=notice.incident_id, limit=5_000
            )
        return found[::-1]

    async def attempts_of(self, delivery: Delivery) -> list[Attempt]:
        """Read the attempts of a delivery."""
        async with self.desk.database.read() as conn:
            return (await deliveries.attempts_of(conn, [delivery.id])).get(delivery.id, [])

    async def entries_of(self, incident_id: str | None = None) -> list[Mapping[str, Any]]:
        """Read the ledger's entries in order of their index, each with its `index`."""
        statement = (
            sa.select(entries.c.index, entries.c.body)
            .where(entries.c.index.is_not(None))
            .order_by(entries.c.index)
        )
        if incident_id is not None:
            statement = statement.where(entries.c.incident_id == incident_id)
        async with self.desk.database.read() as conn:
            rows = (await conn.execute(statement)).all()
        return [{"index": index, **json.loads(body)} for index, body in rows]

    async def history_of(self, obligation_id: str) -> list[tuple[int | None, int | None, Any]]:
        """Read the history of an obligation: from, to, facts."""
        statement = (
            sa.select(
                obligation_history.c.from_index,
                obligation_history.c.to_index,
                obligation_history.c.facts,
            )
            .where(obligation_history.c.obligation_id == obligation_id)
            .order_by(obligation_history.c.position)
        )
        async with self.desk.database.read() as conn:
            return [(row[0], row[1], row[2]) for row in await conn.execute(statement)]

    async def answers_to(self, obligation_id: Any) -> list[acknowledgements.Acknowledgement]:
        """Read the answers to an obligation."""
        async with self.desk.database.read() as conn:
            found = await acknowledgements.acknowledgements_of(conn, [obligation_id])
        return found.get(obligation_id, [])

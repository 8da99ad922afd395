"""Rows by the thousand: one statement for all of them, in their order, each value as it was."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from harness.loads import a_delivery
from harness.statements import statements_of
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import DeliveryState, HeldReason
from noticebus.ids import ObligationId, SubscriptionId
from noticebus.store import hot
from noticebus.store.deliveries import Carried, Delivery, drop_next_channel
from noticebus.store.rows import among, records_of
from noticebus.store.tables import deliveries, entries, markers

AT = dt.datetime(2019, 8, 7, 13, 0, 0, 123456, tzinfo=dt.UTC)
MANY = 40_000  # more than the parameters that a statement of PostgreSQL has at most


def an_entry(number: int) -> dict[str, Any]:
    return {
        "id": f"ent_{number}",
        "type": "notice.accepted",
        "incident_id": None if number % 2 else f"inc_{number}",
        "body": b"\x00\xff%d" % number,
        "salt": b"salt",
        "leaf_hash": b"leaf",
        "recorded_at": AT + dt.timedelta(microseconds=number),
    }


async def test_rows_come_back_as_they_were_and_in_their_order(desk: Desk) -> None:
    rows = [an_entry(number) for number in range(50)]

    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, entries, rows)
        columns = [entries.c[name] for name in rows[0]]
        found = await conn.execute(sa.select(*columns).order_by(entries.c.position))

    assert [dict(one) for one in found.mappings()] == rows


async def test_records_of_every_kind_of_column_come_back_equal(desk: Desk) -> None:
    """Words, instants, numbers, JSON with words of other alphabets, and none of them."""
    order = SubscriptionId("sub_1")
    told = {"notify": "on_duty", "said": "¿Está aquí?\u2028", "gaps": [{"n": 1, "x": None}, []]}
    made = Delivery(
        **{name: getattr(a_delivery(order), name) for name in Delivery.__dataclass_fields__}
        | {"detail": told, "held_reason": HeldReason.TURN, "sequence": 2**40, "due_at": AT}
    )
    plain = a_delivery(SubscriptionId("sub_2"))
    table = _without_keys()

    async with desk.database.begin() as conn:
        await conn.execute(sa.schema.CreateTable(table))
        await hot.insert_rows(conn, table, [made, plain])
        found = records_of(await conn.execute(sa.select(table).order_by(table.c.id)), Delivery)

    assert found == [made, plain]
    assert found[0].state is DeliveryState.SENDING


def _without_keys() -> sa.Table:
    """Copy the table of deliveries without what it refers to: the rows here refer to nothing."""
    copied = (
        sa.Column(one.name, one.type, primary_key=one.primary_key, nullable=one.nullable)
        for one in deliveries.columns
    )
    return sa.Table("copied_deliveries", sa.MetaData(), *copied)


async def test_a_thousand_rows_are_one_statement(desk: Desk) -> None:
    rows = [{"name": f"marker {number}", "value": "before"} for number in range(1_000)]

    async with desk.database.begin() as conn:
        with statements_of(desk) as asked:
            await hot.insert_rows(conn, markers, rows)
            after = [{**one, "value": "after"} for one in rows[::2]]
            await hot.update_rows(conn, markers, after, key="name")
        found = await conn.execute(sa.select(markers.c.value, sa.func.count()).group_by("value"))

    assert len(asked) == 2
    assert dict(found.all()) == {"after": 500, "before": 500}


async def test_nothing_is_no_statement(desk: Desk) -> None:
    async with desk.database.begin() as conn:
        with statements_of(desk) as asked:
            await hot.insert_rows(conn, markers, [])
            await hot.update_rows(conn, markers, [], key="name")

    assert asked == []


async def test_a_row_that_is_there_is_refused_as_such_and_none_of_the_others_stays(
    desk: Desk,
) -> None:
    rows = [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}]

    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, markers, rows[:1])
    with pytest.raises(sa.exc.IntegrityError):
        async with desk.database.begin() as conn:
            await hot.insert_rows(conn, markers, rows[::-1])

    async with desk.database.read() as conn:
        kept = await conn.execute(
            sa.select(markers.c.name).where(markers.c.name.in_(["one", "two"]))
        )
    assert kept.scalars().all() == ["one"]


async def test_more_ids_than_a_statement_has_parameters_are_one_value(desk: Desk) -> None:
    ids = [f"ent_{number}" for number in range(MANY)]
    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, entries, [an_entry(0), an_entry(MANY - 1)])
        wanted = among(entries.c.id, ids)
        found = await conn.execute(sa.select(entries.c.id).where(wanted))

    assert f"ent_{MANY - 1}" in found.scalars().all()


async def test_a_naive_instant_is_refused(desk: Desk) -> None:
    naive = an_entry(1) | {"recorded_at": AT.replace(tzinfo=None)}

    with pytest.raises((sa.exc.StatementError, AssertionError)):
        async with desk.database.begin() as conn:
            await hot.insert_rows(conn, entries, [naive])


async def test_next_channels_end_for_as_many_as_one_record_holds(desk: Desk) -> None:
    """A thousand endpoints return at once: SQLite takes no statement of so many alternatives."""
    carried = [
        Carried(obligation_id=ObligationId(f"obl_{number}"), version=1, contact_id=None)
        for number in range(1_000)
    ]

    async with desk.database.begin() as conn:
        await drop_next_channel(conn, carried, now=AT)


async def test_a_few_rows_of_several_tables_are_one_statement_on_postgresql(desk: Desk) -> None:
    """Many of one between them go apart, and all come back as they were, in their order."""
    few = [an_entry(number) for number in range(2)]
    many = [an_entry(number) for number in range(10, 11 + hot.FEW)]
    marked = [{"name": f"mark {number}", "value": "{}"} for number in range(3)]

    with statements_of(desk) as asked:
        async with desk.database.begin() as conn:
            await hot.insert_all(conn, [(entries, few), (markers, marked), (markers, [])])
            await hot.insert_all(conn, [(entries, many), (markers, [])])
            columns = [entries.c[name] for name in few[0]]
            found = await conn.execute(sa.select(*columns).order_by(entries.c.position))
            marks = await conn.execute(sa.select(markers).order_by(markers.c.name))

    sent = [one for one in asked if one.startswith(("INSERT", "WITH", "COPY"))]
    assert [dict(one) for one in found.mappings()] == [*few, *many]
    assert [dict(one) for one in marks.mappings()] == marked
    assert len(sent) == (3 if desk.database.is_sqlite else 2)


async def test_of_a_few_rows_one_that_is_there_already_leaves_none(desk: Desk) -> None:
    mark = {"name": "mark", "value": "{}"}
    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, markers, [mark])

    with pytest.raises(sa.exc.IntegrityError):
        async with desk.database.begin() as conn:
            await hot.insert_all(conn, [(entries, [an_entry(1)]), (markers, [mark])])

    async with desk.database.read() as conn:
        assert (await conn.execute(sa.select(entries.c.id))).all() == []

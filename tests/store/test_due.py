"""When the escalation clock has work again: one statement, while nothing is due."""

import datetime as dt

import sqlalchemy as sa

from harness import desk as furnish
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.ledger.engine import Engine
from noticebus.store import due

HOUR = dt.timedelta(hours=1)


async def next_due_at(desk: Desk) -> dt.datetime | None:
    async with desk.database.read() as conn:
        return await due.next_due_at(conn)


async def test_nothing_is_due_on_an_empty_bus(desk: Desk) -> None:
    assert await next_due_at(desk) is None
    assert await Engine(desk).look() is None


async def test_the_next_step_and_the_next_release_are_both_asked_for(desk: Desk) -> None:
    poster = await furnish.add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    county = await furnish.add_agency(desk, "Scott County CPS")
    notice = await furnish.post_notice(desk, poster, body=furnish.notice_body(desk))
    owed = await furnish.obligation_of(desk, notice, county.id)
    step_at = await next_due_at(desk)
    sooner = desk.world.now() + dt.timedelta(minutes=1)
    body = furnish.notice_body(desk, release_at=sooner.isoformat().replace("+00:00", "Z"))
    await furnish.post_notice(desk, poster, body=body)

    assert step_at == owed.next_step_at
    assert await next_due_at(desk) == sooner


async def test_a_quiet_look_is_one_statement_and_a_due_step_is_fired(desk: Desk) -> None:
    poster = await furnish.add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    county = await furnish.add_agency(desk, "Scott County CPS")
    notice = await furnish.post_notice(desk, poster, body=furnish.notice_body(desk))
    engine = Engine(desk)
    statements: list[str] = []
    for one in desk.database.engines:
        sa.event.listen(
            one.sync_engine,
            "before_cursor_execute",
            lambda *told: statements.append(told[2]),
        )

    until = await engine.look()
    quiet = [text for text in statements if text.lstrip().startswith(("SELECT", "UPDATE"))]
    furnish.world(desk).move_to(until or desk.world.now())
    after = await engine.look()

    owed = await furnish.obligation_of(desk, notice, county.id)
    assert len(quiet) == 1
    assert owed.step == 1
    assert after == owed.next_step_at

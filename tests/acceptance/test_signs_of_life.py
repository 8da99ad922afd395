"""Silence of the bus itself is seen: who sends, who escalates, who writes the ledger."""

import datetime as dt

import sqlalchemy as sa

from harness.api import Api
from harness.desk import add_agency, add_contact, notice_body, post_notice, world
from harness.place import Place, settings_for
from harness.statements import statements_of
from noticebus import wiring
from noticebus.casework.desk import Desk
from noticebus.casework.signs_of_life import (
    FORGET_AFTER,
    GATEWAY,
    STALE_AFTER,
    Life,
    Part,
    Pulse,
    agreed_now,
    read_processes,
    read_signs,
)
from noticebus.clock import OffsetClock
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.store import loop_ticks
from noticebus.store.tables import deliveries
from noticebus.store.tables import loop_ticks as rows

ALL = {part.value for part in Part}


async def tell(desk: Desk, process: str, *loops: str, ago: dt.timedelta = dt.timedelta()) -> None:
    at = desk.machine.now() - ago
    async with desk.database.begin() as conn:
        await loop_ticks.write_ticks(conn, process=process, ticks=dict.fromkeys(loops, at))


async def test_nothing_is_known_until_somebody_says_that_it_works(api: Api) -> None:
    signs = await read_signs(api.desk)
    assert signs.life is Life.UNKNOWN
    assert {one.part for one in signs.silent} == set(Part)
    assert all(one.age is None for one in signs.parts)


async def test_bus_is_alive_while_some_process_does_each_part(api: Api) -> None:
    await tell(api.desk, "one", "dispatcher", ago=dt.timedelta(minutes=40))
    await tell(api.desk, "two", "dispatcher", ago=dt.timedelta(seconds=4))
    await tell(api.desk, "three", "engine", "sequencer")
    signs = await read_signs(api.desk)
    assert signs.life is Life.ALIVE
    dispatcher = signs.parts[0]
    assert dispatcher.part is Part.DISPATCHER
    assert dispatcher.age is not None
    assert dt.timedelta(seconds=4) <= dispatcher.age < dt.timedelta(seconds=10)


async def test_part_that_nobody_has_done_lately_makes_the_whole_unknown(api: Api) -> None:
    await tell(api.desk, "one", "engine", "sequencer")
    await tell(api.desk, "one", "dispatcher", ago=STALE_AFTER + dt.timedelta(seconds=1))
    signs = await read_signs(api.desk)
    assert signs.life is Life.UNKNOWN
    assert [one.part for one in signs.silent] == [Part.DISPATCHER]


async def test_what_the_loops_of_this_process_did_is_known_at_once(api: Api) -> None:
    for part in Part:
        api.desk.ticked(part)
    assert (await read_signs(api.desk)).life is Life.ALIVE


async def test_pulse_writes_every_loop_in_one_statement_and_again_over_it(api: Api) -> None:
    desk = api.desk
    pulse = Pulse(desk, serves=True)
    for part in Part:
        desk.ticked(part)
    await pulse.beat()
    with statements_of(desk) as asked:
        await pulse.beat()
    assert len(asked) == 1
    found = await read_processes(desk)
    assert {(one.process, one.loop) for one in found} == {
        (pulse.process, loop) for loop in {*ALL, GATEWAY}
    }
    assert len(pulse.process) <= 40

    await pulse.leave()
    assert await read_processes(desk) == ()


async def test_process_that_was_killed_is_forgotten_after_an_hour(api: Api) -> None:
    await tell(api.desk, "killed", *ALL, ago=FORGET_AFTER + dt.timedelta(minutes=1))
    await tell(api.desk, "quiet", "engine", ago=FORGET_AFTER - dt.timedelta(minutes=1))
    await Pulse(api.desk, serves=False).beat()
    assert {one.process for one in await read_processes(api.desk)} == {"quiet"}


async def test_signs_are_read_in_one_statement_with_the_clock_of_whoever_looks(api: Api) -> None:
    desk = api.desk
    assert (await read_signs(desk)).zone is None
    await add_agency(desk, "Operators", kind=AgencyKind.OPERATOR, zone="America/New_York")
    school = await add_agency(desk, "Pine County Schools", zone="America/Denver")
    with statements_of(desk) as asked:
        theirs = await read_signs(desk, agency_id=school.id)
    assert len(asked) == 1
    assert theirs.zone == "America/Denver"
    assert (await read_signs(desk)).zone == "America/New_York"


async def test_oldest_delivery_that_nobody_takes_up_is_told_and_long_waiting_is_no_good_sign(
    api: Api,
) -> None:
    desk = api.desk
    for part in Part:
        desk.ticked(part)
    office = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    cps = await add_agency(desk, "State CPS")
    await add_contact(desk, cps, "Duty desk")
    await post_notice(desk, office, body=notice_body(desk))
    async with desk.database.begin() as conn:  # the bus's hold on them has ended
        await conn.execute(sa.update(deliveries).values(lease_until=desk.machine.now()))
    assert (await read_signs(desk)).waits == dt.timedelta()

    world(desk).advance(dt.timedelta(minutes=6))
    signs = await read_signs(desk)
    assert signs.waits == dt.timedelta(minutes=6)
    assert signs.life is Life.CHECK

    async with desk.database.begin() as conn:  # a dispatcher has them in hand
        held = desk.machine.now() + dt.timedelta(seconds=20)
        await conn.execute(sa.update(deliveries).values(lease_until=held))
    assert (await read_signs(desk)).life is Life.ALIVE


async def test_clocks_that_differ_agree_on_the_databases(api: Api) -> None:
    desk = api.desk
    ahead = OffsetClock(desk.machine)
    ahead.offset = dt.timedelta(minutes=3)
    shifted = Desk(
        **{one: getattr(desk, one) for one in desk.__dataclass_fields__} | {"world": ahead}
    )
    assert agreed_now(shifted) - agreed_now(desk) >= dt.timedelta(minutes=2, seconds=59)
    for part in Part:
        shifted.ticked(part)
    assert (await read_signs(shifted)).life is Life.ALIVE


async def test_stopped_process_takes_its_signs_away_and_a_running_one_shows_them(
    place: Place,
) -> None:
    settings = settings_for(place)
    async with wiring.running(settings) as system:
        desk = system.desk
        await system.pulse.beat()
        async with desk.database.read() as conn:
            found = (await conn.execute(sa.select(rows.c.loop))).scalars().all()
        assert GATEWAY in found
    desk = await wiring.open_desk(settings)
    try:
        assert (await read_signs(desk)).life is Life.UNKNOWN
        assert await read_processes(desk) == ()
    finally:
        await desk.database.close()

"""The auditor: what it finds when rows, ledger or clock go wrong, and who hears of it."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from aiohttp import web

from harness import desk as furnish
from harness.api import open_api
from harness.member import Member, Posted
from harness.place import Place
from harness.system import Bus, hours, minutes, open_bus
from noticebus.casework import audit, exercises, offers, recount
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.audit import Check
from noticebus.contracts.exercise import ExercisePost, ExerciseView
from noticebus.contracts.offer import OfferAnswerPost, OfferPost
from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    ObligationState,
    Position,
    Scope,
)
from noticebus.ledger import deadman
from noticebus.ledger.deadman import Deadman
from noticebus.store.offers import Offer
from noticebus.store.tables import (
    deliveries,
    entries,
    markers,
    notices,
    obligation_history,
    obligations,
    steps,
)

SECOND = dt.timedelta(seconds=1)
MEALS = {
    "offer_type": "meals",
    "quantity": 40,
    "unit": "meals",
    "where": "Parish hall, Morton",
    "contact": {"name": "P. Hale", "phone": "+16015550120"},
    "background_checked": "not_applicable",
}
OPEN_THEN = "actual/cps/B/open due 2019-08-07T14Z"  # the counter that misses a row
ENDED_THEN = "actual/cps/B/unanswered due 2019-08-07T14Z"  # and the one that misses it there


@pytest.fixture
def machine() -> ManualClock:
    return ManualClock(SystemClock().now())


@pytest.fixture
async def bus(place: Place, machine: ManualClock) -> AsyncIterator[Bus]:
    """Lend a bus in which nothing runs by itself."""
    async with open_bus(place, machine=machine, roles=(), strict=False) as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Moves the machine's clock beyond what the auditor grants the bus to act."""

    machine: ManualClock

    async def look_twice(self, bus: Bus) -> audit.Verdict:
        await bus.system.auditor.look()
        self.machine.advance(audit.PATIENCE + SECOND)
        return await bus.system.auditor.look()


def found(verdict: audit.Verdict) -> dict[Check, int]:
    return {one.check: one.count for one in verdict.findings}


async def change(bus: Bus, statement: sa.Executable) -> None:
    async with bus.desk.database.begin() as conn:
        await conn.execute(statement)


async def deliver(bus: Bus) -> None:
    """Send what is due, once the bus no longer holds it."""
    assert isinstance(bus.desk.machine, ManualClock)
    bus.desk.machine.advance(3 * SECOND)
    if await bus.system.dispatcher.sweep():
        await bus.system.dispatcher.record_waiting()


async def sweep(bus: Bus) -> None:
    await bus.system.engine.sweep()
    await bus.system.sequencer.sweep()


async def whole(bus: Bus) -> dict[Check, set[str]]:
    """Make a full audit, part by part; give what each check names."""
    named: dict[Check, set[str]] = {}
    cursor: str | None = ""
    while cursor is not None:
        part = await recount.audit_part(bus.desk.database, cursor=cursor)
        for one in part.findings:
            named.setdefault(one.check, set()).update(one.ids)
        cursor = part.next
    return named


async def test_a_night_with_steps_and_answers_leaves_nothing_to_find(
    bus: Bus, machine: ManualClock
) -> None:
    silent = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    answering = await bus.agency("Leake County CPS", contacts_at=[Position.ON_DUTY])
    notice = await bus.post_notice()
    await sweep(bus)
    await answering.answers(notice, Answer.ACCEPTED)
    for _ in range(4):
        bus.world.advance(hours(2))
        await sweep(bus)
    await deliver(bus)
    await sweep(bus)

    verdict = await Patience(machine=machine).look_twice(bus)

    assert found(verdict) == {}
    assert await whole(bus) == {}
    assert (await silent.obligation(notice)).step > 1


async def test_a_jump_of_the_worlds_clock_is_no_alarm_before_the_engine_had_its_turn(
    bus: Bus, machine: ManualClock
) -> None:
    await bus.agency("Scott County CPS")
    await bus.post_notice()
    await sweep(bus)
    await deliver(bus)
    await sweep(bus)

    bus.world.advance(hours(3))
    at_once = await bus.system.auditor.look()
    machine.advance(SECOND)
    soon = await bus.system.auditor.look()
    await sweep(bus)
    await deliver(bus)
    await sweep(bus)
    machine.advance(audit.PATIENCE)
    later = await bus.system.auditor.look()

    assert [found(one) for one in (at_once, soon, later)] == [{}, {}, {}]


async def test_steps_that_no_engine_fires_are_found_and_cleared_when_one_does(
    bus: Bus, machine: ManualClock
) -> None:
    await bus.agency("Scott County CPS")
    await bus.post_notice()
    await deliver(bus)
    await bus.system.sequencer.sweep()
    bus.world.advance(hours(3))

    verdict = await Patience(machine=machine).look_twice(bus)
    trouble = await bus.system.auditor.trouble()
    good = await bus.system.auditor.is_good()
    again = await bus.system.auditor.look()
    await sweep(bus)
    cleared = await bus.system.auditor.look()

    assert found(verdict) == found(again) == {Check.STEPS_DUE: 1}
    assert "No engine runs" in (trouble or "")
    assert not good
    assert found(cleared) == {}
    assert await bus.system.auditor.trouble() is None
    assert await bus.system.auditor.is_good()
    assert await entered(bus) == ["audit.found", "audit.cleared"]


async def test_a_step_of_an_answered_obligation_fires_never_and_is_never_late(
    bus: Bus, machine: ManualClock
) -> None:
    """As older code left it: the answer stopped the clock, the row still names its next step."""
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_CAPACITY)
    left = obligations.c.state == ObligationState.DECLINED
    past = bus.world.now() - hours(1)
    await change(bus, sa.update(obligations).where(left).values(next_step_at=past))
    await deliver(bus)
    await sweep(bus)

    verdict = await Patience(machine=machine).look_twice(bus)

    assert found(verdict) == {}
    assert await county.steps(notice) == []


async def entered(bus: Bus) -> list[str]:
    about = sa.select(entries.c.type).where(entries.c.type.like("audit.%"))
    async with bus.desk.database.read() as conn:
        return list((await conn.execute(about.order_by(entries.c.position))).scalars())


async def test_an_embargoed_notice_that_is_not_released_is_found(
    bus: Bus, machine: ManualClock
) -> None:
    await bus.agency("Scott County CPS")
    later = bus.world.now() + hours(1)
    notice = await bus.post_notice(release_at=later.isoformat().replace("+00:00", "Z"))
    await bus.system.sequencer.sweep()
    bus.world.advance(hours(1) + minutes(1))

    verdict = await Patience(machine=machine).look_twice(bus)

    (one,) = verdict.findings
    assert (one.check, one.ids) == (Check.RELEASES_DUE, (notice.id,))
    assert one.since == later


async def test_deliveries_that_no_dispatcher_takes_are_found(
    bus: Bus, machine: ManualClock
) -> None:
    await bus.agency("Scott County CPS")
    await bus.post_notice()
    await sweep(bus)
    bus.world.advance(minutes(2))
    machine.advance(minutes(2))

    verdict = await Patience(machine=machine).look_twice(bus)

    assert found(verdict) == {Check.DELIVERIES_DUE: 1}


async def test_an_exercise_an_offer_and_a_hold_that_nothing_ends_are_found(
    bus: Bus, machine: ManualClock
) -> None:
    county = await bus.agency("Scott County CPS", endpoint=False)
    notice = await bus.post_notice()
    exercise = await schedule_exercise(bus)
    lapsing = await make_offer(bus, county, notice)
    held = await make_offer(bus, county, notice)
    await hold_offer(bus, held, until=bus.world.now() + hours(1))
    await county.answers(notice)
    await sweep(bus)
    assert found(await Patience(machine=machine).look_twice(bus)) == {}
    ends_at = bus.world.now() + hours(1)

    bus.world.advance(hours(1) + SECOND)
    soon = await Patience(machine=machine).look_twice(bus)
    bus.world.advance(hours(24))
    late = await Patience(machine=machine).look_twice(bus)
    await sweep(bus)
    await deliver(bus)
    await sweep(bus)
    ended = await bus.system.auditor.look()

    assert Check.ENDS_DUE not in found(soon)
    (one,) = [one for one in late.findings if one.check is Check.ENDS_DUE]
    assert set(one.ids) == {exercise.id, lapsing.id, held.id}
    assert one.since == ends_at
    assert "No engine runs" in one.remedy
    assert Check.ENDS_DUE not in found(ended)


async def schedule_exercise(bus: Bus) -> ExerciseView:
    """Schedule an exercise that ends in two hours."""
    starts_at = bus.world.now() + hours(1)
    post = {
        "name": "Autumn exercise",
        "starts_at": starts_at,
        "ends_at": starts_at + hours(1),
        "notice": furnish.notice_body(bus.desk, status="exercise"),
    }
    made, _ = await exercises.create_exercise(
        bus.desk,
        furnish.principal(Scope.POST, agency=bus.poster),
        post=ExercisePost.model_validate(post),
        key=None,
    )
    return made


async def make_offer(bus: Bus, county: Member, notice: Posted) -> Offer:
    made = await offers.make_offer(
        bus.desk,
        furnish.principal(Scope.ANSWER, agency=county.row),
        incident_id=notice.incident_id,
        post=OfferPost.model_validate(MEALS),
    )
    return made.offer


async def hold_offer(bus: Bus, offer: Offer, *, until: dt.datetime) -> None:
    said = {"answer": "hold", "until": until}
    await offers.answer_offer(
        bus.desk,
        furnish.principal(Scope.OPERATE),
        offer_id=offer.id,
        post=OfferAnswerPost.model_validate(said),
    )


async def test_entries_without_an_index_are_found(bus: Bus, machine: ManualClock) -> None:
    await bus.agency("Scott County CPS")
    bus.world.advance(minutes(1))

    verdict = await Patience(machine=machine).look_twice(bus)

    assert found(verdict).keys() == {Check.INDEX_GROWTH}


async def test_an_index_that_is_missing_is_found(bus: Bus) -> None:
    await bus.agency("Scott County CPS")
    await bus.system.sequencer.sweep()
    await change(bus, sa.delete(entries).where(entries.c.index == 0))

    verdict = await bus.system.auditor.look()

    assert found(verdict) == {Check.INDEX_GAPS: 1}
    assert verdict.findings[0].message == "1 indexes of the ledger are missing."
    assert (await whole(bus)).keys() == {Check.INDEX_GAPS}


async def test_an_entry_that_was_changed_is_named_by_the_full_audit(bus: Bus) -> None:
    await bus.agency("Scott County CPS")
    await bus.system.sequencer.sweep()
    async with bus.desk.database.read() as conn:
        first = (await conn.execute(sa.select(entries).where(entries.c.index == 0))).one()
    await change(bus, sa.update(entries).where(entries.c.index == 0).values(body=b"{}"))

    assert await whole(bus) == {Check.LEAVES: {first.id}}


async def test_an_obligation_closed_behind_the_ledgers_back_is_found_and_remembered(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await sweep(bus)
    owed = await county.obligation(notice)
    closing = sa.update(obligations).where(obligations.c.id == owed.id)
    await change(bus, closing.values(state="closed", next_step_at=None))

    first = await bus.system.auditor.look()
    second = await bus.system.auditor.look()  # nothing new is entered: it is remembered
    named = await whole(bus)
    await change(bus, closing.values(state="open", next_step_at=owed.next_step_at))
    mended = await bus.system.auditor.look()

    assert found(first) == found(second) == {Check.CONSERVATION: 1}
    assert first.findings[0].ids == (notice.incident_id,)
    assert named == {
        Check.CONSERVATION: {notice.incident_id},
        Check.COUNTERS: {OPEN_THEN, ENDED_THEN},
    }
    assert found(mended) == {}


async def test_an_obligation_that_vanished_from_the_rows_is_found(bus: Bus, place: Place) -> None:
    """What refers to it goes first, as whoever tampers with rows would have to see to."""
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await sweep(bus)
    owed = await county.obligation(notice)
    async with bus.desk.database.begin() as conn:
        for table, column in (
            (deliveries, deliveries.c.obligation_id),
            (steps, steps.c.obligation_id),
        ):
            await conn.execute(sa.delete(table).where(column == owed.id))
        history = sa.delete(obligation_history)
        await conn.execute(history.where(obligation_history.c.obligation_id == owed.id))
        await conn.execute(sa.delete(obligations).where(obligations.c.id == owed.id))

    verdict = await bus.system.auditor.look()

    # History and rows agree that there is none; the entries remember it.
    assert found(verdict) == {}
    assert await whole(bus) == {
        Check.CONSERVATION: {notice.incident_id},
        Check.COUNTERS: {OPEN_THEN},
    }


async def test_an_obligation_whose_clock_stands_still_is_found(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await sweep(bus)
    owed = await county.obligation(notice)
    stopped = sa.update(obligations).where(obligations.c.id == owed.id)
    await change(bus, stopped.values(next_step_at=None))

    verdict = await bus.system.auditor.look()

    assert [(one.check, one.ids) for one in verdict.findings] == [(Check.PARKED, (owed.id,))]
    assert (await whole(bus)).keys() == {Check.PARKED}


async def test_a_step_after_the_closing_answer_is_found(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await sweep(bus)
    await county.answers(notice, Answer.ACCEPTED)
    await bus.system.sequencer.sweep()
    owed = await county.obligation(notice)
    assert owed.closed_at is not None
    row = {
        "obligation_id": owed.id,
        "epoch": owed.epoch,
        "step": 0,
        "notify": "on_duty",
        "skipped": False,
        "contact_ids": [],
        "planned_at": owed.closed_at,
        "fired_at": owed.closed_at + minutes(10),
    }
    await change(bus, steps.insert().values(row))

    verdict = await bus.system.auditor.look()

    assert [(one.check, one.ids) for one in verdict.findings] == [
        (Check.STEPPED_AFTER_END, (owed.id,))
    ]


async def test_a_step_that_the_ledger_has_after_the_answer_is_found(bus: Bus) -> None:
    """An engine that overwrote the answer: rows look sound, the ledger's order does not."""
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await sweep(bus)
    await county.answers(notice, Answer.ACCEPTED)
    await bus.system.sequencer.sweep()
    owed = await county.obligation(notice)
    reopened = sa.update(obligations).where(obligations.c.id == owed.id)
    at = dt.datetime.fromisoformat(owed.steps_at[owed.step])
    await change(bus, reopened.values(state="open", next_step_at=at))
    bus.world.advance(hours(1))
    await sweep(bus)

    verdict = await bus.system.auditor.look()

    assert found(verdict) == {Check.STEPPED_AFTER_END: 1}


async def test_the_verdict_is_shown_on_readyz_to_auditors_and_in_metrics(
    bus: Bus, machine: ManualClock
) -> None:
    await bus.agency("Scott County CPS")
    await bus.post_notice()
    await sweep(bus)
    async with open_api(bus.desk) as api:
        auditor = await api.caller(Scope.AUDIT)
        poster = await api.caller(Scope.POST)
        before = await auditor.get("/v1/audit")
        bus.world.advance(hours(3))
        machine.advance(hours(3))
        await Patience(machine=machine).look_twice(bus)
        seen = await auditor.get("/v1/audit")
        full = await auditor.get("/v1/audit?full=true")
        rest = await auditor.get(f"/v1/audit?full=true&cursor={full['next']}")
        last = await auditor.get(f"/v1/audit?full=true&cursor={rest['next']}")
        await poster.get("/v1/audit", status=403)
        await auditor.get("/v1/audit?full=true&cursor=aW5j", status=400)
        await auditor.get("/v1/audit?full=true&cursor=ZW50cmllczp4", status=400)
        figures = (await auditor.send("GET", "/metrics")).text

    assert (before["at"], before["ok"]) == (None, True)
    bad = {one["check"]: one for one in seen["checks"] if not one["ok"]}
    assert bad.keys() == {"steps_due", "deliveries_due"}
    assert bad["steps_due"]["remedy"].startswith("No engine runs")
    assert not full["ok"]
    assert (full["incidents"], full["incidents_in_all"]) == (1, 1)
    assert (rest["ok"], last["ok"], last["next"]) == (True, True, None)
    assert rest["entries"] == rest["entries_in_all"]
    assert 'noticebus_audit_findings{check="steps_due"} 1.0' in figures
    assert 'noticebus_audit_findings{check="conservation"} 0.0' in figures


async def test_a_process_with_the_ledgers_role_shows_it_on_readyz(place: Place) -> None:
    async with open_bus(place) as bus:
        await bus.agency("Scott County CPS")
        await bus.settled()
        async with bus.desk.database.begin() as conn:
            await conn.execute(sa.delete(entries).where(entries.c.index == 0))
        await bus.system.auditor.look()

        async with open_api(bus.desk) as api:
            outside = await (await api.caller()).send("GET", "/readyz")
        answer = await ask(bus, "/readyz")

    assert outside.status_code == 200  # this application has no auditor beside it
    assert answer[0] == 503
    assert "indexes of the ledger are missing" in answer[1]


async def ask(bus: Bus, path: str) -> tuple[int, str]:
    import httpx2  # noqa: PLC0415

    transport = httpx2.ASGITransport(app=bus.system.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bus") as client:
        answer = await client.get(path)
        return answer.status_code, answer.text


async def test_two_auditors_share_one_verdict(bus: Bus, place: Place) -> None:
    async with open_bus(place, roles=(), strict=False) as other:
        await bus.agency("Scott County CPS")
        await bus.system.sequencer.sweep()
        await change(bus, sa.delete(entries).where(entries.c.index == 0))

        async with asyncio.TaskGroup() as tasks:
            for one in (bus, other):
                tasks.create_task(one.system.auditor.look())

        assert found(await other.system.auditor.look()) == {Check.INDEX_GAPS: 1}
        assert await entered(bus) == ["audit.found"]


async def test_a_long_backlog_is_looked_at_over_several_looks(bus: Bus) -> None:
    await bus.agency("Scott County CPS")
    posted = [await bus.post_notice() for _ in range(audit.CHANGED_PER_LOOK + 5)]
    await sweep(bus)
    await change(bus, sa.delete(markers).where(markers.c.name == audit.MARKER))
    last = posted[-1]
    closing = sa.update(obligations).where(obligations.c.incident_id == last.incident_id)
    await change(bus, closing.values(state="waived", next_step_at=None))

    first = await bus.system.auditor.look()
    second = await bus.system.auditor.look()

    assert found(first) == {}
    assert found(second) == {Check.CONSERVATION: 1}


@dataclass
class Outside:
    """A service that watches from outside: it counts pings, and answers as it is told."""

    status: int = 200
    pings: int = 0
    queries: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.pings += 1
        self.queries.append(request.path_qs)
        location = {"Location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(status=self.status, headers=location, body=b"x" * 5_000)


@contextlib.asynccontextmanager
async def outside() -> AsyncIterator[tuple[Outside, str]]:
    service = Outside()
    app = web.Application()
    app.router.add_get("/{path:.*}", service.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield service, f"http://127.0.0.1:{runner.addresses[0][1]}/ping/abc"
    finally:
        await runner.cleanup()


def pinger(bus: Bus, url: str | None) -> Deadman:
    return Deadman(bus.desk, url=url, every=SECOND, is_good=bus.system.auditor.is_good)


async def test_pings_come_stop_when_a_check_fails_and_come_again(
    bus: Bus, machine: ManualClock
) -> None:
    await bus.agency("Scott County CPS")
    await bus.system.sequencer.sweep()
    async with outside() as (service, url):
        ping = pinger(bus, url).ping
        unseen = await ping()
        await bus.system.auditor.look()
        good = await ping()
        await bus.post_notice()
        await deliver(bus)
        await bus.system.sequencer.sweep()
        bus.world.advance(hours(3))
        await Patience(machine=machine).look_twice(bus)
        bad = await ping()
        await sweep(bus)
        await bus.system.auditor.look()
        again = await ping()
        machine.advance(hours(1))  # nobody has looked since
        stale = await ping()

    assert [unseen, good, bad, again, stale] == [False, True, False, True, False]
    assert service.queries == ["/ping/abc", "/ping/abc"]


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_ping_that_is_not_taken_is_counted_and_stops_nothing(bus: Bus, status: int) -> None:
    await bus.system.auditor.look()
    async with outside() as (service, url):
        service.status = status
        taken = await pinger(bus, url).ping()

    assert not taken
    assert service.pings == 1  # no redirect is followed
    assert await figure(bus, "noticebus_deadman_failures_total") == 1.0


async def figure(bus: Bus, name: str) -> float | None:
    return bus.desk.metrics.registry.get_sample_value(name)


async def test_an_address_where_nobody_listens_is_a_failure_too(bus: Bus) -> None:
    await bus.system.auditor.look()

    assert not await pinger(bus, "http://127.0.0.1:9/").ping()
    assert await figure(bus, "noticebus_deadman_failures_total") == 1.0


async def test_without_an_address_nothing_is_pinged(bus: Bus) -> None:
    await bus.system.auditor.look()
    idle = pinger(bus, None)

    await idle.run()  # ends at once

    assert not await idle.ping()
    assert deadman.ANSWER_BYTES_MAX <= 1024


def test_scheduled_notices_are_in_the_index_that_the_auditor_reads() -> None:
    assert any(index.name == "ix_notices_release_due" for index in notices.indexes)

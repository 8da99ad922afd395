"""Exercises as timelines: before they start, while they run, after they end; and never mixed."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from harness import desk as furnish
from harness.api import Api, County
from harness.desk import principal
from harness.member import Member, Posted
from harness.place import Place, embedded, production
from harness.system import Bus, hours, minutes, open_bus
from noticebus.access.principals import Principal
from noticebus.casework import (
    exercise_report,
    exercises,
    offers,
    questions,
    report_export,
    reports,
    upkeep,
)
from noticebus.casework.signs_of_life import read_signs
from noticebus.console.report import render_report
from noticebus.contracts.exercise import ExercisePost, ExerciseReport, ExerciseView
from noticebus.contracts.offer import OfferPost
from noticebus.contracts.question import QuestionPost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    ExerciseState,
    NoticeState,
    ObligationState,
    Position,
    QuestionTopic,
    Scope,
    Status,
)
from noticebus.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from noticebus.ids import new_exercise_id
from noticebus.store.tables import notices as notice_rows

ON_DUTY = {Position.ON_DUTY}
SIX_HOURS = hours(6)
FIGURES = (
    "noticebus_deliveries_total",
    "noticebus_escalations_total",
    "noticebus_obligations",
    "noticebus_oldest_overdue_seconds",
    "noticebus_ack_latency_seconds",
)
OFFER = {
    "offer_type": "meals",
    "quantity": 40,
    "unit": "meals",
    "where": "Parish hall, Morton",
    "contact": {"name": "P. Hale", "phone": "+16015550120"},
    "background_checked": "not_applicable",
}
NO_FIGURES = ("_created", "ledger", "last_tick", "bus_shards", "dispatcher", "_audit_")  # machinery


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    async with open_bus(place) as opened:
        opened.poster = await furnish.add_agency(
            opened.desk, "Field office", kind=AgencyKind.FEDERAL
        )
        yield opened


def poster(bus: Bus) -> Principal:
    return principal(Scope.POST, agency=bus.poster)


def a_post(bus: Bus, *, length: dt.timedelta = SIX_HOURS, **changes: Any) -> ExercisePost:
    starts_at = bus.world.now() + hours(1)
    return ExercisePost.model_validate(
        {
            "name": "Autumn exercise",
            "starts_at": starts_at,
            "ends_at": starts_at + length,
            "notice": furnish.notice_body(bus.desk, status="exercise"),
        }
        | changes
    )


async def schedule(bus: Bus, **changes: Any) -> ExerciseView:
    made, _ = await exercises.create_exercise(
        bus.desk, poster(bus), post=a_post(bus, **changes), key=None
    )
    return made


async def report_of(bus: Bus, exercise: ExerciseView) -> ExerciseReport:
    return await exercise_report.report_exercise(bus.desk, poster(bus), exercise_id=exercise.id)


def as_posted(exercise: ExerciseView) -> Posted:
    return Posted(id=exercise.notice_id, incident_id=exercise.incident_id, version=1, response={})


async def state_of(bus: Bus, exercise: ExerciseView) -> ExerciseState:
    found = await exercises.get_exercise(bus.desk, poster(bus), exercise_id=exercise.id)
    return found.state


# --- from schedule to report ----------------------------------------------------------------------


async def test_exercise_is_told_at_its_start_scored_and_silent_after_its_end(bus: Bus) -> None:
    quick = await bus.agency("Scott County CPS", contacts_at=ON_DUTY)
    slow = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT, contacts_at=ON_DUTY)
    silent = await bus.agency("State CPS", area_key="state:28", endpoint=False)
    exercise = await schedule(bus)
    notice = as_posted(exercise)

    await bus.fast_forward(minutes(59))
    assert await state_of(bus, exercise) is ExerciseState.SCHEDULED
    assert await bus.deliveries_of(notice) == []

    await bus.fast_forward(minutes(1))
    (event,) = await quick.receives("notice", notice)
    await slow.receives("notice", notice)
    assert event["data"]["notice"]["status"] == "exercise"
    assert await state_of(bus, exercise) is ExerciseState.RUNNING
    await bus.fast_forward(minutes(5))
    await quick.answers(notice)
    steps = await _until_answered_late(bus, slow, notice)

    await bus.fast_forward(hours(6))
    assert await state_of(bus, exercise) is ExerciseState.ENDED
    assert (await silent.obligation(notice)).state is ObligationState.WITHDRAWN
    calls = len(await bus.deliveries_of(notice))
    await bus.fast_forward(hours(48))
    assert len(await bus.deliveries_of(notice)) == calls  # nobody is reminded of what is over

    found = await report_of(bus, exercise)
    by_name = {one.agency.name: one for one in found.recipients}
    assert by_name["Scott County CPS"].score == 100
    assert by_name["Scott County CPS"].channel is Channel.WEBHOOK
    assert by_name["Scott County CPS"].told_after_s == 0
    assert by_name["Scott County CPS"].answered_after_s == 300
    assert by_name["Scott District"].steps == steps
    assert by_name["Scott District"].score == max(50 - 10 * steps, 10)
    assert by_name["State CPS"].score == 0
    summary = found.summary
    assert (summary.within_target, summary.mandatory) == (1, 3)
    assert summary.slowest is not None
    assert summary.slowest.name == "Scott District"
    assert [one.name for one in summary.never_reached] == ["State CPS"]
    assert [one.name for one in summary.never_answered] == ["State CPS"]
    assert found.recipients[0].agency.name == "State CPS"


async def _until_answered_late(bus: Bus, slow: Member, notice: Posted) -> int:
    due = (await slow.obligation(notice)).due_at
    assert due is not None
    await bus.fast_forward(due - bus.world.now() + minutes(1))
    await slow.receives("step", notice)
    (mail,) = await slow.mailed(Position.ON_DUTY)
    assert "EXERCISE" in mail.message["Subject"]
    await slow.answers(notice)
    fired = [one for one in await slow.steps(notice) if not one.skipped]
    return len(fired)


async def test_exercise_called_off_before_its_start_is_told_to_nobody(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=ON_DUTY)
    exercise = await schedule(bus)

    called_off = await exercises.cancel_exercise(bus.desk, poster(bus), exercise_id=exercise.id)
    await bus.fast_forward(hours(72))

    assert called_off.state is ExerciseState.CANCELLED
    assert await bus.deliveries_of(as_posted(exercise)) == []
    assert (await county.obligation(as_posted(exercise))).state is ObligationState.WITHDRAWN
    with pytest.raises(ConflictError) as again:
        await exercises.cancel_exercise(bus.desk, poster(bus), exercise_id=exercise.id)
    assert again.value.code == "conflict"
    assert "called off already" in again.value.message


async def test_exercise_that_began_is_not_called_off_and_takes_no_version_after_its_end(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS")
    exercise = await schedule(bus)
    notice = as_posted(exercise)
    await bus.fast_forward(hours(1))
    await county.receives("notice", notice)

    with pytest.raises(ConflictError) as started:
        await exercises.cancel_exercise(bus.desk, poster(bus), exercise_id=exercise.id)
    second = await bus.update(notice, status="exercise", notice_class="A")
    await county.receives("notice", second)
    await county.answers(second)
    await bus.fast_forward(hours(7))

    assert started.value.code == "exercise-started"
    with pytest.raises(ConflictError) as ended:
        await bus.update(second, status="exercise", headline="Still going")
    assert ended.value.code == "exercise-ended"


@pytest.mark.parametrize("ended", [True, False])
async def test_exercise_takes_no_question_and_no_offer_after_its_end(
    place: Place, *, ended: bool
) -> None:
    """Neither once the engine has ended it, nor where the engine has not had its turn yet."""
    async with open_bus(place, roles=()) as bus:
        bus.poster = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
        county = await bus.agency("Scott County CPS", endpoint=False)
        exercise = await schedule(bus)
        bus.world.advance(hours(1))
        await bus.system.engine.sweep()
        await _asks(bus, county, exercise, topic=QuestionTopic.AGES)
        await _offers(bus, county, exercise)
        bus.world.advance(hours(6) + minutes(5))
        if ended:
            await bus.system.engine.sweep()
        await bus.system.sequencer.sweep()
        before = await bus.entries_of(exercise.incident_id)

        with pytest.raises(ConflictError) as asked:
            await _asks(bus, county, exercise, topic=QuestionTopic.HOW_MANY_CHILDREN)
        with pytest.raises(ConflictError) as offered:
            await _offers(bus, county, exercise)

        await bus.system.sequencer.sweep()
        assert (asked.value.code, offered.value.code) == ("exercise-ended", "exercise-ended")
        assert await bus.entries_of(exercise.incident_id) == before


@pytest.mark.parametrize("over", ["ended", "cancelled"])
async def test_whoever_an_incident_does_not_bind_is_not_told_that_it_is_over(
    place: Place, *, over: str
) -> None:
    """An outsider learns no more of an incident that has ended than of one that never was (I8)."""
    async with open_bus(place, roles=()) as bus:
        bus.poster = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
        await bus.agency("Scott County CPS", endpoint=False)
        exercise = await schedule(bus)
        stranger = await bus.agency("Lane County CPS", endpoint=False)
        if over == "cancelled":
            await exercises.cancel_exercise(bus.desk, poster(bus), exercise_id=exercise.id)
        bus.world.advance(hours(8))
        await bus.system.engine.sweep()

        with pytest.raises(NotFoundError):
            await _asks(bus, stranger, exercise, topic=QuestionTopic.AGES)
        with pytest.raises(NotFoundError):
            await _offers(bus, stranger, exercise)


async def _asks(bus: Bus, county: Member, exercise: ExerciseView, *, topic: QuestionTopic) -> None:
    await questions.ask(
        bus.desk,
        principal(Scope.ANSWER, agency=county.row),
        incident_id=exercise.incident_id,
        post=QuestionPost(topic=topic),
    )


async def _offers(bus: Bus, county: Member, exercise: ExerciseView) -> None:
    await offers.make_offer(
        bus.desk,
        principal(Scope.ANSWER, agency=county.row),
        incident_id=exercise.incident_id,
        post=OfferPost.model_validate(OFFER),
    )


async def test_exercise_that_an_outage_swallowed_whole_is_told_to_nobody(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        bus.poster = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
        await bus.agency("Scott County CPS")
        exercise = await schedule(bus)
        bus.world.advance(hours(24))

        await bus.system.engine.sweep()

        assert await bus.deliveries_of(as_posted(exercise)) == []
        assert await state_of(bus, exercise) is ExerciseState.ENDED
        async with bus.desk.database.read() as conn:
            states = (await conn.execute(notice_rows.select())).mappings().all()
        assert [one["state"] for one in states] == [NoticeState.CANCELLED]


# --- who may, and what is refused -----------------------------------------------------------------


async def test_same_key_gives_the_same_exercise_and_another_body_is_refused(bus: Bus) -> None:
    caller, post = poster(bus), a_post(bus)

    first, fresh = await exercises.create_exercise(bus.desk, caller, post=post, key="k")
    again, repeated = await exercises.create_exercise(bus.desk, caller, post=post, key="k")

    assert (first, fresh, repeated) == (again, True, False)
    with pytest.raises(InvalidError) as reused:
        await exercises.create_exercise(bus.desk, caller, post=a_post(bus, name="Another"), key="k")
    assert reused.value.code == "idempotency-key-reused"
    assert len(await exercises.list_exercises(bus.desk, caller, before="", limit=5)) == 1


async def test_operator_names_the_poster_and_others_post_for_themselves_alone(bus: Bus) -> None:
    assert bus.poster is not None
    other = await furnish.add_agency(bus.desk, "Other office", kind=AgencyKind.FEDERAL)
    operator = principal(Scope.OPERATE)
    for_other = a_post(bus, agency_id=other.id)

    made, _ = await exercises.create_exercise(bus.desk, operator, post=for_other, key=None)

    assert made.agency.id == other.id
    for caller, post, pointer in (
        (operator, a_post(bus), "/agency_id"),
        (poster(bus), for_other, "/agency_id"),
        (operator, a_post(bus, agency_id="agy_01m8726d06ejabrkgg1nhngwa8"), "/agency_id"),
    ):
        with pytest.raises(InvalidError) as refused:
            await exercises.create_exercise(bus.desk, caller, post=post, key=None)
        assert refused.value.details[0].pointer == pointer
    with pytest.raises(NotFoundError):
        await exercises.get_exercise(bus.desk, poster(bus), exercise_id=made.id)
    with pytest.raises(ForbiddenError):
        await exercises.create_exercise(
            bus.desk, principal(Scope.ANSWER, agency=other), post=for_other, key=None
        )
    with pytest.raises(NotFoundError):
        await exercises.get_exercise(bus.desk, operator, exercise_id=new_exercise_id())


async def test_exercise_that_would_be_over_is_refused(bus: Bus) -> None:
    post = a_post(bus, length=minutes(30))
    bus.world.advance(hours(2))

    with pytest.raises(InvalidError) as refused:
        await exercises.create_exercise(bus.desk, poster(bus), post=post, key=None)

    assert refused.value.details[0].pointer == "/ends_at"
    assert await exercises.list_exercises(bus.desk, poster(bus), before="", limit=5) == []


async def test_exercise_over_http_from_schedule_to_report(api: Api, county: County) -> None:
    starts_at = api.desk.world.now() + hours(1)
    post = {
        "name": "Autumn exercise",
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + hours(2)).isoformat(),
        "notice": furnish.notice_body(api.desk, status="exercise"),
    }

    made = await county.poster.post("/v1/exercises", post, key="e")
    again = await county.poster.post("/v1/exercises", post, key="e")
    listed = await county.poster.get("/v1/exercises")
    report = await county.poster.get(f"/v1/exercises/{made['id']}/report")
    ended = await county.poster.send("DELETE", f"/v1/exercises/{made['id']}")
    late = await county.poster.send("DELETE", f"/v1/exercises/{made['id']}")

    assert made == again == listed["items"][0]
    assert made["state"] == "scheduled"
    assert report["summary"]["mandatory"] == 3
    assert report["summary"]["slowest"] is None
    assert [one["told_at"] for one in report["recipients"]] == [None, None, None]
    assert ended.json()["state"] == "cancelled"
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    await county.cps.get("/v1/exercises", status=403)
    await county.poster.get("/v1/exercises/nothing", status=404)
    wrong = post | {"notice": furnish.notice_body(api.desk)}
    refused = await county.poster.post("/v1/exercises", wrong, status=422)
    assert refused["errors"][0]["pointer"] == "/notice/status"


# --- never mixed (I9) -----------------------------------------------------------------------------


async def test_whoever_completed_an_exercise_is_not_on_the_list_of_those_who_never_did(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS")
    district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
    exercise = await schedule(bus)
    await bus.fast_forward(hours(1))
    await county.receives("notice", as_posted(exercise))
    await district.receives("notice", as_posted(exercise))

    assert await _never_exercised(bus) == ["Scott County CPS", "Scott District"]
    await county.answers(as_posted(exercise))
    assert await _never_exercised(bus) == ["Scott District"]


async def _never_exercised(bus: Bus) -> list[str]:
    read = await reports.read_report(
        bus.desk, principal(Scope.OPERATE), asked=reports.Asked(), output="json"
    )
    return [
        one.agency.name
        for one in read.report.data_quality
        if one.code == "never_completed_exercise" and one.agency is not None
    ]


@pytest.mark.parametrize("profile", ["sqlite", "postgresql"])
async def test_a_night_of_the_actual_counts_the_same_with_a_drill_of_it_beside_it(
    tmp_path: Path, profile: str
) -> None:
    """Live through the same night twice, alone and beside its drill, on databases of their own."""
    nights = []
    for number, beside in enumerate((False, True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = embedded(folder) if profile == "sqlite" else production(folder)
        async with made as place, open_bus(place, strict=False) as bus:
            nights.append(await _night(bus, beside=beside))

    alone, with_drill = nights
    assert with_drill == alone
    assert alone["metrics"]["noticebus_escalations_total"]
    assert alone["metrics"]["noticebus_deliveries_total"]


async def _night(bus: Bus, *, beside: bool) -> dict[str, Any]:
    """Let reminders go out, a question and a promised update fall due, and an offer be made."""
    county = await bus.agency("Scott County CPS", contacts_at=ON_DUTY)
    posted = [await bus.post_notice(next_update_due=_in_an_hour(bus))]
    if beside:
        promised = _in_an_hour(bus)
        posted.append(await bus.post_notice(status=Status.EXERCISE, next_update_due=promised))
    for one in posted:
        await questions.ask(
            bus.desk,
            principal(Scope.ANSWER, agency=county.row),
            incident_id=one.incident_id,
            post=QuestionPost(topic=QuestionTopic.AGES),
        )
        await offers.make_offer(
            bus.desk,
            principal(Scope.ANSWER, agency=county.row),
            incident_id=one.incident_id,
            post=OfferPost.model_validate(OFFER),
        )
    await bus.fast_forward(hours(12))
    for one in posted:
        await county.answers(one)
    await bus.settled()
    seen = await _surfaces(bus)
    report = seen["report"]
    return {
        "figures": seen["figures"],
        "items": [one["step"] for one in report["items"]],
        "debts": [(one["owed"], one["overdue_s"]) for one in report["owed_by_posters"]],
        "records": sorted(
            (one["code"], one["agency"] and one["agency"]["name"])
            for one in report["data_quality"]
            if one["code"] != "never_completed_exercise"
        ),
        "csv": seen["csv"],
        "title": seen["title"],
        "metrics": {
            name: sorted(one for one in seen["metrics"] if one.startswith(name)) for name in FIGURES
        },
    }


@pytest.mark.parametrize("status", [Status.EXERCISE, Status.TEST])
async def test_the_actual_looks_the_same_with_a_drill_of_it_beside_it(
    place: Place, tmp_path: Path, status: Status
) -> None:
    async with open_bus(place) as bus:
        county = await bus.agency("Scott County CPS", contacts_at=ON_DUTY)
        actual = await bus.post_notice(next_update_due=_in_an_hour(bus))
        await _lives_through(bus, county, actual)
        alone = await _surfaces(bus)

        drill = await bus.post_notice(status=status, next_update_due=_in_an_hour(bus))
        await _lives_through(bus, county, drill)
        beside = await _surfaces(bus)

        assert beside == alone
        drilled = await _surfaces(bus, status=status)
        assert str(status).upper() in drilled["title"]
        assert drilled["figures"]["open"] == 1


def _in_an_hour(bus: Bus) -> str:
    return (bus.world.now() + hours(1)).isoformat()


async def _lives_through(bus: Bus, county: Member, notice: Posted) -> None:
    """Let a question be asked of it, and the county answer that it was received."""
    await county.receives("notice", notice)
    await questions.ask(
        bus.desk,
        principal(Scope.ANSWER, agency=county.row),
        incident_id=notice.incident_id,
        post=QuestionPost(topic=QuestionTopic.AGES),
    )
    await bus.settled()


async def _surfaces(bus: Bus, *, status: Status = Status.ACTUAL) -> dict[str, Any]:
    """Read every surface that counts or lists: report, figures, CSV, page title, metrics."""
    await upkeep.refresh_gauges(bus.desk)
    asked = reports.Asked(status=status)
    read = await reports.read_report(bus.desk, principal(Scope.OPERATE), asked=asked, output="json")
    shown = read.report.model_dump(mode="json", exclude={"index", "as_of", "data_quality_as_of"})
    page = bytes(render_report(read, await read_signs(bus.desk)).body).decode()
    made = await report_export.export_report(
        bus.desk, principal(Scope.OPERATE), asked=asked, form=report_export.FileForm.CSV
    )
    rows = b"".join(made.chunks()).decode().splitlines()
    metrics = generate_latest(bus.desk.metrics.registry).decode().splitlines()
    return {
        "figures": shown["summary"],
        "report": shown,
        "csv": len(rows),
        "title": page.partition("<title>")[2].partition("</title>")[0],
        "metrics": [
            one
            for one in metrics
            if one.startswith("noticebus_") and not any(word in one for word in NO_FIGURES)
        ],
    }

"""Exercises: schedule one, call it off, see how each recipient did, print what it showed."""

import datetime as dt
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from noticebus.access.sessions import Visitor
from noticebus.casework import exercises as casework
from noticebus.casework.agencies import list_agencies
from noticebus.casework.certificates import read_certificates
from noticebus.casework.desk import Desk
from noticebus.casework.exercise_report import report_exercise
from noticebus.casework.exercise_runs import run_now
from noticebus.casework.policies import zone_of
from noticebus.console.forms import KEY_FORM, Form, read_form
from noticebus.console.pages import SAYINGS, PageRoute, enter_view, redirect, render
from noticebus.console.reading import read_local
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.exercise import ExercisePost
from noticebus.contracts.faults import details
from noticebus.contracts.vocabulary import Channel, ExerciseState, NoticeClass, Scope, Status
from noticebus.domain.mail import CLASS_WORDS
from noticebus.errors import BadRequestError, Detail, InvalidError
from noticebus.ids import ExerciseId

PAGE = 50
OFFERED_MAX = 200  # agencies that the form offers; any other can be typed
STATES = {
    ExerciseState.SCHEDULED: "○ to come",
    ExerciseState.RUNNING: "▶ running",
    ExerciseState.ENDED: "■ over",
    ExerciseState.CANCELLED: "✗ called off",
}
FIELDS = {  # what of an exercise each field of the form is
    "/name": "name",
    "/starts_at": "starts",
    "/ends_at": "ends",
    "/agency_id": "agency",
    "/class": "class",
    "/headline": "headline",
    "/sender/unit": "unit",
    "/sender/callback_phone": "callback",
    "/areas": "counties",
}
SAYINGS |= {
    "exercise-scheduled": "The exercise is scheduled. Nobody is told before it starts.",
    "exercise-cancelled": "The exercise is called off. Nobody hears that there was to be one.",
    "exercise-begun": "The exercise has begun: everybody it concerns is told now, marked EXERCISE.",
}

CHANNEL_WORDS = {
    Channel.WEBHOOK: "webhook",
    Channel.KAFKA: "Kafka topic",
    Channel.INBOX: "inbox",
    Channel.EMAIL: "mail",
    Channel.SMS: "text message",
    Channel.VOICE: "call",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/exercises")
async def show_exercises(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    before: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """List exercises, the newest first, and who has never completed one."""
    found = await casework.list_exercises(desk, visitor.principal, before=before, limit=PAGE + 1)
    never = await casework.never_completed(desk, visitor.principal, after="", limit=PAGE + 1)
    return await render(
        request,
        "exercises.html",
        visitor=visitor,
        title="Exercises",
        exercises=found[:PAGE],
        following=found[PAGE - 1].id if len(found) > PAGE else None,
        never=never[:PAGE],
        never_more=len(never) > PAGE,
        completed=await casework.completed_among(desk, found[:PAGE]),
        states=STATES,
        may_schedule=_may_schedule(visitor),
    )


@router.get("/exercises/new")
async def show_form(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Show the form that schedules an exercise."""
    allow(visitor, Scope.POST, Scope.OPERATE)
    typed = {"class": str(NoticeClass.B), "key": secrets.token_urlsafe(18)}
    return await _form(request, desk, visitor, typed=typed)


@router.post("/exercises")
async def schedule(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Schedule an exercise, or show the form again with what is wrong beside its field."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST, Scope.OPERATE)
    try:
        post = await _read(desk, visitor, form)
        made, _ = await casework.create_exercise(
            desk, visitor.principal, post=post, key=form.text("key") or None
        )
    except InvalidError as error:
        typed = {name: form.text(name) for name in form.values}
        return await _form(request, desk, visitor, typed=typed, faults=_beside(error))
    return redirect(f"/exercises/{made.id}", said="exercise-scheduled")


@router.get("/exercises/{exercise_id}")
async def show_exercise(
    request: Request, desk: TheDesk, visitor: TheVisitor, exercise_id: str
) -> Response:
    """Show how an exercise went, or stands; the lowest scores first."""
    report = await report_exercise(desk, visitor.principal, exercise_id=ExerciseId(exercise_id))
    await enter_view(
        request,
        visitor,
        "exercise",
        exercise_id=exercise_id,
        incident_id=report.exercise.incident_id,
    )
    zone = await zone_of(desk, visitor.principal, agency_id=report.exercise.agency.id)
    return await render(
        request,
        "exercise.html",
        visitor=visitor,
        title=f"Exercise: {report.exercise.name}",
        report=report,
        exercise=report.exercise,
        zone=zone,
        states=STATES,
        may_cancel=_may_schedule(visitor) and report.exercise.state is ExerciseState.SCHEDULED,
        may_run=_may_schedule(visitor) and report.exercise.state is not ExerciseState.RUNNING,
        lasts_s=(report.exercise.ends_at - report.exercise.starts_at).total_seconds(),
        key=secrets.token_urlsafe(18),
    )


@router.post("/exercises/{exercise_id}/run")
async def run(request: Request, desk: TheDesk, visitor: TheVisitor, exercise_id: str) -> Response:
    """Begin one like it at once; a form that is sent twice begins one."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.POST, Scope.OPERATE)
    key = form.text("key")
    if KEY_FORM.fullmatch(key) is None:
        raise BadRequestError("The form cannot be read. Go back and load the page again.")
    begun = await run_now(desk, visitor.principal, exercise_id=ExerciseId(exercise_id), key=key)
    return redirect(f"/exercises/{begun.id}", said="exercise-begun")


@router.get("/exercises/{exercise_id}/certificate")
async def show_certificate(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    exercise_id: str,
    agency: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show, to print, a certificate for each agency that completed an exercise, or for one."""
    found = await read_certificates(
        desk, visitor.principal, exercise_id=ExerciseId(exercise_id), agency_id=agency
    )
    await enter_view(
        request,
        visitor,
        "exercise_certificate",
        exercise_id=exercise_id,
        incident_id=found.exercise.incident_id,
    )
    return await render(
        request,
        "exercise_certificate.html",
        visitor=visitor,
        title="Certificate of an exercise" if len(found.shown) == 1 else "Certificates",
        found=found,
        exercise=found.exercise,
        channel_words=CHANNEL_WORDS,
        states=STATES,
        classes=CLASS_WORDS,
    )


@router.post("/exercises/{exercise_id}/cancel")
async def cancel(
    request: Request, desk: TheDesk, visitor: TheVisitor, exercise_id: str
) -> Response:
    """Call off an exercise that has not started."""
    await read_form(request, visitor)
    await casework.cancel_exercise(desk, visitor.principal, exercise_id=ExerciseId(exercise_id))
    return redirect(f"/exercises/{exercise_id}", said="exercise-cancelled")


async def _form(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    *,
    typed: Mapping[str, str],
    faults: Mapping[str, str] | None = None,
) -> Response:
    chooses = Scope.OPERATE in visitor.principal.scopes
    offered = (
        await list_agencies(desk, visitor.principal, after="", limit=OFFERED_MAX) if chooses else []
    )
    return await render(
        request,
        "exercise_new.html",
        visitor=visitor,
        status=422 if faults else 200,
        title="Schedule an exercise",
        typed=typed,
        faults=faults or {},
        classes=CLASS_WORDS,
        offered=offered,
        chooses=chooses,
    )


async def _read(desk: Desk, visitor: Visitor, form: Form) -> ExercisePost:
    agency_id = form.text("agency") or visitor.principal.agency_id
    if agency_id is None:
        raise _fault("/agency_id", "Name the agency that posts the exercise.")
    zone = await zone_of(desk, visitor.principal, agency_id=agency_id)
    starts_at = _moment(form.text("starts"), zone=zone, pointer="/starts_at")
    ends_at = _moment(form.text("ends"), zone=zone, pointer="/ends_at")
    wanted: dict[str, Any] = {
        "name": form.text("name"),
        "starts_at": starts_at.isoformat(),
        "ends_at": ends_at.isoformat(),
        "agency_id": agency_id if Scope.OPERATE in visitor.principal.scopes else None,
        "notice": {
            "kind": "enforcement_action",
            "status": str(Status.EXERCISE),
            "class": form.text("class"),
            "occurred_at": starts_at.isoformat(),
            "sender": {
                "unit": form.text("unit"),
                "role": "exercise desk",
                "callback_phone": form.text("callback"),
            },
            "headline": form.text("headline"),
            "areas": [{"county_fips": form.text("counties").replace(",", " ").split()}],
            "children": {"status": "unknown"},
        },
    }
    try:
        return ExercisePost.model_validate(wanted)
    except ValidationError as error:
        raise InvalidError(
            "The exercise is not scheduled; nothing was stored.", details=details(error)
        ) from error


def _moment(text: str, *, zone: str, pointer: str) -> dt.datetime:
    """Read a local time of the posting agency's zone, as a form gives it."""
    try:
        return read_local(text, zone=zone)
    except ValueError as error:
        raise _fault(pointer, "Write a date and a time, like 2026-12-01T09:00.") from error


def _beside(error: InvalidError) -> dict[str, str]:
    """Put each fault beside the field it is about; what no field holds is said above the form."""
    found: dict[str, str] = {}
    for one in error.details or (Detail(pointer="", message=error.message),):
        pointer = one.pointer.removeprefix("/notice")
        field = next((name for at, name in FIELDS.items() if pointer.startswith(at)), "form")
        found.setdefault(field, one.message)
    return found


def _fault(pointer: str, message: str) -> InvalidError:
    return InvalidError(message, details=(Detail(pointer=pointer, message=message),))


def _may_schedule(visitor: Visitor) -> bool:
    return not visitor.principal.scopes.isdisjoint({Scope.POST, Scope.OPERATE})

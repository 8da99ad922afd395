"""Exercises: posted ahead, ended by the clock, called off without a word to anybody.

Between those two an exercise is an incident like any other, marked at every layer (I9).
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, require_visible, visible_agency
from noticebus.casework import accepted, offers, shards
from noticebus.casework.answer import MOOT_CAUSES
from noticebus.casework.binding import Moment
from noticebus.casework.cancel import cancelling, carry_out
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft, first_version
from noticebus.casework.intake import take_in_within
from noticebus.casework.obligation_views import agency_ref
from noticebus.contracts.canonical import canonical
from noticebus.contracts.exercise import ExercisePost, ExerciseView
from noticebus.contracts.vocabulary import (
    ExerciseState,
    NoticeState,
    ObligationState,
    Scope,
)
from noticebus.domain.exercise import state_at
from noticebus.errors import ConflictError, Detail, InvalidError, NotFoundError
from noticebus.ids import AgencyId, ExerciseId, IncidentId, new_api_key_id, new_exercise_id
from noticebus.store import deliveries, exercises, ledger, matching, notices, obligations
from noticebus.store.agencies import Agency
from noticebus.store.exercises import Exercise
from noticebus.store.ledger import Entry, History, make_entry
from noticebus.store.notices import IdempotencyRecord
from noticebus.store.obligations import Obligation, facts_of

READERS = (Scope.POST, Scope.OPERATE, Scope.ADMIN, Scope.AUDIT)
ENDS_BATCH_MAX = 10


async def create_exercise(
    desk: Desk, principal: Principal, *, post: ExercisePost, key: str | None
) -> tuple[ExerciseView, bool]:
    """Store an exercise with its notice, embargoed until it starts; say whether it is fresh.

    The same key again gives the same exercise.
    """
    draft = await _draft(desk, _poster(principal, post), post, key=key)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    if post.ends_at <= at.world:
        raise _invalid("/ends_at", "The exercise would have ended already. Give a later time.")
    try:
        return await _take_in(desk, principal, draft, post, at=at)
    except sa.exc.IntegrityError:  # the same key at the same time: its record is there now
        return await _take_in(desk, principal, draft, post, at=at)


async def _take_in(
    desk: Desk, principal: Principal, draft: Draft, post: ExercisePost, *, at: Moment
) -> tuple[ExerciseView, bool]:
    async with desk.database.begin() as conn:
        records = await notices.find_idempotency_records(conn, [draft.idempotency])
        if records:
            return await _again(conn, desk, records[draft.idempotency], draft), False
        if (await matching.agencies_by_id(conn, [draft.agency_id])) == {}:
            raise _invalid("/agency_id", f"There is no agency {draft.agency_id}. Check the id.")
        bound, _ = await take_in_within(conn, desk, draft, at=at)
        made = Exercise(
            id=new_exercise_id(),
            agency_id=draft.agency_id,
            name=post.name,
            incident_id=draft.head.incident_id,
            state=ExerciseState.SCHEDULED,
            starts_at=post.starts_at,
            ends_at=post.ends_at,
            created_by=principal.id,
            created_at=at.world,
        )
        await exercises.insert_exercise(conn, made)
        await ledger.append(conn, [_scheduled(made)])
        view = await _view(conn, desk, made)
    desk.committed(shards.of(bound.notice, bound.deliveries))
    return view, True


async def _again(
    conn: AsyncConnection, desk: Desk, record: IdempotencyRecord, draft: Draft
) -> ExerciseView:
    response = accepted.replayed(record, draft.fingerprint)
    found = await exercises.exercise_of_incident(conn, IncidentId(response["incident_id"]))
    assert found is not None, "the fingerprint is an exercise's"
    return await _view(conn, desk, found)


def _scheduled(made: Exercise) -> Entry:
    data = {
        "exercise_id": made.id,
        "agency_id": made.agency_id,
        "created_by": made.created_by,
        "starts_at": made.starts_at.isoformat(),
        "ends_at": made.ends_at.isoformat(),
    }
    return make_entry("exercise.scheduled", data, at=made.created_at, incident_id=made.incident_id)


async def cancel_exercise(
    desk: Desk, principal: Principal, *, exercise_id: ExerciseId
) -> ExerciseView:
    """Call off an exercise that has not started: nobody was told of it, and nobody is told now."""
    require(principal, Scope.POST, Scope.OPERATE)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        found = await _found(conn, principal, exercise_id)
        if found.state is ExerciseState.CANCELLED:
            raise ConflictError("The exercise is called off already: nobody is told of it.")
        await notices.lock_incidents(conn, [found.incident_id])
        incident = await notices.incident_by_id(conn, found.incident_id)
        assert incident is not None, "an exercise has an incident"
        latest = (await notices.notices_by_id(conn, [incident.latest_notice_id]))[
            incident.latest_notice_id
        ]
        if latest.state is not NoticeState.SCHEDULED or not await exercises.mark_exercise(
            conn, exercise_id, state=ExerciseState.CANCELLED
        ):
            raise ConflictError(
                "Only an exercise that has not started can be called off. Those who were told are"
                " told of the end by cancelling its incident, or when its time is over.",
                code="exercise-started",
            )
        said = {"reason": "The exercise was called off before it began."}
        notice = cancelling(latest, posted_by=principal.id, said=said, now=at.world)
        await carry_out(conn, desk, notice, latest, at=at)
        data = {"exercise_id": found.id, "by": principal.id}
        entry = make_entry("exercise.cancelled", data, at=at.world, incident_id=found.incident_id)
        await ledger.append(conn, [entry])
        view = await _view(conn, desk, replace(found, state=ExerciseState.CANCELLED))
    desk.committed()
    return view


async def get_exercise(
    desk: Desk, principal: Principal, *, exercise_id: ExerciseId
) -> ExerciseView:
    """Read one exercise: for the agency that posts it and the bus's people."""
    require(principal, *READERS)
    async with desk.database.read() as conn:
        return await _view(conn, desk, await _found(conn, principal, exercise_id))


async def view_exercise(
    conn: AsyncConnection, desk: Desk, *, exercise_id: ExerciseId
) -> ExerciseView | None:
    """Read an exercise whoever asks; the caller says who may see what of it."""
    found = await exercises.find_exercise(conn, exercise_id)
    return None if found is None else await _view(conn, desk, found)


async def list_exercises(
    desk: Desk, principal: Principal, *, before: str, limit: int
) -> list[ExerciseView]:
    """List at most `limit` exercises with ids before `before`, newest first."""
    require(principal, *READERS)
    agency_id = visible_agency(principal)
    async with desk.database.read() as conn:
        found = await exercises.exercise_page(
            conn,
            agency_id=agency_id,
            before=ExerciseId(before) if before else None,
            limit=limit,
        )
        return await _views(conn, desk, found)


async def completed_among(desk: Desk, found: Sequence[ExerciseView]) -> frozenset[str]:
    """Say which of some exercises somebody completed: of these there are certificates."""
    async with desk.database.read() as conn:
        incident_ids = {IncidentId(one.incident_id) for one in found}
        done = await exercises.incidents_completed(conn, incident_ids)
    return frozenset(one.id for one in found if one.incident_id in done)


async def never_completed(
    desk: Desk, principal: Principal, *, after: str, limit: int
) -> list[Agency]:
    """List at most `limit` agencies that must answer for places and never completed a drill."""
    require(principal, *READERS)
    async with desk.database.read() as conn:
        return await exercises.never_completed(
            conn, agency_id=visible_agency(principal), after=after, limit=limit
        )


async def end_due_exercises(desk: Desk) -> int:
    """End what has reached its end: what is open is withdrawn in silence; say how many ended."""
    async with desk.database.begin() as conn:
        now = desk.world.now()
        due = await exercises.find_due_ends(conn, now=now, batch_size_max=ENDS_BATCH_MAX)
        if not due:
            return 0
        await notices.lock_incidents(conn, {one.incident_id for one in due})
        for one in due:
            if await exercises.mark_exercise(conn, one.id, state=ExerciseState.ENDED):
                await _end(conn, desk, one)
    desk.signals.entries.ring()
    return len(due)


async def next_end_at(desk: Desk) -> dt.datetime | None:
    """Tell when the next exercise ends."""
    async with desk.database.read() as conn:
        return await exercises.next_end_at(conn)


async def _end(conn: AsyncConnection, desk: Desk, exercise: Exercise) -> None:
    bound = await obligations.lock_obligations(conn, incident_id=exercise.incident_id)
    now = desk.world.now()  # once all is locked: a step that came before the end is not after it
    silent = [_withdrawn(one, now=now) for one in bound if one.state is ObligationState.OPEN]
    await obligations.save_all(conn, silent)
    if bound:
        await deliveries.make_moot(
            conn, [one.id for one in bound], finished_at=now, causes=MOOT_CAUSES
        )
    await _end_untold(conn, exercise)
    await offers.lapse_all(conn, exercise.incident_id, now=now)
    entry = make_entry(
        "exercise.ended",
        {"exercise_id": exercise.id, "bound": len(bound), "unanswered": len(silent)},
        at=now,
        incident_id=exercise.incident_id,
    )
    await ledger.append(conn, [entry])
    await ledger.append_history(
        conn,
        [History(obligation_id=one.id, entry_id=entry.id, facts=facts_of(one)) for one in silent],
    )


async def _end_untold(conn: AsyncConnection, exercise: Exercise) -> None:
    """After an outage over the whole exercise: what nobody was told is told no more."""
    untold = [
        one.id
        for one in await notices.versions_of(conn, exercise.incident_id)
        if one.state is NoticeState.SCHEDULED
    ]
    if untold:
        await notices.mark_notices(conn, untold, state=NoticeState.CANCELLED, released_at=None)


def _withdrawn(owed: Obligation, *, now: dt.datetime) -> Obligation:
    return replace(owed, state=ObligationState.WITHDRAWN, next_step_at=None, closed_at=now)


def _poster(principal: Principal, post: ExercisePost) -> Principal:
    """Give the caller as the agency that posts: its own, or for an operator the one it names."""
    require(principal, Scope.POST, Scope.OPERATE)
    if Scope.OPERATE not in principal.scopes:
        if post.agency_id not in {None, principal.agency_id}:
            message = "Leave agency_id out: only an operator posts for another agency."
            raise _invalid("/agency_id", message)
        return principal
    agency_id = post.agency_id or principal.agency_id
    if agency_id is None:
        raise _invalid("/agency_id", "Name the agency that posts the exercise.")
    return replace(principal, agency_id=AgencyId(agency_id), scopes=principal.scopes | {Scope.POST})


async def _draft(desk: Desk, poster: Principal, post: ExercisePost, *, key: str | None) -> Draft:
    notice = post.notice.model_copy(update={"release_at": post.starts_at})
    draft = await first_version(desk, poster, post=notice, key=key or new_api_key_id())
    whole = canonical({"exercise": post.model_dump(mode="json", by_alias=True)})
    return replace(draft, fingerprint=hashlib.sha256(whole).hexdigest())


async def _found(conn: AsyncConnection, principal: Principal, exercise_id: ExerciseId) -> Exercise:
    found = await exercises.find_exercise(conn, exercise_id)
    if found is None:
        raise NotFoundError(f"There is no exercise {exercise_id} that you may see.")
    require_visible(principal, found.agency_id, what="exercise")
    return found


async def _view(conn: AsyncConnection, desk: Desk, exercise: Exercise) -> ExerciseView:
    (view,) = await _views(conn, desk, [exercise])
    return view


async def _views(
    conn: AsyncConnection, desk: Desk, found: Sequence[Exercise]
) -> list[ExerciseView]:
    """Show exercises: three statements, however many there are."""
    now = desk.world.now()
    agencies = await matching.agencies_by_id(conn, {one.agency_id for one in found})
    firsts = await notices.first_ids_of(conn, {one.incident_id for one in found})
    return [
        ExerciseView(
            id=one.id,
            name=one.name,
            agency=agency_ref(agencies[one.agency_id]),
            incident_id=one.incident_id,
            notice_id=firsts[one.incident_id],
            state=state_at(one.state, starts_at=one.starts_at, ends_at=one.ends_at, now=now),
            starts_at=one.starts_at,
            ends_at=one.ends_at,
            created_at=one.created_at,
        )
        for one in found
    ]


def _invalid(pointer: str, message: str) -> InvalidError:
    return InvalidError(message, details=(Detail(pointer=pointer, message=message),))

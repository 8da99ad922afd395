"""Running an exercise now: one like it begins at once, and is a run of its own.

What was scheduled stays as it was written (I7), until it starts or is called off.
"""

import datetime as dt
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from noticebus.access.principals import Principal, require
from noticebus.casework import accepted, exercises
from noticebus.casework.desk import Desk
from noticebus.contracts.exercise import ExercisePost, ExerciseView
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import ConflictError, InvalidError
from noticebus.ids import ExerciseId, IncidentId
from noticebus.store import exercises as stored
from noticebus.store import notices

_NOT_POSTED = frozenset({"agency", "release_at"})  # what a stored notice holds beside its post
_MOVED = frozenset({"occurred_at", "expires_at", "next_update_due", "as_of"})
_INSTANT: TypeAdapter[dt.datetime] = TypeAdapter(dt.datetime)


async def run_now(
    desk: Desk, principal: Principal, *, exercise_id: ExerciseId, key: str
) -> ExerciseView:
    """Begin an exercise like this one at once; as long as it, its times moved to now.

    The same key again gives the run it began.
    """
    require(principal, Scope.POST, Scope.OPERATE)
    like = await exercises.get_exercise(desk, principal, exercise_id=exercise_id)
    async with desk.database.read() as conn:
        (first, *_) = await notices.versions_of(conn, IncidentId(like.incident_id))
    post = _now(like, accepted.body_of(first), now=desk.world.now(), principal=principal)
    try:
        made, _ = await exercises.create_exercise(desk, principal, post=post, key=key)
    except InvalidError as error:
        begun = await _begun(desk, principal, key=key)
        if error.code != "idempotency-key-reused" or begun is None:
            raise
        return begun
    return made


async def _begun(desk: Desk, principal: Principal, *, key: str) -> ExerciseView | None:
    """Find the run that a key has begun: the button was pressed twice."""
    pair = (principal.id, key)
    async with desk.database.read() as conn:
        records = await notices.find_idempotency_records(conn, [pair])
        if pair not in records:
            return None
        incident_id = IncidentId(records[pair].response["incident_id"])
        found = await stored.exercise_of_incident(conn, incident_id)
        if found is None:
            return None
        return await exercises.view_exercise(conn, desk, exercise_id=found.id)


def _now(
    like: ExerciseView, body: dict[str, Any], *, now: dt.datetime, principal: Principal
) -> ExercisePost:
    operates = Scope.OPERATE in principal.scopes
    content = {name: value for name, value in body.items() if name not in _NOT_POSTED}
    try:
        return ExercisePost.model_validate(
            {
                "name": like.name,
                "starts_at": accepted.wire_instant(now),
                "ends_at": accepted.wire_instant(now + (like.ends_at - like.starts_at)),
                "agency_id": like.agency.id if operates else None,
                "notice": _moved(content, by=now - like.starts_at),
            }
        )
    except ValidationError as error:
        raise ConflictError(
            "This exercise cannot be run as it was written: the rules for notices have changed"
            " since. Schedule a new one."
        ) from error


def _moved(value: JsonValue, *, by: dt.timedelta) -> JsonValue:
    """Move the times a notice says, so that it says of now what it said of its own time."""
    if isinstance(value, list):
        return [_moved(one, by=by) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: accepted.wire_instant(_INSTANT.validate_python(one) + by)
        if name in _MOVED and one is not None
        else _moved(one, by=by)
        for name, one in value.items()
    }

"""The certificate of who has completed an exercise: what was tried, how it came, and the proof."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.access.principals import Principal, require, sees_every_agency
from noticebus.casework import exercise_report, exercises
from noticebus.casework.desk import Desk
from noticebus.casework.reading import READERS
from noticebus.contracts.exercise import ExerciseRecipient, ExerciseView
from noticebus.contracts.vocabulary import Channel
from noticebus.errors import NotFoundError
from noticebus.ids import AgencyId, ExerciseId, IncidentId
from noticebus.store import exercise_proofs
from noticebus.store.exercise_proofs import Proof

SHOWN_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One agency's part in an exercise that it completed. `proof` is the entry that closed it."""

    agency_id: AgencyId
    zone: str
    part: ExerciseRecipient
    channels: Sequence[Channel]
    proof: Proof | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The certificates of an exercise that one reader may print; `more` are there beyond these."""

    now: dt.datetime
    exercise: ExerciseView
    shown: Sequence[Certificate]
    more: bool


async def read_certificates(
    desk: Desk, principal: Principal, *, exercise_id: ExerciseId, agency_id: str = ""
) -> Certificates:
    """Read who completed an exercise: all to its poster and the bus's people, else one's own.

    NotFoundError where nobody has whom the reader may see, or not the agency that is asked for.
    """
    require(principal, *READERS)
    async with desk.database.read() as conn:
        exercise = await exercises.view_exercise(conn, desk, exercise_id=exercise_id)
        if exercise is None:
            raise _nothing(exercise_id)
        sees_all = sees_every_agency(principal) or principal.agency_id == exercise.agency.id
        own = "" if sees_all else principal.agency_id or "none"
        if agency_id and own and agency_id != own:
            raise _nothing(exercise_id)
        closed = await exercise_proofs.completed(
            conn,
            IncidentId(exercise.incident_id),
            agency_id=AgencyId(own or agency_id) if own or agency_id else None,
            limit=SHOWN_MAX + 1,
        )
        if not closed:
            raise _nothing(exercise_id)
        shown = closed[:SHOWN_MAX]
        facts = await exercise_report.facts_of(conn, exercise, shown)
        ids = [one.id for one in shown]
        channels = await exercise_proofs.channels_of(conn, ids)
        proofs = await exercise_proofs.proofs_of(conn, ids)
    return Certificates(
        now=desk.world.now(),
        exercise=exercise,
        shown=[
            Certificate(
                agency_id=one.agency_id,
                zone=facts.agencies[one.agency_id].zone,
                part=exercise_report.recipient_of(one, facts),
                channels=channels.get(one.id, ()),
                proof=proofs.get(one.id),
            )
            for one in shown
        ],
        more=len(closed) > SHOWN_MAX,
    )


def _nothing(exercise_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no certificate of the exercise {exercise_id} for you: it is not there, or it was"
        " not completed. Whoever answered it in full has one."
    )

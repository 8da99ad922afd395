"""What became of an obligation, in a word, and figures about many that do not flatter."""

import datetime as dt
from typing import assert_never

from noticebus.contracts.vocabulary import ObligationState
from noticebus.domain.delivery_words import Said
from noticebus.domain.figures import how_long

NOT_REACHED = "not reached"
_IN_TIME = Said(symbol="✓", word="acknowledged in time", tone="good")
_LATE = Said(symbol="!", word="acknowledged late", tone="warn")
_ACKNOWLEDGED = Said(symbol="✓", word="acknowledged", tone="good")
_DECLINED = Said(symbol="✕", word="declined", tone="warn")
_WITHDRAWN = Said(symbol="○", word="withdrawn", tone="idle")
_WAIVED = Said(symbol="○", word="waived", tone="idle")
_OVERDUE = Said(symbol="✕", word="overdue", tone="bad")
_OPEN = Said(symbol="…", word="open", tone="idle")


def outcome_of(
    state: ObligationState,
    *,
    due_at: dt.datetime | None,
    closed_at: dt.datetime | None,
    now: dt.datetime,
) -> Said:
    """Say what became of an obligation; a decline closes nothing, so it is never in time."""
    match state:
        case ObligationState.CLOSED:
            return _closed(due_at, closed_at)
        case ObligationState.DECLINED:
            return _DECLINED
        case ObligationState.WITHDRAWN:
            return _WITHDRAWN
        case ObligationState.WAIVED:
            return _WAIVED
        case ObligationState.OPEN:
            return _OVERDUE if due_at is not None and due_at <= now else _OPEN
        case other:
            assert_never(other)


def reached(duration: dt.timedelta | None) -> str:
    """Write a percentile: among the silent it is not reached, and never zero (I13)."""
    return NOT_REACHED if duration is None else how_long(duration)


def _closed(due_at: dt.datetime | None, closed_at: dt.datetime | None) -> Said:
    if due_at is None or closed_at is None:
        return _ACKNOWLEDGED
    return _IN_TIME if closed_at <= due_at else _LATE

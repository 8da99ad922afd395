"""How an incident's recipients are grouped for people: whom to ring first, who is done last."""

import datetime as dt
from enum import IntEnum
from typing import Protocol, assert_never

from noticebus.contracts.vocabulary import ObligationState


class Group(IntEnum):
    """Where a recipient stands in an incident, the most pressing first."""

    UNREACHABLE = 0
    OVERDUE = 1
    OPEN = 2
    ANSWERED_LATE = 3
    ANSWERED = 4
    DECLINED = 5
    WAIVED = 6
    WITHDRAWN = 7


class Owing(Protocol):
    """What grouping needs to know of an obligation."""

    @property
    def state(self) -> ObligationState: ...
    @property
    def reachable(self) -> bool: ...
    @property
    def due_at(self) -> dt.datetime | None: ...
    @property
    def closed_at(self) -> dt.datetime | None: ...


def group_of(owed: Owing, *, now: dt.datetime) -> Group:
    """Place one obligation at `now`: open ones by whether anybody can be told, then by deadline."""
    match owed.state:
        case ObligationState.OPEN:
            if not owed.reachable:
                return Group.UNREACHABLE
            return Group.OVERDUE if owed.due_at and owed.due_at <= now else Group.OPEN
        case ObligationState.CLOSED:
            late = owed.due_at and owed.closed_at and owed.closed_at > owed.due_at
            return Group.ANSWERED_LATE if late else Group.ANSWERED
        case ObligationState.DECLINED:
            return Group.DECLINED
        case ObligationState.WAIVED:
            return Group.WAIVED
        case ObligationState.WITHDRAWN:
            return Group.WITHDRAWN
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(owed.state)

"""How recipients are grouped: whom to ring first, who is done last."""

import datetime as dt
from dataclasses import dataclass

import pytest

from noticebus.contracts.vocabulary import ObligationState
from noticebus.domain.recipient_groups import Group, group_of

NOW = dt.datetime(2019, 8, 7, 18, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Owed:
    """What grouping looks at."""

    state: ObligationState = ObligationState.OPEN
    reachable: bool = True
    due_at: dt.datetime | None = NOW + HOUR
    closed_at: dt.datetime | None = None


@pytest.mark.parametrize(
    ("owed", "group"),
    [
        (Owed(reachable=False, due_at=NOW - HOUR), Group.UNREACHABLE),
        (Owed(due_at=NOW), Group.OVERDUE),
        (Owed(), Group.OPEN),
        (Owed(due_at=None), Group.OPEN),
        (Owed(state=ObligationState.CLOSED, closed_at=NOW + HOUR), Group.ANSWERED),
        (Owed(state=ObligationState.CLOSED, closed_at=NOW + 2 * HOUR), Group.ANSWERED_LATE),
        (Owed(state=ObligationState.CLOSED, due_at=None, closed_at=NOW), Group.ANSWERED),
        (Owed(state=ObligationState.DECLINED, reachable=False), Group.DECLINED),
        (Owed(state=ObligationState.WAIVED), Group.WAIVED),
        (Owed(state=ObligationState.WITHDRAWN), Group.WITHDRAWN),
    ],
)
def test_recipient_is_grouped_by_its_state_and_its_deadline(owed: Owed, group: Group) -> None:
    assert group_of(owed, now=NOW) is group

"""How far the answers to a notice have come: who was first, and when the last of them was there.

Of those who must answer: without the waived, those withdrawn before their deadline, and class D,
which a delivery ends. First and all are told from the same moment, when the first of their rounds
began.
"""

import datetime as dt
from dataclasses import dataclass

from noticebus.domain.figures import how_long
from noticebus.ids import AgencyId, ObligationId


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """Whose answer came first, and when."""

    agency_id: AgencyId
    agency_name: str
    obligation_id: ObligationId
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many must answer and how many have; `first` is None until somebody has."""

    counted: int
    closed: int
    began_at: dt.datetime
    first: First | None
    last_at: dt.datetime | None

    @property
    def first_after(self) -> dt.timedelta | None:
        """Give after how long the first answer came."""
        return None if self.first is None else _since(self.began_at, self.first.at)

    @property
    def all_after(self) -> dt.timedelta | None:
        """Give after how long everybody had answered; None while anybody has not."""
        if self.last_at is None or self.closed < self.counted:
            return None
        return _since(self.began_at, self.last_at)

    @property
    def first_said(self) -> str:
        """Say after how long the first answer came."""
        after = self.first_after
        return "nobody yet" if after is None else f"after {how_long(after)}"

    @property
    def all_said(self) -> str:
        """Say after how long everybody had answered, or how many have."""
        after = self.all_after
        if after is None:
            return f"not yet: {self.closed} of {self.counted}"
        return f"all {self.counted}, after {how_long(after)}"


def _since(began_at: dt.datetime, at: dt.datetime) -> dt.timedelta:
    return max(at - began_at, dt.timedelta())

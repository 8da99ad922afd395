"""The demo's table: what the API says of each recipient, in a few words."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from noticebus.contracts.answers import ObligationView
from noticebus.contracts.vocabulary import ObligationState, Owed, VerifiedBy

WAYS = {
    VerifiedBy.API_KEY: "API",
    VerifiedBy.LINK: "link and code",
    VerifiedBy.OPERATOR: "operator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recipient at one moment. `tone` is good, waiting or bad."""

    recipient: str
    state: str
    due: str
    step: str
    last: str
    tone: str
    weight: tuple[int, float]  # the most pressing first


def read(items: Sequence[Mapping[str, Any]]) -> list[ObligationView]:
    """Read obligations as the API gives them; those to answer the notice."""
    found = [ObligationView.model_validate(one) for one in items]
    return [one for one in found if one.owed is Owed.NOTICE]


def rows(
    found: Sequence[ObligationView], *, names: Mapping[str, str], now: dt.datetime, zone: str
) -> list[Row]:
    """Write the rows, the most pressing first. `names` are the short ones by agency id."""
    made = [_row(one, names[one.agency.id], now=now, zone=zone) for one in found]
    return sorted(made, key=lambda row: row.weight)


def _row(owed: ObligationView, name: str, *, now: dt.datetime, zone: str) -> Row:
    overdue = is_overdue(owed, now)
    closed = owed.state is not ObligationState.OPEN
    left = (owed.due_at - now).total_seconds() if owed.due_at else 0.0
    return Row(
        recipient=name,
        state=_state(owed, overdue=overdue),
        due="" if closed else _due(owed, now=now),
        step=str(owed.step) if owed.step else "",
        last=last_of(owed, zone=zone),
        tone="good" if closed else "bad" if overdue else "waiting",
        weight=(2 if closed else 0 if overdue else 1, left),
    )


def is_overdue(owed: ObligationView, now: dt.datetime) -> bool:
    """Say whether it is open and past its deadline."""
    return owed.state is ObligationState.OPEN and owed.due_at is not None and now > owed.due_at


def is_late(owed: ObligationView) -> bool:
    """Say whether the answer that closed it was late."""
    return any(one.closed and one.late for one in owed.acknowledgements)


def is_kept_late(owed: ObligationView) -> bool:
    """Say whether a promised update came, and after the time it was promised for."""
    if owed.closed_at is None or owed.due_at is None:
        return False
    return owed.owed is Owed.UPDATE and owed.closed_at > owed.due_at


def _state(owed: ObligationView, *, overdue: bool) -> str:
    if owed.state is not ObligationState.OPEN:
        return f"{owed.state} late" if is_late(owed) else str(owed.state)
    if overdue:
        return "SILENT"
    if owed.answered_version:
        return f"answered {owed.answered_version} of {owed.round_version}"
    return "delivered" if owed.delivered_at else "on its way"


def _due(owed: ObligationView, *, now: dt.datetime) -> str:
    if owed.due_at is None:
        return ""
    left = owed.due_at - now
    return f"in {length(left)}" if left >= dt.timedelta(0) else f"{length(-left)} over"


def length(span: dt.timedelta) -> str:
    """Write a length of time in hours and minutes."""
    minutes = int(span.total_seconds()) // 60
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02} min" if hours else f"{rest} min"


def last_of(owed: ObligationView, *, zone: str) -> str:
    """Say the last thing known of it: an answer, an opened page, a try."""
    if owed.acknowledgements and _answers_now(owed):
        newest = max(owed.acknowledgements, key=lambda one: one.recorded_at)
        how = newest.how or WAYS[newest.verified_by]
        return f"{clock(newest.recorded_at, zone=zone)} {newest.answer} by {how}"
    if owed.opened_at is not None:
        return f"{clock(owed.opened_at, zone=zone)} opened, no answer"
    if owed.last_attempt is not None:
        tried = owed.last_attempt
        return f"{clock(tried.at, zone=zone)} {tried.channel} {tried.outcome}"
    return ""


def _answers_now(owed: ObligationView) -> bool:
    return owed.state is not ObligationState.OPEN or bool(owed.answered_version)


def clock(instant: dt.datetime, *, zone: str) -> str:
    """Write the local time of day."""
    return f"{instant.astimezone(ZoneInfo(zone)):%H:%M}"

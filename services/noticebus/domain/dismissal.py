"""The school day's end caps every chain: somebody must have answered before the last bus leaves.

Research/domain.md section 5.3: all steps of class A fall before dismissal minus 90 minutes, those
of class B before dismissal minus 60. Where less is left there is nothing to wait for: two people
are called at once, and the rest of the line follows within minutes.
"""

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace

from noticebus.contracts.vocabulary import NoticeClass, Notify
from noticebus.domain.calendars import Calendar, dismissal_at
from noticebus.domain.escalation import base_of
from noticebus.domain.policies import CALLS, ENDPOINTS, Policy, Step

MARGIN = {NoticeClass.A: dt.timedelta(minutes=90), NoticeClass.B: dt.timedelta(minutes=60)}
"""How long before dismissal the last step of a chain must have fallen."""
PAUSE = {NoticeClass.A: dt.timedelta(minutes=5), NoticeClass.B: dt.timedelta(minutes=10)}
"""How long each further level waits where the day is too short for the usual chain."""


def fit(policy: Policy, *, calendar: Calendar, started_at: dt.datetime) -> Policy:
    """Fit a policy to the school day in which its delays begin to count.

    It stays what it is without a bell schedule, outside school days, after dismissal, and where the
    whole chain ends in time. Fitting twice changes nothing.
    """
    margin = MARGIN.get(policy.notice_class)
    if margin is None or not policy.steps:
        return policy
    base = base_of(policy.hold, calendar.hours, started_at=started_at)
    dismissal = dismissal_at(calendar, base)
    if dismissal is None or base >= dismissal:
        return policy
    last = base + policy.steps[-1].after
    steps = _at_once(PAUSE[policy.notice_class])
    if last <= dismissal - margin or policy.steps == steps:
        return policy
    why = _why(dismissal, margin=margin, last=last, zone=calendar.hours.zone)
    return replace(
        policy,
        due_after=steps[1].after,  # the call at once is how they are told; silence is what follows
        steps=steps,
        note=f"{policy.note} {why}".lstrip(),
    )


def latest_eta(
    calendar: Calendar,
    *,
    notice_class: NoticeClass,
    left: Sequence[dt.datetime],
    now: dt.datetime,
) -> dt.datetime | None:
    """Give the latest promise after which the steps still `left` fall by the margin.

    Where they no longer can, no promise moves them: none is longer than until the next one, and
    where none is left, than until dismissal. None without a bus that is still to leave today.
    """
    margin = MARGIN.get(notice_class)
    dismissal = dismissal_at(calendar, now)
    if margin is None or dismissal is None or now >= dismissal:
        return None
    if not left:
        return dismissal
    return max(left[0], dismissal - margin - (left[-1] - left[0]))


def _at_once(pause: dt.timedelta) -> tuple[Step, ...]:
    return (
        Step(after=dt.timedelta(0), notify=Notify.FIRST_TWO, channels=ENDPOINTS + CALLS),
        Step(after=pause, notify=Notify.HEAD, channels=CALLS),
        Step(after=2 * pause, notify=Notify.OPERATORS, channels=CALLS),
    )


def _why(dismissal: dt.datetime, *, margin: dt.timedelta, last: dt.datetime, zone: str) -> str:
    there = zoneinfo.ZoneInfo(zone)
    leaves, limit, would_end = (
        f"{one.astimezone(there):%H:%M}" for one in (dismissal, dismissal - margin, last)
    )
    return (
        f"The last bus leaves at {leaves}, so every step must fall by {limit}; the usual steps "
        f"would last until {would_end}. Two people are called at once instead."
    )

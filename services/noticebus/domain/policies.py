"""Escalation policies as data: what a policy is, its stored form, and the defaults.

The defaults are those of research/domain.md section 5.3. `due_after` is the first deadline: the
target by which an answer is due. Silence past the target is what gets reminded, so it equals the
first step's delay wherever there are steps, and an answer after it is late.
"""

import datetime as dt
import functools
import itertools
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NotRequired, TypedDict

from noticebus.contracts.vocabulary import AgencyKind, Channel, NoticeClass, Notify, Standing
from noticebus.domain.calendars import Calendar, is_school_time
from noticebus.domain.working_time import Window, is_open, local_date
from noticebus.ids import AgencyId, PolicyId

OWN_ID = re.compile(r"(agy_[0-9a-z]{26})\.([ABCD])", re.ASCII)


class Hold(StrEnum):
    """From when a round's delays count."""

    NEVER = "never"  # from the start, day or night
    WINDOW = "window"  # from the next opening of the recipient's window
    BUSINESS_DAY = "business_day"  # from a local time on the next business day


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRule:
    """From when delays count.

    `at` is a local time, given with `Hold.BUSINESS_DAY` and only then.
    """

    hold: Hold
    at: dt.time | None = None

    def __post_init__(self) -> None:
        if (self.hold is Hold.BUSINESS_DAY) != (self.at is not None):
            message = "A business-day hold needs a time of day, and no other hold has one."
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: how long after the round's base, whom, over which channels.

    Without channels nobody is written to: the obligation is put on the operators' list, which the
    report shows.
    """

    after: dt.timedelta
    notify: Notify
    channels: tuple[Channel, ...]

    @property
    def lists_only(self) -> bool:
        return not self.channels

    @property
    def over(self) -> frozenset[Channel]:
        """Give the channels by which somebody must be reachable for this step to reach them."""
        return frozenset(self.channels or Channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Ordered steps that run until the obligation is closed.

    `due_after` is None where nothing falls due. `quorum` different contacts must accept. `note`
    says why the policy was fitted to this round, and is empty where it was not.
    """

    id: PolicyId
    version: int
    recipient_kind: AgencyKind
    notice_class: NoticeClass
    due_after: dt.timedelta | None
    hold: HoldRule
    steps: tuple[Step, ...]
    quorum: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        delays = [step.after for step in self.steps]
        if any(later <= earlier for earlier, later in itertools.pairwise(delays)):
            message = "Each step's delay must be longer than the one before it."
            raise ValueError(message)
        if delays and (delays[0] < dt.timedelta(0) or self.due_after is None):
            message = "Steps need a deadline (`due_after`) and delays of zero or more."
            raise ValueError(message)


class StepRecord(TypedDict):
    """A step as plain JSON; no channels means the operators' list."""

    after_s: int
    notify: str
    channels: list[str]


class PolicyRecord(TypedDict):
    """A policy as plain JSON: what is frozen on the obligation and printed on the receipt."""

    quorum: NotRequired[int]  # absent from records of before there were quorums
    note: NotRequired[str]  # absent from records of before policies were fitted to a dismissal
    id: str
    version: int
    recipient_kind: str
    notice_class: str
    due_after_s: int | None
    hold: str
    hold_at: str | None
    steps: list[StepRecord]


def policy_to_record(policy: Policy) -> PolicyRecord:
    """Give the JSON-able form of `policy`; delays in whole seconds, the local time as HH:MM:SS."""
    at = policy.hold.at
    due_after = policy.due_after
    return {
        "quorum": policy.quorum,
        "note": policy.note,
        "id": policy.id,
        "version": policy.version,
        "recipient_kind": policy.recipient_kind.value,
        "notice_class": policy.notice_class.value,
        "due_after_s": None if due_after is None else _seconds(due_after),
        "hold": policy.hold.hold.value,
        "hold_at": None if at is None else at.isoformat("seconds"),
        "steps": [
            {
                "after_s": _seconds(step.after),
                "notify": step.notify.value,
                "channels": [channel.value for channel in step.channels],
            }
            for step in policy.steps
        ],
    }


def policy_from_record(record: PolicyRecord) -> Policy:
    """Rebuild the policy that `policy_to_record` wrote."""
    at = record["hold_at"]
    due_after_s = record["due_after_s"]
    return Policy(
        quorum=record.get("quorum", 1),
        note=record.get("note", ""),
        id=PolicyId(record["id"]),
        version=record["version"],
        recipient_kind=AgencyKind(record["recipient_kind"]),
        notice_class=NoticeClass(record["notice_class"]),
        due_after=None if due_after_s is None else dt.timedelta(seconds=due_after_s),
        hold=HoldRule(
            hold=Hold(record["hold"]), at=None if at is None else dt.time.fromisoformat(at)
        ),
        steps=tuple(
            Step(
                after=dt.timedelta(seconds=step["after_s"]),
                notify=Notify(step["notify"]),
                channels=tuple(Channel(channel) for channel in step["channels"]),
            )
            for step in record["steps"]
        ),
    )


def default_policy(
    *,
    kind: AgencyKind,
    notice_class: NoticeClass,
    standing: Standing,
    calendar: Calendar,
    at: dt.datetime,
) -> Policy:
    """Choose the default in force at `at` for a recipient, fitted to its standing."""
    return for_standing(
        _default(kind, notice_class, profile=_profile(kind, calendar, at=at)), standing
    )


def own_policy_id(agency_id: AgencyId, notice_class: NoticeClass) -> PolicyId:
    """Name the policy that an agency may have of its own for a class."""
    return PolicyId(f"{agency_id}.{notice_class.value}")


def owner_of(policy_id: str) -> AgencyId | None:
    """Give the agency whose own policy an id names; None for a default's."""
    found = OWN_ID.fullmatch(policy_id)
    return None if found is None else AgencyId(found[1])


def default_policies() -> tuple[Policy, ...]:
    """List every default once, in a stable order, as an installation is seeded with them."""
    return tuple(
        _default(kind, notice_class, profile=profile)
        for kind, profiles in _PROFILES_OF_KIND.items()
        for profile in profiles
        for notice_class in NoticeClass
    )


def default_window(kind: AgencyKind) -> Window:
    """Give the opening hours assumed for an agency of `kind` that has stated none."""
    return _WINDOWS[kind]


def for_standing(policy: Policy, standing: Standing) -> Policy:
    """Fit a policy to a standing.

    An advisory recipient's silence is listed for the operators and goes no further.
    """
    stops = all(step.lists_only for step in policy.steps if step.notify is Notify.OPERATORS)
    if standing is Standing.MANDATORY or stops:
        return policy
    steps = tuple(
        replace(step, channels=()) if step.notify is Notify.OPERATORS else step
        for step in policy.steps
    )
    return replace(policy, steps=steps)


class _Profile(StrEnum):
    """A line of the table of defaults."""

    STATE_DESK = "state_desk"
    COUNTY_OFFICE = "county_office"
    SCHOOL_DAY = "school_day"
    SCHOOL_NIGHT = "school_night"
    COMMUNITY = "community"
    POSTER = "poster"
    OPERATOR = "operator"


def _profile(kind: AgencyKind, calendar: Calendar, *, at: dt.datetime) -> _Profile:
    profiles = _PROFILES_OF_KIND[kind]
    hours = calendar.hours
    if kind is AgencyKind.SCHOOL_DISTRICT and not _is_staffed(calendar, at):
        return _Profile.SCHOOL_NIGHT
    if _Profile.COUNTY_OFFICE in profiles and hours.opens != hours.closes:
        return _Profile.COUNTY_OFFICE
    return profiles[0]


def _is_staffed(calendar: Calendar, at: dt.datetime) -> bool:
    """Say whether a district is at school; one without a bell schedule has its hours and terms."""
    if calendar.bell is not None:
        return is_school_time(calendar, at)
    today = local_date(calendar.hours, at)
    in_term = any(first <= today <= last for first, last in calendar.terms)
    return (in_term or not calendar.terms) and is_open(calendar.hours, at)


@functools.cache
def _default(kind: AgencyKind, notice_class: NoticeClass, *, profile: _Profile) -> Policy:
    hold, steps = _DEFAULTS[profile].get(notice_class, _NOTHING_DUE)
    return Policy(
        id=PolicyId(f"default.{kind.value}.{profile.value}.{notice_class.value}"),
        version=1,
        recipient_kind=kind,
        notice_class=notice_class,
        due_after=steps[0].after if steps else None,
        hold=hold,
        steps=steps,
    )


def _seconds(duration: dt.timedelta) -> int:
    return duration // dt.timedelta(seconds=1)


def _chain(
    *minutes_and_notify: tuple[int, Notify], by: tuple[Channel, ...] = (Channel.EMAIL,)
) -> tuple[Step, ...]:
    """Build steps from (minutes, whom); whoever lacks a channel is reached over the others."""
    return tuple(
        Step(
            after=dt.timedelta(minutes=minutes),
            notify=notify,
            channels=(ENDPOINTS + by) if notify in DESKS else by,
        )
        for minutes, notify in minutes_and_notify
    )


def _up_the_line(*minutes: int, by: tuple[Channel, ...]) -> tuple[Step, ...]:
    """Build the usual order for as many delays as the table gives.

    Every chain ends with the operators.
    """
    chains = {
        4: (Notify.ON_DUTY, Notify.SECOND, Notify.HEAD, Notify.OPERATORS),
        3: (Notify.ON_DUTY, Notify.SECOND, Notify.OPERATORS),
        2: (Notify.ON_DUTY, Notify.OPERATORS),
    }
    return _chain(*zip(minutes, chains[len(minutes)], strict=True), by=by)


def _remind_then_list(*, remind_after: int) -> tuple[Step, ...]:
    """Build class C's chain: a reminder at the deadline, a day later the operators' list."""
    remind, operators = _up_the_line(remind_after, remind_after + 24 * 60, by=(Channel.EMAIL,))
    return (remind, replace(operators, channels=()))


def _own_line(*minutes: int, by: tuple[Channel, ...]) -> tuple[Step, ...]:
    """Build the operators' own chain: nobody stands behind them, so that all of them come last."""
    chain = (Notify.ON_DUTY, Notify.SECOND, Notify.ALL_CONTACTS)
    return _chain(*zip(minutes, chain, strict=True), by=by)


def _business_day(hour: int) -> HoldRule:
    return HoldRule(hold=Hold.BUSINESS_DAY, at=dt.time(hour, 0))


ENDPOINTS = (Channel.WEBHOOK, Channel.KAFKA)
"""What only an agency's desk has: nobody else is reached over them."""
DESKS = frozenset({Notify.ON_DUTY, Notify.FIRST_TWO, Notify.ALL_CONTACTS, Notify.DELEGATE})
"""The levels that stand for a desk, the agency's or its delegate's, and so for its endpoints."""
CALLS = (Channel.EMAIL, Channel.SMS, Channel.VOICE)
_TEXTS = (Channel.EMAIL, Channel.SMS)
_RUNS = HoldRule(hold=Hold.NEVER)
_HELD = HoldRule(hold=Hold.WINDOW)
_NOTHING_DUE: tuple[HoldRule, tuple[Step, ...]] = (_RUNS, ())

# Class D has no line anywhere: delivery closes it. Community bodies owe nothing on C.
_DEFAULTS: dict[_Profile, dict[NoticeClass, tuple[HoldRule, tuple[Step, ...]]]] = {
    _Profile.STATE_DESK: {
        NoticeClass.A: (_RUNS, _up_the_line(10, 20, 40, 60, by=CALLS)),
        NoticeClass.B: (_HELD, _up_the_line(60, 90, 120, 180, by=_TEXTS)),
        NoticeClass.C: (_business_day(12), _remind_then_list(remind_after=0)),
    },
    _Profile.COUNTY_OFFICE: {
        NoticeClass.A: (_RUNS, _up_the_line(15, 30, 45, 60, by=CALLS)),
        NoticeClass.B: (_HELD, _up_the_line(60, 120, 240, by=_TEXTS)),
        NoticeClass.C: (_business_day(12), _remind_then_list(remind_after=0)),
    },
    _Profile.SCHOOL_DAY: {
        NoticeClass.A: (_RUNS, _up_the_line(15, 30, 45, 60, by=CALLS)),
        NoticeClass.B: (_HELD, _up_the_line(30, 60, 90, 120, by=_TEXTS)),
        NoticeClass.C: (_business_day(7), _remind_then_list(remind_after=0)),
    },
    _Profile.SCHOOL_NIGHT: {
        # Nobody is at a desk: the superintendent first, then everyone the district has named.
        NoticeClass.A: (
            _RUNS,
            _chain((20, Notify.HEAD), (40, Notify.ALL_CONTACTS), (60, Notify.OPERATORS), by=CALLS),
        ),
        NoticeClass.B: (_HELD, _up_the_line(30, 60, 90, 120, by=_TEXTS)),
        NoticeClass.C: (_business_day(7), _remind_then_list(remind_after=0)),
    },
    _Profile.COMMUNITY: {
        NoticeClass.A: (_RUNS, _up_the_line(60, 120, 180, by=CALLS)),
        NoticeClass.B: (_HELD, _up_the_line(120, 240, 360, by=_TEXTS)),
    },
    _Profile.POSTER: {
        NoticeClass.A: (_RUNS, _up_the_line(60, 120, 180, 240, by=CALLS)),
        NoticeClass.B: (_HELD, _up_the_line(240, 480, by=_TEXTS)),
        NoticeClass.C: (_HELD, _remind_then_list(remind_after=24 * 60)),
    },
    _Profile.OPERATOR: {
        NoticeClass.A: (_RUNS, _own_line(10, 20, 30, by=CALLS)),
        NoticeClass.B: (_HELD, _own_line(30, 60, 120, by=_TEXTS)),
        NoticeClass.C: (_HELD, _chain((24 * 60, Notify.ON_DUTY))),
    },
}

# The first profile of a kind is the one it has unless its hours say otherwise.
_PROFILES_OF_KIND: dict[AgencyKind, tuple[_Profile, ...]] = {
    AgencyKind.FEDERAL: (_Profile.POSTER,),
    AgencyKind.LAW_ENFORCEMENT: (_Profile.POSTER,),
    AgencyKind.CPS: (_Profile.STATE_DESK, _Profile.COUNTY_OFFICE),
    AgencyKind.TRIBAL_CHILD_WELFARE: (_Profile.STATE_DESK, _Profile.COUNTY_OFFICE),
    AgencyKind.SCHOOL_DISTRICT: (_Profile.SCHOOL_DAY, _Profile.SCHOOL_NIGHT),
    AgencyKind.FAITH: (_Profile.COMMUNITY,),
    AgencyKind.COMMUNITY: (_Profile.COMMUNITY,),
    AgencyKind.OPERATOR: (_Profile.OPERATOR,),
}

_WINDOWS = {
    AgencyKind.FEDERAL: Window.OFFICE,
    AgencyKind.LAW_ENFORCEMENT: Window.ALWAYS,
    AgencyKind.CPS: Window.ALWAYS,
    AgencyKind.TRIBAL_CHILD_WELFARE: Window.ALWAYS,
    AgencyKind.SCHOOL_DISTRICT: Window.SCHOOL_DAY,
    AgencyKind.FAITH: Window.COMMUNITY,
    AgencyKind.COMMUNITY: Window.COMMUNITY,
    AgencyKind.OPERATOR: Window.ALWAYS,
}

"""Escalation policies: what administrators send, what agencies see, and what one would do."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import Accepted, AgencyIdText, Instant, Published, at, refuse
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    NoticeClass,
    Notify,
    Position,
    Standing,
    Status,
)

DELAY_S_MAX = 30 * 24 * 60 * 60
STEPS_MAX = 20
QUORUM_MAX = 20
CHANNELS_MAX = 6

Delay = Annotated[int, Field(strict=True, ge=0, le=DELAY_S_MAX)]
HoldWord = Literal["never", "window", "business_day"]
"""From when delays count: at once; from the next opening; from `hold_at` of a business day."""
LocalTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["07:00"])]


class PolicyStepPut(Accepted):
    """One step. Without channels nobody is written to: it puts the matter on the operators' list.

    `after_s` counts from the round's base, not from the step before.
    """

    after_s: Delay
    notify: Notify
    channels: Annotated[tuple[Channel, ...], Field(max_length=CHANNELS_MAX)]


class PolicyPut(Accepted):
    """A policy as it shall be from now on; rounds that run already keep theirs.

    `due_after_s` is the deadline, null where nothing falls due. `quorum` different contacts must
    accept.
    """

    due_after_s: Delay | None
    hold: HoldWord
    hold_at: LocalTime | None = None
    quorum: Annotated[int, Field(strict=True, ge=1, le=QUORUM_MAX)] = 1
    steps: Annotated[tuple[PolicyStepPut, ...], Field(max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        faults = []
        if (self.hold == "business_day") != (self.hold_at is not None):
            faults.append(at("/hold_at", "give a time with hold business_day, and only then"))
        if self.steps and self.due_after_s is None:
            faults.append(at("/due_after_s", "give a deadline: the policy has steps"))
        for index in range(1, len(self.steps)):
            if self.steps[index].after_s <= self.steps[index - 1].after_s:
                message = "let each step fall later than the one before it"
                faults.append(at(f"/steps/{index}/after_s", message))
        refuse(faults)
        return self


class PolicyStepView(Published):
    """One step of a policy."""

    after_s: int
    notify: Notify
    channels: tuple[Channel, ...]


class PolicyWarning(Published):
    """What will not work as it is written, and where it stands."""

    pointer: str
    message: str


class PolicyView(Published):
    """A policy in force; `version` is its ETag. `agency_id` is null for a default."""

    id: str
    version: int
    agency_id: AgencyIdText | None
    recipient_kind: AgencyKind
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    due_after_s: int | None
    hold: HoldWord
    hold_at: str | None
    quorum: int
    steps: tuple[PolicyStepView, ...]
    created_at: Instant | None
    ended_at: Instant | None
    warnings: tuple[PolicyWarning, ...] = ()


class AppliedPolicy(Published):
    """The policy that a round of this class would run under if it began now, and why this one."""

    notice_class: Annotated[NoticeClass, Field(alias="class")]
    why: str
    policy: PolicyView


class AppliedPolicies(Published):
    """What applies to an agency now, class by class."""

    items: tuple[AppliedPolicy, ...]


class CalledView(Published):
    """A person or desk that is called, over what; addresses are not shown."""

    name: str
    role: str
    position: Position
    agency: str
    channels: tuple[Channel, ...]


class SimulatedCall(Published):
    """What happens at one moment.

    `kind` is `notice` for what carries the notice itself, `step` for a step, `due` for the
    deadline. `minutes` count from the notice. `endpoints` are the agency's own, by channel.
    `fell_through` is the level that took the place of an empty one.
    """

    at: Instant
    local: str
    minutes: int
    kind: Literal["notice", "due", "step"]
    step: int | None
    notify: Notify | None
    contacts: tuple[CalledView, ...]
    endpoints: tuple[Channel, ...]
    fell_through: Notify | None
    lists_only: bool
    why: str


class PolicySimulation(Published):
    """What would happen if a notice came then and nobody answered. Nothing was stored or sent."""

    agency: AgencyRef
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    status: Status
    at: Instant
    zone: str
    standing: Standing
    policy_id: str
    policy_version: int
    quorum: int
    why: str
    held_until: Instant | None
    dismissal_at: Instant | None
    due_at: Instant | None
    calls: tuple[SimulatedCall, ...]
    warnings: tuple[str, ...]

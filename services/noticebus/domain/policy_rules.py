"""What a policy may not be, and had better not be: loops, silence, levels without anybody."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from noticebus.contracts.vocabulary import Channel, NoticeClass, Notify
from noticebus.domain.escalation import (
    ContactPoint,
    Resolved,
    calls_of,
    endpoint_channels,
    resolve,
)
from noticebus.domain.policies import DESKS, ENDPOINTS, Policy, Step
from noticebus.errors import Detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """Whom steps can reach at one moment; `endpoints` are the channels that have any.

    `stood_in`: another agency stands in at that moment.
    """

    contacts: Sequence[ContactPoint] = ()
    operators: Sequence[ContactPoint] = ()
    delegates: Sequence[ContactPoint] = ()
    endpoints: frozenset[Channel] = field(default_factory=frozenset)
    delegate_endpoints: frozenset[Channel] = field(default_factory=frozenset)
    stood_in: bool = False


def reached_by(step: Step, reach: Reachable) -> Resolved:
    """Resolve a step as it would fire with `reach`."""
    return resolve(
        step.notify,
        reach.contacts,
        operators=reach.operators,
        delegates=reach.delegates,
        over=step.over,
    )


def endpoints_of(step: Step, reach: Reachable) -> tuple[Channel, ...]:
    """List the endpoints that a step calls, the agency's or its delegate's, by channel."""
    there = reach.delegate_endpoints if step.notify is Notify.DELEGATE else reach.endpoints
    return tuple(one for one in endpoint_channels(step) if one in there)


def loops(steps: Sequence[Step]) -> tuple[Detail, ...]:
    """Find the steps that go back to where the chain has been.

    A level over the same channels comes once. Only the desk on duty may be reminded repeatedly: one
    step after the other, each pause longer than the one before it, so that the chain still ends.
    """
    return tuple(
        Detail(
            pointer=f"/steps/{index}",
            message=f"{step.notify} was called over the same channels by an earlier step: go up the"
            " line, or remind on_duty with pauses that grow",
        )
        for index, step in enumerate(steps)
        if _comes_again(steps, index) and not _reminds(steps, index)
    )


def misplaced_endpoints(steps: Sequence[Step]) -> tuple[Detail, ...]:
    """Find channels that a level cannot have: only an agency's desk has endpoints.

    A feed calls nobody, whatever the level.
    """
    return tuple(
        Detail(
            pointer=f"/steps/{index}/channels",
            message=f"take {channel} out: {step.notify} has none",
        )
        for index, step in enumerate(steps)
        for channel in step.channels
        if channel is Channel.INBOX or (channel in ENDPOINTS and step.notify not in DESKS)
    )


def may_be_silent(policy: Policy) -> bool:
    """Say whether a policy need reach nobody: nothing falls due, in a class that asks for nothing.

    Class A and B always ask for somebody.
    """
    urgent = policy.notice_class in {NoticeClass.A, NoticeClass.B}
    return not urgent and policy.due_after is None


def writes_to_somebody(steps: Iterable[Step]) -> bool:
    """Say whether any step calls anybody rather than putting the matter on a list."""
    return any(not step.lists_only for step in steps)


def reaches_somebody(steps: Iterable[Step], reach: Reachable) -> bool:
    """Say whether any step gets to an endpoint, to a person of the agency, or to an operator."""
    return any(
        endpoints_of(step, reach) or calls_of(step, reached_by(step, reach)) for step in steps
    )


def weaknesses(steps: Sequence[Step], reach: Reachable) -> tuple[Detail, ...]:
    """Find the steps that will not do what they say with the people there are now."""
    found = [(index, step, reached_by(step, reach)) for index, step in enumerate(steps)]
    return tuple(
        Detail(pointer=f"/steps/{index}", message=message)
        for index, step, reached in found
        if not step.lists_only and (message := _weakness(step, reached, reach)) is not None
    )


def _weakness(step: Step, reached: Resolved, reach: Reachable) -> str | None:
    calls = calls_of(step, reached)
    if not calls and not endpoints_of(step, reach):
        return f"{step.notify} reaches nobody: give a contact one of the step's channels"
    if reached.fell_through is not None:
        instead = (
            f"{reached.fell_through} is called instead" if calls else "only endpoints are called"
        )
        return f"nobody is at {step.notify}: {instead}"
    there = resolve(step.notify, reach.contacts, delegates=reach.delegates).contacts
    mute = len(there) - len(reached.contacts)
    if mute > 0 and step.notify is not Notify.OPERATORS:
        return f"{mute} of {len(there)} at {step.notify} have none of its channels"
    return None


def _comes_again(steps: Sequence[Step], index: int) -> bool:
    step = steps[index]
    return any(
        one.notify is step.notify and set(one.channels) == set(step.channels)
        for one in steps[:index]
    )


def _reminds(steps: Sequence[Step], index: int) -> bool:
    """Say whether a step only repeats the reminder before it, after a longer pause than that."""
    step, before = steps[index], steps[index - 1]
    if step.notify is not Notify.ON_DUTY or before.notify is not Notify.ON_DUTY:
        return False
    earlier = before.after - steps[index - 2].after if index > 1 else before.after
    return step.after - before.after > earlier

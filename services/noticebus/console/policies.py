"""Escalation policies as people read them, and what one would do at 3 a.m. on a Sunday."""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response

from noticebus.casework import policies as casework
from noticebus.casework.agencies import list_agencies
from noticebus.casework.simulate import simulate
from noticebus.console.pages import PageRoute, duration, enter_view, render
from noticebus.console.reading import read_local
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.policy import PolicySimulation, SimulatedCall
from noticebus.contracts.vocabulary import Channel, NoticeClass, Notify, Status
from noticebus.domain.mail import CLASS_WORDS
from noticebus.domain.policies import Hold, HoldRule, Policy, Step
from noticebus.errors import Detail, InvalidError, RefusedError
from noticebus.store.policies import StoredPolicy

PAGE = 100
VERSIONS_MAX = 20
OFFERED_MAX = 200  # agencies that the form offers; any other can be typed, or come from its page
WHOM = {
    Notify.ON_DUTY: "the desk on duty",
    Notify.FIRST_TWO: "the first two people up the line, together",
    Notify.SECOND: "the second contact",
    Notify.HEAD: "the head of the agency",
    Notify.ALL_CONTACTS: "every contact of the agency",
    Notify.DELEGATE: "who stands in for the agency",
    Notify.OPERATORS: "the operators of the bus",
}
CHANNELS = {
    Channel.WEBHOOK: "its endpoint",
    Channel.KAFKA: "its topic",
    Channel.INBOX: "its inbox",
    Channel.EMAIL: "mail",
    Channel.SMS: "text message",
    Channel.VOICE: "call",
}

_Word = TypeVar("_Word", bound=StrEnum)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the simulation's form holds, as it was typed."""

    agency: str
    notice_class: str
    at: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One version against the one before it: what differs, before and after, in words."""

    stored: StoredPolicy
    differences: Sequence[tuple[str, str, str]]


async def get_asked(
    agency: Annotated[str, Query(max_length=40)] = "",
    notice_class: Annotated[str, Query(alias="class", max_length=20)] = NoticeClass.A,
    at: Annotated[str, Query(max_length=40)] = "",
    status: Annotated[str, Query(max_length=20)] = Status.ACTUAL,
) -> Asked:
    """Read the simulation's form."""
    return Asked(agency=agency.strip(), notice_class=notice_class, at=at.strip(), status=status)


@router.get("/policies")
async def show_policies(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    after: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """List the policies in force that the visitor may read."""
    found = await casework.list_policies(desk, visitor.principal, after=after, limit=PAGE + 1)
    return await render(
        request,
        "policies.html",
        visitor=visitor,
        title="Policies",
        policies=[(one, in_words(one.policy)) for one in found[:PAGE]],
        following=found[PAGE - 1].policy.id if len(found) > PAGE else None,
        classes=CLASS_WORDS,
    )


@router.get("/policies/simulation")
async def show_simulation(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    asked: Annotated[Asked, Depends(get_asked)],
) -> Response:
    """Play a notice that nobody answers: who would be called when, and why."""
    asked = replace(asked, agency=asked.agency or visitor.principal.agency_id or "")
    offered = await list_agencies(desk, visitor.principal, after="", limit=OFFERED_MAX)
    played: PolicySimulation | None = None
    faults: Mapping[str, str] = {}
    if asked.agency:
        try:
            zone = await casework.zone_of(desk, visitor.principal, agency_id=asked.agency)
            played = await simulate(
                desk,
                visitor.principal,
                agency_id=asked.agency,
                notice_class=_word(NoticeClass, asked.notice_class, field="class"),
                status=_word(Status, asked.status, field="status"),
                at=_moment(asked.at, zone=zone, now=desk.world.now()),
            )
            await enter_view(request, visitor, "simulation", agency_id=asked.agency)
        except RefusedError as error:
            faults = {one.pointer.strip("/"): one.message for one in error.details} or {
                "agency": error.message
            }
    return await render(
        request,
        "simulation.html",
        visitor=visitor,
        status=422 if faults else 200,
        title="What would happen?",
        asked=asked,
        offered=offered,
        played=played,
        faults=faults,
        classes=CLASS_WORDS,
        statuses=tuple(Status),
        what=what_happens,
        how=how_called,
    )


@router.get("/policies/{policy_id}")
async def show_policy(
    request: Request, desk: TheDesk, visitor: TheVisitor, policy_id: str
) -> Response:
    """Show a policy in words, and what each version changed."""
    found = await casework.policy_versions(
        desk, visitor.principal, policy_id=policy_id, limit=VERSIONS_MAX + 1
    )
    newest = found[0]
    return await render(
        request,
        "policy.html",
        visitor=visitor,
        title=f"Policy {newest.policy.id}",
        stored=newest,
        facts=in_words(newest.policy),
        steps=[
            (duration(one.after.total_seconds()), step_words(one)) for one in newest.policy.steps
        ],
        changes=changes_of(found)[:VERSIONS_MAX],
        more=len(found) > VERSIONS_MAX,
        classes=CLASS_WORDS,
    )


def in_words(policy: Policy) -> dict[str, str]:
    """Say a policy in words, one sentence for each thing it rules."""
    due = policy.due_after
    people = "One person" if policy.quorum == 1 else f"{policy.quorum} different people"
    return {
        "Answer due": "nothing falls due"
        if due is None
        else f"after {duration(due.total_seconds())}",
        "The clock counts": hold_words(policy.hold),
        "Must accept": f"{people} of the agency",
        "If nobody answers": "; ".join(
            f"after {duration(one.after.total_seconds())}: {step_words(one)}"
            for one in policy.steps
        )
        or "nobody is called again",
    }


def hold_words(hold: HoldRule) -> str:
    """Say from when the delays count."""
    match hold.hold:
        case Hold.NEVER:
            return "from the notice itself, day and night"
        case Hold.WINDOW:
            return "from when the agency next works"
        case Hold.BUSINESS_DAY:
            assert hold.at is not None, "a business-day hold has a time"
            return f"from {hold.at:%H:%M} local time of the next business day"


def step_words(step: Step) -> str:
    """Say whom a step reaches and how."""
    if step.lists_only:
        return f"put it on the list of {WHOM[step.notify]}"
    by = ", ".join(CHANNELS[one] for one in step.channels)
    return f"tell {WHOM[step.notify]} by {by}"


def changes_of(versions: Sequence[StoredPolicy]) -> list[Change]:
    """Compare each version with the one before it; `versions` begins with the newest."""
    changes = [
        Change(stored=new, differences=_differences(old.policy, new.policy))
        for new, old in itertools.pairwise(versions)
    ]
    first = versions[-1]
    return [*changes, Change(stored=first, differences=())]


def what_happens(call: SimulatedCall) -> str:
    """Say what one moment of a simulation is."""
    if call.kind == "notice":
        return "The notice arrives"
    if call.kind == "due" or call.notify is None:
        return "The answer is due"
    if call.lists_only:
        return f"On the list of {WHOM[call.notify]}"
    return f"Tell {WHOM[call.notify]}"


def how_called(channels: Sequence[Channel]) -> str:
    """Name channels in words."""
    return ", ".join(CHANNELS[one] for one in channels)


def _differences(old: Policy, new: Policy) -> list[tuple[str, str, str]]:
    before, after = in_words(old), in_words(new)
    return [(name, before[name], after[name]) for name in after if before[name] != after[name]]


def _word(words: type[_Word], text: str, *, field: str) -> _Word:
    try:
        return words(text)
    except ValueError as error:
        raise _fault(field, f"Choose one of: {', '.join(words)}.") from error


def _moment(text: str, *, zone: str, now: dt.datetime) -> dt.datetime:
    """Read a local time of the agency's zone as a form gives it; now where nothing was typed."""
    if not text:
        return now
    try:
        return read_local(text, zone=zone)
    except ValueError as error:
        raise _fault("at", "Write a date and a time, like 2026-12-06T03:00.") from error


def _fault(field: str, message: str) -> InvalidError:
    return InvalidError(message, details=(Detail(pointer=f"/{field}", message=message),))

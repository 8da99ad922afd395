"""The ledger for auditors: searched, checked, who exported what, how policies changed."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from noticebus.casework import ledger_search, verification
from noticebus.casework.audit import last_verdict
from noticebus.casework.ledger_search import PolicyChange
from noticebus.casework.verification import Progress
from noticebus.console.forms import Form, read_form
from noticebus.console.pages import PageRoute, enter_view, render
from noticebus.console.policies import in_words
from noticebus.console.reading import read_local, read_whole
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.audit import Check
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import Detail, InvalidError
from noticebus.store.ledger_pages import LOOKED_THROUGH_MAX, LedgerEntry, Wanted

PAGE = 50
CHANGES = 25
ID_MAX = 64
INDEX_MAX = 2**62
# What is looked for most: the name of a group, its words, and the types in it.
GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "exports": (
        "reports and pages: who read or exported what",
        ("report.read", "report.linked", "page.viewed"),
    ),
    "answers": ("answers of recipients", ("acknowledgement.recorded",)),
    "waivers": (
        "waivers: asked for, confirmed, taken back",
        ("waiver.requested", "waiver.confirmed", "waiver.taken_back"),
    ),
    "steps": (
        "escalation steps, and obligations whose clock stopped",
        ("escalation.stepped", "obligation.parked"),
    ),
    "notices": (
        "notices: posted, released, cleared, cancelled",
        (
            "notice.accepted",
            "notice.approved",
            "notice.sent_alone",
            "notice.released",
            "approval.asked",
            "approval.sent_back",
            "approval.withdrawn",
            "incident.cleared",
            "cancel.requested",
            "cancel.confirmed",
            "cancel.taken_back",
        ),
    ),
    "policies": ("changes of policies", ledger_search.POLICY_TYPES),
    "keys": ("keys: made and revoked", ("key.created", "key.revoked")),
    "checks": (
        "checks of the ledger, and what the auditor found",
        ("ledger.verified", "audit.found", "audit.cleared"),
    ),
}
CHECKS = {
    Check.CONSERVATION: "Every obligation is accounted for: rows and ledger agree",
    Check.STEPS_DUE: "No escalation step is late",
    Check.RELEASES_DUE: "No embargoed notice is late",
    Check.DELIVERIES_DUE: "No delivery is left lying",
    Check.ENDS_DUE: "No exercise or offer is past its end",
    Check.PARKED: "No open obligation has lost its clock",
    Check.STEPPED_AFTER_END: "No step came after the answer",
    Check.STEPPED_TWICE: "No step came twice",
    Check.INDEX_GROWTH: "Every entry has its index",
    Check.INDEX_GAPS: "No index is missing",
    Check.COUNTERS: "The report's counters say what its rows say",
    Check.LEAVES: "Every entry is what was hashed when it was written",
}
OF_A_RANGE = (Check.INDEX_GAPS, Check.LEAVES)

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Before = Annotated[int | None, Query(ge=1, le=INDEX_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the search form says, as it was typed."""

    incident: str
    group: str
    type: str
    mentions: str
    index: str
    since: str
    until: str

    def wanted(self) -> Wanted:
        """Read it; InvalidError where a field says something that it cannot."""
        return Wanted(
            incident_id=self.incident,
            types=GROUPS[self.group][1] if self.group in GROUPS else (),
            begins=self.type,
            mentions=self.mentions,
            index=_index(self.index, field="index"),
            since=_moment(self.since, field="since"),
            until=_moment(self.until, field="until"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One entry as the page shows it: who did it, in words, and all that it says."""

    entry: LedgerEntry
    by: str
    agency: str
    said: str


@router.get("/ledger")
async def search_ledger(
    request: Request, desk: TheDesk, visitor: TheVisitor, before: Before = None
) -> Response:
    """Search the ledger, newest first."""
    allow(visitor, Scope.AUDIT, Scope.ADMIN, Scope.OPERATE)
    asked = _asked(request)
    wanted = asked.wanted()
    page = await ledger_search.search(
        desk, visitor.principal, wanted=wanted, before=before, limit=PAGE
    )
    await enter_view(request, visitor, "ledger")
    return await render(
        request,
        "ledger.html",
        visitor=visitor,
        title="Ledger",
        asked=asked,
        groups=GROUPS,
        page=page,
        shown=[_shown(one, page) for one in page.entries],
        looked_through=LOOKED_THROUGH_MAX,
        led=wanted.is_led_by_an_index,
        next=_following(request, page.before),
        verdict=await last_verdict(desk),
    )


@router.get("/ledger/policies")
async def show_policy_changes(
    request: Request, desk: TheDesk, visitor: TheVisitor, before: Before = None
) -> Response:
    """Show how policies changed, newest first: what was before, what came after, by whom."""
    allow(visitor, Scope.AUDIT, Scope.ADMIN, Scope.OPERATE)
    changes, page = await ledger_search.policy_changes(
        desk, visitor.principal, before=before, limit=CHANGES
    )
    await enter_view(request, visitor, "ledger_policies")
    return await render(
        request,
        "ledger_policies.html",
        visitor=visitor,
        title="Changes of policies",
        rows=[(one, _shown(one.entry, page).by, _differences(one)) for one in changes],
        next=_following(request, page.before),
    )


@router.post("/ledger/verify")
async def verify_ledger(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Check a few more parts of the ledger, and show how far that has come.

    Nothing is changed but for the entry at the end, and what goes on is a form: so it is answered
    with the page itself, and not with the way to another.
    """
    allow(visitor, Scope.AUDIT, Scope.ADMIN, Scope.OPERATE)
    form = await read_form(request, visitor)
    sealed = form.text("progress")
    if sealed:
        progress = verification.unseal(desk, visitor.principal, sealed)
    else:
        progress = _begin(desk, visitor, form)
    progress = await verification.advance(desk, visitor.principal, progress)
    checks = CHECKS if progress.of_everything else {one: CHECKS[one] for one in OF_A_RANGE}
    return await render(
        request,
        "ledger_check.html",
        visitor=visitor,
        title="Check of the ledger",
        progress=progress,
        sealed=verification.seal(desk, progress),
        checks=checks,
        started_at=dt.datetime.fromisoformat(progress.started_at),
        now=desk.world.now(),
    )


def _begin(desk: TheDesk, visitor: TheVisitor, form: Form) -> Progress:
    first = _index(form.text("first"), field="first") or 0
    last = _index(form.text("last"), field="last")
    if last is not None and last < first:
        message = "Give a last index that is not before the first."
        raise InvalidError(message, details=(Detail(pointer="/last", message=message),))
    return verification.begin(desk, visitor.principal, first=first, last=last)


def _asked(request: Request) -> Asked:
    def text(name: str) -> str:
        return request.query_params.get(name, "").strip()[:ID_MAX]

    return Asked(
        incident=text("incident"),
        group=text("group"),
        type=text("type"),
        mentions=text("mentions"),
        index=text("index"),
        since=text("since"),
        until=text("until"),
    )


def _index(text: str, *, field: str) -> int | None:
    if not text:
        return None
    index = read_whole(text)
    if index is None:
        message = "An index is a whole number from 0."
        raise InvalidError(message, details=(Detail(pointer=f"/{field}", message=message),))
    return index


def _moment(text: str, *, field: str) -> dt.datetime | None:
    """Read a day and time; without a zone it is UTC, which the form says."""
    if not text:
        return None
    try:
        return read_local(text, zone="UTC")
    except ValueError as error:
        message = "Write the time as 2019-08-07 12:55, in UTC."
        raise InvalidError(
            message, details=(Detail(pointer=f"/{field}", message=message),)
        ) from error


def _shown(entry: LedgerEntry, page: ledger_search.Searched) -> Shown:
    data = entry.data
    actor_id = next((data[one] for one in ("by", "actor", "posted_by") if data.get(one)), "")
    actor = page.actors.get(actor_id)
    agency = page.agencies.get(data.get("agency_id", ""))
    return Shown(
        entry=entry,
        by=actor_id if actor is None else actor.name,
        agency="" if agency is None else agency.name,
        said=_pretty(data),
    )


def _pretty(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)


def _differences(change: PolicyChange) -> list[tuple[str, str, str]]:
    """Give (what, before, after) for what differs; of a first version everything is new."""
    if change.after is None:
        return []
    after = in_words(change.after)
    before = {} if change.before is None else in_words(change.before)
    return [
        (name, before.get(name, "none"), value)
        for name, value in after.items()
        if before.get(name) != value
    ]


def _following(request: Request, before: int | None) -> str | None:
    """Give the address of what comes before: the same search, from there on."""
    if before is None:
        return None
    return f"?{request.url.include_query_params(before=before).query}"

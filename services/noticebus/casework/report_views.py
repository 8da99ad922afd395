"""The report's parts as they go out: items, figures, debts and warnings."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from noticebus.casework.report_places import places_of
from noticebus.casework.report_trusted import trusted
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.report import (
    CallNow,
    DataQualityItem,
    LastAttempt,
    NextAction,
    OfferItem,
    OwedItem,
    ReportItem,
    ReportSummary,
    percentile,
)
from noticebus.contracts.vocabulary import Notify, Position
from noticebus.domain import figures
from noticebus.domain.figures import Figures
from noticebus.domain.gazetteer import Gazetteer
from noticebus.ids import AgencyId, NoticeId, ObligationId
from noticebus.store.agencies import Contact
from noticebus.store.obligations import StepRow
from noticebus.store.offers import Offer
from noticebus.store.paused_quality import SUBSCRIPTION_MOVED, SUBSCRIPTION_PAUSED
from noticebus.store.policy_quality import POLICY_REACHES_NOBODY
from noticebus.store.report_facts import Debt, Named, Tries
from noticebus.store.report_lines import Callee, OfNotice
from noticebus.store.report_quality import (
    CANCEL_PENDING,
    CERTIFICATE_EXPIRES,
    DECLINED_AFTER_ACCEPTING,
    ENDPOINT_DOWN,
    ENDPOINT_FAILING,
    LEASE_LAPSED,
    MESSAGES_HELD,
    NEVER_EXERCISED,
    NEVER_VERIFIED,
    NO_CONTACT,
    NO_SECOND_CONTACT,
    NO_VERIFIED_CHANNEL,
    NOT_HEARD_OF,
    PAST_RECIPIENT_UNREACHABLE,
    Warned,
)
from noticebus.store.reports import Line
from noticebus.store.roster_quality import NOBODY_ON_DUTY, ROSTER_ENDS, ROSTER_GAP
from noticebus.store.terms_quality import TERMS_END

Person = TypeVar("Person", Contact, Callee)

_ORDER = (Position.ON_DUTY, Position.SECOND, Position.HEAD, Position.OTHER)
_SENTENCES = {
    NO_CONTACT: "has no contact: record a person or desk with a telephone.",
    NO_VERIFIED_CHANNEL: "answers for places, but no verified channel reaches it: verify a mail"
    " address or an endpoint.",
    DECLINED_AFTER_ACCEPTING: "declined after it had accepted: ring it, nobody else was asked.",
    ENDPOINT_DOWN: "has an endpoint that is down since {since}, and what is for it is held back"
    " ({count}): ring whoever runs it. Its contacts are told by mail or telephone meanwhile.",
    ENDPOINT_FAILING: "has an endpoint that failed at the last delivery: ask its contact.",
    CERTIFICATE_EXPIRES: "has an endpoint that is shown a client certificate with at most 30 days"
    " left: have a new one issued and set it.",
    LEASE_LAPSED: "has a webhook or topic that nobody renewed: it is paused. Ask whether it is in"
    " use, then renew it or end it.",
    SUBSCRIPTION_MOVED: "has moved a webhook to an address that has not consented yet: what comes"
    " is held back ({count}). Ask whoever runs it to answer the handshake.",
    SUBSCRIPTION_PAUSED: "has paused a subscription: what comes is held back ({count}). Ask when it"
    " goes on.",
    NEVER_VERIFIED: "has a subscription that was never verified: nothing is sent to it.",
    PAST_RECIPIENT_UNREACHABLE: "was told of an incident, and no channel carries its newest version"
    " to it: ring it, and record what it says about that version.",
    CANCEL_PENDING: "has asked to cancel an incident, and no second person has confirmed it:"
    " confirm it or take it back.",
    MESSAGES_HELD: "has messages held back ({count}), for many fell due at once: they follow by"
    " themselves. Ring it if one of them cannot wait.",
    NOT_HEARD_OF: "was sent text messages or calls ({count}) over an hour ago, and the telephone"
    " provider has not said what came of them: ring it, and check that the provider can call back"
    " base_url.",
    NEVER_EXERCISED: "must answer for places and has never completed an exercise: invite it to"
    " one.",
    NOBODY_ON_DUTY: "has nobody on duty in the next 7 days: enter a shift, or a contact on duty"
    " whom mail reaches, or the telephone where the bus has a provider.",
    ROSTER_GAP: "has a roster with a gap of more than 12 hours in the next 7 days: enter who is on"
    " duty then.",
    ROSTER_ENDS: "has a roster that ends within 7 days: import the next one.",
    TERMS_END: "has stated school terms, and none goes on after the next 30 days: import the next"
    " ones. Outside its terms it counts as on holiday, and no dismissal caps a deadline.",
    POLICY_REACHES_NOBODY: "would be called by nobody: no step of its policy gets to anybody. Enter"
    " a contact, or an operator.",
    NO_SECOND_CONTACT: "has no second contact that anything reaches: if the first is silent,"
    " nobody else is told.",
}
TO_DO = frozenset(
    {CERTIFICATE_EXPIRES, NEVER_EXERCISED, NO_SECOND_CONTACT, ROSTER_ENDS, ROSTER_GAP, TERMS_END}
)
"""Warnings of what is to be done before it counts: today a notice arrives all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whom a report names, whom of them to ring, and whom the steps of the clock have reached."""

    agencies: Mapping[AgencyId, Named]
    contacts: Mapping[AgencyId, Sequence[Callee]]
    steps: Mapping[ObligationId, Sequence[StepRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The facts that one page of lines needs."""

    now: dt.datetime
    places: Gazetteer
    who: Who
    tries: Mapping[ObligationId, Tries]
    notices: Mapping[NoticeId, OfNotice]
    answering: Mapping[AgencyId, frozenset[str]]


def items_of(lines: Sequence[Line], page: Page) -> tuple[ReportItem, ...]:
    """Show a page of lines: for a thread, where they may be many."""
    return tuple(item_view(line, page) for line in lines)


def item_view(line: Line, page: Page) -> ReportItem:
    """Show one open obligation."""
    tries = page.tries.get(line.id)
    notice = page.notices[line.round_notice_id]
    return trusted(
        ReportItem,
        obligation_id=line.id,
        agency=agency_ref(page.who.agencies[line.agency_id]),
        notice_id=line.round_notice_id,
        incident_id=line.incident_id,
        notice_class=line.notice_class,
        state=line.state,
        standing=line.standing,
        answered_version=line.answered_version,
        latest_version=notice.latest_version,
        due_at=line.due_at,
        overdue_s=_overdue_s(line.due_at, now=page.now),
        step=line.step,
        attempts=tries.count if tries else 0,
        last_attempt=trusted(LastAttempt, channel=tries.channel, outcome=tries.outcome, at=tries.at)
        if tries
        else None,
        next_action=_next_action(line),
        contact=call_now(
            page.who.contacts.get(line.agency_id, ()),
            reached=[row for row in page.who.steps.get(line.id, ()) if row.epoch == line.epoch],
        ),
        places=places_of(
            notice.area_keys,
            page.answering.get(line.agency_id, frozenset()),
            page.places,
        ),
    )


def call_now(contacts: Sequence[Person], *, reached: Sequence[StepRow]) -> CallNow | None:
    """Choose whom to ring: whom the last fired step reached, else who is on duty, with a telephone.

    Without any telephone the person is named all the same, so that somebody looks for a number.
    """
    ranked = ranked_to_call(contacts, reached=reached)
    if not ranked:
        return None
    first = ranked[0]
    return trusted(CallNow, name=first.name, role=first.role, phone=first.phone)


def ranked_to_call(contacts: Sequence[Person], *, reached: Sequence[StepRow]) -> list[Person]:
    """Give everybody who speaks for an agency, whom to ring first in front."""
    fired = [row for row in reached if not row.skipped]
    last = set(fired[-1].contact_ids) if fired else set()
    return sorted(
        contacts,
        key=lambda one: (one.phone is None, one.id not in last, _ORDER.index(one.position), one.id),
    )


def summary(counted: Figures, *, now: dt.datetime) -> ReportSummary:
    """Show the figures: mandatory obligations only, and of one status only (I9).

    `due` are all that fell due, waived ones excepted. Of those `closed_within_target` are the ones
    whose closing answer came by the deadline; a decline is an answer, but nobody has taken the case
    on, so it counts as not closed, like silence (design, section 8; research/ux.md, section 4.3).
    """
    return ReportSummary(
        open=counted.open,
        overdue=counted.overdue,
        oldest_overdue_s=_overdue_s(counted.oldest_due_at, now=now),
        due=counted.due,
        closed_within_target=counted.closed_within,
        closed_within_target_share=figures.share(counted.closed_within, of=counted.due),
        time_to_close_p50=percentile(_seconds(counted.p50)),
        time_to_close_p90=percentile(_seconds(counted.p90)),
    )


def debt_view(debt: Debt, who: Who, *, now: dt.datetime, is_past: bool) -> OwedItem:
    """Show what a poster owes, and whom of it to ring; `is_past` leaves out how it stands now."""
    reached = () if debt.obligation_id is None else who.steps.get(debt.obligation_id, ())
    return trusted(
        OwedItem,
        obligation_id=debt.obligation_id,
        agency=agency_ref(who.agencies[debt.agency_id]),
        incident_id=debt.incident_id,
        notice_id=debt.notice_id,
        owed=debt.owed,
        question_id=debt.question_id,
        topic=debt.topic,
        asks=debt.asks,
        due_at=debt.due_at,
        overdue_s=_overdue_s(debt.due_at, now=now),
        promised_until=None if is_past else debt.promised_until,
        next_action=None if is_past else _next_action(debt),
        contact=call_now(who.contacts.get(debt.agency_id, ()), reached=reached),
    )


def offer_view(offer: Offer, agency: Named) -> OfferItem:
    """Show an offer that waits for an answer."""
    return trusted(
        OfferItem,
        id=offer.id,
        incident_id=offer.incident_id,
        agency=agency_ref(agency),
        state=offer.state,
        offer_type=offer.offer_type,
        quantity=offer.body["quantity"],
        unit=offer.body["unit"],
        lapses_at=offer.lapses_at,
        held_until=offer.held_until,
    )


NO_MAIL = DataQualityItem(
    code="mail_not_configured",
    message="The bus has no mail server: mails wait, and whom only mail would reach is out of"
    " reach. Set smtp_url.",
)


def data_quality(
    warned: Sequence[Warned], *, mail_missing: bool, failed_by_us: int
) -> tuple[DataQualityItem, ...]:
    """Say every warning; what the bus itself cannot send comes first.

    `failed_by_us` counts the endpoints whose last attempt failed by a fault of the bus.
    """
    own = (NO_MAIL,) if mail_missing else ()
    unsent = (_cannot_send(failed_by_us),) if failed_by_us else ()
    return (*own, *unsent, *(data_quality_view(one) for one in warned))


def _cannot_send(count: int) -> DataQualityItem:
    return DataQualityItem(
        code="bus_cannot_send",
        message=f"The bus itself failed at the last delivery to some endpoints ({count}), by no"
        " fault of their agencies: look at its line, name servers, proxy and broker, and at the"
        " attempts, which say why. It tries again by itself.",
    )


def data_quality_view(warned: Warned) -> DataQualityItem:
    """Say a warning in a sentence that says what to do."""
    since = "" if warned.since is None else f"{warned.since:%Y-%m-%d %H:%MZ}"
    said = _SENTENCES[warned.code].format(count=warned.count, since=since)
    return DataQualityItem(
        code=warned.code,
        message=f"{warned.agency_name} {said}",
        agency=AgencyRef(id=warned.agency_id, name=warned.agency_name, kind=warned.agency_kind),
        subscription_id=warned.subscription_id,
        incident_id=warned.incident_id,
    )


def agency_ref(agency: Named) -> AgencyRef:
    """Name an agency."""
    return trusted(AgencyRef, id=agency.id, name=agency.name, kind=agency.kind)


def _next_action(line: Line | Debt) -> NextAction | None:
    steps = line.policy["steps"] if line.policy is not None else []
    if line.next_step_at is None or line.step >= len(steps):
        return None
    return trusted(NextAction, what=Notify(steps[line.step]["notify"]), at=line.next_step_at)


def _overdue_s(due_at: dt.datetime | None, *, now: dt.datetime) -> int | None:
    return _seconds(figures.overdue_by(due_at, now=now))


def _seconds(duration: dt.timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())

"""Obligations and answers as they go out."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noticebus.contracts.acknowledgement import AcknowledgementView, PersonView
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.answers import ObligationView
from noticebus.contracts.receipt import Receipt
from noticebus.contracts.report import LastAttempt
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.contracts.waiver import WaiverView
from noticebus.domain.obligation import closes_with
from noticebus.ids import AgencyId, IncidentId, ObligationId
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.matching import AgencyFacts
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import Tries
from noticebus.store.waivers import WaiveRequest

ANSWERS_SHOWN_MAX = 20  # the latest ones; every one is in the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class ObligationFacts:
    """What a page of obligations needs beside their rows."""

    now: dt.datetime
    agencies: Mapping[AgencyId, AgencyFacts]
    tries: Mapping[ObligationId, Tries]
    acknowledgements: Mapping[ObligationId, Sequence[Acknowledgement]]
    latest: Mapping[IncidentId, int]
    waivers: Mapping[ObligationId, WaiveRequest]


def agency_ref(facts: AgencyFacts) -> AgencyRef:
    """Name an agency."""
    return AgencyRef(id=facts.id, name=facts.name, kind=facts.kind)


def obligation_view(owed: Obligation, facts: ObligationFacts) -> ObligationView:
    """Show one obligation: its state, its times, what was tried and what was answered."""
    tries = facts.tries.get(owed.id)
    answers = facts.acknowledgements.get(owed.id, ())[-ANSWERS_SHOWN_MAX:]
    waiver = facts.waivers.get(owed.id)
    return ObligationView(
        id=owed.id,
        incident_id=owed.incident_id,
        notice_id=owed.round_notice_id,
        agency=agency_ref(facts.agencies[owed.agency_id]),
        owed=owed.owed,
        standing=owed.standing,
        role=owed.role,
        status=owed.status,
        state=owed.state,
        notice_class=owed.notice_class,
        epoch=owed.epoch,
        round_version=owed.round_version,
        answered_version=owed.answered_version,
        latest_version=facts.latest[owed.incident_id],
        closes_with=closes_with(owed.notice_class) if owed.owed is Owed.NOTICE else None,
        due_at=owed.due_at,
        overdue_s=_overdue_s(owed, now=facts.now),
        held_until=owed.held_until,
        step=owed.step,
        next_step_at=owed.next_step_at,
        delivered_at=owed.delivered_at,
        opened_at=owed.opened_at,
        received_at=owed.received_at,
        promised_until=owed.promised_until,
        closed_at=owed.closed_at,
        reachable=owed.reachable,
        unreachable_reason=owed.unreachable_reason,
        attempts=tries.count if tries else 0,
        last_attempt=LastAttempt(channel=tries.channel, outcome=tries.outcome, at=tries.at)
        if tries
        else None,
        acknowledgements=tuple(acknowledgement_view(one, owed) for one in answers),
        waiver=None if waiver is None else waiver_view(owed, waiver),
    )


def acknowledgement_view(
    made: Acknowledgement,
    owed: Obligation,
    *,
    receipt: Mapping[str, str] | None = None,
    state: ObligationState | None = None,
) -> AcknowledgementView:
    """Show an answer as recorded; with its receipt and what it left where it was just given."""
    return AcknowledgementView(
        id=made.id,
        obligation_id=made.obligation_id,
        incident_id=owed.incident_id,
        notice_id=made.notice_id,
        version=made.version,
        answer=made.answer,
        by=PersonView(name=made.by_name, role=made.by_role),
        note=made.note,
        eta=made.eta,
        reason=made.reason,
        reference=made.reference,
        verified_by=made.verified_by,
        how=made.how,
        on_behalf_of=made.on_behalf_of,
        late=made.late,
        closed=made.closed,
        obligation_state=state,
        acted_at=made.acted_at,
        recorded_at=made.recorded_at,
        receipt=None if receipt is None else Receipt.model_validate(receipt),
    )


def waiver_view(owed: Obligation, asked: WaiveRequest) -> WaiverView:
    """Show a waiver: asked for, or carried out."""
    return WaiverView(
        obligation_id=owed.id,
        incident_id=owed.incident_id,
        obligation_state=owed.state,
        epoch=asked.epoch,
        reason=asked.reason,
        by_name=asked.by_name,
        requested_by=asked.requested_by,
        requested_at=asked.requested_at,
        needs_second_person=owed.state is ObligationState.OPEN,
        confirmed_by=asked.confirmed_by,
        confirmed_by_name=asked.confirmed_by_name,
        confirmed_at=asked.confirmed_at,
    )


def _overdue_s(owed: Obligation, *, now: dt.datetime) -> int | None:
    if owed.state is not ObligationState.OPEN or owed.due_at is None or owed.due_at > now:
        return None
    return int((now - owed.due_at).total_seconds())

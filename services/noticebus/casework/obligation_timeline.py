"""Everything that happened to one obligation, in sentences, oldest first.

Rows and entries tell the same story from two sides; each fact is taken from one of them alone.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from noticebus.casework.incident_timeline import happening_of
from noticebus.contracts.vocabulary import Channel, ObligationState, Outcome, Owed, VerifiedBy
from noticebus.domain.delivery_words import CAUSES, OUTCOMES
from noticebus.domain.timeline import HEARD, LEVELS, Happening, Mark, in_order
from noticebus.ids import AgencyId, ContactId, DeliveryId
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.ledger_pages import LedgerEntry
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation, StepRow
from noticebus.store.report_facts import Named

# What is taken from the ledger, for no row has it; steps, tries and answers come from their rows.
NAMED_TYPES = frozenset(
    {
        "link.opened",
        "link.locked",
        "obligation.attended",
        "obligation.left",
        "obligation.parked",
        "waiver.requested",
        "waiver.taken_back",
        "waiver.confirmed",
        "coverage.held",
        "coverage.found",
        "question.asked",
        "question.answered",
        "question.promised",
        "update.promised",
        "update.posted",
    }
)
_CHANNELS = {
    Channel.WEBHOOK: "webhook",
    Channel.KAFKA: "Kafka topic",
    Channel.INBOX: "inbox",
    Channel.EMAIL: "mail",
    Channel.SMS: "text message",
    Channel.VOICE: "call",
}
_VERIFIED = {
    VerifiedBy.API_KEY: "by its system's key",
    VerifiedBy.OPERATOR: "recorded by an operator",
    VerifiedBy.LINK: "by the link of a message",
    VerifiedBy.TEXT: "by text message",
    VerifiedBy.CALL: "by keys on a call",
    VerifiedBy.SESSION: "signed in",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was stored about one obligation. `people` are those whom the reader may know."""

    now: dt.datetime
    owed: Obligation
    agencies: Mapping[AgencyId, Named]
    versions: Sequence[Notice]
    steps: Sequence[StepRow]
    sent: Mapping[DeliveryId, Delivery]
    tries: Sequence[Attempt]
    answers: Sequence[Acknowledgement]
    entries: Sequence[LedgerEntry]
    people: Mapping[ContactId, Contact]
    is_cut: bool


def happenings(facts: Facts) -> list[Happening]:
    """Say everything in order, the oldest first."""
    return in_order(
        [
            *_versions(facts),
            *_beginning(facts),
            *(happening_of(one, facts.agencies) for one in reversed(facts.entries)),
            *_steps(facts),
            *_tries(facts),
            *_answers(facts),
            *_end(facts),
        ]
    )


def _versions(facts: Facts) -> Iterator[Happening]:
    for one in facts.versions:
        link = f"/notices/{one.id}"
        material = ", which asks for a new answer" if one.version > 1 and one.material else ""
        said = f"Version {one.version} ({one.msg}, class {one.notice_class}) was posted{material}"
        yield Happening(at=one.accepted_at, mark=Mark.POSTED, said=said, link=link)
        if one.released_at is not None and one.released_at != one.accepted_at:
            said = f"Version {one.version} was released"
            yield Happening(at=one.released_at, mark=Mark.POSTED, said=said, link=link)


def _beginning(facts: Facts) -> Iterator[Happening]:
    owed = facts.owed
    if owed.round_started_at is not None:
        held = "" if owed.held_until is None else ", and waits for its working hours"
        said = f"Its clock started for version {owed.round_version}{held}"
        yield Happening(at=owed.round_started_at, mark=Mark.NOTED, said=said)
    if owed.due_at is not None and owed.due_at <= facts.now:
        ended = owed.closed_at is not None and owed.closed_at <= owed.due_at
        if not ended:
            yield Happening(at=owed.due_at, mark=Mark.DUE, said="The answer fell due")


def _end(facts: Facts) -> Iterator[Happening]:
    owed = facts.owed
    if owed.closed_at is not None and owed.state is not ObligationState.WAIVED:
        word = "was ended without an answer" if not facts.answers else "was ended"
        said = f"It {word}: {owed.state}"
        closed = owed.owed is Owed.NOTICE and owed.state is ObligationState.CLOSED
        if closed and not facts.answers and owed.delivered_at:
            said = "It was ended by its delivery: this class asks for no answer"
        yield Happening(at=owed.closed_at, mark=Mark.NOTED, said=said)


def _steps(facts: Facts) -> Iterator[Happening]:
    for row in facts.steps:
        level = LEVELS[row.notify]
        if row.skipped:
            said = f"Step {row.step + 1} ({level}) was overtaken by the next, and skipped"
        else:
            said = f"Step {row.step + 1}: {level} told"
        yield Happening(
            at=row.fired_at, mark=Mark.STEP, said=said, detail=_people(facts, row.contact_ids)
        )


def _people(facts: Facts, contact_ids: Sequence[str]) -> str:
    found = [facts.people.get(ContactId(one)) for one in contact_ids]
    named = [f"{one.name} ({one.role})" for one in found if one is not None]
    others = len(found) - len(named)
    if not others:
        return ", ".join(named)
    if named:
        return f"{', '.join(named)} and {others} elsewhere"
    return "1 person" if others == 1 else f"{others} people"


def _tries(facts: Facts) -> Iterator[Happening]:
    for one in reversed(facts.tries):
        delivery = facts.sent.get(one.delivery_id)
        what = "a message" if delivery is None else f"the {CAUSES[delivery.cause]}"
        channel = "" if delivery is None else f" by {_CHANNELS[delivery.channel]}"
        status = "" if one.status_code is None else f" ({one.status_code})"
        arrived = one.outcome in {Outcome.DELIVERED, Outcome.HANDED_OVER}
        contact = None if delivery is None or delivery.contact_id is None else delivery.contact_id
        yield Happening(
            at=one.finished_at,
            mark=Mark.DELIVERED if arrived else Mark.FAILED,
            said=f"Try {one.number} of {what}{channel}: {OUTCOMES[one.outcome].word}{status}",
            detail="" if contact is None else _people(facts, [contact]),
            link=f"/deliveries/{one.delivery_id}",
        )


def _answers(facts: Facts) -> Iterator[Happening]:
    for one in facts.answers:
        late = ", late" if one.late else ""
        reason = f" ({one.reason.replace('_', ' ')})" if one.reason else ""
        how = f", told {HEARD[one.how]}" if one.how else ""
        behalf = f", on behalf of {one.on_behalf_of}" if one.on_behalf_of else ""
        kept = "" if one.closed else ". It did not end the matter"
        yield Happening(
            at=one.recorded_at,
            mark=Mark.LATE if one.late else Mark.ANSWERED,
            said=f"Answered: {one.answer.replace('_', ' ')}{reason}{late}, version {one.version}",
            detail=f"{one.by_name}, {one.by_role}; {_VERIFIED[one.verified_by]}{how}{behalf}{kept}",
        )

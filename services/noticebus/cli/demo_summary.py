"""How the demo ends: read from the API and from the receivers, then written as a page of lines."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from noticebus.cli.demo_cast import Member
from noticebus.cli.demo_mail import MailSink
from noticebus.cli.demo_rows import WAYS, clock, is_late, is_overdue, length
from noticebus.cli.demo_scenario import Scenario
from noticebus.cli.demo_script import Record
from noticebus.cli.demo_stage import Stage
from noticebus.console.report import headline
from noticebus.contracts.answers import ObligationView
from noticebus.contracts.question import QuestionView
from noticebus.contracts.report import UnacknowledgedReport
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.store import sequencing
from noticebus.store.sequencing import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Everything known at the end."""

    at: dt.datetime
    obligations: tuple[ObligationView, ...]  # those to the notice, and those to questions
    questions: tuple[QuestionView, ...]
    report: UnacknowledgedReport
    ledger: Tally
    webhooks: int
    verified: int
    mails: int

    @property
    def answers_owed(self) -> list[ObligationView]:
        """The recipients' obligations."""
        return [one for one in self.obligations if one.owed is Owed.NOTICE]


async def read_ending(
    stage: Stage, record: Record, *, cast: Mapping[str, Member], sink: MailSink
) -> Ending:
    """Ask the bus how everything stands, and the receivers what reached them."""
    operator, incident = stage.operator, f"/v1/incidents/{record.incident_id}"
    owed = await operator.list_all(f"{incident}/obligations")
    asked = await operator.call("GET", f"{incident}/questions")
    report = await operator.call("GET", "/v1/reports/unacknowledged")
    await stage.system.sequencer.sweep()  # reading a report is an entry too
    desk = stage.system.desk
    async with desk.database.read() as conn:
        ledger = await sequencing.tally(conn)
    arrived = [
        one for member in cast.values() if member.receiver for one in member.receiver.received
    ]
    return Ending(
        at=stage.world.now(),
        obligations=tuple(ObligationView.model_validate(one) for one in owed),
        questions=tuple(QuestionView.model_validate(one) for one in asked.body["items"]),
        report=UnacknowledgedReport.model_validate(report.body),
        ledger=ledger,
        webhooks=len(arrived),
        verified=sum(one.verdict.ok is not False for one in arrived),
        mails=len(sink.mails),
    )


def lines(scenario: Scenario, ending: Ending, *, names: Mapping[str, str]) -> Iterator[str]:
    """Write the summary, at most 80 columns wide where the text can be chosen."""
    zone = scenario.zone
    yield scenario.title
    yield scenario.banner
    yield ""
    yield f"{'RECIPIENT':<20} {'TOLD':<6} {'ANSWERED':<9} {'BY':<14} REMARK"
    for owed in sorted(ending.answers_owed, key=lambda one: _order(one, ending.at)):
        yield _line(owed, names[owed.agency.id], ending=ending, zone=zone)
    yield ""
    yield _conservation(ending.answers_owed, what="obligations to answer the notice")
    yield _ledger(ending.ledger)
    wrong = ending.webhooks - ending.verified
    yield (
        f"Receivers: {ending.webhooks} webhooks, {wrong} with a wrong signature;"
        f" {ending.mails} mails."
    )
    yield ""
    yield f"The report says: {headline(ending.report)}"
    for question in ending.questions:
        yield _question(question, at=ending.at)


def _order(owed: ObligationView, at: dt.datetime) -> tuple[bool, str]:
    return not is_overdue(owed, at), "" if owed.closed_at is None else owed.closed_at.isoformat()


def _line(owed: ObligationView, name: str, *, ending: Ending, zone: str) -> str:
    told = "-" if owed.delivered_at is None else clock(owed.delivered_at, zone=zone)
    answered, way, remark = "-", "", ""
    if owed.state is not ObligationState.OPEN and owed.acknowledgements:
        closing = max(owed.acknowledgements, key=lambda one: one.recorded_at)
        answered = clock(closing.recorded_at, zone=zone)
        way = str(closing.how or WAYS[closing.verified_by])
        remark = "late, accepted" if is_late(owed) else ""
    elif owed.due_at is not None:
        remark = f"SILENT, {length(ending.at - owed.due_at)} overdue, {owed.step} steps fired"
    return f"{name:<20} {told:<6} {answered:<9} {way:<14} {remark}".rstrip()


def _conservation(owed: Sequence[ObligationView], *, what: str) -> str:
    states = Counter(one.state for one in owed)
    parts = " + ".join(f"{states[state]} {state}" for state in ObligationState)
    ending = "conserved" if sum(states.values()) == len(owed) else "NOT CONSERVED"
    return f"{len(owed)} {what} = {parts}: {ending}."


def _ledger(tally: Tally) -> str:
    ending = "without a gap" if tally.gap_free else "WITH A GAP"
    return f"Ledger: {tally.entries} entries, sequenced {ending}."


def _question(question: QuestionView, *, at: dt.datetime) -> str:
    overdue = f", overdue {length(at - question.due_at)}" if at > question.due_at else ""
    standing = f"{question.state}{overdue}" if question.answer is None else str(question.state)
    return f"Asked by {question.asked_by.name}: {question.text} ({standing})"

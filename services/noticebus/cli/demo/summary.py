"""How the demo ends: read from the API and from the receivers, then written as a page of lines."""

import datetime as dt
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from noticebus.cli.demo.cast import Member
from noticebus.cli.demo.rows import WAYS, clock, is_kept_late, is_late, is_overdue, length
from noticebus.cli.demo.scenario import Scenario
from noticebus.cli.demo.script import Record
from noticebus.cli.demo.stage import Stage
from noticebus.cli.receiver import HANDSHAKE
from noticebus.console.headline import headline
from noticebus.contracts.answers import ObligationView
from noticebus.contracts.question import QuestionView
from noticebus.contracts.report import UnacknowledgedReport
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.store import sequencing
from noticebus.store.sequencing import Tally

COLUMNS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Everything known at the end."""

    at: dt.datetime
    obligations: tuple[ObligationView, ...]  # those to the notice, and those to questions
    questions: tuple[QuestionView, ...]
    report: UnacknowledgedReport
    ledger: Tally
    bound: int  # obligations created, as the bus answered the latest post
    verified: int  # webhooks, the handshakes apart
    wrong: int
    mails: int
    first_told: Mapping[str, dt.datetime]  # by agency id, as the receivers saw it

    @property
    def answers_owed(self) -> list[ObligationView]:
        """The recipients' obligations."""
        return [one for one in self.obligations if one.owed is Owed.NOTICE]


async def read_ending(
    stage: Stage,
    record: Record,
    *,
    cast: Mapping[str, Member],
    mails: int,
    first_told: Mapping[str, dt.datetime],
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
    verdicts = [
        one.verdict.ok
        for member in cast.values()
        if member.receiver is not None
        for one in member.receiver.received
        if one.type != HANDSHAKE  # answered before the secret was known
    ]
    return Ending(
        at=stage.world.now(),
        obligations=tuple(ObligationView.model_validate(one) for one in owed),
        questions=tuple(QuestionView.model_validate(one) for one in asked.body["items"]),
        report=UnacknowledgedReport.model_validate(report.body),
        ledger=ledger,
        bound=record.bound,
        verified=verdicts.count(True),
        wrong=len(verdicts) - verdicts.count(True),
        mails=mails,
        first_told={cast[key].id: at for key, at in first_told.items()},
    )


def lines(scenario: Scenario, ending: Ending, *, names: Mapping[str, str]) -> Iterator[str]:
    """Write the summary, at most 80 columns wide where the text can be chosen."""
    zone = scenario.zone
    yield scenario.title
    yield scenario.banner
    yield ""
    yield from _table(ending, names=names, zone=zone)
    yield ""
    yield from wrapped(_conservation(ending))
    yield _ledger(ending.ledger)
    yield from wrapped(
        f"Receivers: {ending.verified} webhook calls with a verified signature,"
        f" {ending.wrong} without; {ending.mails} mails."
    )
    yield ""
    yield from wrapped(f"The report says: {headline(ending.report)}")
    for question in ending.questions:
        yield from wrapped(_question(question, ending))
    yield from wrapped(_promises(ending))


def _order(owed: ObligationView, at: dt.datetime) -> tuple[bool, str]:
    return not is_overdue(owed, at), "" if owed.closed_at is None else owed.closed_at.isoformat()


def _table(ending: Ending, *, names: Mapping[str, str], zone: str) -> Iterator[str]:
    """Write who was told and when, who answered which version and how, who was late or silent."""
    answers = [one for owed in ending.answers_owed for one in owed.acknowledgements]
    versions = sorted({one.version for one in answers})
    heads = "".join(f"{f'V{version}':<6} " for version in versions)
    yield f"{'RECIPIENT':<20} {'TOLD':<6} {heads}{'BY':<14} REMARK"
    for owed in sorted(ending.answers_owed, key=lambda one: _order(one, ending.at)):
        told = ending.first_told.get(owed.agency.id)
        times = {one.version: clock(one.recorded_at, zone=zone) for one in owed.acknowledgements}
        cells = "".join(f"{times.get(version, '-'):<6} " for version in versions)
        first = "-" if told is None else clock(told, zone=zone)
        ends = f"{_way(owed):<14} {_remark(owed, at=ending.at)}"
        yield f"{names[owed.agency.id]:<20} {first:<6} {cells}{ends}".rstrip()


def _way(owed: ObligationView) -> str:
    if not owed.acknowledgements:
        return ""
    newest = max(owed.acknowledgements, key=lambda one: one.recorded_at)
    return str(newest.how or WAYS[newest.verified_by])


def _remark(owed: ObligationView, *, at: dt.datetime) -> str:
    if owed.due_at is not None and is_overdue(owed, at):
        return f"SILENT, {length(at - owed.due_at)} overdue"
    return "late, accepted" if is_late(owed) else ""


def _conservation(ending: Ending) -> str:
    """Compare what the bus said it created with the sum over the states now (I2)."""
    states = Counter(one.state for one in ending.answers_owed)
    parts = " + ".join(f"{states[state]} {state}" for state in ObligationState)
    word = "conserved" if sum(states.values()) == ending.bound else "NOT CONSERVED"
    return f"Obligations: {ending.bound} created = {parts}: {word}."


def wrapped(text: str) -> list[str]:
    """Break a sentence at 80 columns."""
    return textwrap.wrap(text, width=COLUMNS)


def _ledger(tally: Tally) -> str:
    ending = "without a gap" if tally.gap_free else "WITH A GAP"
    return f"Ledger: {tally.entries} entries, sequenced {ending}."


def _question(question: QuestionView, ending: Ending) -> str:
    """Say what the poster was asked and how that stands: the sender owes too."""
    standing = str(question.state)
    if question.answer is None and ending.at > question.due_at:
        steps = [one.step for one in ending.obligations if one.id == question.obligation_id]
        chased = f", chased {steps[0]} times" if steps else ""
        standing = f"{question.state}, overdue {length(ending.at - question.due_at)}{chased}"
    return f"Asked by {question.asked_by.name}: {question.text} ({standing})"


def _promises(ending: Ending) -> str:
    """Count the updates that the poster promised by how each was kept."""
    promised = [one for one in ending.obligations if one.owed is Owed.UPDATE]
    if not promised:
        return ""
    late = sum(is_kept_late(one) for one in promised)
    missed = sum(is_overdue(one, ending.at) for one in promised)
    waiting = sum(one.state is ObligationState.OPEN for one in promised) - missed
    kept = sum(one.state is ObligationState.CLOSED for one in promised) - late
    parts = f"{kept} in time, {late} late, {missed} overdue, {waiting} not yet due"
    return f"Updates promised by the poster: {len(promised)} ({parts})."

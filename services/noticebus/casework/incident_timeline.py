"""What the ledger says of an incident, in sentences: what people and the bus did, not each try."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from noticebus.casework.tracing import APPROVED, CONSENT_TYPES, SENT_ALONE
from noticebus.contracts.vocabulary import How, Notify, Owed
from noticebus.domain.timeline import HEARD, LEVELS, Happening, Mark
from noticebus.ids import AgencyId
from noticebus.store.ledger_pages import LedgerEntry
from noticebus.store.report_facts import Named

Data = Mapping[str, Any]
_PEOPLE = ("by", "requested_by")  # where those below name somebody of the poster's
_AGENCIES = ("agency_id", "asked_by", "declined_by", "taken_by")  # where entries name an agency


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One page of an incident's entries, newest first; `before` asks for the older ones."""

    entries: Sequence[LedgerEntry]
    before: int | None

    @property
    def agency_ids(self) -> set[AgencyId]:
        """Give every agency that the entries name."""
        return {
            AgencyId(one.data[name])
            for one in self.entries
            for name in _AGENCIES
            if one.data.get(name)
        }

    @property
    def people_ids(self) -> set[str]:
        """Give the people on whose word a notice went out."""
        return {
            one.data[name]
            for one in self.entries
            for name in _PEOPLE
            if one.type in CONSENT_TYPES and one.data.get(name)
        }

    def happenings(
        self,
        agencies: Mapping[AgencyId, Named],
        debts: Mapping[str, Owed] | None = None,
        people: Mapping[str, str] | None = None,
    ) -> list[Happening]:
        """Say the entries in sentences, newest first; `debts` says what is owed, by obligation.

        `people` says names by id.
        """
        return [happening_of(one, agencies, debts, people) for one in self.entries]


def tell(found: Sequence[LedgerEntry], *, limit: int) -> Told:
    """Take one page of `found`, which has one entry more where older ones follow."""
    shown = found[:limit]
    return Told(entries=shown, before=shown[-1].position if len(found) > limit and shown else None)


def happening_of(
    entry: LedgerEntry,
    agencies: Mapping[AgencyId, Named],
    debts: Mapping[str, Owed] | None = None,
    people: Mapping[str, str] | None = None,
) -> Happening:
    """Say one entry in a sentence."""
    mark, say = _SAYINGS.get(entry.type, (Mark.NOTED, _by_its_name(entry.type)))
    data = entry.data
    if entry.type in {"acknowledgement.recorded", "update.posted"} and data.get("late"):
        mark = Mark.LATE
    obligation_id = data.get("obligation_id")
    return Happening(
        at=entry.recorded_at,
        mark=mark,
        said=say(data, _Names(agencies, debts or {}, people or {})),
        detail="" if entry.index is None else f"ledger {entry.index}",
        link=_link(data, obligation_id),
    )


@dataclass(frozen=True, slots=True)
class _Names:
    agencies: Mapping[AgencyId, Named]
    debts: Mapping[str, Owed]
    people: Mapping[str, str]

    def person(self, data: Data, name: str) -> str:
        return self.people.get(data.get(name) or "", "somebody")

    def of(self, data: Data, name: str = "agency_id") -> str:
        agency = self.agencies.get(AgencyId(data.get(name) or ""))
        return "an agency" if agency is None else agency.name


# What is missing where somebody else than a recipient is silent.
_LACKS = {
    Owed.QUESTION: "no answer to a question",
    Owed.UPDATE: "no promised update",
    Owed.COVERAGE: "nobody found for a place",
}
_Say = Callable[[Data, _Names], str]


def _link(data: Data, obligation_id: str | None) -> str:
    if obligation_id:
        return f"/obligations/{obligation_id}"
    if data.get("notice_id"):
        return f"/notices/{data['notice_id']}"
    return ""


def _by_its_name(type_: str) -> _Say:
    return lambda _data, _names: type_.replace(".", " ").replace("_", " ")


def _plain(sentence: str) -> _Say:
    return lambda _data, _names: sentence


def _of_agency(sentence: str, name: str = "agency_id") -> _Say:
    return lambda data, names: sentence.format(agency=names.of(data, name))


def _accepted(data: Data, _names: _Names) -> str:
    released = data.get("release_at")
    embargo = f", embargoed until {released[:16].replace('T', ' ')}Z" if released else ""
    return f"Version {data['version']} ({data['msg']}, class {data['class']}) was posted{embargo}"


def _approved(data: Data, names: _Names) -> str:
    asker, second = names.person(data, "requested_by"), names.person(data, "by")
    return f"Asked for by {asker}, approved by {second}{_to_how_many(data)}"


def _sent_alone(data: Data, names: _Names) -> str:
    poster = names.person(data, "by")
    return f"Sent by {poster} alone{_to_how_many(data)}: no second person could be reached"


def _to_how_many(data: Data) -> str:
    return f", to {data['recipients']} recipients" if data.get("recipients") else ""


def _routed(data: Data, _names: _Names) -> str:
    count, uncovered = len(data["recipients"]), len(data["uncovered"])
    gaps = f"; {uncovered} places or duties have nobody" if uncovered else ""
    bound = "1 recipient is bound" if count == 1 else f"{count} recipients are bound"
    bound = bound if count else "No new recipient is bound"
    return f"{bound} by version {data['version']}{gaps}"


def _stepped(data: Data, names: _Names) -> str:
    level = LEVELS[Notify(data["notify"])]
    instead = data.get("fell_through")
    through = f" ({LEVELS[Notify(instead)]} instead, for nobody is there)" if instead else ""
    skipped = len(data["skipped"])
    over = "; 1 overtaken step was skipped" if skipped == 1 else ""
    over = f"; {skipped} overtaken steps were skipped" if skipped > 1 else over
    lacks = _LACKS.get(names.debts.get(data.get("obligation_id", ""), Owed.NOTICE), "no answer")
    return f"{names.of(data)}, {lacks}: step {data['step'] + 1}, {level} told{through}{over}"


def _answered(data: Data, names: _Names) -> str:
    answer = data["answer"].replace("_", " ")
    late = ", late" if data["late"] else ""
    how = f", told to an operator {HEARD[How(data['how'])]}" if data.get("how") else ""
    reason = f" ({data['reason'].replace('_', ' ')})" if data.get("reason") else ""
    kept = "" if data["closed"] else "; it does not end the matter"
    return f"{names.of(data)} answered: {answer}{reason}{late}{how}{kept}"


def _asked(data: Data, names: _Names) -> str:
    return f"{names.of(data, 'asked_by')} asks: {str(data['topic']).replace('_', ' ')}"


def _held(data: Data, _names: _Names) -> str:
    count = len(data["uncovered"])
    places = "1 place or duty" if count == 1 else f"{count} places or duties"
    return f"Nobody answers for {places}: the operators of the bus owe somebody"


_SAYINGS: Mapping[str, tuple[Mark, _Say]] = {
    "notice.accepted": (Mark.POSTED, _accepted),
    APPROVED: (Mark.POSTED, _approved),
    SENT_ALONE: (Mark.POSTED, _sent_alone),
    "notice.released": (Mark.POSTED, lambda data, _: f"Version {data['version']} was released"),
    "incident.cleared": (Mark.POSTED, _plain("The poster gave the all-clear")),
    "cancel.requested": (Mark.POSTED, _plain("A cancel was asked for; a second person confirms")),
    "cancel.taken_back": (Mark.POSTED, _plain("The cancel was taken back")),
    "cancel.confirmed": (Mark.POSTED, _plain("The incident was cancelled by a second person")),
    "routing.decided": (Mark.NOTED, _routed),
    "routing.repeated": (
        Mark.NOTED,
        _of_agency("{agency} declined: who else answers was worked out again", "declined_by"),
    ),
    "routing.returned": (Mark.NOTED, _of_agency("{agency} took it back on", "taken_by")),
    "routing.waived": (
        Mark.NOTED,
        _of_agency("No answer is needed of {agency}, and all others there declined", "waived"),
    ),
    "coverage.held": (Mark.STEP, _held),
    "coverage.found": (Mark.ANSWERED, _plain("Somebody answers for every place now")),
    "escalation.stepped": (Mark.STEP, _stepped),
    "acknowledgement.recorded": (Mark.ANSWERED, _answered),
    "obligation.delivered": (Mark.DELIVERED, _plain("It reached a system or a mailbox")),
    "obligation.parked": (
        Mark.FAILED,
        _of_agency("{agency}: a step could not fire, and its clock stopped"),
    ),
    "obligation.attended": (Mark.PERSON, _plain("An operator is on this")),
    "obligation.left": (Mark.PERSON, _plain("The operator is off this")),
    "waiver.requested": (
        Mark.PERSON,
        _of_agency("An operator asks to waive the answer of {agency}; a second one confirms"),
    ),
    "waiver.taken_back": (
        Mark.PERSON,
        _of_agency("The request to waive the answer of {agency} was taken back"),
    ),
    "waiver.confirmed": (
        Mark.PERSON,
        _of_agency("The operators waived the answer of {agency}"),
    ),
    "link.opened": (
        Mark.OPENED,
        _of_agency("{agency}: a link was opened, by somebody or by a scanner"),
    ),
    "link.locked": (Mark.FAILED, _of_agency("{agency}: a link was locked after wrong codes")),
    "delivery.exhausted": (Mark.FAILED, _plain("A delivery was given up")),
    "question.asked": (Mark.PERSON, _asked),
    "question.joined": (Mark.PERSON, _plain("One more agency asks the same question")),
    "question.answered": (Mark.ANSWERED, _plain("The poster answered a question")),
    "question.promised": (Mark.POSTED, _plain("The poster promised an answer")),
    "update.promised": (Mark.POSTED, _plain("The poster promised an update")),
    "update.posted": (Mark.ANSWERED, _plain("The poster posted the update it had promised")),
    "offer.made": (Mark.PERSON, _of_agency("{agency} offers help")),
    "offer.lapsed": (Mark.NOTED, _of_agency("An offer of {agency} lapsed without an answer")),
    "offer.reopened": (Mark.NOTED, _of_agency("The hold on an offer of {agency} is over")),
    "offer.accepted": (Mark.PERSON, _of_agency("An offer of {agency} was accepted")),
    "offer.declined": (Mark.PERSON, _of_agency("An offer of {agency} was declined")),
    "offer.held": (Mark.PERSON, _of_agency("An offer of {agency} is held for a while")),
    "exercise.scheduled": (Mark.POSTED, _plain("An exercise was scheduled")),
    "exercise.ended": (Mark.POSTED, _plain("The exercise is over")),
    "exercise.cancelled": (Mark.POSTED, _plain("The exercise was called off")),
}
# What the timeline of an incident shows: not each delivery and opening, of which there are many.
TIMELINE_TYPES = frozenset(_SAYINGS) - {
    "obligation.delivered",
    "link.opened",
    "obligation.attended",
    "obligation.left",
}

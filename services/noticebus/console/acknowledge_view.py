"""What the acknowledge page shows: labelled lines in the reader's language and zone."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from noticebus.casework.answer import Answered
from noticebus.casework.bundled import AnsweredOther, Other
from noticebus.casework.links import LinkFacts
from noticebus.casework.views import place_names
from noticebus.casework.votes import quorum_of
from noticebus.console import etas
from noticebus.console.texts import Language, text
from noticebus.console.wording import children_line, local_time, number
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DeclineReason,
    NoticeClass,
    ObligationState,
    Owed,
    Status,
)
from noticebus.domain.gazetteer import Gazetteer
from noticebus.domain.obligation import OWED_BY_POSTERS, closes_with, closing_answers
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.obligations import Obligation

PLACES_SHOWN_MAX = 12
SITES_SHOWN_MAX = 20
HOTLINE_FIRST = frozenset(
    {
        AgencyKind.CPS,
        AgencyKind.TRIBAL_CHILD_WELFARE,
        AgencyKind.SCHOOL_DISTRICT,
        AgencyKind.FAITH,
        AgencyKind.COMMUNITY,
    }
)
_FOLDED = frozenset({"note", "eta", "reason"})
_DRILLS = {Status.EXERCISE: "exercise", Status.TEST: "test"}

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The page's words. `blocked` says why there is no form; `mark` precedes a drill's title.

    `answers` are the buttons with what each means; `otherwise` names what is folded away.
    `elsewhere` is the page that closes what a poster owes, and what it is called.
    """

    agency: str
    mark: str
    drill: str
    hotline: str
    headline: str
    newer: str
    rows: Rows
    blocked: str
    answers: Rows
    etas: Rows
    reasons: Rows
    otherwise: str
    elsewhere: tuple[str, str] | None

    def anchor(self, field: str) -> str:
        """Name the place on the page where a fault is mended."""
        gone = (field == "eta" and not self.etas) or (field == "reason" and not self.reasons)
        return "answer" if gone else field

    def unfolds(self, faults: Collection[str]) -> bool:
        """Say whether a fault lies in what is folded away."""
        return not _FOLDED.isdisjoint(faults)


class Writer:
    """Writes the facts behind one link in one language and the recipient's zone."""

    def __init__(self, facts: LinkFacts, *, language: Language, places: Gazetteer) -> None:
        self._facts = facts
        self._language = language
        self._places = places

    def page(self, *, chosen_eta: str = "") -> PageView:
        """Write the page that a link opens, from the public tier alone."""
        facts, summary = self._facts, self._facts.summary()
        drill = _DRILLS.get(facts.notice.status)
        offered = self._offered()
        folded = [one for one in (Answer.NEED_MORE_TIME, Answer.DECLINED) if one in offered]
        named = [*(f"answer_{one}" for one in folded), "note"]
        declines = Answer.DECLINED in offered
        return PageView(
            agency=facts.agency.name,
            mark="" if drill is None else f"[{self._say(drill).split('.')[0]}] ",
            drill="" if drill is None else self._say(drill),
            hotline=self._say("hotline") if facts.agency.kind in HOTLINE_FIRST else "",
            headline=summary.get("headline", ""),
            newer=self._newer(),
            rows=list(self._rows(summary)),
            blocked=self._blocked(),
            answers=[(one, self._meaning(one)) for one in offered if one not in folded],
            etas=self._etas(chosen=chosen_eta) if Answer.NEED_MORE_TIME in offered else [],
            reasons=[(one, self._say(f"reason_{one}")) for one in DeclineReason if declines],
            otherwise=" · ".join(self._say(one) for one in named),
            elsewhere=self._elsewhere(),
        )

    def receipt(self, answered: Answered) -> Rows:
        """Write what was recorded, with the numbers to quote."""
        made = answered.acknowledgement
        rows = [
            (self._say("answer"), self._say(f"answer_{made.answer}")),
            (self._say("by"), f"{made.by_name}, {made.by_role}"),
            (self._say("recorded"), self._recorded(made)),
            (self._say("version"), self._version(made.version)),
            (self._say("reference"), made.id),
        ]
        if answered.receipt is not None:
            rows.append((self._say("receipt"), answered.receipt["entry_id"]))
        return rows

    def following(self, made: Acknowledgement, *, beside_open: bool = False) -> str:
        """Say what an answer sets off; `beside_open` if more of the same message is open."""
        owed = self._facts.obligation
        closed = "next_closed_here" if beside_open else "next_closed"
        if made.closed:
            return self._say("next_declined" if made.answer is Answer.DECLINED else closed)
        if owed.state is ObligationState.DECLINED and made.answer is not Answer.DECLINED:
            is_one_yes = _is_one_yes(made, owed)
            return self._say("next_declined_two" if is_one_yes else "next_declined_yet")
        if owed.state is not ObligationState.OPEN:
            return self._say(closed if _takes_back(made, owed) else "next_noted")
        return self._still_open(made)

    def others(self, found: Sequence[Other]) -> list[tuple[str, str, str]]:
        """Write what else was in the message: its id, its headline, and of whom and by when."""
        return [(one.claims.obligation_id, one.headline, self._of_other(one)) for one in found]

    def answered_others(self, found: Sequence[AnsweredOther]) -> Rows:
        """Write what became of what else was answered, with the numbers to quote."""
        return [(one.other.headline, self._outcome(one)) for one in found]

    def todo(self, made: Acknowledgement) -> list[str]:
        """Say what the reader does now: who has taken it on sees to it, and all keep this."""
        is_called_off = self._facts.obligation.state is ObligationState.WITHDRAWN
        acts = made.answer is Answer.ACCEPTED and not is_called_off
        return [self._say(key) for key in ("todo_act", "todo_keep") if acts or key != "todo_act"]

    def _of_other(self, other: Other) -> str:
        reported = self._say("all_reported", time=self._time_in(other.zone, other.reported_at))
        due = other.due_at
        said = "" if due is None else self._say("all_due", time=self._time_in(other.zone, due))
        return ". ".join(one for one in (other.agency, reported, said) if one)

    def _outcome(self, found: AnsweredOther) -> str:
        if found.answered is None:
            return self._say("all_left")
        made = found.answered.acknowledgement
        when = self._time_in(found.other.zone, made.recorded_at)
        late = f" ({self._say('late')})" if made.late else ""
        said = f"{self._say(f'answer_{made.answer}')}, {when}{late}. {made.id}"
        owed = found.answered.obligation
        if owed.state is not ObligationState.OPEN:
            return said
        return f"{said}. {self._say('all_still_two' if _is_one_yes(made, owed) else 'all_still')}"

    def _still_open(self, made: Acknowledgement) -> str:
        if _is_one_yes(made, self._facts.obligation):
            return self._say("next_two")
        if made.answer is Answer.RECEIVED:
            return self._say("next_received")
        if made.answer is Answer.NEED_MORE_TIME and made.eta is not None:
            return self._say("next_more_time", eta=self._time(made.eta))
        return self._say("next_noted")

    def details(self) -> Rows:
        """Write what the recipient may read beyond the summary: only after the right code."""
        detail = self._facts.detail()
        rows = [
            ("occurred", self._instant(detail.get("occurred_at"))),
            ("where", self._where()),
            ("description", detail.get("description")),
            ("instruction", self._instruction(detail.get("instruction") or {})),
            ("action_asked", self._action(detail.get("requested_actions") or ())),
            ("children", self._children(detail["children"])),
            ("assertion", _assertion(detail.get("caregiver_assertion") or {})),
            ("sites", self._sites(detail)),
            (
                "processing",
                _line(detail.get("processing_place") or {}, "label", "address", "access"),
            ),
            ("screening_offer", _offer(detail.get("cps_screening_offer") or {})),
            ("sender", _line(detail.get("sender") or {}, "unit", "role", "callback_phone")),
            ("family_line", _line(detail.get("family_line") or {}, "phone", "hours")),
            ("next_update", self._instant(detail.get("next_update_due"))),
        ]
        return [(self._say(key), value) for key, value in rows if value]

    def _rows(self, summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        facts = self._facts
        reported = facts.notice.released_at or facts.notice.accepted_at
        yield self._say("for"), facts.agency.name
        yield self._say("asked"), self._asked()
        if facts.obligation.due_at is not None:
            yield self._say("due"), self._due(facts.obligation.due_at)
        yield self._say("state"), self._state()
        yield self._say("children"), self._children(summary["children"])
        if detained := (summary.get("counts") or {}).get("detained_total"):
            yield self._say("detained"), number(detained, language=self._language)
        yield self._say("where"), self._where()
        yield self._say("reported"), self._time(reported)
        if line := _line(summary.get("family_line") or {}, "phone", "hours"):
            yield self._say("family_line"), line
        yield self._say("version"), self._version(facts.claims.version)

    def _say(self, key: str, **facts: object) -> str:
        return text(self._language, key, **facts)

    def _time(self, instant: dt.datetime) -> str:
        return self._time_in(self._facts.agency.zone, instant)

    def _time_in(self, zone: str, instant: dt.datetime) -> str:
        return local_time(instant, zone=zone, language=self._language)

    def _instant(self, written: str | None) -> str:
        return "" if written is None else self._time(dt.datetime.fromisoformat(written))

    def _where(self) -> str:
        names = place_names(self._facts.notice.area_keys, self._places)
        if not names:
            return self._say("places_unnamed")
        shown = "; ".join(names[:PLACES_SHOWN_MAX])
        more = len(names) - PLACES_SHOWN_MAX
        return f"{shown} {self._say('and_more', count=more)}" if more > 0 else shown

    def _children(self, children: Mapping[str, Any]) -> str:
        line = children_line(children, language=self._language)
        as_of = self._instant(children.get("as_of"))
        return f"{line} ({self._say('as_of', time=as_of)})" if as_of else line

    def _asked(self) -> str:
        owed = self._facts.obligation
        if owed.owed in OWED_BY_POSTERS:
            return self._say(f"asked_{owed.owed}")
        match closes_with(owed.notice_class):
            case Answer.ACCEPTED:
                return self._say("asked_accept")
            case None:
                return self._say("asked_nothing")
            case _:
                return self._say("asked_receive")

    def _elsewhere(self) -> tuple[str, str] | None:
        owed = self._facts.obligation
        if owed.state is not ObligationState.OPEN:
            return None
        if owed.owed is Owed.QUESTION:
            return f"/questions/{owed.owed_for}/answer", self._say("go_question")
        if owed.owed is Owed.UPDATE:
            return f"/incidents/{owed.incident_id}#change", self._say("go_update")
        return None

    def _due(self, due_at: dt.datetime) -> str:
        facts, due = self._facts, self._time(due_at)
        overdue = facts.obligation.state is ObligationState.OPEN and facts.now > due_at
        return f"{due}. {self._say('overdue')}" if overdue else due

    def _state(self) -> str:
        facts = self._facts
        said = [self._answered(facts.answers[-1])] if facts.answers else [self._say("state_none")]
        if facts.obligation.state in {ObligationState.WITHDRAWN, ObligationState.WAIVED}:
            said.append(self._say(f"state_{facts.obligation.state}"))
        return " ".join(said)

    def _answered(self, made: Acknowledgement) -> str:
        return self._say(
            f"state_{made.answer}",
            name=made.by_name,
            time=self._time(made.acted_at),
            version=made.version,
            latest=self._facts.latest_version,
            eta="" if made.eta is None else self._time(made.eta),
            reason="" if made.reason is None else self._say(f"reason_{made.reason}"),
        )

    def _recorded(self, made: Acknowledgement) -> str:
        recorded = self._time(made.recorded_at)
        return f"{recorded} ({self._say('late')})" if made.late else recorded

    def _version(self, version: int) -> str:
        return self._say("version_of", version=version, latest=self._facts.latest_version)

    def _newer(self) -> str:
        latest, version = self._facts.latest_version, self._facts.claims.version
        return self._say("newer", latest=latest, version=version) if latest > version else ""

    def _blocked(self) -> str:
        if not self._facts.may_answer:
            return self._say("read_only")
        if self._facts.locked:
            return self._say("locked")
        nothing = self._facts.obligation.notice_class is NoticeClass.D
        return self._say("asked_nothing") if nothing else ""

    def _offered(self) -> list[Answer]:
        """Give the answers there are, the one that closes it first."""
        owed = self._facts.obligation
        if owed.owed in OWED_BY_POSTERS:
            offered = [Answer.RECEIVED]  # nothing here closes it
        else:
            closing = closes_with(owed.notice_class)
            offered = sorted((Answer.ACCEPTED, Answer.RECEIVED), key=lambda one: one != closing)
            offered.append(Answer.DECLINED)
        return [*offered, Answer.NEED_MORE_TIME] if self._etas() else offered

    def _meaning(self, answer: Answer) -> str:
        """Say what pressing a button means."""
        owed = self._facts.obligation
        closes = owed.owed not in OWED_BY_POSTERS and answer in closing_answers(owed.notice_class)
        ending = "" if closes or answer is not Answer.RECEIVED else "_only"
        return self._say(f"means_{answer}{ending}")

    def _etas(self, *, chosen: str = "") -> Rows:
        facts = self._facts
        found = etas.moments(
            facts.obligation, latest=facts.latest_eta, now=facts.now, chosen=chosen
        )
        return [(etas.written(one), self._time(one)) for one in found]

    def _instruction(self, spoken: Mapping[str, str]) -> str:
        return spoken.get(self._language) or spoken.get("en") or next(iter(spoken.values()), "")

    def _action(self, requested: Sequence[Mapping[str, str]]) -> str:
        kind = self._facts.agency.kind
        return "\n".join(one["action"] for one in requested if one["recipient_kind"] == kind)

    def _sites(self, detail: Mapping[str, Any]) -> str:
        counts = {one["site_id"]: one for one in detail.get("counts") or ()}
        sites = detail.get("sites") or ()
        lines = [self._site(one, counts.get(one["site_id"])) for one in sites[:SITES_SHOWN_MAX]]
        if len(sites) > SITES_SHOWN_MAX:
            lines.append(self._say("and_more", count=len(sites) - SITES_SHOWN_MAX))
        return "\n".join(lines)

    def _site(self, site: Mapping[str, Any], counts: Mapping[str, Any] | None) -> str:
        if counts is None:
            return str(site["label"])
        said = self._say(
            "site_counts",
            detained=number(counts.get("detained_total"), language=self._language),
            custody=number(counts.get("in_custody"), language=self._language),
            minors=number(counts.get("minors_encountered"), language=self._language),
        )
        as_of = self._say("as_of", time=self._instant(counts["as_of"]))
        return f"{site['label']}: {said} ({as_of})"


def _is_one_yes(made: Acknowledgement, owed: Obligation) -> bool:
    """Say whether it is the yes of one person where the policy asks for several."""
    yes = made.answer in closing_answers(owed.notice_class)
    return yes and made.version >= owed.round_version and quorum_of(owed) > 1


def _takes_back(made: Acknowledgement, owed: Obligation) -> bool:
    """Say whether an answer closed what was declined or waived: it closed nothing that was open."""
    return owed.state is ObligationState.CLOSED and owed.closed_at == made.recorded_at


def _line(facts: Mapping[str, Any], *names: str) -> str:
    return ", ".join(str(facts[name]) for name in names if facts.get(name))


def _assertion(assertion: Mapping[str, Any]) -> str:
    return f"{assertion['text']} ({assertion['asserted_by']})" if assertion else ""


def _offer(offer: Mapping[str, Any]) -> str:
    return _line(offer, "status", "contact_name", "contact_phone")

"""An answer where the policy asks for several people: what it adds up to with the earlier ones."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Answer, ObligationState, Owed, VerifiedBy
from noticebus.domain import obligation as rules
from noticebus.domain.policies import policy_from_record
from noticebus.domain.quorum import AllDeclined, OutOfReach, Reached, Waiting, tally
from noticebus.store import acknowledgements
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.obligations import Obligation

BY_CONTACT = frozenset({VerifiedBy.LINK, VerifiedBy.TEXT, VerifiedBy.CALL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """Who answers: a contact by its own link or telephone, others by their name."""

    verified_by: VerifiedBy
    actor: str
    name: str

    def key(self, ids: Mapping[str, str]) -> str:
        """Give what a quorum counts: the contact's id, found by name in `ids` where it must be."""
        if self.verified_by in BY_CONTACT:
            return self.actor
        return ids.get(_plain(self.name), _plain(self.name))


def quorum_of(owed: Obligation) -> int:
    """Give how many people must accept; 1 where one is enough."""
    return policy_from_record(owed.policy).quorum if owed.owed is Owed.NOTICE else 1


def voter_of(made: Acknowledgement) -> Voter:
    """Give who gave an earlier answer."""
    return Voter(verified_by=made.verified_by, actor=made.actor, name=made.by_name)


async def weighed(
    conn: AsyncConnection,
    owed: Obligation,
    decision: rules.Closes | rules.Declines,
    *,
    voter: Voter,
    answer: Answer,
    contacts: Mapping[str, str],
) -> rules.Closes | rules.Declines | rules.Hastens | rules.Notes:
    """Turn one person's answer into the agency's, counting those given in this round.

    `contacts` are the ids of everybody whom the agency names now, with their names: whoever answers
    by link, and again by telephone through an operator, is one person.
    """
    ids = _ids_by_name(contacts)
    given = await acknowledgements.acknowledgements_of(conn, [owed.id])
    votes = {
        voter_of(one).key(ids): one.answer
        for one in given.get(owed.id, ())
        if one.version >= owed.round_version
    }
    match tally(
        votes | {voter.key(ids): answer},
        contacts=contacts,
        needed=quorum_of(owed),
        closing=rules.closing_answers(owed.notice_class),
    ):
        case Reached():
            return rules.Closes(late=decision.late)
        case AllDeclined():
            return decision
        case OutOfReach(accepted=accepted, needed=needed) if owed.state is ObligationState.OPEN:
            return rules.Hastens(accepted=accepted, needed=needed, late=decision.late)
        case OutOfReach() | Waiting():  # a clock that has stopped is not hastened
            return rules.Notes(why=rules.NoteReason.QUORUM_WAITS, late=decision.late)


def _ids_by_name(contacts: Mapping[str, str]) -> dict[str, str]:
    """Index contacts by name; a name that two share names neither."""
    shared = Counter(_plain(name) for name in contacts.values())
    return {_plain(name): id_ for id_, name in contacts.items() if shared[_plain(name)] == 1}


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())

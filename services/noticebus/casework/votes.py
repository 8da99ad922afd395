"""An answer where the policy asks for several people: what it adds up to with the earlier ones."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Answer, Owed, VerifiedBy
from noticebus.domain import obligation as rules
from noticebus.domain.policies import policy_from_record
from noticebus.domain.quorum import AllDeclined, OutOfReach, Reached, Waiting, tally
from noticebus.store import acknowledgements
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.obligations import Obligation

BY_CONTACT = frozenset({VerifiedBy.LINK, VerifiedBy.TEXT, VerifiedBy.CALL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """Who answers, as a quorum counts people: a contact by its id, others by their name."""

    verified_by: VerifiedBy
    actor: str
    name: str

    @property
    def key(self) -> str:
        if self.verified_by in BY_CONTACT:
            return self.actor
        return " ".join(self.name.casefold().split())


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
    contacts: frozenset[str],
) -> rules.Closes | rules.Declines | rules.Hastens | rules.Notes:
    """Turn one person's answer into the agency's, counting those given in this round.

    `contacts` are the ids of everybody whom the agency names now.
    """
    given = await acknowledgements.acknowledgements_of(conn, [owed.id])
    votes = {
        voter_of(one).key: one.answer
        for one in given.get(owed.id, ())
        if one.version >= owed.round_version
    }
    match tally(votes | {voter.key: answer}, contacts=contacts, needed=quorum_of(owed)):
        case Reached():
            return rules.Closes(late=decision.late)
        case AllDeclined():
            return decision
        case OutOfReach(accepted=accepted, needed=needed):
            return rules.Hastens(accepted=accepted, needed=needed, late=decision.late)
        case Waiting():
            return rules.Notes(why=rules.NoteReason.QUORUM_WAITS, late=decision.late)

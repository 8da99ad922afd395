"""Answers of several people where one is not enough: "k of n contacts must accept"."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from noticebus.contracts.vocabulary import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Enough people have accepted: the obligation closes."""

    accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Not enough have, and enough can still be asked."""

    accepted: int
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfReach:
    """Those who have not declined are too few: whoever comes next is called at once."""

    accepted: int
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllDeclined:
    """Nobody accepted and nobody is left: the agency as a whole has declined."""


Tally = Reached | Waiting | OutOfReach | AllDeclined


def tally(
    votes: Mapping[str, Answer],
    *,
    contacts: Collection[str],
    needed: int,
    closing: Collection[Answer] = (Answer.ACCEPTED,),
) -> Tally:
    """Count what people have answered in this round.

    `votes` holds the latest answer of each person, `contacts` everybody whom the agency names now,
    `closing` the answers that count as a yes. Whoever asked for more time, or only received where
    that is too little, may still accept.
    """
    assert needed >= 1, "a policy asks for somebody"
    accepted = {who for who, answer in votes.items() if answer in closing}
    if len(accepted) >= needed:
        return Reached(accepted=len(accepted))
    declined = {who for who, answer in votes.items() if answer is Answer.DECLINED}
    able = (set(contacts) | set(votes)) - declined
    if not able:
        return AllDeclined()
    if len(able) < needed:
        return OutOfReach(accepted=len(accepted), needed=needed)
    return Waiting(accepted=len(accepted), needed=needed)

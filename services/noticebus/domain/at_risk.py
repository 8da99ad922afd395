"""Which places are at risk: all who must still answer for them, as one of their needs, are silent.

A place has somebody then, and nobody there: it would be uncovered if those who are silent did not
exist (`domain.routing`). Who has declined or was waived, and who was never bound, is not there.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from noticebus.contracts.vocabulary import Role
from noticebus.ids import AgencyId

NEEDED = frozenset({Role.CPS, Role.SCHOOL})  # without either of which a place is uncovered


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How many answer under one key in one role, and which of them are among those asked about."""

    area_key: str
    role: Role
    count: int
    among: frozenset[AgencyId]


def is_at_risk(
    agency_id: AgencyId,
    answering: Sequence[Answering],
    *,
    present: AbstractSet[str],
    silent: AbstractSet[str],
) -> bool:
    """Say whether a silent agency's place is at risk, however many answer for it with the agency.

    `answering` has a line for each role under each key of the place: its own, and those of what it
    lies in. `present` are those bound in the incident who have not declined and were not waived,
    and its poster, who knows; `silent` are those past their deadline, the agency among them.
    """
    mine = {one.role for one in answering if agency_id in one.among} & NEEDED
    return any(
        all(
            len(one.among) == one.count and one.among & present <= silent
            for one in answering
            if one.role is role
        )
        for role in mine
    )

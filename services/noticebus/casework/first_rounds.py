"""How the obligations of a notice begin: the policy each runs under, and the times of its round."""

import datetime as dt
from dataclasses import dataclass

from noticebus.casework.in_force import in_force, standing_alike
from noticebus.domain.escalation import Round, start_round
from noticebus.domain.policies import Policy, PolicyRecord, own_policy_id, policy_to_record
from noticebus.domain.routing import Recipient
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRound:
    """What obligations that begin alike have in common: their policy as stored, and its times."""

    policy: PolicyRecord
    current: Round
    steps_at: list[str]

    @property
    def next_step_at(self) -> dt.datetime | None:
        return self.current.steps_at[0] if self.current.steps_at else None


class FirstRounds:
    """The first rounds that begin at one instant, each worked out once.

    Recipients of one kind and zone that have neither a policy nor a calendar of their own begin
    alike: of the hundreds that one notice binds, most do.
    """

    def __init__(self, policies: dict[str, Policy], *, at: dt.datetime) -> None:
        self._policies = policies
        self._at = at
        self._made: dict[tuple[object, ...], FirstRound] = {}

    def of(
        self, recipient: Recipient, facts: AgencyFacts, *, notice: Notice, stood_in: bool
    ) -> FirstRound:
        """Give the first round of `recipient` for `notice`."""
        own = own_policy_id(facts.id, notice.notice_class) in self._policies
        alone = facts.id if own else None
        round_of = (notice.notice_class, recipient.standing, stood_in)
        alike = (alone, *standing_alike(facts), *round_of)
        found = self._made.get(alike)
        if found is None:
            found = self._made[alike] = self._begin(recipient, facts, notice, stood_in=stood_in)
        return found

    def _begin(
        self, recipient: Recipient, facts: AgencyFacts, notice: Notice, *, stood_in: bool
    ) -> FirstRound:
        policy = in_force(
            self._policies,
            facts,
            notice_class=notice.notice_class,
            standing=recipient.standing,
            at=self._at,
            stood_in=stood_in,
        )
        current = start_round(policy=policy, hours=facts.hours, started_at=self._at)
        return FirstRound(
            policy=policy_to_record(policy),
            current=current,
            steps_at=[instant.isoformat() for instant in current.steps_at],
        )

"""Which policy a round runs under: the agency's own before the default, fitted to its day."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace

from noticebus.contracts.vocabulary import NoticeClass, Standing
from noticebus.domain.dismissal import fit
from noticebus.domain.policies import (
    Hold,
    HoldRule,
    Policy,
    default_policy,
    for_standing,
    own_policy_id,
)
from noticebus.store.matching import AgencyFacts

STOOD_IN = "Another agency stands in, so that no opening is waited for."


def policy_ids(facts: AgencyFacts, notice_class: NoticeClass, *, at: dt.datetime) -> frozenset[str]:
    """Name the policies of which one is in force for an agency and a class at `at`."""
    default = _default(facts, notice_class, at=at)
    return frozenset({own_policy_id(facts.id, notice_class), default.id})


def policy_ids_of(asked: Iterable[tuple[AgencyFacts, NoticeClass]], *, at: dt.datetime) -> set[str]:
    """Name them for agencies and classes: those that are alike are looked at once."""
    named: set[str] = set()
    alike: dict[tuple[object, ...], tuple[AgencyFacts, NoticeClass]] = {}
    for facts, notice_class in asked:
        named.add(own_policy_id(facts.id, notice_class))
        alike[(*standing_alike(facts), notice_class)] = (facts, notice_class)
    return named | {_default(facts, cls, at=at).id for facts, cls in alike.values()}


def standing_alike(facts: AgencyFacts) -> tuple[object, ...]:
    """Give what agencies under the same defaults have in common; a calendar is one's own."""
    own = facts.id if facts.calendar_revision is not None else None
    return (own, facts.kind, facts.zone, facts.holidays_state)


def chosen(
    policies: Mapping[str, Policy],
    facts: AgencyFacts,
    *,
    notice_class: NoticeClass,
    at: dt.datetime,
) -> Policy:
    """Choose among the living `policies`; an installation without a default has the built-in."""
    own = policies.get(own_policy_id(facts.id, notice_class))
    if own is not None:
        return own
    default = _default(facts, notice_class, at=at)
    return policies.get(default.id, default)


def in_force(
    policies: Mapping[str, Policy],
    facts: AgencyFacts,
    *,
    notice_class: NoticeClass,
    standing: Standing,
    at: dt.datetime,
    stood_in: bool = False,
) -> Policy:
    """Give what a round that starts at `at` freezes.

    It is fitted to the school's dismissal, and to the standing last: what an advisory recipient
    does not owe, no haste makes it owe. Where another agency stands in (`stood_in`), no opening is
    waited for.
    """
    policy = chosen(policies, facts, notice_class=notice_class, at=at)
    if stood_in and policy.hold.hold is Hold.WINDOW:
        policy = replace(policy, hold=HoldRule(hold=Hold.NEVER), note=STOOD_IN)
    return for_standing(fit(policy, calendar=facts.calendar, started_at=at), standing)


def _default(facts: AgencyFacts, notice_class: NoticeClass, *, at: dt.datetime) -> Policy:
    return default_policy(
        kind=facts.kind,
        notice_class=notice_class,
        standing=Standing.MANDATORY,
        calendar=facts.calendar,
        at=at,
    )

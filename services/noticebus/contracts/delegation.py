"""Delegations: another agency answers for this one, always or while it is closed."""

from noticebus.contracts.base import Accepted, AgencyIdText, DelegationIdText, Instant, Published
from noticebus.contracts.vocabulary import DelegationHours


class DelegationPost(Accepted):
    """From now on `delegate_id` answers for the agency, at these hours."""

    delegate_id: AgencyIdText
    hours: DelegationHours


class DelegationView(Published):
    """A delegation as it stands, or stood until `ended_at`."""

    id: DelegationIdText
    agency_id: AgencyIdText
    delegate_id: AgencyIdText
    hours: DelegationHours
    created_at: Instant
    ended_at: Instant | None

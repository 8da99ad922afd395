"""The ledger's lines for what casework does.

Which entries are written, and which history follows from each.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from noticebus.casework.drafts import Consent
from noticebus.contracts.vocabulary import Owed
from noticebus.domain.routing import Recipient, Routing
from noticebus.store.ledger import Entry, History, make_entry
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation, facts_of

ROUTING_CHUNK = 500
APPROVED, SENT_ALONE = "notice.approved", "notice.sent_alone"
CONSENT_TYPES = (APPROVED, SENT_ALONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Entries in order, and the history that stands under them."""

    entries: list[Entry]
    history: list[History]


def notice_entry(notice: Notice, *, at: dt.datetime) -> Entry:
    """Say that a notice was accepted: its digest and head, never its content."""
    return make_entry(
        "notice.accepted",
        {
            "notice_id": notice.id,
            "version": notice.version,
            "msg": notice.msg,
            "kind": notice.kind,
            "status": notice.status,
            "class": notice.notice_class,
            "agency_id": notice.agency_id,
            "posted_by": notice.posted_by,
            "body_sha256": notice.body_digest,
            "material": notice.material,
            "release_at": _text(notice.release_at),
            "areas": sorted(notice.area_keys),
            "refdata_version": notice.refdata_version,
        },
        at=at,
        incident_id=notice.incident_id,
    )


def routing_entries(
    notice: Notice, bound: Sequence[Obligation], routing: Routing, *, at: dt.datetime
) -> Trace:
    """Say who must answer and who could not be reached, `ROUTING_CHUNK` recipients an entry."""
    entries = [notice_entry(notice, at=at)]
    history: list[History] = []
    by_agency = {one.agency_id: one for one in routing.recipients}
    for start in range(0, max(len(bound), 1), ROUTING_CHUNK):
        chunk = bound[start : start + ROUTING_CHUNK]
        entry = make_entry(
            "routing.decided",
            {
                "notice_id": notice.id,
                "version": notice.version,
                "recipients": [_recipient_line(one, by_agency[one.agency_id]) for one in chunk],
                "uncovered": notice.uncovered if start == 0 else [],
            },
            at=at,
            incident_id=notice.incident_id,
        )
        entries.append(entry)
        history += [
            History(obligation_id=one.id, entry_id=entry.id, facts=facts_of(one)) for one in chunk
        ]
    return Trace(entries=entries, history=history)


def consent_entry(notice: Notice, consent: Consent, *, at: dt.datetime) -> Entry:
    """Say on whose word a notice that many get was let out: a second person's, or nobody else's."""
    alone = consent.approved_by is None
    data = {
        "notice_id": notice.id,
        "by": consent.approved_by or notice.posted_by,
        "requested_by": notice.posted_by,
        "asked_at": _text(consent.asked_at),
        "recipients": consent.recipients,
    }
    type_ = SENT_ALONE if alone else APPROVED
    return make_entry(type_, data, at=at, incident_id=notice.incident_id)


def obligation_entry(
    type_: str, obligation: Obligation, data: Mapping[str, Any], *, at: dt.datetime
) -> tuple[Entry, History]:
    """Say what happened to one obligation, with what it is from then on."""
    entry = make_entry(
        type_,
        {"obligation_id": obligation.id, "agency_id": obligation.agency_id, **data},
        at=at,
        incident_id=obligation.incident_id,
    )
    line = History(obligation_id=obligation.id, entry_id=entry.id, facts=facts_of(obligation))
    return entry, line


def _recipient_line(obligation: Obligation, recipient: Recipient) -> dict[str, Any]:
    assert obligation.owed is Owed.NOTICE, "routing makes only what is owed to notices"
    return {
        "obligation_id": obligation.id,
        "agency_id": obligation.agency_id,
        "standing": obligation.standing,
        "role": obligation.role,
        "due_at": _text(obligation.due_at),
        "policy": f"{obligation.policy['id']}@{obligation.policy['version']}",
        "channels": list(recipient.channels),
        "unreachable": obligation.unreachable_reason,
    }


def _text(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()

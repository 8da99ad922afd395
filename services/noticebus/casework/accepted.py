"""What a poster is told when a notice has been accepted (design section 8)."""

import base64
import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from noticebus.contracts.vocabulary import Standing
from noticebus.domain.routing import Recipient, Routing, Uncovered
from noticebus.errors import InvalidError
from noticebus.store.ledger import Recorded
from noticebus.store.notices import IdempotencyRecord, Notice
from noticebus.store.obligations import Obligation

if TYPE_CHECKING:
    from noticebus.access.keyring import Keyring
    from noticebus.store.matching import AgencyFacts

RECIPIENTS_SHOWN_MAX = 200


def response(
    notice: Notice,
    *,
    routing: Routing,
    obligations: Sequence[Obligation],
    facts: "Mapping[Any, AgencyFacts]",
    warnings: Sequence[dict[str, str]],
    receipt: dict[str, str],
) -> dict[str, Any]:
    """Build the 201: who was bound, who cannot be reached, which places nobody answers for."""
    return {
        "id": notice.id,
        "incident_id": notice.incident_id,
        "version": notice.version,
        "state": notice.state.value,
        "accepted_at": wire_instant(notice.accepted_at),
        "material": notice.material,
        "material_reasons": body_of(notice).get("material_reasons", []),
        "recipients": recipients_view(notice, routing, obligations, facts),
        "warnings": [*warnings, *loud(routing, notice.uncovered)],
        "receipt": receipt,
    }


def recipients_view(
    notice: Notice,
    routing: Routing,
    obligations: Sequence[Obligation],
    facts: "Mapping[Any, AgencyFacts]",
) -> dict[str, Any]:
    """Show the recipients: counts of all, the first 200 by name, `next` for the rest."""
    mandatory = sum(one.standing is Standing.MANDATORY for one in obligations)
    by_agency = {one.agency_id: one for one in routing.recipients}
    bound = {one.agency_id for one in obligations}  # routing may know of agencies that are not
    shown = sorted(obligations, key=_by_id)[:RECIPIENTS_SHOWN_MAX]
    more = len(obligations) > RECIPIENTS_SHOWN_MAX
    return {
        "count": len(obligations),
        "mandatory": mandatory,
        "advisory": len(obligations) - mandatory,
        "next": _following(notice, shown[-1]) if more else None,
        "obligations": [
            {
                "id": one.id,
                "agency": agency_view(facts[one.agency_id]),
                "standing": one.standing.value,
                "class": one.notice_class.value,
                "due_at": wire_instant(one.due_at),
                "channels": channels_of(by_agency.get(one.agency_id)),
            }
            for one in shown
        ],
        "unreachable": [
            {
                "agency": agency_view(facts[one.agency_id]),
                "reason": one.unreachable_reason.value if one.unreachable_reason else None,
            }
            for one in routing.unreachable
            if one.agency_id in bound
        ][:RECIPIENTS_SHOWN_MAX],
        "uncovered": notice.uncovered,
    }


def body_of(notice: Notice) -> dict[str, Any]:
    """Read what was posted, with the poster's name at that time."""
    content: dict[str, Any] = json.loads(notice.body)
    return content


def agency_view(facts: "AgencyFacts") -> dict[str, str]:
    """Show an agency as answers and reports name it."""
    return {"id": facts.id, "name": facts.name, "kind": facts.kind.value}


def uncovered_view(gap: Uncovered) -> dict[str, str]:
    """Show a place nobody answers for."""
    place = {"county_fips": gap.county_fips} if gap.county_fips else {"lea_id": str(gap.lea_id)}
    return {**place, "missing": gap.missing.value}


def loud(routing: Routing, uncovered: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Say in sentences what a poster must not overlook (I6)."""
    said: list[dict[str, str]] = []
    if not routing.recipients:
        message = (
            "No recipient matched: nobody has been told. Ring the agencies for this place,"
            " and ask an operator to record who answers for it."
        )
        said.append(warning("no-recipient", message))
    said += [
        warning("uncovered", f"Nobody answers as {gap['missing']} for {_place(gap)}.")
        for gap in uncovered
    ]
    if routing.unreachable:
        message = (
            f"Recipients that no verified channel reaches: {len(routing.unreachable)}."
            " Ring them; they are on the operators' report."
        )
        said.append(warning("unreachable", message))
    return said


def warning(code: str, message: str) -> dict[str, str]:
    """Make one warning as answers carry it: a stable code, and a sentence that says what to do."""
    return {"code": code, "message": message}


def receipt(keyring: "Keyring", entry: Recorded) -> dict[str, str]:
    """Sign what was entered.

    The entry's id, its leaf hash (RFC 6962), and the bus's Ed25519 signature over it.
    """
    leaf_hash = base64.b64encode(entry.leaf_hash).decode()
    return {
        "entry_id": entry.id,
        "leaf_hash": leaf_hash,
        "signature": keyring.sign_receipt(leaf_hash),
    }


def replayed(record: IdempotencyRecord, fingerprint: str) -> dict[str, Any]:
    """Give what the same request was answered before; the same key on another body is refused."""
    if record.fingerprint != fingerprint:
        raise InvalidError(
            "This Idempotency-Key was used for another notice. Use a new key for a new notice,"
            " and the same key only to repeat the same one.",
            code="idempotency-key-reused",
        )
    return record.response


def wire_instant(instant: dt.datetime | None) -> str | None:
    """Write an instant as RFC 3339 UTC with `Z`."""
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def _following(notice: Notice, last: Obligation) -> str:
    """Give the address of the recipients after `last`, its cursor as the gateway writes them."""
    cursor = base64.urlsafe_b64encode(last.id.encode()).decode().rstrip("=")
    return f"/v1/incidents/{notice.incident_id}/obligations?cursor={cursor}"


def _by_id(obligation: Obligation) -> str:
    return obligation.id


def channels_of(recipient: Recipient | None) -> list[str]:
    """Name the channels of a recipient in the order they are used.

    None are left for one that no longer matches.
    """
    return [] if recipient is None else [channel.value for channel in recipient.channels]


def _place(gap: Mapping[str, str]) -> str:
    return f"county {gap['county_fips']}" if "county_fips" in gap else f"district {gap['lea_id']}"

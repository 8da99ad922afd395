"""What a delivery carries.

Pure functions of stored, unchanging facts, so that a repeat is the same bytes (I3).
"""

import datetime as dt

from noticebus.access import links
from noticebus.casework.binding import WITH_NOTICE
from noticebus.casework.desk import Desk
from noticebus.casework.links import claims_for, link_address
from noticebus.casework.views import Contents, place_line
from noticebus.contracts.event_parts import OfferPart, QuestionPart
from noticebus.contracts.rendering import reads_at
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    ChangeReason,
    ContentLevel,
    Notify,
    OfferState,
    OfferType,
    Owed,
    QuestionTopic,
)
from noticebus.contracts.webhook import (
    Envelope,
    ObligationPart,
    SubscriptionPart,
    render,
)
from noticebus.domain.mail import ComposedMail, NoticeMail, compose_notice_mail
from noticebus.domain.obligation import OWED_BY_POSTERS, closes_with
from noticebus.store.claims import Destination
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Notice

NEVER_MORE = ContentLevel.ID_ONLY
LAST_SEQUENCE = "last_sequence"  # in a heartbeat's detail: frozen, since a repeat is the same (I3)
REMINDER = "reminder"  # in the detail of what an operator had sent again: which one it is
SHOWN_STEP = "step"  # there too: the step that had fired last
HOTLINE = (
    "If a child is in danger now, call 911 or your state's child abuse hotline first."
    " An answer here is no report of abuse or neglect."
)
_OWED_FOR = {Cause.QUESTION: Owed.QUESTION, Cause.COVERAGE: Owed.COVERAGE}
ASKS_NOTHING = frozenset({Cause.ANSWER, Cause.OFFER})
"""What is told of a question or an offer: its own id is the subject, and nothing is owed for it."""
MEETS_CHILDREN = frozenset(AgencyKind) - {
    AgencyKind.FEDERAL,
    AgencyKind.LAW_ENFORCEMENT,
    AgencyKind.OPERATOR,
}


def webhook_body(
    delivery: Delivery,
    *,
    notice: Notice | None,
    destination: Destination,
    contents: Contents,
    base_url: str,
) -> bytes:
    """Write the event for one endpoint, at the content level it has now.

    Need to know is decided here (I8).
    """
    level = destination.content_level or NEVER_MORE
    told = delivery.cause in ASKS_NOTHING
    return render(
        Envelope(
            delivery_id=delivery.id,
            source=base_url,
            cause=delivery.cause,
            subject=delivery.subject if told else delivery.notice_id or delivery.subject,
            time=delivery.created_at,
            notice=None if notice is None or told else contents.of(notice, level),
            obligation=None if told else _obligation(delivery, base_url=base_url),
            subscription=None
            if delivery.subscription_id is None
            else SubscriptionPart(
                id=delivery.subscription_id, sequence=_sequence(delivery), content_level=level
            ),
            question=_question(delivery, level),
            offer=_offer(delivery),
            challenge=destination.challenge if delivery.cause is Cause.HANDSHAKE else None,
        )
    )


def _sequence(delivery: Delivery) -> int | None:
    """Give a notice's own number, or the last one before a heartbeat, as it was then."""
    if delivery.cause is Cause.HEARTBEAT:
        last: int = (delivery.detail or {})[LAST_SEQUENCE]
        return last
    return delivery.sequence


def mail_text(
    delivery: Delivery, *, notice: Notice, destination: Destination, desk: Desk
) -> ComposedMail:
    """Write the mail to one contact: how urgent, where, until when, the link and its code.

    No content.
    """
    claims = claims_for(delivery, notice)
    notify = _notify(delivery)
    late = reminds(delivery)
    return compose_notice_mail(
        NoticeMail(
            status=notice.status,
            notice_class=delivery.notice_class,
            kind=notice.kind,
            msg=notice.msg,
            cause=_said_cause(delivery, notice),
            version=notice.version,
            reminder=_reminder(delivery) if late and notify is Notify.ON_DUTY else 0,
            escalation=late and notify is not Notify.ON_DUTY,
            owed=_owed(delivery),
            agency=destination.agency_name,
            place=place_line(_uncovered_keys(delivery) or notice.area_keys, desk.places),
            due_at=delivery.answer_due_at,
            zone=destination.zone,
            link=link_address(desk, claims),
            code=links.code_for(desk.keyring, claims),
            hotline=HOTLINE if destination.agency_kind in MEETS_CHILDREN else "",
            reads_along=reads_along(delivery),
            operators_phone=desk.operators_phone,
        )
    )


def reminds(delivery: Delivery) -> bool:
    """Say whether it comes because an answer is missing: a step, unless it fell with the notice.

    The operators' comes with the notice only where nobody else is in reach: that is silence.
    """
    fell_with = WITH_NOTICE in (delivery.detail or {})
    return delivery.cause is Cause.STEP and (not fell_with or reads_along(delivery))


def reads_along(delivery: Delivery) -> bool:
    """Say whether it tells the bus's operators of another agency's silence: they answer nothing."""
    return _notify(delivery) is Notify.OPERATORS and _owed(delivery) is not Owed.COVERAGE


def _said_cause(delivery: Delivery, notice: Notice) -> Cause:
    """Let a mail say "Correction" of a version that corrects, whatever carries it (I7)."""
    corrects = notice.change_reason is ChangeReason.CORRECTION
    carries = delivery.cause in {Cause.NOTICE, Cause.STEP}
    return Cause.CORRECTION if corrects and carries else delivery.cause


def _obligation(delivery: Delivery, *, base_url: str) -> ObligationPart | None:
    if delivery.obligation_id is None or delivery.notice_id is None:
        return None
    notify, owed = _notify(delivery), _owed(delivery)
    return ObligationPart(
        id=delivery.obligation_id,
        notice_class=delivery.notice_class,
        closes_with=None if owed in OWED_BY_POSTERS else closes_with(delivery.notice_class),
        due_at=delivery.answer_due_at,
        acknowledge_url=f"{base_url}/v1/notices/{delivery.notice_id}/acknowledgements",
        acknowledge_page=f"{base_url}/obligations/{delivery.obligation_id}",
        step=None if notify is None else _shown_step(delivery),
        notify=notify,
        owed=None if owed is Owed.NOTICE else owed,
    )


def _reminder(delivery: Delivery) -> int:
    """Give the number of a reminder as its reader counts them, with those sent again by hand."""
    number: int = (delivery.detail or {}).get(REMINDER, delivery.step + 1)
    return number


def _shown_step(delivery: Delivery) -> int:
    """Give the step an event names; one sent again by an operator names the last that fired."""
    step: int = (delivery.detail or {}).get(SHOWN_STEP, delivery.step)
    return step


def _owed(delivery: Delivery) -> Owed:
    """Tell what its obligation owes: a step says it, of the rest the cause does."""
    told = (delivery.detail or {}).get("owed")
    return _OWED_FOR.get(delivery.cause, Owed.NOTICE) if told is None else Owed(told)


def _uncovered_keys(delivery: Delivery) -> list[str]:
    """Give the places that a delivery to the operators is about, if it is one."""
    gaps = (delivery.detail or {}).get("uncovered", ())
    return [
        f"county:{one['county_fips']}" if "county_fips" in one else f"lea:{one['lea_id']}"
        for one in gaps
    ]


def _notify(delivery: Delivery) -> Notify | None:
    named = (delivery.detail or {}).get("notify")
    return None if named is None else Notify(named)


def _question(delivery: Delivery, level: ContentLevel) -> QuestionPart | None:
    """Give the question an event is about; its answer only to who reads at its tier (I8)."""
    asked = (delivery.detail or {}).get("question")
    if asked is None:
        return None
    answered_at = asked.get("answered_at")
    shown = answered_at is None or reads_at(level, ContentLevel(asked["tier"]))
    return QuestionPart(
        id=asked["id"],
        incident_id=asked["incident_id"],
        notice_id=asked["notice_id"],
        topic=QuestionTopic(asked["topic"]),
        text=asked["text"] if shown else None,
        due_at=dt.datetime.fromisoformat(asked["due_at"]),
        answer=asked.get("answer") if shown else None,
        answered_at=None if answered_at is None else dt.datetime.fromisoformat(answered_at),
    )


def _offer(delivery: Delivery) -> OfferPart | None:
    told = (delivery.detail or {}).get("offer")
    if told is None:
        return None
    return OfferPart(
        id=told["id"],
        incident_id=told["incident_id"],
        notice_id=told["notice_id"],
        offer_type=OfferType(told["offer_type"]),
        quantity=told["quantity"],
        unit=told["unit"],
        state=OfferState(told["state"]),
        accepted_quantity=told["accepted_quantity"],
        lapses_at=dt.datetime.fromisoformat(told["lapses_at"]),
    )

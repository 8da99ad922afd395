"""Answers that come back by telephone: replies to text messages, and codes typed on calls.

A reply answers only from the verified telephone of a living contact, with the code of a message
that went to it (I4).
"""

import datetime as dt
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access import links
from noticebus.access.links import LinkClaims
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.desk import Desk
from noticebus.casework.links import (
    AnsweredByLink,
    WrongCodeError,
    answer_by_code,
    check_code,
    claims_for,
)
from noticebus.casework.spoken import gather_address
from noticebus.casework.votes import quorum_of
from noticebus.contracts.vocabulary import (
    Answer,
    Channel,
    DeclineReason,
    ObligationState,
    Status,
    VerifiedBy,
)
from noticebus.domain.obligation import OWED_BY_POSTERS, closes_with
from noticebus.domain.telephone import (
    Reply,
    compose_again,
    compose_last_words,
    read_reply,
)
from noticebus.errors import ForbiddenError, RefusedError
from noticebus.ids import DeliveryId
from noticebus.store import agencies, notices, telephone
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Delivery

log = structlog.get_logger(__name__)

TEXTS_MAX = 40  # messages to one telephone among which a code is looked for, open ones first
HELP = (
    "Not recorded. Reply with one word and the code of the message: ACCEPT 123456, RECEIVED 123456"
    " or DECLINE 123456. ES: ACEPTO 123456."
)
STRANGER = "Not recorded: this telephone is not known to the notice bus. Ring its operators."
NOTHING_OPEN = (
    "Not recorded: nothing that was sent to this telephone is open any more."
    " Ring the bus's operators if there is something to say."
)
OVER = (
    "No answer is needed any more: this was answered or withdrawn. Nothing was changed. If that is"
    " wrong, ring the bus's operators."
)
LOCKED = "Not recorded: too many wrong codes. Ring the bus's operators; they record your answer."
CALL_OVER = "This call cannot be answered any more. Use a newer message, or ring the operators."
_TAKEN = {
    Answer.ACCEPTED: "Recorded: accepted. Thank you. ES: Registrado: aceptado.",
    Answer.RECEIVED: "Recorded: received. ES: Registrado: recibido.",
    Answer.DECLINED: "Recorded: declined. The operators see it. ES: Registrado: no acepta.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matter:
    """An obligation that a message to this telephone was about."""

    contact: Contact
    claims: LinkClaims
    answerable: bool


async def take_text(desk: Desk, *, phone: str, body: str) -> str:
    """Take a reply by text message and give the sentence that answers it."""
    now = desk.world.now()
    async with desk.database.read() as conn:
        if not await telephone.knows_phone(conn, phone, at=now):
            log.info("telephone.stranger_refused")
            return STRANGER
        found = await _matters(conn, phone, now=now)
    reply = read_reply(body)
    if reply is None:
        return HELP
    fitting = [
        one for one in found if links.code_matches(desk.keyring, one.claims, given=reply.code)
    ]
    if fitting:
        return await _answer(desk, fitting[0], reply) if fitting[0].answerable else OVER
    if not (left := [one for one in found if one.answerable]):
        return NOTHING_OPEN
    return await _count_wrong(desk, left, code=reply.code)


async def _matters(conn: AsyncConnection, phone: str, *, now: dt.datetime) -> list[_Matter]:
    """Find what a telephone's messages were about, the open first, then the newest."""
    sent = await telephone.texted(conn, phone, at=now, limit=TEXTS_MAX)
    about = await notices.notices_by_id(
        conn, {one.delivery.notice_id for one in sent if one.delivery.notice_id is not None}
    )
    matters: dict[LinkClaims, _Matter] = {}
    for one in sent:
        assert one.delivery.notice_id is not None, "only what carries a notice is found"
        claims = claims_for(one.delivery, about[one.delivery.notice_id])
        matter = _Matter(contact=one.contact, claims=claims, answerable=one.answerable)
        matters.setdefault(claims, matter)
    return list(matters.values())


async def _count_wrong(desk: Desk, found: list[_Matter], *, code: str) -> str:
    """Count a code that fits none of the messages against each: it was a guess at all of them."""
    left = 0
    for one in found:
        try:
            await check_code(desk, one.claims, code=code)
        except WrongCodeError as error:
            left = max(left, error.tries_left)
        except ForbiddenError:
            continue  # locked already
    if not left:
        return LOCKED
    return f"Not recorded: wrong code. Copy it from the message you answer; {left} more tries."


async def _answer(desk: Desk, matter: _Matter, reply: Reply) -> str:
    given = GivenAnswer(
        answer=reply.answer,
        by_name=matter.contact.name,
        by_role=matter.contact.role,
        reason=DeclineReason.OTHER if reply.answer is Answer.DECLINED else None,
    )
    try:
        done = await answer_by_code(
            desk, matter.claims, code=reply.code, given=given, by=VerifiedBy.TEXT
        )
    except RefusedError as error:
        return LOCKED if error.code == "link-locked" else f"Not recorded. {error.message}"
    if _is_over(done):
        return f"{_mark(done)}{OVER}"
    asked = _still_asked(done, act=f"reply ACCEPT {reply.code} when somebody acts on it")
    return f"{_mark(done)}{_TAKEN[reply.answer]}{asked}"


def _is_over(done: AnsweredByLink) -> bool:
    return done.answered.obligation.state is ObligationState.WITHDRAWN


def _still_asked(done: AnsweredByLink, *, act: str) -> str:
    """Say what is still asked where the matter stays open or declined, or nothing.

    `act` is asked where only this person's own word is missing.
    """
    given, owed = done.answered.acknowledgement, done.answered.obligation
    declined = owed.state is ObligationState.DECLINED and given.answer is not Answer.DECLINED
    if owed.state is not ObligationState.OPEN and not declined:
        return ""
    noted = given.answer is Answer.RECEIVED and closes_with(owed.notice_class) is Answer.ACCEPTED
    if owed.owed in OWED_BY_POSTERS:
        act = "post the answer or update on the bus, or ring its operators"
    elif given.version < owed.round_version:
        newer = f"the newer message (version {owed.round_version})"
        act = f"this was version {given.version}; answer {newer}"
    elif quorum_of(owed) > 1 and not noted:
        act = "another person has to accept"
        act += " too, or ring the bus's operators" if declined else ""
    return f" {'Your agency has declined' if declined else 'Still open'}: {act}."


def _mark(done: AnsweredByLink) -> str:
    status = done.facts.notice.status
    return "" if status is Status.ACTUAL else f"{status.upper()}. "


async def take_digits(desk: Desk, *, delivery_id: DeliveryId, phone: str, digits: str) -> str:
    """Take what was typed on a call, and give the document of what the call says next.

    The spoken code accepts. A wrong one is counted, and the code is spoken again.
    """
    found = await _called(desk, delivery_id, phone=phone)
    if found is None:
        return compose_last_words(CALL_OVER)
    contact, delivery, claims = found
    given = GivenAnswer(answer=Answer.ACCEPTED, by_name=contact.name, by_role=contact.role)
    try:
        done = await answer_by_code(desk, claims, code=digits, given=given, by=VerifiedBy.CALL)
    except WrongCodeError:
        return compose_again(
            code=links.code_for(desk.keyring, claims),
            action=gather_address(desk, delivery),
            sentence="This was not the code.",
        )
    except RefusedError as error:
        return compose_last_words(LOCKED if error.code == "link-locked" else error.message)
    if _is_over(done):
        return compose_last_words(f"{_mark(done)}{OVER}")
    asked = _still_asked(done, act="ring the bus's operators") or " Thank you."
    return compose_last_words(f"{_mark(done)}Recorded: accepted.{asked} Goodbye.")


async def _called(
    desk: Desk, delivery_id: DeliveryId, *, phone: str
) -> tuple[Contact, Delivery, LinkClaims] | None:
    """Find whom a call was for, if it went to this telephone and the contact still speaks."""
    async with desk.database.read() as conn:
        delivery = next(iter(await telephone.deliveries_by_id(conn, [delivery_id])), None)
        if delivery is None or delivery.channel is not Channel.VOICE:
            return None
        if delivery.notice_id is None or delivery.obligation_id is None:
            return None
        contact = await agencies.find_contact(conn, contact_id=delivery.contact_id or "")
        about = await notices.notices_by_id(conn, [delivery.notice_id])
    if contact is None or not _speaks(contact, phone, now=desk.world.now()):
        return None
    return contact, delivery, claims_for(delivery, about[delivery.notice_id])


def _speaks(contact: Contact, phone: str, *, now: dt.datetime) -> bool:
    began = contact.valid_from is None or contact.valid_from <= now
    lasts = contact.valid_until is None or contact.valid_until > now
    verified = contact.phone == phone and contact.phone_verified_at is not None
    return verified and contact.ended_at is None and began and lasts

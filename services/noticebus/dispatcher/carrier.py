"""Carrying one claimed delivery over its channel, if it still may go."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from noticebus.access.credentials import unseal_credentials
from noticebus.access.keyring import Keyring
from noticebus.casework.bodies import mail_text, webhook_body
from noticebus.casework.desk import Desk
from noticebus.casework.digest import digest_text
from noticebus.casework.spoken import call_document, text_message
from noticebus.casework.unsent import Dropped
from noticebus.casework.views import Contents
from noticebus.casework.warn import warning_text
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    Fault,
    ObligationState,
    Outcome,
    Status,
    SubscriptionState,
)
from noticebus.dispatcher.email import EmailSender, MailRequest
from noticebus.dispatcher.telephone import (
    NO_NUMBER,
    NO_TELEPHONE,
    CallRequest,
    Telephone,
    TextRequest,
)
from noticebus.dispatcher.topic import send_to_topic
from noticebus.dispatcher.webhook import WebhookRequest, WebhookSender, answers_challenge
from noticebus.domain.bundle import bundle_mails, bundle_texts
from noticebus.domain.delivery import AttemptResult
from noticebus.domain.handshakes import read_terms
from noticebus.domain.mail import ComposedMail, compose_test_mail
from noticebus.domain.telephone import compose_test_text
from noticebus.records import lean
from noticebus.store.claims import Destination
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Notice


@lean
class Load:
    """A claimed delivery, where it goes as things stand now, and the notice it carries, if any.

    A replay goes as the delivery it repeats: under that one's id, with that one's body.
    """

    delivery: Delivery
    destination: Destination
    notice: Notice | None
    original: Delivery | None = None
    original_digest: str | None = None

    @property
    def carried(self) -> Delivery:
        """Give the delivery whose id and body go on the wire."""
        return self.original or self.delivery

    @property
    def first_digest(self) -> str | None:
        """Give the digest of the body that was put on the wire first, by whichever of them."""
        return self.original_digest or self.destination.first_digest


class Carrier:
    """The channels of one dispatcher.

    Without `email` a mail waits, as a fault of ours, until one is configured; without `telephone`
    a text message and a call do.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        webhook: WebhookSender,
        email: EmailSender | None,
        telephone: Telephone | None = None,
    ) -> None:
        self._desk = desk
        self._webhook = webhook
        self._email = email
        self._telephone = telephone
        self._contents = Contents()

    async def carry(self, load: Load) -> AttemptResult | Dropped:
        """Send once, or say why it must not be sent.

        The right to it is checked now, not when it was queued (I8).
        """
        dropped = _why_dropped(load)
        if dropped is not None:
            return dropped
        match load.delivery.channel:
            case Channel.WEBHOOK:
                return await self._by_webhook(load)
            case Channel.KAFKA:
                return await self._by_topic(load)
            case Channel.EMAIL:
                return await self._by_mail(load)
            case Channel.SMS | Channel.VOICE:
                return await self._by_telephone(load)
            case _:
                return Dropped(state=DeliveryState.REVOKED, reason="a feed is fetched, not sent")

    def _event(self, load: Load) -> bytes | Dropped:
        """Write what goes to an endpoint or topic, or say why it may go no more (I3, I8)."""
        body = webhook_body(
            load.carried,
            notice=load.notice,
            destination=load.destination,
            contents=self._contents,
            base_url=self._desk.base_url,
        )
        if _differs(load, body):
            reason = "what the recipient may see has changed since the first attempt"
            renewed = load.original is None  # what was replayed can be read from the inbox
            return Dropped(state=DeliveryState.REVOKED, reason=reason, renewed=renewed)
        return body

    async def _by_topic(self, load: Load) -> AttemptResult | Dropped:
        body = self._event(load)
        if isinstance(body, Dropped):
            return body
        status = None if load.notice is None else load.notice.status
        return await send_to_topic(self._desk.bus, load.carried, body=body, status=status)

    async def _by_webhook(self, load: Load) -> AttemptResult | Dropped:
        delivery, destination = load.delivery, load.destination
        body = self._event(load)
        if isinstance(body, Dropped):
            return body
        now = self._desk.machine.now()
        result = await self._webhook.send(
            WebhookRequest(
                url=destination.url or "",
                delivery_id=load.carried.id,
                body=body,
                secrets=usable_secrets(destination, self._desk.keyring, now=now),
                introduces=delivery.cause is Cause.HANDSHAKE,
                subscription_id=delivery.subscription_id or "",
                credentials=unseal_credentials(self._desk.keyring, destination.credentials_sealed),
            ),
            timestamp=int(now.timestamp()),
        )
        return _consenting(result, destination) if delivery.cause is Cause.HANDSHAKE else result

    async def _by_mail(self, load: Load) -> AttemptResult:
        if self._email is None:
            return _no_mail()
        return await self._mail([load], self._email, self._composed(load))

    def _composed(self, load: Load) -> ComposedMail:
        if load.delivery.cause is Cause.WARNING:
            return warning_text(load.delivery, load.destination, base_url=self._desk.base_url)
        if load.delivery.cause is Cause.DIGEST:
            return digest_text(load.delivery, load.destination, base_url=self._desk.base_url)
        if load.notice is None:  # a test: nothing else goes without a notice
            return compose_test_mail(load.destination.agency_name)
        return mail_text(
            load.delivery, notice=load.notice, destination=load.destination, desk=self._desk
        )

    async def _mail(
        self, loads: Sequence[Load], email: EmailSender, mail: ComposedMail
    ) -> AttemptResult:
        first = loads[0]
        return await email.send(
            MailRequest(
                delivery_id=first.delivery.id,
                to=first.destination.email or "",
                subject=mail.subject,
                text=mail.text,
                html=mail.html,
                written_at=first.delivery.created_at,
            )
        )

    async def carry_together(self, loads: Sequence[Load]) -> list[AttemptResult | Dropped]:
        """Send a bundle as one message, without those that must not be sent; one result each."""
        dropped = {one.delivery.id: _why_dropped(one) for one in loads}
        left = [one for one in loads if dropped[one.delivery.id] is None]
        sent = await self._together(left) if left else None
        results = [dropped[one.delivery.id] or sent for one in loads]
        return [one for one in results if one is not None]

    async def _together(self, left: Sequence[Load]) -> AttemptResult | Dropped:
        """Send what is left of a bundle: in the order of ids, so that a repeat is the same."""
        if len(left) == 1:
            return await self.carry(left[0])
        if left[0].delivery.channel is Channel.SMS:
            return await self._text_together(left)
        if self._email is None:
            return _no_mail()
        mail = bundle_mails(
            [self._composed(one) for one in left],
            status=_status(left[0]),
            gravest=min(one.delivery.notice_class for one in left),
        )
        return await self._mail(left, self._email, mail)

    async def _text_together(self, left: Sequence[Load]) -> AttemptResult:
        first = left[0]
        if self._telephone is None:
            return NO_TELEPHONE
        if first.destination.phone is None:
            return NO_NUMBER
        parts = [
            text_message(
                one.delivery, notice=one.notice, destination=one.destination, desk=self._desk
            )
            for one in left
            if one.notice is not None
        ]
        return await self._telephone.text(
            TextRequest(
                delivery_id=first.delivery.id,
                to=first.destination.phone,
                text=bundle_texts(parts),
            )
        )

    async def _by_telephone(self, load: Load) -> AttemptResult | Dropped:
        delivery, destination, notice = load.delivery, load.destination, load.notice
        if self._telephone is None:
            return NO_TELEPHONE
        if destination.phone is None:
            return NO_NUMBER
        if notice is None and delivery.cause is Cause.TEST and delivery.channel is Channel.SMS:
            text = compose_test_text(destination.agency_name)
            return await self._telephone.text(
                TextRequest(delivery_id=delivery.id, to=destination.phone, text=text)
            )
        if notice is None:
            return Dropped(state=DeliveryState.REVOKED, reason="it carries no notice")
        if delivery.channel is Channel.SMS:
            text = text_message(delivery, notice=notice, destination=destination, desk=self._desk)
            return await self._telephone.text(
                TextRequest(delivery_id=delivery.id, to=destination.phone, text=text)
            )
        document = call_document(delivery, notice=notice, destination=destination, desk=self._desk)
        return await self._telephone.call(
            CallRequest(delivery_id=delivery.id, to=destination.phone, document=document)
        )


def _status(load: Load) -> Status:
    assert load.notice is not None, "only what carries a notice is bundled"
    return load.notice.status


def _differs(load: Load, body: bytes) -> bool:
    """Say whether a repeat's body is not, or may not be, the one of the first attempt (I3).

    Where a crash lost the first attempt's digest, only the content level can have changed. An
    original that never went may have gone in another replay, at the level it was made for.
    """
    if load.first_digest:
        return load.first_digest != hashlib.sha256(body).hexdigest()
    tried = load.delivery.attempts > 1 or load.original is not None
    return tried and load.destination.content_level != load.carried.content_level


def usable_secrets(
    destination: Destination, keyring: Keyring, *, now: dt.datetime
) -> tuple[str, ...]:
    """Unseal the secrets that sign now: the newest first, older ones until their overlap ends."""
    return tuple(
        keyring.unseal_often(one["sealed"])
        for one in destination.secrets_sealed or []
        if one["expires_at"] is None or dt.datetime.fromisoformat(one["expires_at"]) > now
    )


def _why_dropped(load: Load) -> Dropped | None:
    destination = load.destination
    if _is_pointless(load):
        return Dropped(state=DeliveryState.MOOT, reason="the obligation is no longer open")
    if _order_has_ended(load):
        state = destination.subscription_state
        return Dropped(state=DeliveryState.REVOKED, reason=f"the subscription is {state}")
    if load.delivery.contact_id and destination.contact_ended_at is not None:
        return Dropped(state=DeliveryState.REVOKED, reason="the contact has ended")
    return None


def _is_pointless(load: Load) -> bool:
    """Say whether an answer, a cancel or a waiver has overtaken what was on its way."""
    delivery, destination = load.delivery, load.destination
    if destination.obligation_state in {None, ObligationState.OPEN}:
        return False
    if delivery.cause is Cause.STEP:
        return True
    answered = delivery.version <= (destination.answered_version or 0)
    ended = (
        destination.obligation_state in {ObligationState.WITHDRAWN, ObligationState.WAIVED}
        and destination.obligation_closed_at is not None
        and delivery.created_at < destination.obligation_closed_at
    )
    return delivery.cause in {Cause.NOTICE, Cause.CORRECTION} and (answered or ended)


def _order_has_ended(load: Load) -> bool:
    """Say whether what a subscription carries may not go because the subscription is not active."""
    return (
        load.delivery.subscription_id is not None
        and load.delivery.cause is not Cause.HANDSHAKE
        and load.destination.subscription_state is not SubscriptionState.ACTIVE
    )


def _consenting(result: AttemptResult, destination: Destination) -> AttemptResult:
    """Turn a 2xx without the challenge into a refusal.

    An endpoint must prove that it wants notices.
    """
    challenge = destination.challenge or ""
    if result.outcome is not Outcome.DELIVERED:
        return result
    if answers_challenge(result.response_excerpt, challenge):
        terms = read_terms(result.response_headers or {}, result.response_excerpt)
        return replace(result, error=" ".join(terms.notes))
    return replace(
        result,
        outcome=Outcome.REFUSED,
        fault=Fault.RECIPIENT,
        error="Your server did not answer with the challenge. Answer 2xx with data.challenge,"
        ' or as JSON {"challenge": …}.',
    )


def _no_mail() -> AttemptResult:
    return AttemptResult(
        outcome=Outcome.UNSENDABLE,
        fault=Fault.OURS,
        error="No mail server is configured. Set NOTICEBUS_SMTP_URL, then it is sent by itself.",
        body_digest="",
        duration=dt.timedelta(0),
    )

"""The rules of a delivery: what an attempt's outcome means, when the next try is, when it ends.

Pure: an attempt's result and the time go in, a decision comes out as a value; the store makes it
true.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus

from noticebus.contracts.vocabulary import Channel, Fault, Outcome
from noticebus.domain.schedules import RetrySchedule
from noticebus.records import lean

NEXT_CHANNEL_AFTER = dt.timedelta(minutes=2)
_IN_TURN = (Channel.EMAIL, Channel.SMS, Channel.VOICE)  # the channels of one contact
OUR_DELAY_MIN = dt.timedelta(seconds=5)
OUR_DELAY_MAX = dt.timedelta(minutes=5)
OUR_HORIZON = dt.timedelta(days=7)  # beyond the schedule's: then it needs a person, not a try


@lean
class TimeSpent:
    """Where an attempt's time went, in milliseconds; None for what it did not go through.

    A connection that was open already has no look-up, no connecting and no TLS. `first_byte_ms` is
    from the open connection to the first byte of the answer. A failed attempt's last phase is what
    it had spent there when it failed.
    """

    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None


@lean
class AttemptResult:
    """What one try of a delivery came to. `error` says cause and remedy.

    Of what was delivered it is empty, or says what of a handshake's terms was ignored.

    `body_digest` is the SHA-256 of what was (or would have been) put on the wire, in hex.
    `provider_id` is a telephone provider's own id of the message or call. `response_headers` are
    the few of an HTTP answer that explain it, names in lower case, values masked. `spent` says
    where the time of a webhook went.
    """

    outcome: Outcome
    fault: Fault | None
    status: int | None = None
    retry_after: dt.timedelta | None = None
    response_excerpt: str = ""
    error: str = ""
    body_digest: str
    duration: dt.timedelta
    provider_id: str | None = None
    response_headers: dict[str, str] | None = None
    spent: TimeSpent = TimeSpent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A machine of the recipient accepted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """A telephone provider took it; its callback says what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAt:
    """Try again at `at`; `next_channel_now` asks for the contact's next channel beside it."""

    at: dt.datetime
    next_channel_now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The delivery ended without success; `reason` is a sentence. The next channel starts."""

    reason: str


def after_attempt(
    result: AttemptResult,
    *,
    attempts: int,
    schedule: RetrySchedule,
    failed_at: dt.datetime,
    first_failed_at: dt.datetime | None,
    jitter: float,
) -> Delivered | HandedOver | RetryAt | GiveUp:
    """Decide what follows an attempt, on the `schedule` of its class (design, section 6).

    `attempts` counts the tries that count against the recipient, this one included if it does.
    `first_failed_at` is None when this is the first failure. `jitter` is drawn evenly from 0 to 1.
    """
    if result.outcome is Outcome.DELIVERED:
        return Delivered()
    if result.outcome is Outcome.HANDED_OVER:
        return HandedOver()
    if result.outcome is Outcome.GONE:
        return GiveUp(reason="The recipient answered 410 Gone: the address is closed for good.")
    since = failed_at - (first_failed_at or failed_at)
    delay = _delay(result, attempts=attempts, schedule=schedule, since=since)
    if delay is None:
        return GiveUp(reason=_exhausted(result, attempts=attempts, since=since))
    jittered = schedule.jittered(delay, jitter)
    wait = _heed(result.retry_after, delay=jittered, most=schedule.retry_after_max)
    next_channel = starts_next_channel(result.outcome, undelivered_for=since)
    return RetryAt(at=failed_at + wait, next_channel_now=next_channel)


def starts_next_channel(outcome: Outcome, *, undelivered_for: dt.timedelta) -> bool:
    """Say whether the next channel starts: at once on a refusal, else after 2 min undelivered."""
    if outcome in (Outcome.DELIVERED, Outcome.HANDED_OVER):
        return False
    refused = outcome in (Outcome.REFUSED, Outcome.GONE, Outcome.BLOCKED)
    return refused or undelivered_for >= NEXT_CHANNEL_AFTER


def next_channel(failed: Channel, *, reached_by: Collection[Channel]) -> Channel | None:
    """Give the channel of a contact that follows `failed`, if the contact has one.

    An agency's endpoint or topic is followed by its contacts' mail, mail by a text message, and
    that by a call.
    """
    following = _IN_TURN[_IN_TURN.index(failed) + 1 :] if failed in _IN_TURN else _IN_TURN
    return next((one for one in following if one in reached_by), None)


def _delay(
    result: AttemptResult, *, attempts: int, schedule: RetrySchedule, since: dt.timedelta
) -> dt.timedelta | None:
    if counts_against_recipient(result.fault):
        return schedule.delay_after(attempts)
    # What the recipient's own failures took of the time is not ours: it has its schedule for that.
    if since >= schedule.horizon + OUR_HORIZON:
        return None
    # Growing with the time it has lasted is a backoff that needs no counter of its own.
    return min(max(since / 4, OUR_DELAY_MIN), OUR_DELAY_MAX)


def _heed(
    retry_after: dt.timedelta | None, *, delay: dt.timedelta, most: dt.timedelta
) -> dt.timedelta:
    """Honour `Retry-After` (RFC 9110, section 10.2.3) between the schedule's delay and `most`."""
    if retry_after is None:
        return delay
    return max(delay, min(retry_after, most))


def _exhausted(result: AttemptResult, *, attempts: int, since: dt.timedelta) -> str:
    if counts_against_recipient(result.fault):
        return f"All {attempts} tries failed; the last one: {diagnosis(result)}"
    return f"We could not send it for {since.days} days; the last fault: {diagnosis(result)}"


def classify(status: int) -> Outcome:
    """Read an HTTP status as an outcome.

    A redirect is a refusal: following one could hand the notice to a stranger.
    """
    if status == HTTPStatus.GONE:
        return Outcome.GONE
    match status // 100:
        case 2:
            return Outcome.DELIVERED
        case 3 | 4:
            return Outcome.REFUSED
        case _:
            return Outcome.FAILED


def fault_of(outcome: Outcome) -> Fault | None:
    """Say whose fault an outcome is where nothing more is known; None for a success."""
    match outcome:
        case Outcome.DELIVERED | Outcome.HANDED_OVER:
            return None
        case Outcome.UNSENDABLE:
            return Fault.OURS
        case _:
            return Fault.RECIPIENT


def counts_against_recipient(fault: Fault | None) -> bool:
    """Say whether a failed try uses up one of the recipient's: all but those we failed."""
    return fault in (Fault.RECIPIENT, Fault.NETWORK)


_DELIVERED = {
    Channel.WEBHOOK: "Your server accepted it.",
    Channel.KAFKA: "The agency's topic has it.",
    Channel.EMAIL: "The mail server took it.",
    Channel.SMS: "The telephone network says that the text message arrived.",
    Channel.VOICE: "The telephone provider says that the call was answered.",
    Channel.INBOX: "It was fetched from the inbox.",
}
_STATUS_WORDS = {
    400: "Your server could not read the request. Compare it with the published schema.",
    401: "Your server asked for a log-in. Notices carry a signature instead: check that one.",
    403: "Your server, or a firewall before it, forbids the request. Let the bus through.",
    404: "Your server knows no such address. Correct the path in the subscription.",
    405: "Your server takes no POST at this address. Accept it, or register another address.",
    410: "Your server says this address is closed for good. Register another one.",
    413: "Your server takes no body of this size. Raise its limit to 256 KiB.",
    415: "Your server does not take application/cloudevents+json. Accept that content type.",
    429: "Your server takes no more for now. Raise its limit, or agree one with the operator.",
}


def diagnosis(result: AttemptResult) -> str:
    """Explain an attempt to the recipient's technician: what happened and what to do."""
    return explain(result.outcome, error=result.error, status=result.status)


def explain(
    outcome: Outcome, *, error: str, status: int | None, channel: Channel = Channel.WEBHOOK
) -> str:
    """Explain what an attempt came to, as it was recorded: what happened and what to do."""
    if outcome is Outcome.DELIVERED:
        return _DELIVERED[channel]
    if outcome is Outcome.HANDED_OVER:
        return "The telephone provider has it and has not said what came of it."
    if error:
        return error
    if status is None:
        return "Nothing was answered. Look at your server's log for the time of this attempt."
    return explain_status(status)


def explain_status(status: int) -> str:
    """Say what a failing HTTP status means and what its server's owner should do."""
    if status in _STATUS_WORDS:
        return _STATUS_WORDS[status]
    if classify(status) is not Outcome.REFUSED:
        return f"Your server failed with {status}. Its log says why; we try again by ourselves."
    if status < HTTPStatus.BAD_REQUEST:
        return (
            f"Your server answered {status} to another address; redirects are not followed. "
            "Register the final address."
        )
    return f"Your server refused the request with {status}. Its log says why."

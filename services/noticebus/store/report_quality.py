"""What in the records will keep a notice from somebody: the report's data-quality warnings."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    Channel,
    DeliveryState,
    HeldReason,
    IncidentState,
    ObligationState,
    PauseReason,
    Status,
    SubscriptionState,
)
from noticebus.domain.health import DOWN
from noticebus.ids import AgencyId, IncidentId, SubscriptionId
from noticebus.store.cancel_requests import LAPSES_AFTER
from noticebus.store.columns import Instant
from noticebus.store.exercises import answers_for_places, completed_one
from noticebus.store.failing_quality import failing
from noticebus.store.matching import reached, valid_at
from noticebus.store.paused_quality import AGENCY as _AGENCY
from noticebus.store.paused_quality import SUBSCRIPTION_MOVED, SUBSCRIPTION_PAUSED, moved, paused
from noticebus.store.tables import (
    acknowledgements,
    agencies,
    attempts,
    cancel_requests,
    contacts,
    deliveries,
    endpoints,
    incidents,
    notices,
    obligations,
    subscriptions,
)

WARNINGS_MAX = 100
NO_CONTACT = "no_contact"
NO_SECOND_CONTACT = "no_second_contact"
NO_VERIFIED_CHANNEL = "no_verified_channel"
NEVER_VERIFIED = "subscription_never_verified"
ENDPOINT_FAILING = "endpoint_failing"
ENDPOINT_DOWN = "endpoint_down"
LEASE_LAPSED = "lease_lapsed"
CERTIFICATE_EXPIRES = "certificate_expires"
DECLINED_AFTER_ACCEPTING = "declined_after_accepting"
PAST_RECIPIENT_UNREACHABLE = "past_recipient_unreachable"
CANCEL_PENDING = "cancel_pending"
NEVER_EXERCISED = "never_completed_exercise"
MESSAGES_HELD = "messages_held"
NOT_HEARD_OF = "telephone_not_heard_of"
HEARD_WITHIN = dt.timedelta(hours=1)  # a provider's last word on a message or call
CERTIFICATE_WARNED_BEFORE = dt.timedelta(days=30)
SHOWN_AFTER_END = dt.timedelta(days=7)  # how long whom a last version did not reach is listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """One warning: its code, whom it concerns, and the subscription or incident it is about."""

    code: str
    agency_id: AgencyId
    agency_name: str
    agency_kind: AgencyKind
    subscription_id: SubscriptionId | None = None
    incident_id: IncidentId | None = None
    count: int | None = None
    since: dt.datetime | None = None


async def warnings(
    conn: AsyncConnection,
    *,
    agency_id: AgencyId | None,
    status: Status,
    now: dt.datetime,
    telephone: bool,
) -> list[Warned]:
    """Read at most `WARNINGS_MAX` warnings, the gravest kind first, of one agency or of all.

    Those that are about incidents are about ones of `status` (I9). Telephones reach somebody only
    where the bus has a provider (`telephone`).
    """
    found: list[Warned] = []
    bound = {
        "status": status,
        "now": now,
        "telephone": telephone,
        "asked_since": now - LAPSES_AFTER,
        "ended_since": now - SHOWN_AFTER_END,
        "heard_before": now - HEARD_WITHIN,
        "expires_before": now + CERTIFICATE_WARNED_BEFORE,
    }
    for code, statement in _CHECKS:
        if len(found) == WARNINGS_MAX:
            break
        narrowed = statement.limit(WARNINGS_MAX - len(found)).params(bound)
        if agency_id is not None:
            narrowed = narrowed.where(agencies.c.id == agency_id)
        rows = (await conn.execute(narrowed)).mappings().all()
        found += [Warned(code=code, **row) for row in rows]
    return found


def _contact(*more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    now = sa.bindparam("now", type_=Instant)
    return sa.exists().where(contacts.c.agency_id == agencies.c.id, valid_at(now), *more)


def _contacts(*more: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    now = sa.bindparam("now", type_=Instant)
    return (
        sa.select(sa.func.count())
        .where(contacts.c.agency_id == agencies.c.id, valid_at(now), *more)
        .scalar_subquery()
    )


def _reached() -> sa.ColumnElement[bool]:
    return reached(telephone=sa.bindparam("telephone", type_=sa.Boolean))


def _without_contact() -> sa.Select[tuple[object, ...]]:
    return sa.select(*_AGENCY).where(~_contact()).order_by(agencies.c.id)


def _without_verified_channel() -> sa.Select[tuple[object, ...]]:
    person = _contact(_reached())
    order = sa.exists().where(
        subscriptions.c.agency_id == agencies.c.id,
        subscriptions.c.state == SubscriptionState.ACTIVE,
        subscriptions.c.verified_at.is_not(None),
    )
    return sa.select(*_AGENCY).where(answers_for_places(), ~person, ~order).order_by(agencies.c.id)


def _without_second_contact() -> sa.Select[tuple[object, ...]]:
    """Select who has one contact, or one whom something reaches, however many stand beside it."""
    alone = (_contacts() == 1) | (_contacts(_reached()) == 1)
    return sa.select(*_AGENCY).where(answers_for_places(), alone).order_by(agencies.c.id)


def _never_verified() -> sa.Select[tuple[object, ...]]:
    return (
        sa.select(*_AGENCY, subscriptions.c.id.label("subscription_id"))
        .join(subscriptions, subscriptions.c.agency_id == agencies.c.id)
        .where(
            subscriptions.c.verified_at.is_(None),
            subscriptions.c.state != SubscriptionState.ENDED,
        )
        .order_by(subscriptions.c.id)
    )


def _certificates_expiring() -> sa.Select[tuple[object, ...]]:
    expires_before = sa.bindparam("expires_before", type_=Instant)
    return (
        sa.select(*_AGENCY, subscriptions.c.id.label("subscription_id"))
        .join(subscriptions, subscriptions.c.agency_id == agencies.c.id)
        .where(
            subscriptions.c.certificate_expires_at <= expires_before,
            subscriptions.c.state != SubscriptionState.ENDED,
        )
        .order_by(subscriptions.c.certificate_expires_at, subscriptions.c.id)
    )


def _lease_lapsed() -> sa.Select[tuple[object, ...]]:
    return (
        sa.select(*_AGENCY, subscriptions.c.id.label("subscription_id"))
        .join(subscriptions, subscriptions.c.agency_id == agencies.c.id)
        .where(
            subscriptions.c.state == SubscriptionState.PAUSED,
            subscriptions.c.pause_reason == PauseReason.LEASE_LAPSED,
        )
        .order_by(subscriptions.c.id)
    )


def _down() -> sa.Select[tuple[object, ...]]:
    """Select living subscriptions whose endpoint is down, since when, and count what is held."""
    held_back = (
        sa.select(sa.func.count())
        .where(
            deliveries.c.subscription_id == subscriptions.c.id,
            deliveries.c.due_at.is_(None),
            deliveries.c.held_reason.is_not(None),
            deliveries.c.finished_at.is_(None),  # what the partial index holds
            deliveries.c.state == DeliveryState.QUEUED,
        )
        .scalar_subquery()
    )
    return (
        sa.select(
            *_AGENCY,
            subscriptions.c.id.label("subscription_id"),
            held_back.label("count"),
            endpoints.c.failing_since.label("since"),
        )
        .join(subscriptions, subscriptions.c.agency_id == agencies.c.id)
        .join(endpoints, endpoints.c.subscription_id == subscriptions.c.id)
        .where(
            subscriptions.c.state == SubscriptionState.ACTIVE, endpoints.c.state.in_(sorted(DOWN))
        )
        .order_by(endpoints.c.failing_since, subscriptions.c.id)
    )


def _declined_after_accepting() -> sa.Select[tuple[object, ...]]:
    """Select agencies whose last answer to an open incident they had accepted is a decline."""
    newer = acknowledgements.alias()
    superseded = sa.exists().where(
        newer.c.obligation_id == acknowledgements.c.obligation_id,
        newer.c.id > acknowledgements.c.id,
    )
    took_back = sa.exists().where(
        obligations.c.agency_id == agencies.c.id,
        obligations.c.state == ObligationState.CLOSED,
        incidents.c.id == obligations.c.incident_id,
        incidents.c.state == IncidentState.OPEN,
        incidents.c.status == sa.bindparam("status"),
        acknowledgements.c.obligation_id == obligations.c.id,
        acknowledgements.c.answer == Answer.DECLINED,
        ~superseded,
    )
    return sa.select(*_AGENCY).where(took_back).order_by(agencies.c.id)


# Written out, so that the partial index serves.
_UNREACHED = sa.text(
    "obligations.state <> 'open' AND NOT obligations.reachable AND obligations.owed = 'notice'"
)


def _past_recipients_unreachable() -> sa.Select[tuple[object, ...]]:
    """Select who was told of an incident, is not open on the report, and misses its last version.

    An answer about that version, recorded for it by an operator who rang, ends this.
    """
    ended_since = sa.bindparam("ended_since", type_=Instant)
    answered = sa.exists().where(
        acknowledgements.c.obligation_id == obligations.c.id,
        acknowledgements.c.version == incidents.c.latest_version,
    )
    return (
        sa.select(*_AGENCY, incidents.c.id.label("incident_id"))
        .join(obligations, obligations.c.agency_id == agencies.c.id)
        .join(incidents, incidents.c.id == obligations.c.incident_id)
        .where(
            obligations.c.status == sa.bindparam("status"),
            _UNREACHED,
            obligations.c.round_started_at.is_not(None),
            obligations.c.round_version < incidents.c.latest_version,
            ~answered,
            incidents.c.ended_at.is_(None) | (incidents.c.ended_at > ended_since),
        )
        .order_by(obligations.c.id)
    )


def _cancel_pending() -> sa.Select[tuple[object, ...]]:
    asked_since = sa.bindparam("asked_since", type_=Instant)
    return (
        sa.select(*_AGENCY, incidents.c.id.label("incident_id"))
        .join(incidents, incidents.c.agency_id == agencies.c.id)
        .join(cancel_requests, cancel_requests.c.incident_id == incidents.c.id)
        .where(
            incidents.c.status == sa.bindparam("status"),
            cancel_requests.c.base_version == incidents.c.latest_version,
            cancel_requests.c.requested_at > asked_since,
        )
        .order_by(cancel_requests.c.requested_at, incidents.c.id)
    )


def _never_exercised() -> sa.Select[tuple[object, ...]]:
    """Select who must answer for places and has closed no obligation of any exercise."""
    return sa.select(*_AGENCY).where(answers_for_places(), ~completed_one()).order_by(agencies.c.id)


def _messages_held() -> sa.Select[tuple[object, ...]]:
    """Count what waits because of the hourly cap, or its turn in a burst."""
    waiting = (
        sa.select(deliveries.c.agency_id, sa.func.count().label("count"))
        .join(notices, notices.c.id == deliveries.c.notice_id)
        .where(
            deliveries.c.due_at.is_not(None),  # what the partial index holds
            deliveries.c.attempts == 0,
            deliveries.c.held_reason.in_([HeldReason.HOURLY_CAP, HeldReason.BURST]),
            notices.c.status == sa.bindparam("status"),
        )
        .group_by(deliveries.c.agency_id)
        .subquery()
    )
    return _counted(waiting)


def _not_heard_of() -> sa.Select[tuple[object, ...]]:
    """Count what a telephone provider took an hour ago, for who is open still, with no last word.

    By the time of its attempt: what was held back was made long before. The first conditions are
    those of the partial index, written out.
    """
    called = [sa.literal_column(f"'{one}'", sa.Text) for one in (Channel.SMS, Channel.VOICE)]
    before = sa.bindparam("heard_before", type_=Instant)
    unheard = (
        sa.select(deliveries.c.agency_id, sa.func.count().label("count"))
        .join(obligations, obligations.c.id == deliveries.c.obligation_id)
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(
            deliveries.c.channel.in_(called),
            deliveries.c.due_at.is_(None),
            deliveries.c.finished_at.is_(None),
            deliveries.c.state == DeliveryState.HANDED_OVER,
            deliveries.c.created_at < before,
            attempts.c.number == deliveries.c.attempts,
            attempts.c.finished_at < before,
            obligations.c.state == ObligationState.OPEN,
            obligations.c.status == sa.bindparam("status"),
        )
        .group_by(deliveries.c.agency_id)
        .subquery()
    )
    return _counted(unheard)


def _counted(per_agency: sa.Subquery) -> sa.Select[tuple[object, ...]]:
    return (
        sa.select(*_AGENCY, per_agency.c["count"])
        .join(per_agency, per_agency.c.agency_id == agencies.c.id)
        .order_by(agencies.c.id)
    )


_CHECKS: Iterable[tuple[str, sa.Select[tuple[object, ...]]]] = (
    (PAST_RECIPIENT_UNREACHABLE, _past_recipients_unreachable()),
    (CANCEL_PENDING, _cancel_pending()),
    (NOT_HEARD_OF, _not_heard_of()),
    (MESSAGES_HELD, _messages_held()),
    (DECLINED_AFTER_ACCEPTING, _declined_after_accepting()),
    (NO_CONTACT, _without_contact()),
    (NO_VERIFIED_CHANNEL, _without_verified_channel()),
    (ENDPOINT_DOWN, _down()),
    (ENDPOINT_FAILING, failing()),
    (LEASE_LAPSED, _lease_lapsed()),
    (SUBSCRIPTION_MOVED, moved()),
    (SUBSCRIPTION_PAUSED, paused()),
    (CERTIFICATE_EXPIRES, _certificates_expiring()),
    (NEVER_VERIFIED, _never_verified()),
    (NO_SECOND_CONTACT, _without_second_contact()),
    (NEVER_EXERCISED, _never_exercised()),
)

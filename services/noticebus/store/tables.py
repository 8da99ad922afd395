"""Every table, named and constrained: what must hold of the data is held by the database."""

from collections.abc import Iterable
from enum import StrEnum

import sqlalchemy as sa

from noticebus.contracts import vocabulary as words
from noticebus.domain.tallies import Counted
from noticebus.store.columns import BigId, Instant, Json, Word

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _one_of(column: str, values: Iterable[StrEnum]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


# Rows that are updated a few times and then never again: vacuum comes after 2 % of a table that
# grows without end rather than 20 %.
_BUSY = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_analyze_scale_factor": 0.02,
    "autovacuum_vacuum_insert_scale_factor": 0.05,
}
# Half a page is left to rows that are changed soon after they are written, many at a time: then
# PostgreSQL writes the new row beside the old one, and nothing in any index.
_SOON_CHANGED = _BUSY | {"fillfactor": 50}


def _key() -> sa.Column[str]:
    return sa.Column("id", sa.String(40), primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False, index: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(40), sa.ForeignKey(target), nullable=nullable, index=index)


def _when(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, Instant, nullable=nullable)


agencies = sa.Table(
    "agencies",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", Word(words.AgencyKind), nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("holidays_state", sa.Text),
    sa.Column("revision", sa.Integer, nullable=False),
    _when("created_at"),
    _one_of("kind", words.AgencyKind),
)

contacts = sa.Table(
    "contacts",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id", index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("position", Word(words.Position), nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    _when("email_verified_at", nullable=True),
    _when("phone_verified_at", nullable=True),
    _when("ended_at", nullable=True),
    sa.Column("revision", sa.Integer, nullable=False),
    _when("created_at"),
    _when("valid_from", nullable=True),
    _when("valid_until", nullable=True),
    sa.Column("texts", sa.Boolean, nullable=False, server_default=sa.true()),  # takes text messages
    _one_of("position", words.Position),
)

# An agency's calendar beyond its zone: opening hours, closures, terms, bell schedule.
calendars = sa.Table(
    "calendars",
    metadata,
    sa.Column("agency_id", sa.String(40), sa.ForeignKey("agencies.id"), primary_key=True),
    sa.Column("body", Json, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    _when("updated_at"),
)

# Who holds a position from when to when. Two shifts of one position never overlap.
shifts = sa.Table(
    "shifts",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id"),
    _ref("contact_id", "contacts.id"),
    sa.Column("position", Word(words.Position), nullable=False),
    _when("starts_at"),
    _when("ends_at"),
    _when("created_at"),
    _one_of("position", words.Position),
    sa.Index("ix_shifts_agency_ends", "agency_id", "ends_at"),
)

# One row per agency that has a roster: its revision is the roster's ETag.
rosters = sa.Table(
    "rosters",
    metadata,
    sa.Column("agency_id", sa.String(40), sa.ForeignKey("agencies.id"), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    _when("updated_at"),
)

# Another agency answers for this one. At most one living delegation per agency.
delegations = sa.Table(
    "delegations",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id"),
    _ref("delegate_id", "agencies.id", index=True),
    sa.Column("hours", Word(words.DelegationHours), nullable=False),
    _when("created_at"),
    _when("ended_at", nullable=True),
    _one_of("hours", words.DelegationHours),
    sa.Index(
        "ix_delegations_living",
        "agency_id",
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    ),
)

responsibilities = sa.Table(
    "responsibilities",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id", index=True),
    sa.Column("role", Word(words.Role), nullable=False),
    sa.Column("area_keys", Json, nullable=False),
    _when("created_at"),
    _when("ended_at", nullable=True),
    _one_of("role", words.Role),
)

# One row per area of a living responsibility; ending one deletes its rows, so the index holds only
# what routes.
responsibility_areas = sa.Table(
    "responsibility_areas",
    metadata,
    sa.Column("area_key", sa.Text, primary_key=True),
    sa.Column(
        "responsibility_id", sa.String(40), sa.ForeignKey("responsibilities.id"), primary_key=True
    ),
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id", index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", Word(words.SubscriptionState), nullable=False),
    sa.Column("channel", Word(words.Channel), nullable=False),
    sa.Column("url", sa.Text),
    _ref("contact_id", "contacts.id", nullable=True),
    sa.Column("content_level", Word(words.ContentLevel), nullable=False),
    sa.Column("area_keys", Json, nullable=False),
    sa.Column("kinds", Json, nullable=False),
    sa.Column("secrets_sealed", Json, nullable=False),
    sa.Column("challenge", sa.Text, nullable=False),
    _when("approved_at", nullable=True),
    sa.Column("approved_by", sa.Text),
    _when("verified_at", nullable=True),
    sa.Column("revision", sa.Integer, nullable=False),
    _when("created_at"),
    sa.Column("heartbeat_minutes", sa.Integer),  # none: no heartbeat
    # What the endpoint agreed to in its handshake; none: the bus's own.
    sa.Column("rate_per_minute", sa.Integer),
    sa.Column("concurrency", sa.Integer),
    _when("lease_until", nullable=True),  # world time; unrenewed, it is paused then
    sa.Column("lease_warned", sa.Integer, nullable=False, server_default="0"),  # warnings sent
    _when("paused_at", nullable=True),
    sa.Column("paused_by", sa.String(40)),  # the key; none where its lease lapsed
    sa.Column("pause_reason", Word(words.PauseReason)),
    sa.Column("credentials_sealed", Json),  # the bus's own, towards the endpoint
    _when("certificate_expires_at", nullable=True),  # of its client certificate, if it has one
    _one_of("state", words.SubscriptionState),
    _one_of("channel", words.Channel),
    _one_of("content_level", words.ContentLevel),
    sa.Index(
        "ix_subscriptions_lease",
        "lease_until",
        postgresql_where=sa.text("lease_until IS NOT NULL"),
        sqlite_where=sa.text("lease_until IS NOT NULL"),
    ),
)

# The index routing reads: one row per area and kind ("*" is any kind) of an approved, living
# subscription.
subscription_areas = sa.Table(
    "subscription_areas",
    metadata,
    sa.Column("area_key", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column(
        "subscription_id", sa.String(40), sa.ForeignKey("subscriptions.id"), primary_key=True
    ),
)

# Apart from `subscriptions`, because this row is written by every notice and that one hardly ever.
subscription_counters = sa.Table(
    "subscription_counters",
    metadata,
    sa.Column(
        "subscription_id", sa.String(40), sa.ForeignKey("subscriptions.id"), primary_key=True
    ),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    _when("heartbeat_at", nullable=True),  # world time; none where no heartbeat is wanted
    sa.Index(
        "ix_subscription_counters_heartbeat",
        "heartbeat_at",
        postgresql_where=sa.text("heartbeat_at IS NOT NULL"),
        sqlite_where=sa.text("heartbeat_at IS NOT NULL"),
    ),
)

# How the endpoint of a subscription does. A row is there once it has failed or has a backlog.
endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column(
        "subscription_id", sa.String(40), sa.ForeignKey("subscriptions.id"), primary_key=True
    ),
    sa.Column("state", Word(words.EndpointState), nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),  # in a row, over all dispatchers
    sa.Column("trips", sa.Integer, nullable=False),  # since it last worked
    _when("failing_since", nullable=True),
    _when("tripped_at", nullable=True),
    _when("probe_at", nullable=True),  # machine time: when one delivery is let through
    _when("drain_at", nullable=True),  # machine time: when more of its backlog is let go
    sa.Column("last_error", sa.Text, nullable=False),
    _when("changed_at"),
    _one_of("state", words.EndpointState),
    sa.Index(
        "ix_endpoints_probe",
        "probe_at",
        postgresql_where=sa.text("probe_at IS NOT NULL"),
        sqlite_where=sa.text("probe_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_endpoints_drain",
        "drain_at",
        postgresql_where=sa.text("drain_at IS NOT NULL"),
        sqlite_where=sa.text("drain_at IS NOT NULL"),
    ),
)

# A subscriber's request to be sent again what it was sent: by number, counted before it begins.
replays = sa.Table(
    "replays",
    metadata,
    _key(),
    _ref("subscription_id", "subscriptions.id", index=True),
    sa.Column("after_sequence", sa.BigInteger, nullable=False),
    sa.Column("until_sequence", sa.BigInteger, nullable=False),
    _when("since", nullable=True),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("queued", sa.Integer, nullable=False),  # how many deliveries it has made so far
    sa.Column("cursor", sa.BigInteger, nullable=False),  # the number it has come to
    sa.Column("state", Word(words.ReplayState), nullable=False),
    sa.Column("requested_by", sa.String(40), nullable=False),  # the key
    _when("created_at"),
    _when("finished_at", nullable=True),
    _one_of("state", words.ReplayState),
    sa.Index(
        "ix_replays_running",
        "id",
        postgresql_where=sa.text("state = 'running'"),
        sqlite_where=sa.text("state = 'running'"),
    ),
)

incidents = sa.Table(
    "incidents",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id", index=True),
    sa.Column("status", Word(words.Status), nullable=False),
    sa.Column("state", Word(words.IncidentState), nullable=False),
    sa.Column("latest_version", sa.Integer, nullable=False),
    sa.Column("latest_notice_id", sa.String(40), nullable=False),
    _when("created_at"),
    _when("ended_at", nullable=True),
    _one_of("status", words.Status),
    _one_of("state", words.IncidentState),
)

notices = sa.Table(
    "notices",
    metadata,
    _key(),
    _ref("incident_id", "incidents.id"),
    sa.Column("version", sa.Integer, nullable=False),
    _ref("agency_id", "agencies.id"),
    sa.Column("msg", Word(words.Msg), nullable=False),
    sa.Column("kind", Word(words.NoticeKind), nullable=False),
    sa.Column("status", Word(words.Status), nullable=False),
    sa.Column("notice_class", Word(words.NoticeClass), nullable=False),
    sa.Column("state", Word(words.NoticeState), nullable=False),
    sa.Column("material", sa.Boolean, nullable=False),
    sa.Column("change_reason", Word(words.ChangeReason)),
    _when("occurred_at"),
    _when("accepted_at"),
    _when("release_at", nullable=True),
    _when("released_at", nullable=True),
    _when("next_update_due", nullable=True),
    sa.Column("posted_by", sa.String(40), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("body_digest", sa.String(64), nullable=False),
    sa.Column("area_keys", Json, nullable=False),
    sa.Column("uncovered", Json, nullable=False),
    sa.Column("refdata_version", sa.Text, nullable=False),
    sa.UniqueConstraint("incident_id", "version"),
    _one_of("msg", words.Msg),
    _one_of("kind", words.NoticeKind),
    _one_of("status", words.Status),
    _one_of("notice_class", words.NoticeClass),
    _one_of("state", words.NoticeState),
    sa.Index(
        "ix_notices_release_due",
        "release_at",
        postgresql_where=sa.text("state = 'scheduled'"),
        sqlite_where=sa.text("state = 'scheduled'"),
    ),
    sa.Index("ix_notices_agency", "agency_id", "accepted_at"),
    sa.Index(
        "ix_notices_uncovered",
        "status",
        sa.text("occurred_at DESC"),
        "id",
        postgresql_where=sa.text("uncovered <> '[]'"),
        sqlite_where=sa.text("uncovered <> '[]'"),
    ),
    sa.Index(
        "ix_notices_promised",
        "status",
        "next_update_due",
        "id",
        postgresql_where=sa.text("next_update_due IS NOT NULL"),
        sqlite_where=sa.text("next_update_due IS NOT NULL"),
    ),
)

# Which notices touch an area: the keys of `notices.area_keys`, one a row, to look them up by.
notice_areas = sa.Table(
    "notice_areas",
    metadata,
    sa.Column("area_key", sa.String(80), primary_key=True),
    sa.Column("notice_id", sa.String(40), sa.ForeignKey("notices.id"), primary_key=True),
    sa.Index("ix_notice_areas_notice_id", "notice_id"),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("recipient_kind", Word(words.AgencyKind), nullable=False),
    sa.Column("notice_class", Word(words.NoticeClass), nullable=False),
    sa.Column("body", Json, nullable=False),
    _when("created_at"),
    # The agency whose own policy it is; a default has none. An ended version leaves the default.
    _ref("agency_id", "agencies.id", nullable=True, index=True),
    _when("ended_at", nullable=True),
    _one_of("recipient_kind", words.AgencyKind),
    _one_of("notice_class", words.NoticeClass),
)

obligations = sa.Table(
    "obligations",
    metadata,
    _key(),
    _ref("incident_id", "incidents.id"),
    _ref("agency_id", "agencies.id", index=True),
    sa.Column("owed", Word(words.Owed), nullable=False),
    sa.Column("owed_for", sa.String(40), nullable=False),  # a question's id, or "" for the notice
    sa.Column("standing", Word(words.Standing), nullable=False),
    sa.Column("role", Word(words.Role)),
    sa.Column("status", Word(words.Status), nullable=False),
    sa.Column("state", Word(words.ObligationState), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("notice_class", Word(words.NoticeClass), nullable=False),
    _ref("round_notice_id", "notices.id"),
    sa.Column("round_version", sa.Integer, nullable=False),
    _when("round_started_at", nullable=True),
    _when("held_until", nullable=True),
    _when("due_at", nullable=True),
    sa.Column("policy", Json, nullable=False),
    sa.Column("steps_at", Json, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    _when("next_step_at", nullable=True),
    _when("delivered_at", nullable=True),
    _when("opened_at", nullable=True),
    _when("received_at", nullable=True),
    _when("promised_until", nullable=True),
    sa.Column("more_time_used", sa.Boolean, nullable=False),
    sa.Column("reachable", sa.Boolean, nullable=False),
    sa.Column("unreachable_reason", Word(words.UnreachableReason)),
    _when("closed_at", nullable=True),
    sa.Column("answered_version", sa.Integer, nullable=False),
    _when("created_at"),
    sa.UniqueConstraint("incident_id", "agency_id", "owed", "owed_for"),
    _one_of("owed", words.Owed),
    _one_of("standing", words.Standing),
    _one_of("status", words.Status),
    _one_of("state", words.ObligationState),
    _one_of("notice_class", words.NoticeClass),
    # The escalation clock reads this and nothing else: only what still has a step to come is in it.
    sa.Index(
        "ix_obligations_next_step",
        "next_step_at",
        postgresql_where=sa.text("next_step_at IS NOT NULL"),
        sqlite_where=sa.text("next_step_at IS NOT NULL"),
    ),
    # The unacknowledged report's page, in its order: for each step, what is due first. A filter by
    # kind or class, and an embargo, are looked at in the index: no row is read to be left out.
    sa.Index(
        "ix_obligations_open",
        "status",
        "reachable",
        sa.text("step DESC"),
        "due_at",
        "id",
        postgresql_include=["agency_id", "notice_class", "round_started_at"],
        postgresql_where=sa.text("state = 'open' AND owed = 'notice'"),
        sqlite_where=sa.text("state = 'open' AND owed = 'notice'"),
    ),
    # Whose turn it is to count within the minute that is not over: written as a round ends.
    sa.Index(
        "ix_obligations_ended",
        "status",
        "due_at",
        postgresql_where=sa.text("state <> 'open' AND owed = 'notice'"),
        sqlite_where=sa.text("state <> 'open' AND owed = 'notice'"),
    ),
    # The very row that a percentile of the time to close falls on. SQLite does without.
    sa.Index(
        "ix_obligations_took",
        "status",
        sa.text("(closed_at - round_started_at)"),
        postgresql_where=sa.text("state = 'closed' AND owed = 'notice'"),
    ).ddl_if(dialect="postgresql"),
    # Whom a last version did not reach, of those that are on the report no more.
    sa.Index(
        "ix_obligations_unreached",
        "status",
        "id",
        postgresql_where=sa.text("state <> 'open' AND NOT reachable AND owed = 'notice'"),
        sqlite_where=sa.text("state <> 'open' AND NOT reachable AND owed = 'notice'"),
    ),
    # What posters owe, a small part of it all, first due first.
    sa.Index(
        "ix_obligations_debts",
        "owed",
        "due_at",
        "id",
        postgresql_where=sa.text("state = 'open' AND owed <> 'notice'"),
        sqlite_where=sa.text("state = 'open' AND owed <> 'notice'"),
    ),
    postgresql_with=_SOON_CHANGED,
)

# What each obligation was, from one ledger index to the next: how a past report is answered.
obligation_history = sa.Table(
    "obligation_history",
    metadata,
    sa.Column("position", BigId, sa.Identity(), primary_key=True),
    _ref("obligation_id", "obligations.id"),
    sa.Column("entry_id", sa.String(40), nullable=False, index=True),
    sa.Column("facts", Json, nullable=False),
    sa.Column("from_index", sa.BigInteger),
    sa.Column("to_index", sa.BigInteger),
    # What the line adds to the report's counters (`domain.tallies`); nothing where it is not
    # counted. The sequencer alone reads it.
    sa.Column("counted", Word(Counted)),
    sa.Column("notice_class", Word(words.NoticeClass)),
    sa.Column("due_minute", sa.Integer),
    sa.Column("took", sa.Integer),
    # None on the indexes themselves: the sequencer writes them beside what the row was, and finds
    # the lines of a batch by their entries.
    sa.Index("ix_obligation_history_obligation", "obligation_id", "position"),
    postgresql_with=_SOON_CHANGED,
)

# One row per fired or skipped step: the key is what makes "exactly once" true (I5).
steps = sa.Table(
    "steps",
    metadata,
    sa.Column("obligation_id", sa.String(40), sa.ForeignKey("obligations.id"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("notify", sa.Text, nullable=False),
    sa.Column("skipped", sa.Boolean, nullable=False),
    sa.Column("contact_ids", Json, nullable=False),
    _when("planned_at"),
    _when("fired_at"),
)

_WITH_A_PROVIDER = "channel IN ('sms', 'voice') AND due_at IS NULL AND finished_at IS NULL"
_IN_A_BACKLOG = "due_at IS NULL AND held_reason IS NOT NULL AND finished_at IS NULL"

deliveries = sa.Table(
    "deliveries",
    metadata,
    _key(),
    _ref("incident_id", "incidents.id", nullable=True, index=True),
    _ref("obligation_id", "obligations.id", nullable=True, index=True),
    _ref("notice_id", "notices.id", nullable=True),
    _ref("subscription_id", "subscriptions.id", nullable=True),
    _ref("contact_id", "contacts.id", nullable=True),
    _ref("agency_id", "agencies.id"),
    sa.Column(
        "subject", sa.String(40), nullable=False
    ),  # obligation, subscription or question it serves
    sa.Column(
        "destination", sa.String(60), nullable=False
    ),  # subscription's id, or contact's id and channel
    sa.Column("channel", Word(words.Channel), nullable=False),
    sa.Column("cause", Word(words.Cause), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("notice_class", Word(words.NoticeClass), nullable=False),
    sa.Column("content_level", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger),
    _when("answer_due_at", nullable=True),
    sa.Column("state", Word(words.DeliveryState), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column(
        "recipient_attempts", sa.Integer, nullable=False
    ),  # those that count against the recipient
    _when("due_at", nullable=True),  # world time: not before; none for what is fetched, not sent
    _when("lease_until"),  # machine time: whose it is until then, the bus's or a dispatcher's
    _when("first_failed_at", nullable=True),
    _when("finished_at", nullable=True),
    sa.Column("detail", Json),  # what a cause needs beyond the above: a challenge, a question's id
    _when("created_at"),
    # Deliveries of one bundle go to one contact as one message, all at once.
    sa.Column("bundle", sa.String(80)),
    sa.Column("held_reason", Word(words.HeldReason)),
    # A replay's delivery carries another one again: its body, and its id on the wire.
    _ref("replays_id", "deliveries.id", nullable=True),
    _ref("replay_id", "replays.id", nullable=True),
    sa.UniqueConstraint("subject", "version", "destination", "cause", "round", "step"),
    _one_of("channel", words.Channel),
    _one_of("cause", words.Cause),
    _one_of("notice_class", words.NoticeClass),
    _one_of("state", words.DeliveryState),
    # The sweep: retries, expired leases, releases, and everything while the bus is away.
    sa.Index(
        "ix_deliveries_due",
        "due_at",
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    ),
    sa.CheckConstraint(
        "state IN ('queued', 'sending') OR due_at IS NULL", name="due_only_while_live"
    ),
    sa.Index("ix_deliveries_subscription", "subscription_id", "id"),
    sa.Index(
        "ix_deliveries_contact",
        "contact_id",
        "created_at",
        postgresql_where=sa.text("contact_id IS NOT NULL"),
        sqlite_where=sa.text("contact_id IS NOT NULL"),
    ),
    # No index says anything of `state`, `attempts` or `lease_until`: a claim changes those alone,
    # and so no index. What a telephone provider has taken and never spoken of again.
    sa.Index(
        "ix_deliveries_handed_over",
        "created_at",
        postgresql_where=sa.text(_WITH_A_PROVIDER),
        sqlite_where=sa.text(_WITH_A_PROVIDER),
    ),
    # What waits for an endpoint: held while it is down or paused, then let go in its turn.
    sa.Index(
        "ix_deliveries_backlog",
        "subscription_id",
        "notice_class",
        "id",
        postgresql_where=sa.text(_IN_A_BACKLOG),
        sqlite_where=sa.text(_IN_A_BACKLOG),
    ),
    # What was let go and has not ended: of each endpoint no more than a window.
    sa.Index(
        "ix_deliveries_let_go",
        "subscription_id",
        "due_at",
        postgresql_where=sa.text("held_reason = 'turn' AND due_at IS NOT NULL"),
        sqlite_where=sa.text("held_reason = 'turn' AND due_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_deliveries_replay",
        "replay_id",
        postgresql_where=sa.text("replay_id IS NOT NULL"),
        sqlite_where=sa.text("replay_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_deliveries_inbox",
        "subscription_id",
        "sequence",
        postgresql_where=sa.text("sequence IS NOT NULL"),
        sqlite_where=sa.text("sequence IS NOT NULL"),
    ),
    postgresql_with=_SOON_CHANGED,
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("delivery_id", sa.String(40), sa.ForeignKey("deliveries.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    _when("started_at"),
    _when("finished_at"),
    sa.Column("outcome", Word(words.Outcome), nullable=False),
    sa.Column("fault", Word(words.Fault)),
    sa.Column("status_code", sa.Integer),
    sa.Column("body_digest", sa.String(64), nullable=False),
    sa.Column("response_excerpt", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    # A telephone provider's own id of the message or call, and its last word on it.
    sa.Column("provider_id", sa.String(80)),
    sa.Column("provider_status", sa.String(80)),
    _when("provider_status_at", nullable=True),
    sa.Column("response_headers", Json),  # the few that explain an answer
    # Where the time went, each null where it was not gone through: a connection that was open
    # already has no look-up and no handshake.
    sa.Column("dns_ms", sa.Integer),
    sa.Column("connect_ms", sa.Integer),
    sa.Column("tls_ms", sa.Integer),
    sa.Column("first_byte_ms", sa.Integer),
    _one_of("outcome", words.Outcome),
    sa.Index(
        "ix_attempts_provider",
        "provider_id",
        postgresql_where=sa.text("provider_id IS NOT NULL"),
        sqlite_where=sa.text("provider_id IS NOT NULL"),
    ),
)

acknowledgements = sa.Table(
    "acknowledgements",
    metadata,
    _key(),
    _ref("obligation_id", "obligations.id", index=True),
    _ref("notice_id", "notices.id"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("answer", Word(words.Answer), nullable=False),
    sa.Column("by_name", sa.Text, nullable=False),
    sa.Column("by_role", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
    _when("eta", nullable=True),
    sa.Column("reason", Word(words.DeclineReason)),
    sa.Column("reference", sa.Text),
    sa.Column("verified_by", Word(words.VerifiedBy), nullable=False),
    sa.Column("actor", sa.String(40), nullable=False),  # the key or contact that identified itself
    sa.Column("how", Word(words.How)),
    sa.Column("on_behalf_of", sa.Text),
    sa.Column("late", sa.Boolean, nullable=False),
    sa.Column("closed", sa.Boolean, nullable=False),
    _when("acted_at"),
    _when("recorded_at"),
    # Who answered: the recipient, or its delegate (then `on_behalf_of` names the recipient).
    _ref("by_agency_id", "agencies.id", nullable=True),
    _one_of("answer", words.Answer),
    _one_of("verified_by", words.VerifiedBy),
)

# What was tried on one acknowledge link: wrong codes are counted, so that six digits are enough.
links = sa.Table(
    "links",
    metadata,
    sa.Column("obligation_id", sa.String(40), sa.ForeignKey("obligations.id"), primary_key=True),
    sa.Column("contact_id", sa.String(40), sa.ForeignKey("contacts.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("wrong_codes", sa.Integer, nullable=False),
)

questions = sa.Table(
    "questions",
    metadata,
    _key(),
    _ref("incident_id", "incidents.id", index=True),
    _ref("notice_id", "notices.id"),
    _ref("asked_by", "agencies.id"),
    _ref("obligation_id", "obligations.id"),
    sa.Column("topic", Word(words.QuestionTopic), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    _when("due_at"),
    sa.Column("state", Word(words.QuestionState), nullable=False),
    sa.Column("answer", Json),
    _when("answered_at", nullable=True),
    _when("created_at"),
    # Whose question it is, and so who may read the answer: those who read at this level.
    sa.Column(
        "tier",
        Word(words.ContentLevel),
        nullable=False,
        server_default=words.ContentLevel.PARTNER.value,
    ),
    _one_of("topic", words.QuestionTopic),
    _one_of("state", words.QuestionState),
    sa.Index(
        "ix_questions_unanswered",
        "due_at",
        "id",
        postgresql_where=sa.text("answered_at IS NULL"),
        sqlite_where=sa.text("answered_at IS NULL"),
    ),
)

# Everybody who asked a question: those who ask the same later join it.
question_askers = sa.Table(
    "question_askers",
    metadata,
    sa.Column("question_id", sa.String(40), sa.ForeignKey("questions.id"), primary_key=True),
    sa.Column("agency_id", sa.String(40), sa.ForeignKey("agencies.id"), primary_key=True),
    _when("asked_at"),
)

offers = sa.Table(
    "offers",
    metadata,
    _key(),
    _ref("incident_id", "incidents.id", index=True),
    _ref("agency_id", "agencies.id"),
    sa.Column("status", Word(words.Status), nullable=False),
    sa.Column("offer_type", Word(words.OfferType), nullable=False),
    sa.Column("state", Word(words.OfferState), nullable=False),
    sa.Column("body", Json, nullable=False),  # what is offered, as it was sent
    _when("lapses_at"),
    _when("held_until", nullable=True),
    _ref("answered_by", "agencies.id", nullable=True),
    sa.Column("answer", Json),
    _when("answered_at", nullable=True),
    _when("created_at"),
    _one_of("status", words.Status),
    _one_of("offer_type", words.OfferType),
    _one_of("state", words.OfferState),
    sa.Index(
        "ix_offers_lapsing",
        "lapses_at",
        postgresql_where=sa.text("state IN ('open', 'held')"),
        sqlite_where=sa.text("state IN ('open', 'held')"),
    ),
)

# A cancel that waits for its second person.
cancel_requests = sa.Table(
    "cancel_requests",
    metadata,
    sa.Column("incident_id", sa.String(40), sa.ForeignKey("incidents.id"), primary_key=True),
    sa.Column("base_version", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_by", sa.String(40), nullable=False),  # the key
    sa.Column("by_name", sa.Text, nullable=False),
    sa.Column("by_role", sa.Text, nullable=False),
    _when("requested_at"),
)

# A waiver takes two people: the first asks with a reason, another confirms it, or it is taken back
# and goes. A confirmed one stays: why an obligation was waived is in no entry.
waive_requests = sa.Table(
    "waive_requests",
    metadata,
    sa.Column("obligation_id", sa.String(40), sa.ForeignKey("obligations.id"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_by", sa.String(40), nullable=False),
    sa.Column("by_name", sa.Text, nullable=False),
    _when("requested_at"),
    sa.Column("confirmed_by", sa.String(40)),
    sa.Column("confirmed_by_name", sa.Text),
    _when("confirmed_at", nullable=True),
)

# What somebody has begun to post in the console, by the key it will be posted under; sealed, as it
# may hold what few may read. With `asked_at` it waits for a second person of the same agency.
post_drafts = sa.Table(
    "post_drafts",
    metadata,
    sa.Column("owner", sa.String(40), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    _ref("agency_id", "agencies.id"),
    sa.Column("sealed", sa.Text, nullable=False),
    _when("saved_at"),
    _when("expires_at"),
    _when("asked_at", nullable=True),
    sa.Column("asked_by_name", sa.Text),
    sa.Column("recipients", sa.Integer),  # how many were counted when it was asked
    sa.Index("ix_post_drafts_agency", "agency_id", "asked_at"),
    sa.Index("ix_post_drafts_expires_at", "expires_at"),
)

exercises = sa.Table(
    "exercises",
    metadata,
    _key(),
    _ref("agency_id", "agencies.id", index=True),
    sa.Column("name", sa.Text, nullable=False),
    _ref("incident_id", "incidents.id"),
    sa.Column("state", Word(words.ExerciseState), nullable=False),
    _when("starts_at"),
    _when("ends_at"),
    sa.Column("created_by", sa.String(40), nullable=False),
    _when("created_at"),
    _one_of("state", words.ExerciseState),
)

# Append-only. `position` is insert order; `index` is given later by the sequencer and has no gap.
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("position", BigId, sa.Identity(), primary_key=True),
    sa.Column("id", sa.String(40), nullable=False, unique=True),
    sa.Column("index", sa.BigInteger, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("incident_id", sa.String(40), index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
    _when("recorded_at"),
    _when("sequenced_at", nullable=True),
    sa.Index(
        "ix_entries_unsequenced",
        "position",
        postgresql_where=sa.text('"index" IS NULL'),
        sqlite_where=sa.text('"index" IS NULL'),
    ),
)

idempotency_records = sa.Table(
    "idempotency_records",
    metadata,
    sa.Column("client_id", sa.String(40), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("response", Json, nullable=False),
    _when("created_at"),
    sa.Index("ix_idempotency_records_created_at", "created_at"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
    _ref("agency_id", "agencies.id", nullable=True, index=True),
    sa.Column("scopes", Json, nullable=False),
    _when("created_at"),
    _when("expires_at", nullable=True),
    _when("revoked_at", nullable=True),
)

# People who sign in. A local one has a password hash (argon2id), one of an identity provider its
# issuer and subject; one of a trusted proxy has neither.
users = sa.Table(
    "users",
    metadata,
    _key(),
    sa.Column("login", sa.Text, nullable=False, unique=True),  # in lower case
    sa.Column("name", sa.Text, nullable=False),
    _ref("agency_id", "agencies.id", nullable=True, index=True),
    sa.Column("roles", Json, nullable=False),
    sa.Column("password_hash", sa.Text),
    sa.Column("issuer", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("failed_tries", sa.Integer, nullable=False, server_default="0"),  # in a row
    _when("locked_until", nullable=True),  # machine time
    _when("disabled_at", nullable=True),
    _when("signed_in_at", nullable=True),  # last
    sa.Column("revision", sa.Integer, nullable=False),
    _when("created_at"),
    sa.UniqueConstraint("issuer", "subject"),
)

# Who is signed in. Times are machine time. A link's visitor has no user, but an agency and a name.
sessions = sa.Table(
    "sessions",
    metadata,
    _key(),
    sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
    _ref("user_id", "users.id", nullable=True, index=True),
    _ref("agency_id", "agencies.id", nullable=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("method", Word(words.SignInMethod), nullable=False),
    sa.Column("granted_by", sa.String(40)),  # who made the link
    _when("created_at"),
    _when("seen_at"),
    _when("expires_at"),
    _when("ended_at", nullable=True),
    _one_of("method", words.SignInMethod),
    sa.Index("ix_sessions_expires_at", "expires_at"),
)

# "Dana is on this": one person at a time works on an obligation, for a while.
attendances = sa.Table(
    "attendances",
    metadata,
    sa.Column("obligation_id", sa.String(40), sa.ForeignKey("obligations.id"), primary_key=True),
    sa.Column("actor", sa.String(40), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    _when("began_at"),
    _when("lapses_at"),
)

# When each loop of each process last looked for work, machine time: what the console's heartbeat
# goes by, whichever process serves the page.
loop_ticks = sa.Table(
    "loop_ticks",
    metadata,
    sa.Column("process", sa.String(40), primary_key=True),
    sa.Column("loop", sa.String(40), primary_key=True),
    _when("ticked_at"),
)

# The report's figures, counted beforehand: how many mandatory obligations there are of each sort,
# in all (`span` 0) and by the hour (1) and minute (2) of their due time. The sequencer alone writes
# it, with the indexes of the lines that it counts; `took` is a bucket of seconds, -1 for none.
report_counters = sa.Table(
    "report_counters",
    metadata,
    sa.Column("status", Word(words.Status), primary_key=True),
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("due", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", Word(words.AgencyKind), primary_key=True),
    sa.Column("notice_class", Word(words.NoticeClass), primary_key=True),
    sa.Column("counted", Word(Counted), primary_key=True),
    sa.Column("took", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.BigInteger, nullable=False),
    _one_of("status", words.Status),
    _one_of("kind", words.AgencyKind),
    _one_of("notice_class", words.NoticeClass),
    _one_of("counted", Counted),
    sa.CheckConstraint("span IN (0, 1, 2)", name="span"),
)

# Small facts about the installation itself: the world clock's origin, the last egress list entered
# in the ledger.
markers = sa.Table(
    "markers",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Written by the thousand, always with what they refer to or after it, and nothing of that is ever
# deleted: on PostgreSQL a look-up and a lock for every key of every row would only repeat this
# (decision 26). SQLite, on which the same code is tested, still looks.
for _written_by_the_thousand in (obligations, obligation_history, deliveries, attempts):
    for _key_constraint in _written_by_the_thousand.foreign_key_constraints:
        _key_constraint.ddl_if(dialect="sqlite")

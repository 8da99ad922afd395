"""The first tables (expand).

PostgreSQL and SQLite get the same tables, keys, checks and indexes. Types differ where SQLite has
none of its own: an instant is text of fixed width there, and only INTEGER numbers itself.

Revision: 0001
Follows: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.TIMESTAMP(timezone=True).with_variant(sa.String(27), "sqlite")
NUMBERED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def one_of(table: str, column: str, *words: str) -> sa.CheckConstraint:
    """Allow only these words in a column; the constraint is named after both."""
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


def index_where(name: str, table: str, columns: list[str], condition: str) -> None:
    """Create an index over the rows that fulfil `condition` only."""
    where = sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def refers(table: str, column: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    """Make a column that holds another table's key; the constraint is named after both."""
    key = sa.ForeignKey(target, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.String(40), key, nullable=nullable)


def upgrade() -> None:
    create_agencies_and_who_answers_for_them()
    create_subscriptions()
    create_incidents_and_notices()
    create_obligations()
    create_deliveries()
    create_answers()
    create_ledger()
    create_clients_and_installation()


def downgrade() -> None:
    op.drop_table("markers")
    op.drop_table("api_keys")
    op.drop_table("idempotency_records")
    op.drop_table("entries")
    op.drop_table("questions")
    op.drop_table("links")
    op.drop_table("acknowledgements")
    op.drop_table("attempts")
    op.drop_table("deliveries")
    op.drop_table("steps")
    op.drop_table("obligation_history")
    op.drop_table("obligations")
    op.drop_table("policies")
    op.drop_table("notices")
    op.drop_table("incidents")
    op.drop_table("subscription_counters")
    op.drop_table("subscription_areas")
    op.drop_table("subscriptions")
    op.drop_table("responsibility_areas")
    op.drop_table("responsibilities")
    op.drop_table("contacts")
    op.drop_table("agencies")


def create_agencies_and_who_answers_for_them() -> None:
    op.create_table(
        "agencies",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("holidays_state", sa.Text),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agencies"),
        one_of(
            "agencies",
            "kind",
            "federal",
            "law_enforcement",
            "cps",
            "tribal_child_welfare",
            "school_district",
            "faith",
            "community",
            "operator",
        ),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(40), nullable=False),
        refers("contacts", "agency_id", "agencies.id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("phone", sa.Text),
        sa.Column("email_verified_at", INSTANT),
        sa.Column("phone_verified_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        one_of("contacts", "position", "on_duty", "second", "head", "other"),
    )
    op.create_index("ix_contacts_agency_id", "contacts", ["agency_id"])
    op.create_table(
        "responsibilities",
        sa.Column("id", sa.String(40), nullable=False),
        refers("responsibilities", "agency_id", "agencies.id"),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("area_keys", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_responsibilities"),
        one_of("responsibilities", "role", "cps", "school", "tribal_child_welfare", "community"),
    )
    op.create_index("ix_responsibilities_agency_id", "responsibilities", ["agency_id"])
    op.create_table(
        "responsibility_areas",
        sa.Column("area_key", sa.Text, nullable=False),
        refers("responsibility_areas", "responsibility_id", "responsibilities.id"),
        sa.PrimaryKeyConstraint("area_key", "responsibility_id", name="pk_responsibility_areas"),
    )


def create_subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(40), nullable=False),
        refers("subscriptions", "agency_id", "agencies.id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        refers("subscriptions", "contact_id", "contacts.id", nullable=True),
        sa.Column("content_level", sa.Text, nullable=False),
        sa.Column("area_keys", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("secrets_sealed", sa.Text, nullable=False),
        sa.Column("challenge", sa.Text, nullable=False),
        sa.Column("approved_at", INSTANT),
        sa.Column("approved_by", sa.Text),
        sa.Column("verified_at", INSTANT),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
        one_of("subscriptions", "channel", "webhook", "email", "inbox"),
        one_of("subscriptions", "content_level", "id_only", "public", "partner", "cps"),
        one_of(
            "subscriptions",
            "state",
            "pending_approval",
            "pending_verification",
            "active",
            "paused",
            "ended",
        ),
    )
    op.create_index("ix_subscriptions_agency_id", "subscriptions", ["agency_id"])
    op.create_table(
        "subscription_areas",
        sa.Column("area_key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        refers("subscription_areas", "subscription_id", "subscriptions.id"),
        sa.PrimaryKeyConstraint(
            "area_key", "kind", "subscription_id", name="pk_subscription_areas"
        ),
    )
    op.create_table(
        "subscription_counters",
        refers("subscription_counters", "subscription_id", "subscriptions.id"),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", name="pk_subscription_counters"),
    )


def create_incidents_and_notices() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(40), nullable=False),
        refers("incidents", "agency_id", "agencies.id"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        sa.Column("latest_notice_id", sa.String(40), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        one_of("incidents", "state", "open", "cancelled"),
        one_of("incidents", "status", "actual", "exercise", "test"),
    )
    op.create_index("ix_incidents_agency_id", "incidents", ["agency_id"])
    op.create_table(
        "notices",
        sa.Column("id", sa.String(40), nullable=False),
        refers("notices", "incident_id", "incidents.id"),
        sa.Column("version", sa.Integer, nullable=False),
        refers("notices", "agency_id", "agencies.id"),
        sa.Column("msg", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("notice_class", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("material", sa.Boolean, nullable=False),
        sa.Column("change_reason", sa.Text),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("accepted_at", INSTANT, nullable=False),
        sa.Column("release_at", INSTANT),
        sa.Column("released_at", INSTANT),
        sa.Column("next_update_due", INSTANT),
        sa.Column("posted_by", sa.String(40), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("area_keys", sa.Text, nullable=False),
        sa.Column("uncovered", sa.Text, nullable=False),
        sa.Column("refdata_version", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint("incident_id", "version", name="uq_notices_incident_id_version"),
        one_of("notices", "kind", "enforcement_action", "family_safety", "advance", "all_clear"),
        one_of("notices", "msg", "alert", "update", "cancel"),
        one_of("notices", "notice_class", "A", "B", "C", "D"),
        one_of("notices", "state", "scheduled", "released", "cancelled"),
        one_of("notices", "status", "actual", "exercise", "test"),
    )
    op.create_index("ix_notices_agency", "notices", ["agency_id", "accepted_at"])
    index_where("ix_notices_release_due", "notices", ["release_at"], "state = 'scheduled'")
    op.create_table(
        "policies",
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("recipient_kind", sa.Text, nullable=False),
        sa.Column("notice_class", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", "version", name="pk_policies"),
        one_of("policies", "notice_class", "A", "B", "C", "D"),
        one_of(
            "policies",
            "recipient_kind",
            "federal",
            "law_enforcement",
            "cps",
            "tribal_child_welfare",
            "school_district",
            "faith",
            "community",
            "operator",
        ),
    )


def create_obligations() -> None:
    op.create_table(
        "obligations",
        sa.Column("id", sa.String(40), nullable=False),
        refers("obligations", "incident_id", "incidents.id"),
        refers("obligations", "agency_id", "agencies.id"),
        sa.Column("owed", sa.Text, nullable=False),
        sa.Column("owed_for", sa.String(40), nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("notice_class", sa.Text, nullable=False),
        refers("obligations", "round_notice_id", "notices.id"),
        sa.Column("round_version", sa.Integer, nullable=False),
        sa.Column("round_started_at", INSTANT),
        sa.Column("held_until", INSTANT),
        sa.Column("due_at", INSTANT),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("steps_at", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("next_step_at", INSTANT),
        sa.Column("delivered_at", INSTANT),
        sa.Column("opened_at", INSTANT),
        sa.Column("received_at", INSTANT),
        sa.Column("promised_until", INSTANT),
        sa.Column("more_time_used", sa.Boolean, nullable=False),
        sa.Column("reachable", sa.Boolean, nullable=False),
        sa.Column("unreachable_reason", sa.Text),
        sa.Column("closed_at", INSTANT),
        sa.Column("answered_version", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_obligations"),
        sa.UniqueConstraint(
            "incident_id",
            "agency_id",
            "owed",
            "owed_for",
            name="uq_obligations_incident_id_agency_id_owed_owed_for",
        ),
        one_of("obligations", "notice_class", "A", "B", "C", "D"),
        one_of("obligations", "owed", "notice", "question", "update"),
        one_of("obligations", "standing", "mandatory", "advisory"),
        one_of("obligations", "state", "open", "closed", "declined", "withdrawn", "waived"),
        one_of("obligations", "status", "actual", "exercise", "test"),
        postgresql_with={
            "fillfactor": 80,
            "autovacuum_vacuum_scale_factor": 0.02,
            "autovacuum_analyze_scale_factor": 0.02,
            "autovacuum_vacuum_insert_scale_factor": 0.05,
        },
    )
    op.create_index("ix_obligations_agency_id", "obligations", ["agency_id"])
    index_where(
        "ix_obligations_next_step", "obligations", ["next_step_at"], "next_step_at IS NOT NULL"
    )
    index_where(
        "ix_obligations_open_due", "obligations", ["status", "due_at", "id"], "state = 'open'"
    )
    op.create_table(
        "obligation_history",
        sa.Column(
            "position", NUMBERED, sa.Identity(always=False), autoincrement=True, nullable=False
        ),
        refers("obligation_history", "obligation_id", "obligations.id"),
        sa.Column("entry_id", sa.String(40), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("from_index", sa.BigInteger),
        sa.Column("to_index", sa.BigInteger),
        sa.PrimaryKeyConstraint("position", name="pk_obligation_history"),
    )
    op.create_index("ix_obligation_history_entry_id", "obligation_history", ["entry_id"])
    op.create_index("ix_obligation_history_from", "obligation_history", ["from_index"])
    op.create_index(
        "ix_obligation_history_obligation", "obligation_history", ["obligation_id", "position"]
    )
    op.create_table(
        "steps",
        refers("steps", "obligation_id", "obligations.id"),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("notify", sa.Text, nullable=False),
        sa.Column("skipped", sa.Boolean, nullable=False),
        sa.Column("contact_ids", sa.Text, nullable=False),
        sa.Column("planned_at", INSTANT, nullable=False),
        sa.Column("fired_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("obligation_id", "epoch", "step", name="pk_steps"),
    )


def create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(40), nullable=False),
        refers("deliveries", "incident_id", "incidents.id", nullable=True),
        refers("deliveries", "obligation_id", "obligations.id", nullable=True),
        refers("deliveries", "notice_id", "notices.id", nullable=True),
        refers("deliveries", "subscription_id", "subscriptions.id", nullable=True),
        refers("deliveries", "contact_id", "contacts.id", nullable=True),
        refers("deliveries", "agency_id", "agencies.id"),
        sa.Column("subject", sa.String(40), nullable=False),
        sa.Column("destination", sa.String(60), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("notice_class", sa.Text, nullable=False),
        sa.Column("content_level", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("answer_due_at", INSTANT),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("recipient_attempts", sa.Integer, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("lease_until", INSTANT, nullable=False),
        sa.Column("first_failed_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.Column("detail", sa.Text),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint(
            "subject",
            "version",
            "destination",
            "cause",
            "round",
            "step",
            name="uq_deliveries_subject_version_destination_cause_round_step",
        ),
        one_of(
            "deliveries",
            "cause",
            "notice",
            "step",
            "correction",
            "question",
            "handshake",
            "heartbeat",
            "test",
        ),
        one_of("deliveries", "channel", "webhook", "email", "inbox"),
        sa.CheckConstraint(
            "state IN ('queued', 'sending') OR due_at IS NULL",
            name="ck_deliveries_due_only_while_live",
        ),
        one_of("deliveries", "notice_class", "A", "B", "C", "D"),
        one_of(
            "deliveries", "state", "queued", "sending", "delivered", "exhausted", "moot", "revoked"
        ),
        postgresql_with={
            "fillfactor": 80,
            "autovacuum_vacuum_scale_factor": 0.02,
            "autovacuum_analyze_scale_factor": 0.02,
            "autovacuum_vacuum_insert_scale_factor": 0.05,
        },
    )
    index_where("ix_deliveries_due", "deliveries", ["due_at"], "due_at IS NOT NULL")
    index_where(
        "ix_deliveries_inbox", "deliveries", ["subscription_id", "sequence"], "sequence IS NOT NULL"
    )
    op.create_index("ix_deliveries_incident_id", "deliveries", ["incident_id"])
    op.create_index("ix_deliveries_obligation_id", "deliveries", ["obligation_id"])
    op.create_index("ix_deliveries_subscription", "deliveries", ["subscription_id", "id"])
    op.create_table(
        "attempts",
        refers("attempts", "delivery_id", "deliveries.id"),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("fault", sa.Text),
        sa.Column("status_code", sa.Integer),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("response_excerpt", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_attempts"),
        one_of(
            "attempts",
            "outcome",
            "delivered",
            "refused",
            "gone",
            "failed",
            "timed_out",
            "blocked",
            "unsendable",
        ),
    )


def create_answers() -> None:
    op.create_table(
        "acknowledgements",
        sa.Column("id", sa.String(40), nullable=False),
        refers("acknowledgements", "obligation_id", "obligations.id"),
        refers("acknowledgements", "notice_id", "notices.id"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("by_name", sa.Text, nullable=False),
        sa.Column("by_role", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("eta", INSTANT),
        sa.Column("reason", sa.Text),
        sa.Column("reference", sa.Text),
        sa.Column("verified_by", sa.Text, nullable=False),
        sa.Column("actor", sa.String(40), nullable=False),
        sa.Column("how", sa.Text),
        sa.Column("on_behalf_of", sa.Text),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("acted_at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_acknowledgements"),
        one_of("acknowledgements", "answer", "received", "accepted", "need_more_time", "declined"),
        one_of("acknowledgements", "verified_by", "api_key", "operator", "link"),
    )
    op.create_index("ix_acknowledgements_obligation_id", "acknowledgements", ["obligation_id"])
    op.create_table(
        "links",
        refers("links", "obligation_id", "obligations.id"),
        refers("links", "contact_id", "contacts.id"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("wrong_codes", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("obligation_id", "contact_id", "version", name="pk_links"),
    )
    op.create_table(
        "questions",
        sa.Column("id", sa.String(40), nullable=False),
        refers("questions", "incident_id", "incidents.id"),
        refers("questions", "notice_id", "notices.id"),
        refers("questions", "asked_by", "agencies.id"),
        refers("questions", "obligation_id", "obligations.id"),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_questions"),
        one_of("questions", "state", "open", "answered"),
        one_of(
            "questions",
            "topic",
            "how_many_children",
            "ages",
            "languages",
            "where_processed",
            "when_released",
            "who_is_the_contact",
            "other",
        ),
    )
    op.create_index("ix_questions_incident_id", "questions", ["incident_id"])


def create_ledger() -> None:
    op.create_table(
        "entries",
        sa.Column(
            "position", NUMBERED, sa.Identity(always=False), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("index", sa.BigInteger),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("incident_id", sa.String(40)),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("sequenced_at", INSTANT),
        sa.PrimaryKeyConstraint("position", name="pk_entries"),
        sa.UniqueConstraint("id", name="uq_entries_id"),
        sa.UniqueConstraint("index", name="uq_entries_index"),
    )
    op.create_index("ix_entries_incident_id", "entries", ["incident_id"])
    index_where("ix_entries_unsequenced", "entries", ["position"], '"index" IS NULL')


def create_clients_and_installation() -> None:
    op.create_table(
        "idempotency_records",
        sa.Column("client_id", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("response", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "key", name="pk_idempotency_records"),
    )
    op.create_index("ix_idempotency_records_created_at", "idempotency_records", ["created_at"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        refers("api_keys", "agency_id", "agencies.id", nullable=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
    )
    op.create_index("ix_api_keys_agency_id", "api_keys", ["agency_id"])
    op.create_table(
        "markers",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_markers"),
    )

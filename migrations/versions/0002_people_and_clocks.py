"""Rosters, calendars, delegations, telephone, offers, exercises, and the words they need (expand).

The code before this one runs on these tables: every new column has a default or may be empty, and
checks only allow more words than before. SQLite cannot change a check, so there the table is built
anew and its rows are copied, inside the migration's own transaction.

Revision: 0002
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.TIMESTAMP(timezone=True).with_variant(sa.String(27), "sqlite")

Words = tuple[str, ...]
CHANNELS: Words = ("webhook", "email", "inbox")
MORE_CHANNELS: Words = ("webhook", "email", "sms", "voice", "kafka", "inbox")
CAUSES: Words = ("notice", "step", "correction", "question", "handshake", "heartbeat", "test")
MORE_CAUSES: Words = (
    *CAUSES[:4],
    "answer",
    "offer",
    "coverage",
    *CAUSES[4:],
)
DELIVERY_STATES: Words = ("queued", "sending", "delivered", "exhausted", "moot", "revoked")
MORE_DELIVERY_STATES: Words = (*DELIVERY_STATES[:2], "handed_over", *DELIVERY_STATES[2:])
OUTCOMES: Words = (
    "delivered",
    "refused",
    "gone",
    "failed",
    "timed_out",
    "blocked",
    "unsendable",
)

# table, column, the words before, the words from now on
WIDENED: tuple[tuple[str, str, Words, Words], ...] = (
    ("subscriptions", "channel", CHANNELS, MORE_CHANNELS),
    ("incidents", "state", ("open", "cancelled"), ("open", "cleared", "cancelled")),
    (
        "obligations",
        "owed",
        ("notice", "question", "update"),
        ("notice", "question", "update", "coverage"),
    ),
    ("deliveries", "channel", CHANNELS, MORE_CHANNELS),
    ("deliveries", "cause", CAUSES, MORE_CAUSES),
    ("deliveries", "state", DELIVERY_STATES, MORE_DELIVERY_STATES),
    ("attempts", "outcome", OUTCOMES, (OUTCOMES[0], "handed_over", *OUTCOMES[1:])),
    (
        "acknowledgements",
        "verified_by",
        ("api_key", "operator", "link"),
        ("api_key", "operator", "link", "text", "call"),
    ),
)


def words_in(column: str, words: Words) -> str:
    """Write the condition that a column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


def allow(table: str, changes: list[tuple[str, Words]]) -> None:
    """Put each column's check in place of the one that is there."""
    with op.batch_alter_table(table) as batch:
        for column, words in changes:
            name = f"ck_{table}_{column}"
            batch.drop_constraint(name, type_="check")
            batch.create_check_constraint(name, sa.text(words_in(column, words)))


def one_of(table: str, column: str, *words: str) -> sa.CheckConstraint:
    """Allow only these words in a column; the constraint is named after both."""
    return sa.CheckConstraint(words_in(column, words), name=f"ck_{table}_{column}")


def index_where(
    name: str, table: str, columns: list[str], condition: str, *, unique: bool = False
) -> None:
    """Create an index over the rows that fulfil `condition` only."""
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, postgresql_where=where, sqlite_where=where)


def refers(table: str, column: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    """Make a column that holds another table's key; the constraint is named after both."""
    key = sa.ForeignKey(target, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.String(40), key, nullable=nullable)


def key_of_agency(table: str) -> sa.Column[str]:
    """Make a key column that is an agency's id."""
    return refers(table, "agency_id", "agencies.id")


def upgrade() -> None:
    widen()
    add_columns()
    create_calendars_and_rosters()
    create_delegations()
    create_offers()
    create_requests_and_exercises()


def widen() -> None:
    """Allow the new words, each table once: on SQLite that is a copy of it."""
    tables = dict.fromkeys(table for table, *_ in WIDENED)
    for name in tables:
        allow(name, [(column, after) for table, column, _, after in WIDENED if table == name])


def add_columns() -> None:
    op.add_column("contacts", sa.Column("valid_from", INSTANT))
    op.add_column("contacts", sa.Column("valid_until", INSTANT))
    op.add_column(
        "contacts", sa.Column("texts", sa.Boolean, nullable=False, server_default=sa.true())
    )
    with op.batch_alter_table("policies") as batch:
        batch.add_column(refers("policies", "agency_id", "agencies.id", nullable=True))
        batch.add_column(sa.Column("ended_at", INSTANT))
    op.create_index("ix_policies_agency_id", "policies", ["agency_id"])
    op.add_column("deliveries", sa.Column("bundle", sa.String(80)))
    op.add_column("deliveries", sa.Column("held_reason", sa.Text))
    index_where(
        "ix_deliveries_contact",
        "deliveries",
        ["contact_id", "created_at"],
        "contact_id IS NOT NULL",
    )
    index_where("ix_deliveries_handed_over", "deliveries", ["created_at"], "state = 'handed_over'")
    op.add_column("attempts", sa.Column("provider_id", sa.String(80)))
    op.add_column("attempts", sa.Column("provider_status", sa.String(80)))
    op.add_column("attempts", sa.Column("provider_status_at", INSTANT))
    index_where("ix_attempts_provider", "attempts", ["provider_id"], "provider_id IS NOT NULL")
    with op.batch_alter_table("acknowledgements") as batch:
        batch.add_column(refers("acknowledgements", "by_agency_id", "agencies.id", nullable=True))
    op.add_column("questions", sa.Column("tier", sa.Text, nullable=False, server_default="partner"))
    op.create_table(
        "question_askers",
        refers("question_askers", "question_id", "questions.id"),
        refers("question_askers", "agency_id", "agencies.id"),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("question_id", "agency_id", name="pk_question_askers"),
    )


def create_calendars_and_rosters() -> None:
    op.create_table(
        "calendars",
        key_of_agency("calendars"),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("agency_id", name="pk_calendars"),
    )
    op.create_table(
        "shifts",
        sa.Column("id", sa.String(40), nullable=False),
        refers("shifts", "agency_id", "agencies.id"),
        refers("shifts", "contact_id", "contacts.id"),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shifts"),
        one_of("shifts", "position", "on_duty", "second", "head", "other"),
    )
    op.create_index("ix_shifts_agency_ends", "shifts", ["agency_id", "ends_at"])
    op.create_table(
        "rosters",
        key_of_agency("rosters"),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("agency_id", name="pk_rosters"),
    )


def create_delegations() -> None:
    op.create_table(
        "delegations",
        sa.Column("id", sa.String(40), nullable=False),
        refers("delegations", "agency_id", "agencies.id"),
        refers("delegations", "delegate_id", "agencies.id"),
        sa.Column("hours", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_delegations"),
        one_of("delegations", "hours", "always", "out_of_hours"),
    )
    op.create_index("ix_delegations_delegate_id", "delegations", ["delegate_id"])
    index_where(
        "ix_delegations_living", "delegations", ["agency_id"], "ended_at IS NULL", unique=True
    )


def create_offers() -> None:
    op.create_table(
        "offers",
        sa.Column("id", sa.String(40), nullable=False),
        refers("offers", "incident_id", "incidents.id"),
        refers("offers", "agency_id", "agencies.id"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("offer_type", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("lapses_at", INSTANT, nullable=False),
        sa.Column("held_until", INSTANT),
        refers("offers", "answered_by", "agencies.id", nullable=True),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_offers"),
        one_of("offers", "status", "actual", "exercise", "test"),
        one_of(
            "offers",
            "offer_type",
            "meals",
            "space",
            "transport",
            "interpreter",
            "legal_clinic",
            "childcare",
            "money",
            "goods",
        ),
        one_of("offers", "state", "open", "held", "accepted", "declined", "lapsed"),
    )
    op.create_index("ix_offers_incident_id", "offers", ["incident_id"])
    index_where("ix_offers_lapsing", "offers", ["lapses_at"], "state IN ('open', 'held')")


def create_requests_and_exercises() -> None:
    op.create_table(
        "cancel_requests",
        refers("cancel_requests", "incident_id", "incidents.id"),
        sa.Column("base_version", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.String(40), nullable=False),
        sa.Column("by_name", sa.Text, nullable=False),
        sa.Column("by_role", sa.Text, nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name="pk_cancel_requests"),
    )
    op.create_table(
        "exercises",
        sa.Column("id", sa.String(40), nullable=False),
        refers("exercises", "agency_id", "agencies.id"),
        sa.Column("name", sa.Text, nullable=False),
        refers("exercises", "incident_id", "incidents.id"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exercises"),
        one_of("exercises", "state", "scheduled", "running", "ended", "cancelled"),
    )
    op.create_index("ix_exercises_agency_id", "exercises", ["agency_id"])


def downgrade() -> None:
    """Take it all back; rows that use a word or a table of this revision must be gone before."""
    for table in ("exercises", "cancel_requests", "offers", "delegations", "rosters", "shifts"):
        op.drop_table(table)
    op.drop_table("calendars")
    op.drop_table("question_askers")
    op.drop_column("questions", "tier")
    with op.batch_alter_table("acknowledgements") as batch:
        batch.drop_constraint("fk_acknowledgements_by_agency_id", type_="foreignkey")
        batch.drop_column("by_agency_id")
    op.drop_index("ix_attempts_provider", "attempts")
    for column in ("provider_status_at", "provider_status", "provider_id"):
        op.drop_column("attempts", column)
    op.drop_index("ix_deliveries_handed_over", "deliveries")
    op.drop_index("ix_deliveries_contact", "deliveries")
    op.drop_column("deliveries", "held_reason")
    op.drop_column("deliveries", "bundle")
    op.drop_index("ix_policies_agency_id", "policies")
    with op.batch_alter_table("policies") as batch:
        batch.drop_constraint("fk_policies_agency_id", type_="foreignkey")
        batch.drop_column("ended_at")
        batch.drop_column("agency_id")
    for column in ("texts", "valid_until", "valid_from"):
        op.drop_column("contacts", column)
    tables = dict.fromkeys(table for table, *_ in WIDENED)
    for name in tables:
        allow(name, [(column, before) for table, column, before, _ in WIDENED if table == name])

"""Endpoint health, backlogs, replays, heartbeats, leases and credentials (expand).

The code before this one runs on these tables: every new column has a default or may be empty, and
checks only allow more words than before.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.TIMESTAMP(timezone=True).with_variant(sa.String(27), "sqlite")

Words = tuple[str, ...]
CAUSES: Words = (
    "notice",
    "step",
    "correction",
    "question",
    "answer",
    "offer",
    "coverage",
    "handshake",
    "heartbeat",
    "test",
)
BACKLOG = "state = 'queued' AND due_at IS NULL AND held_reason IS NOT NULL"
LET_GO = "held_reason = 'turn' AND due_at IS NOT NULL"


def words_in(column: str, words: Words) -> str:
    """Write the condition that a column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


def one_of(table: str, column: str, *words: str) -> sa.CheckConstraint:
    """Allow only these words in a column; the constraint is named after both."""
    return sa.CheckConstraint(words_in(column, words), name=f"ck_{table}_{column}")


def index_where(name: str, table: str, columns: list[str], condition: str) -> None:
    """Create an index over the rows that fulfil `condition` only."""
    where = sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def refers(table: str, column: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    """Make a column that holds another table's key; the constraint is named after both."""
    key = sa.ForeignKey(target, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.String(40), key, nullable=nullable)


def upgrade() -> None:
    add_to_subscriptions()
    create_endpoints()
    create_replays()
    add_to_deliveries()
    op.add_column("attempts", sa.Column("response_headers", sa.Text))


def add_to_subscriptions() -> None:
    op.add_column("subscriptions", sa.Column("heartbeat_minutes", sa.Integer))
    op.add_column("subscriptions", sa.Column("rate_per_minute", sa.Integer))
    op.add_column("subscriptions", sa.Column("concurrency", sa.Integer))
    op.add_column("subscriptions", sa.Column("lease_until", INSTANT))
    op.add_column(
        "subscriptions",
        sa.Column("lease_warned", sa.Integer, nullable=False, server_default="0"),
    )
    op.add_column("subscriptions", sa.Column("paused_at", INSTANT))
    op.add_column("subscriptions", sa.Column("paused_by", sa.String(40)))
    op.add_column("subscriptions", sa.Column("pause_reason", sa.Text))
    op.add_column("subscriptions", sa.Column("credentials_sealed", sa.Text))
    op.add_column("subscriptions", sa.Column("certificate_expires_at", INSTANT))
    index_where(
        "ix_subscriptions_lease", "subscriptions", ["lease_until"], "lease_until IS NOT NULL"
    )
    op.add_column("subscription_counters", sa.Column("heartbeat_at", INSTANT))
    index_where(
        "ix_subscription_counters_heartbeat",
        "subscription_counters",
        ["heartbeat_at"],
        "heartbeat_at IS NOT NULL",
    )


def create_endpoints() -> None:
    op.create_table(
        "endpoints",
        refers("endpoints", "subscription_id", "subscriptions.id"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("trips", sa.Integer, nullable=False),
        sa.Column("failing_since", INSTANT),
        sa.Column("tripped_at", INSTANT),
        sa.Column("probe_at", INSTANT),
        sa.Column("drain_at", INSTANT),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", name="pk_endpoints"),
        one_of("endpoints", "state", "healthy", "failing", "tripped", "probing"),
    )
    index_where("ix_endpoints_probe", "endpoints", ["probe_at"], "probe_at IS NOT NULL")
    index_where("ix_endpoints_drain", "endpoints", ["drain_at"], "drain_at IS NOT NULL")


def create_replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.String(40), nullable=False),
        refers("replays", "subscription_id", "subscriptions.id"),
        sa.Column("after_sequence", sa.BigInteger, nullable=False),
        sa.Column("until_sequence", sa.BigInteger, nullable=False),
        sa.Column("since", INSTANT),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("queued", sa.Integer, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("requested_by", sa.String(40), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_replays"),
        one_of("replays", "state", "running", "done", "cancelled"),
    )
    op.create_index("ix_replays_subscription_id", "replays", ["subscription_id"])
    index_where("ix_replays_running", "replays", ["id"], "state = 'running'")


def add_to_deliveries() -> None:
    with op.batch_alter_table("deliveries") as batch:
        batch.drop_constraint("ck_deliveries_cause", type_="check")
        batch.create_check_constraint(
            "ck_deliveries_cause", sa.text(words_in("cause", (*CAUSES, "warning", "replay")))
        )
        batch.add_column(refers("deliveries", "replays_id", "deliveries.id", nullable=True))
        batch.add_column(refers("deliveries", "replay_id", "replays.id", nullable=True))
    index_where(
        "ix_deliveries_backlog",
        "deliveries",
        ["subscription_id", "notice_class", "id"],
        BACKLOG,
    )
    index_where("ix_deliveries_let_go", "deliveries", ["subscription_id", "due_at"], LET_GO)
    index_where(
        "ix_deliveries_replay", "deliveries", ["replay_id", "state"], "replay_id IS NOT NULL"
    )


def downgrade() -> None:
    """Take it all back; rows that use a word or a table of this revision must be gone before."""
    op.drop_column("attempts", "response_headers")
    op.drop_index("ix_deliveries_replay", "deliveries")
    op.drop_index("ix_deliveries_let_go", "deliveries")
    op.drop_index("ix_deliveries_backlog", "deliveries")
    with op.batch_alter_table("deliveries") as batch:
        batch.drop_constraint("fk_deliveries_replay_id", type_="foreignkey")
        batch.drop_constraint("fk_deliveries_replays_id", type_="foreignkey")
        batch.drop_column("replay_id")
        batch.drop_column("replays_id")
        batch.drop_constraint("ck_deliveries_cause", type_="check")
        batch.create_check_constraint("ck_deliveries_cause", sa.text(words_in("cause", CAUSES)))
    op.drop_table("replays")
    op.drop_table("endpoints")
    op.drop_index("ix_subscription_counters_heartbeat", "subscription_counters")
    op.drop_column("subscription_counters", "heartbeat_at")
    op.drop_index("ix_subscriptions_lease", "subscriptions")
    for column in (
        "certificate_expires_at",
        "credentials_sealed",
        "pause_reason",
        "paused_by",
        "paused_at",
        "lease_warned",
        "lease_until",
        "concurrency",
        "rate_per_minute",
        "heartbeat_minutes",
    ):
        op.drop_column("subscriptions", column)

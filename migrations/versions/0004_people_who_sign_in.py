"""People who sign in, sessions, who works on what, signs of life, the digest (expand).

The code before this one runs on these tables: it knows nothing of the new ones, and checks only
allow more words than before.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
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
    "warning",
    "replay",
)
VERIFIED_BY: Words = ("api_key", "operator", "link", "text", "call")


def words_in(column: str, words: Words) -> str:
    """Write the condition that a column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


def allow(table: str, column: str, words: Words) -> None:
    """Allow these words in a column, in the place of those before."""
    with op.batch_alter_table(table) as batch:
        batch.drop_constraint(f"ck_{table}_{column}", type_="check")
        batch.create_check_constraint(f"ck_{table}_{column}", sa.text(words_in(column, words)))


def refers(table: str, column: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    """Make a column that holds another table's key; the constraint is named after both."""
    key = sa.ForeignKey(target, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.String(40), key, nullable=nullable)


def upgrade() -> None:
    create_users()
    create_sessions()
    op.create_table(
        "attendances",
        refers("attendances", "obligation_id", "obligations.id"),
        sa.Column("actor", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("began_at", INSTANT, nullable=False),
        sa.Column("lapses_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("obligation_id", name="pk_attendances"),
    )
    op.create_table(
        "loop_ticks",
        sa.Column("process", sa.String(40), nullable=False),
        sa.Column("loop", sa.String(40), nullable=False),
        sa.Column("ticked_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("process", "loop", name="pk_loop_ticks"),
    )
    allow("deliveries", "cause", (*CAUSES, "digest"))
    allow("acknowledgements", "verified_by", (*VERIFIED_BY, "session"))


def create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        refers("users", "agency_id", "agencies.id", nullable=True),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("issuer", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("failed_tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("locked_until", INSTANT),
        sa.Column("disabled_at", INSTANT),
        sa.Column("signed_in_at", INSTANT),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("login", name="uq_users_login"),
        sa.UniqueConstraint("issuer", "subject", name="uq_users_issuer_subject"),
    )
    op.create_index("ix_users_agency_id", "users", ["agency_id"])


def create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        refers("sessions", "user_id", "users.id", nullable=True),
        refers("sessions", "agency_id", "agencies.id", nullable=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("granted_by", sa.String(40)),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("secret_hash", name="uq_sessions_secret_hash"),
        sa.CheckConstraint(
            words_in("method", ("password", "oidc", "proxy", "link")), name="ck_sessions_method"
        ),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def downgrade() -> None:
    """Take it all back; rows that use a word or a table of this revision must be gone before."""
    allow("acknowledgements", "verified_by", VERIFIED_BY)
    allow("deliveries", "cause", CAUSES)
    op.drop_table("loop_ticks")
    op.drop_table("attendances")
    op.drop_table("sessions")
    op.drop_table("users")

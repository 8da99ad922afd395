"""The report's counters, what a line of the history counts as, the order of the page (expand).

The code before this one runs on these tables: it leaves the new columns empty, and reads open
obligations through another index than it used to.

The indexes are built inside the transaction, while nothing writes: a table of a million rows takes
longer than the five seconds a statement has elsewhere.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KINDS = (
    "federal",
    "law_enforcement",
    "cps",
    "tribal_child_welfare",
    "school_district",
    "faith",
    "community",
    "operator",
)
STATUSES = ("actual", "exercise", "test")
CLASSES = ("A", "B", "C", "D")
COUNTED = (
    "undated",
    "open",
    "advisory_undated",
    "advisory_open",
    "in_time",
    "late",
    "unanswered",
    "waived",
)
Columns = list[str | sa.TextClause]
# By name: the table, its columns, and the rows that are in it.
INDEXES: dict[str, tuple[str, Columns, str]] = {
    "ix_obligations_open": (
        "obligations",
        ["status", "reachable", sa.text("step DESC"), "due_at", "id"],
        "state = 'open' AND owed = 'notice'",
    ),
    "ix_obligations_ended": (
        "obligations",
        ["status", "due_at"],
        "state <> 'open' AND owed = 'notice'",
    ),
    "ix_obligations_unreached": (
        "obligations",
        ["status", "id"],
        "state <> 'open' AND NOT reachable AND owed = 'notice'",
    ),
    "ix_obligations_debts": (
        "obligations",
        ["owed", "due_at", "id"],
        "state = 'open' AND owed <> 'notice'",
    ),
    "ix_notices_uncovered": (
        "notices",
        ["status", sa.text("occurred_at DESC"), "id"],
        "uncovered <> '[]'",
    ),
    "ix_notices_promised": (
        "notices",
        ["status", "next_update_due", "id"],
        "next_update_due IS NOT NULL",
    ),
    "ix_questions_unanswered": ("questions", ["due_at", "id"], "answered_at IS NULL"),
}
INCLUDED = {"ix_obligations_open": ["agency_id", "notice_class", "round_started_at"]}
ON_POSTGRESQL: dict[str, tuple[str, Columns, str]] = {
    "ix_obligations_took": (
        "obligations",
        ["status", sa.text("(closed_at - round_started_at)")],
        "state = 'closed' AND owed = 'notice'",
    ),
}


def words_in(column: str, words: tuple[str, ...]) -> str:
    """Write the condition that a column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


def indexes() -> dict[str, tuple[str, Columns, str]]:
    """Give the indexes of this kind of database."""
    if op.get_context().dialect.name == "postgresql":
        return INDEXES | ON_POSTGRESQL
    return INDEXES


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = '30min'")
    create_counters()
    for column in (
        sa.Column("counted", sa.Text),
        sa.Column("notice_class", sa.Text),
        sa.Column("due_minute", sa.Integer),
        sa.Column("took", sa.Integer),
    ):
        op.add_column("obligation_history", column)
    for name, (table, columns, rows) in indexes().items():
        where = sa.text(rows)
        op.create_index(
            name,
            table,
            columns,
            postgresql_where=where,
            sqlite_where=where,
            postgresql_include=INCLUDED.get(name),
        )
    op.drop_index("ix_obligations_open_due", "obligations")
    # What is there already has to be counted once: whoever keeps the house does so at its start.
    op.execute(
        "INSERT INTO markers (name, value) SELECT 'report.counters.stale', '0005'"
        " WHERE EXISTS (SELECT 1 FROM obligation_history)"
    )


def create_counters() -> None:
    op.create_table(
        "report_counters",
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("span", sa.Integer, nullable=False),
        sa.Column("due", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("notice_class", sa.Text, nullable=False),
        sa.Column("counted", sa.Text, nullable=False),
        sa.Column("took", sa.Integer, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "status",
            "span",
            "due",
            "kind",
            "notice_class",
            "counted",
            "took",
            name="pk_report_counters",
        ),
        sa.CheckConstraint(words_in("status", STATUSES), name="ck_report_counters_status"),
        sa.CheckConstraint(words_in("kind", KINDS), name="ck_report_counters_kind"),
        sa.CheckConstraint(
            words_in("notice_class", CLASSES), name="ck_report_counters_notice_class"
        ),
        sa.CheckConstraint(words_in("counted", COUNTED), name="ck_report_counters_counted"),
        sa.CheckConstraint("span IN (0, 1, 2)", name="ck_report_counters_span"),
    )


def downgrade() -> None:
    """Take it all back; what the counters knew can be counted again."""
    op.execute("DELETE FROM markers WHERE name = 'report.counters.stale'")
    where = sa.text("state = 'open'")
    op.create_index(
        "ix_obligations_open_due",
        "obligations",
        ["status", "due_at", "id"],
        postgresql_where=where,
        sqlite_where=where,
    )
    for name, (table, _, _) in indexes().items():
        op.drop_index(name, table)
    for column in ("took", "due_minute", "notice_class", "counted"):
        op.drop_column("obligation_history", column)
    op.drop_table("report_counters")

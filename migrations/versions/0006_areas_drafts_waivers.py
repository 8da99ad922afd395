"""Areas to look notices up by, drafts, waivers, and where an attempt's time went (expand).

The code before this one runs on these tables: it leaves the new columns and tables empty. Notices
that it accepts meanwhile have no row in `notice_areas`: whoever keeps the house adds them.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.TIMESTAMP(timezone=True).with_variant(sa.String(27), "sqlite")
PHASES = ("dns_ms", "connect_ms", "tls_ms", "first_byte_ms")


def refers(table: str, column: str, target: str) -> sa.Column[str]:
    """Make a column that holds another table's key; the constraint is named after both."""
    key = sa.ForeignKey(target, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.String(40), key, nullable=False)


def upgrade() -> None:
    """Fill what takes long first: locks that posts would wait for come last, and are short."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = '30min'")
        create_notice_areas()
        op.execute(
            "ALTER TABLE notice_areas ADD CONSTRAINT fk_notice_areas_notice_id"
            " FOREIGN KEY (notice_id) REFERENCES notices (id) NOT VALID"  # filled from there
        )
    else:
        create_notice_areas(refers("notice_areas", "notice_id", "notices.id"))
    create_waive_requests()
    create_post_drafts()
    for phase in PHASES:
        op.add_column("attempts", sa.Column(phase, sa.Integer))


def create_notice_areas(notice_id: sa.Column[str] | None = None) -> None:
    op.create_table(
        "notice_areas",
        sa.Column("area_key", sa.String(80), nullable=False),
        sa.Column("notice_id", sa.String(40), nullable=False) if notice_id is None else notice_id,
        sa.PrimaryKeyConstraint("area_key", "notice_id", name="pk_notice_areas"),
    )
    op.execute(
        "INSERT INTO notice_areas (area_key, notice_id) SELECT DISTINCT keys.value, notices.id"
        " FROM notices CROSS JOIN jsonb_array_elements_text(CAST(area_keys AS jsonb)) AS keys"
        if op.get_context().dialect.name == "postgresql"
        else "INSERT INTO notice_areas (area_key, notice_id) SELECT DISTINCT keys.value, notices.id"
        " FROM notices CROSS JOIN json_each(notices.area_keys) AS keys"
    )
    op.create_index("ix_notice_areas_notice_id", "notice_areas", ["notice_id"])


def create_waive_requests() -> None:
    op.create_table(
        "waive_requests",
        refers("waive_requests", "obligation_id", "obligations.id"),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.String(40), nullable=False),
        sa.Column("by_name", sa.Text, nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("confirmed_by", sa.String(40)),
        sa.Column("confirmed_by_name", sa.Text),
        sa.Column("confirmed_at", INSTANT),
        sa.PrimaryKeyConstraint("obligation_id", "epoch", name="pk_waive_requests"),
    )


def create_post_drafts() -> None:
    op.create_table(
        "post_drafts",
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        refers("post_drafts", "agency_id", "agencies.id"),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("asked_at", INSTANT),
        sa.Column("asked_by_name", sa.Text),
        sa.Column("recipients", sa.Integer),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_post_drafts"),
    )
    op.create_index("ix_post_drafts_agency", "post_drafts", ["agency_id", "asked_at"])
    op.create_index("ix_post_drafts_expires_at", "post_drafts", ["expires_at"])


def downgrade() -> None:
    """Take it all back; what a notice's keys are stands in the notice."""
    for phase in reversed(PHASES):
        op.drop_column("attempts", phase)
    op.drop_table("post_drafts")
    op.drop_table("waive_requests")
    op.drop_table("notice_areas")

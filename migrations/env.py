"""Alembic's way in, called by `noticebus.store.migrate` only.

Nothing is read from a file: `config.attributes` brings the open connection and the list that the
applied revisions are put in, or, where SQL is to be written out, the name of a dialect.
"""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

attributes = context.config.attributes


def note_applied(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],
    run_args: Mapping[str, Any],
) -> None:
    """Put the revision just applied, or taken back, in the caller's list."""
    moved = step.up_revision_ids if step.is_upgrade else step.source_revision_ids
    attributes["applied"].extend(moved)


def check_references(connection: sa.Connection) -> None:
    """Refuse to commit rows that refer to nothing: while SQLite migrates, it enforces no keys."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        assert broken is None, f"a migration left rows of {broken} that refer to nothing"


if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect"], literal_binds=True, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    # SQLite changes tables inside a transaction too; Alembic believes that it cannot, unless told.
    context.configure(
        connection=attributes["connection"],
        on_version_apply=note_applied,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        check_references(attributes["connection"])

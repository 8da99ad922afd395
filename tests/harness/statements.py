"""Counting the statements that a desk sends to its database."""

import sqlalchemy as sa

from harness.api import Api


def count_statements(api: Api) -> list[str]:
    """Give a list that grows by every statement from now on."""
    asked: list[str] = []
    for engine in api.desk.database.engines:
        sa.event.listen(
            engine.sync_engine,
            "before_cursor_execute",
            lambda _c, _u, statement, *_: asked.append(statement),
        )
    return asked

"""Counting the statements that a desk sends to its database."""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from harness.api import Api
from noticebus.casework.desk import Desk


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


@contextlib.contextmanager
def statements_of(desk: Desk) -> Iterator[list[str]]:
    """Give a list that grows by every statement of the block."""
    asked: list[str] = []
    engines = [one.sync_engine for one in desk.database.engines]

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):  # SQLite's, which our own code sends
            asked.append(statement)

    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)

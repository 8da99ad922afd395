"""Counting the statements that a desk sends to its database."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import sqlalchemy as sa

from harness.api import Api
from noticebus.casework.desk import Desk

_COUNTING = ContextVar("_COUNTING", default=False)


def count_statements(api: Api) -> list[str]:
    """Give a list that grows by every statement from now on."""
    asked: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if _is_counted(statement):
            asked.append(statement)

    for engine in api.desk.database.engines:
        sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    return asked


@contextlib.contextmanager
def statements_of(desk: Desk) -> Iterator[list[str]]:
    """Give a list that grows by every statement that the block itself and its tasks send.

    Loops that began before it, and run beside it, are not counted.
    """
    asked: list[str] = []
    engines = [one.sync_engine for one in desk.database.engines]

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if _COUNTING.get() and _is_counted(statement):
            asked.append(statement)

    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    inside = _COUNTING.set(True)
    try:
        yield asked
    finally:
        _COUNTING.reset(inside)
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


def _is_counted(statement: str) -> bool:
    """Leave out what begins a transaction, the look-up of a key, and that somebody was here.

    On SQLite our code begins it, elsewhere the driver does. A key is remembered for five seconds of
    the machine's time, and a session notes every minute of it that it is used: each comes once more
    in a test that takes longer.
    """
    passing = ("FROM api_keys", "UPDATE sessions SET seen_at")
    return not statement.startswith("BEGIN") and not any(one in statement for one in passing)

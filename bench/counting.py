"""Counts SQL statements, whichever way they go: SQLAlchemy's, the driver's own, COPY.

On PostgreSQL it stands where the driver hands a statement to the connection, so that nothing goes
past it. What opens and ends transactions is not counted. One for many rows is one, and its rows
are counted apart.
"""

from collections import Counter
from collections.abc import Sized
from typing import Any

import sqlalchemy as sa

KEPT_CHARACTERS = 160
SHOWN_CHARACTERS = 60
UNCOUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET ", "PRAGMA")


class Statements:
    """How often each statement went to the database of this process, and rows for many."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.rows = 0

    def listen(self) -> None:
        """Count every statement of this process from now on; call it before anything connects."""
        sa.event.listen(sa.Engine, "before_cursor_execute", self._on_sqlite)
        sa.event.listen(sa.Pool, "connect", self._on_connect)

    def stop(self) -> None:
        """Count no more."""
        sa.event.remove(sa.Engine, "before_cursor_execute", self._on_sqlite)
        sa.event.remove(sa.Pool, "connect", self._on_connect)

    def note(self, statement: str, rows: object = None) -> None:
        """Count one statement; `rows`, where it is for many at once."""
        if statement.lstrip().startswith(UNCOUNTED):
            return
        self.counted[statement[:KEPT_CHARACTERS]] += 1
        if isinstance(rows, Sized):
            self.rows += len(rows)

    def shown(self) -> list[tuple[str, int]]:
        """List the beginnings of the statements in one line each, with how often each went."""
        found: Counter[str] = Counter()
        for statement, count in self.counted.items():
            found[" ".join(statement.split())[:SHOWN_CHARACTERS]] += count
        return found.most_common()

    def _on_sqlite(
        self, conn: Any, _cursor: object, statement: str, values: object, _c: object, many: object
    ) -> None:
        if conn.dialect.name == "sqlite":
            self.note(statement, values if many else None)

    def _on_connect(self, connection: Any, _record: object) -> None:
        driver = getattr(connection, "driver_connection", None)
        if hasattr(driver, "_protocol"):
            driver._protocol = _Counted(driver._protocol, self)  # type: ignore[union-attr]  # noqa: SLF001


class _Counted:
    """The driver's protocol, with each statement counted on its way through."""

    def __init__(self, protocol: Any, statements: Statements) -> None:
        self._protocol = protocol
        self._statements = statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def bind_execute(self, state: Any, *rest: Any, **named: Any) -> Any:
        self._statements.note(state.query)
        return self._protocol.bind_execute(state, *rest, **named)

    def bind_execute_many(self, state: Any, args: Any, *rest: Any, **named: Any) -> Any:
        self._statements.note(state.query, args)
        return self._protocol.bind_execute_many(state, args, *rest, **named)

    def query(self, query: str, *rest: Any, **named: Any) -> Any:
        self._statements.note(query)
        return self._protocol.query(query, *rest, **named)

    def copy_in(self, statement: str, *rest: Any, **named: Any) -> Any:
        self._statements.note(statement)
        return self._protocol.copy_in(statement, *rest, **named)

    def copy_out(self, statement: str, *rest: Any, **named: Any) -> Any:
        self._statements.note(statement)
        return self._protocol.copy_out(statement, *rest, **named)

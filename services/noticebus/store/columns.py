"""Column types that behave the same on SQLite and PostgreSQL."""

import datetime as dt
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

SQLITE_INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"  # fixed width, so that text order is time order


class Instant(sa.types.TypeDecorator[dt.datetime]):
    """An aware UTC instant with microseconds. Naive values are refused at the border."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(27))
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        assert value.tzinfo is not None, f"a naive instant reached the store: {value!r}"
        utc = value.astimezone(dt.UTC)
        return utc.strftime(SQLITE_INSTANT) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return dt.datetime.fromisoformat(value)
        return value.astimezone(dt.UTC)  # type: ignore[no-any-return]


class Word(sa.types.TypeDecorator[StrEnum]):
    """One word of the vocabulary, stored as text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words
        self._members = {word.value: word for word in words}  # faster than the enumeration itself

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> StrEnum | None:
        return None if value is None else self._members[value]


class Json(sa.types.TypeDecorator[Any]):
    """A JSON value, as text: it is stored to be read back whole, never queried into."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else orjson.loads(value)


class KeptJson(Json):
    """A JSON value that is only to be written again: it is not read, and stands as it is."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> orjson.Fragment | None:
        return None if value is None else orjson.Fragment(value)


BigId = sa.BigInteger().with_variant(
    sa.Integer(), "sqlite"
)  # SQLite numbers only INTEGER keys by itself

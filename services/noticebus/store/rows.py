"""Between frozen dataclasses and rows: field names are column names; and ids by the hundred."""

from collections.abc import Collection
from typing import Any, ClassVar, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection


class Fields(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T")


def records_of(result: sa.CursorResult[Any], kind: type[T]) -> list[T]:
    """Read all rows of a result as records of `kind`, whose fields are named as its columns."""
    names = tuple(result.keys())
    return [kind(**dict(zip(names, row, strict=True))) for row in result]


def values_of(record: Fields) -> dict[str, Any]:
    """Give a record's fields as a row to insert; unlike `dataclasses.asdict`, nothing is copied."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def among(
    conn: AsyncConnection, column: sa.ColumnElement[str], values: Collection[str]
) -> sa.ColumnElement[bool]:
    """Say that a column of ids has one of `values`: on PostgreSQL one value, however many."""
    if conn.dialect.name == "sqlite":
        return column.in_(sorted(set(values)))
    return column == sa.any_(sa.literal(sorted(set(values)), postgresql.ARRAY(sa.String)))

"""Between frozen dataclasses and rows: field names are column names; and ids by the hundred."""

from collections.abc import Collection
from typing import Any, ClassVar, Protocol, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


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


class _Texts(sa.types.TypeDecorator[Collection[str]]):
    """Any number of texts as one value: an array, or JSON where there are no arrays."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Text())
        return dialect.type_descriptor(postgresql.ARRAY(sa.Text(), dimensions=1))

    def process_bind_param(self, value: Collection[str] | None, dialect: sa.Dialect) -> Any:
        assert value is not None, "nothing to be among"
        texts = sorted({str(one) for one in value})
        return orjson.dumps(texts).decode() if dialect.name == "sqlite" else texts


class _Among(FunctionElement[bool]):
    """A column, and the texts of which it is to be one."""

    type = sa.Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # else "= 1" is put behind it on SQLite, and no index helps


@compiles(_Among)
def _by_array(element: _Among, compiler: Any, **named: Any) -> str:
    column, texts = (compiler.process(one, **named) for one in element.clauses)
    return f"{column} = ANY ({texts})"


@compiles(_Among, "sqlite")
def _by_json(element: _Among, compiler: Any, **named: Any) -> str:
    column, texts = (compiler.process(one, **named) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - compiled parts


def among(column: sa.ColumnElement[Any], values: Collection[str]) -> sa.ColumnElement[bool]:
    """Say that a column of texts has one of `values`: one parameter, however many."""
    return _Among(column, sa.literal(values, _Texts()))


def among_given(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Say that a column has one of the texts that the statement is given as `name`."""
    return _Among(column, sa.bindparam(name, type_=_Texts()))

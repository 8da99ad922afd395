"""Between frozen dataclasses and rows: field names are column names."""

from typing import Any, ClassVar, Protocol


class Fields(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def values_of(record: Fields) -> dict[str, Any]:
    """Give a record's fields as a row to insert; unlike `dataclasses.asdict`, nothing is copied."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}

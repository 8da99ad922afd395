"""When a disk is too full: first a warning, then no new notices, so that answers still fit."""

from dataclasses import dataclass

MEGABYTE = 1_000_000
WARN_SHARE = 0.05
WARN_BYTES = 200 * MEGABYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A disk's size, and what is left of it, in bytes."""

    total: int
    free: int


def warning(space: Space) -> str | None:
    """Say so where less than 5 % or 200 MB is left."""
    if space.free >= WARN_BYTES and space.free >= space.total * WARN_SHARE:
        return None
    return f"The disk of the database has {_megabytes(space.free)} left. Make room."


def refusal(space: Space, *, reserve: int) -> str | None:
    """Say why no new notice is taken: `reserve` bytes are kept for answers and outcomes."""
    if space.free >= reserve:
        return None
    return (
        f"The disk of the database has {_megabytes(space.free)} left, and the last "
        f"{_megabytes(reserve)} are kept for answers. No new notice is taken until an operator "
        "makes room."
    )


def _megabytes(count: int) -> str:
    return f"{count // MEGABYTE:,} MB"

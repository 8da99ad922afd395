"""What the auditor says: every check, what it found, and what to do about it."""

from enum import StrEnum

from noticebus.contracts.base import Instant, Published


class Check(StrEnum):
    """What the auditor looks at, apart from the code that does the work."""

    CONSERVATION = "conservation"  # I2: rows and ledger agree, incident by incident
    STEPS_DUE = "steps_due"
    RELEASES_DUE = "releases_due"
    DELIVERIES_DUE = "deliveries_due"
    ENDS_DUE = "ends_due"
    PARKED = "parked"
    STEPPED_AFTER_END = "stepped_after_end"  # I5
    STEPPED_TWICE = "stepped_twice"  # I5
    INDEX_GROWTH = "index_growth"
    INDEX_GAPS = "index_gaps"
    COUNTERS = "counters"  # a full audit only: the report's counters say what the rows say
    LEAVES = "leaves"  # a full audit only: every entry is what was hashed


class CheckView(Published):
    """One check. `ids` are the first of `count`; `at_least` says that there may be more."""

    check: Check
    ok: bool
    count: int = 0
    at_least: bool = False
    since: Instant | None = None
    ids: tuple[str, ...] = ()
    message: str | None = None
    remedy: str | None = None


class AuditView(Published):
    """The auditor's last look, or a part of a full audit.

    `at` is world time, null while nobody has looked yet. A part of a full audit says how many
    incidents and entries it recounted, of how many, and `next` asks for the part that follows.
    """

    at: Instant | None
    ok: bool
    full: bool
    checks: tuple[CheckView, ...]
    incidents: int | None = None
    incidents_in_all: int | None = None
    entries: int | None = None
    entries_in_all: int | None = None
    next: str | None = None

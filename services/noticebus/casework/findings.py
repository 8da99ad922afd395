"""What the auditor can find, in sentences: a cause and a remedy for each check."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from noticebus.contracts.audit import Check, CheckView
from noticebus.store.audit import COUNT_MAX, Late

IDS_SHOWN_MAX = 20

# Each: what is found (after the number), and what to do about it.
_SENTENCES: Mapping[Check, tuple[str, str]] = {
    Check.CONSERVATION: (
        "incidents have other obligations in their rows than in the ledger",
        (
            "Rows were changed or lost outside the bus. Stop changing them, run `noticebus"
            " audit`, and compare with a backup."
        ),
    ),
    Check.STEPS_DUE: (
        "obligations have an escalation step that is due and does not fire",
        (
            "No engine runs, or it cannot keep up. Look at the processes with the role ledger"
            " and at their log; call these recipients by hand until it runs."
        ),
    ),
    Check.RELEASES_DUE: (
        "embargoed notices are due and not released",
        (
            "No engine runs, or it cannot keep up. Look at the processes with the role ledger"
            " and at their log; tell the recipients by hand until it runs."
        ),
    ),
    Check.DELIVERIES_DUE: (
        "deliveries are due and no dispatcher takes them",
        "Look at the processes with the role dispatcher and at their log.",
    ),
    Check.ENDS_DUE: (
        "exercises and offers are past their end and go on",
        (
            "No engine runs, or it cannot keep up. Look at the processes with the role ledger"
            " and at their log; tell those an exercise still reminds that it is over."
        ),
    ),
    Check.PARKED: (
        "open obligations have steps left and no next one, so nobody is reminded",
        (
            "Call these recipients and record their answers. The log says under step.broken or"
            " step.refused what could not fire."
        ),
    ),
    Check.STEPPED_AFTER_END: (
        "obligations took a step after the answer that ended their round",
        "This must never happen: keep the database as it is, and report it with the ids.",
    ),
    Check.STEPPED_TWICE: (
        "obligations took one step twice",
        "This must never happen: keep the database as it is, and report it with the ids.",
    ),
    Check.INDEX_GROWTH: (
        "ledger entries wait for their index",
        "No sequencer runs, or it cannot keep up. Look at the processes with the role ledger.",
    ),
    Check.INDEX_GAPS: (
        "indexes of the ledger are missing",
        (
            "Entries were removed or changed outside the bus. Keep the database as it is, and"
            " compare with a backup."
        ),
    ),
    Check.COUNTERS: (
        "counters of the report differ from the rows they count, so its figures are wrong",
        (
            "Rows or counters were changed outside the bus, or a release before 0.2 wrote beside"
            " this one. Run `noticebus db recount`; if it comes again, report it with the ids."
        ),
    ),
    Check.LEAVES: (
        "entries are not what was hashed when they were written",
        (
            "Entries were changed outside the bus. Keep the database as it is, and compare with a"
            " backup."
        ),
    ),
}
QUICK = tuple(check for check in Check if check not in {Check.LEAVES, Check.COUNTERS})
LATE = (
    Check.STEPS_DUE,
    Check.RELEASES_DUE,
    Check.DELIVERIES_DUE,
    Check.ENDS_DUE,
    Check.INDEX_GROWTH,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: how many, which first, and since when (world time)."""

    check: Check
    count: int
    ids: tuple[str, ...] = ()
    since: dt.datetime | None = None

    @property
    def message(self) -> str:
        """Say what is wrong, in one sentence, with the first few ids."""
        number = f"At least {self.count}" if self.count >= COUNT_MAX else str(self.count)
        since = "" if self.since is None else f", since {self.since:%Y-%m-%dT%H:%M:%SZ}"
        named = ", ".join(self.ids[:3])
        first = f" ({named}{', …' if self.count > 3 else ''})" if named else ""  # noqa: PLR2004 - shown
        return f"{number} {_SENTENCES[self.check][0]}{since}{first}."

    @property
    def remedy(self) -> str:
        """Say what to do about it."""
        return _SENTENCES[self.check][1]


def of_ids(check: Check, ids: Iterable[str]) -> list[Finding]:
    """Make the finding of a check that names things; none where it names nothing."""
    found = sorted(set(ids))
    if not found:
        return []
    return [Finding(check=check, count=len(found), ids=tuple(found))]


def of_late(check: Check, late: Late) -> Finding:
    """Make the finding of a check on what should have been done by now."""
    return Finding(check=check, count=len(late.ids), ids=tuple(late.ids), since=late.since)


def views(
    findings: Sequence[Finding], *, checks: Iterable[Check], ids_max: int = IDS_SHOWN_MAX
) -> tuple[CheckView, ...]:
    """Show every check, found or not, with at most `ids_max` of the ids it names."""
    found = {one.check: one for one in findings}
    return tuple(
        CheckView(check=check, ok=True) if check not in found else _view(found[check], ids_max)
        for check in checks
    )


def _view(one: Finding, ids_max: int) -> CheckView:
    return CheckView(
        check=one.check,
        ok=False,
        count=one.count,
        at_least=one.count >= COUNT_MAX,
        since=one.since,
        ids=one.ids[:ids_max],
        message=one.message,
        remedy=one.remedy,
    )

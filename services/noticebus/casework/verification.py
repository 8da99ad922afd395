"""The ledger checked from a page, a few parts a request, so that no request waits for the whole.

Between requests the browser carries how far it has come; that is sealed, so that what is entered in
the ledger at the end is what was found. A check of everything is the full audit of
casework/recount.py; one of a range hashes its entries again and counts its gaps.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from noticebus.access.keyring import base64url
from noticebus.access.principals import Principal, require
from noticebus.casework import recount
from noticebus.casework.audit import READERS
from noticebus.casework.desk import Desk
from noticebus.contracts.audit import AuditView
from noticebus.errors import BadRequestError
from noticebus.store import ledger

ENTRY_TYPE = "ledger.verified"
PARTS_AT_ONCE = 5
IDS_KEPT = 20
SEALED_MAX = 20_000
_PURPOSE = b"ledger check v1"
_MAC_BYTES = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104, section 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What one check has found so far: how many, and the first ids."""

    count: int
    ids: tuple[str, ...]
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a check has come. `cursor` None: it is done; `last` None: to the newest entry."""

    by: str
    started_at: str
    first: int
    last: int | None
    cursor: str | None
    incidents: int = 0
    incidents_in_all: int = 0
    entries: int = 0
    entries_in_all: int = 0
    faults: Mapping[str, Fault] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.cursor is None

    @property
    def of_everything(self) -> bool:
        return self.first == 0 and self.last is None


def begin(desk: Desk, principal: Principal, *, first: int, last: int | None) -> Progress:
    """Begin a check: of everything, or of the entries from index `first` to `last`."""
    require(principal, *READERS)
    everything = first == 0 and last is None
    return Progress(
        by=principal.id,
        started_at=desk.world.now().isoformat(),
        first=first,
        last=last,
        cursor="" if everything else f"entries:{first}",
    )


async def advance(desk: Desk, principal: Principal, progress: Progress) -> Progress:
    """Check the next few parts; at the end enter in the ledger what was checked and found."""
    require(principal, *READERS)
    if progress.is_done:
        return progress
    for _ in range(PARTS_AT_ONCE):
        assert progress.cursor is not None, "the loop ends with the check"
        part = await recount.read_part(desk, principal, cursor=progress.cursor)
        progress = _after(progress, part)
        if progress.is_done:
            await _enter(desk, progress)
            break
    return progress


def seal(desk: Desk, progress: Progress) -> str:
    """Write progress as a text that only the bus can have written."""
    text = json.dumps(asdict(progress), separators=(",", ":")).encode()
    mac = desk.keyring.token_mac([_PURPOSE, text])[:_MAC_BYTES]
    return f"{base64url(text)}.{base64url(mac)}"


def unseal(desk: Desk, principal: Principal, sealed: str) -> Progress:
    """Read what `seal` wrote for this very person; BadRequestError for anything else."""
    body, _, mac = sealed[:SEALED_MAX].partition(".")
    try:
        text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError) as error:
        raise _unreadable() from error
    macs = desk.keyring.token_macs([_PURPOSE, text])
    good = [hmac.compare_digest(base64url(one[:_MAC_BYTES]).encode(), mac.encode()) for one in macs]
    if not any(good):
        raise _unreadable()
    kept = json.loads(text)
    faults = {
        name: Fault(**one | {"ids": tuple(one["ids"])}) for name, one in kept["faults"].items()
    }
    progress = Progress(**kept | {"faults": faults})
    if progress.by != principal.id:
        raise _unreadable()
    return progress


def _after(progress: Progress, part: AuditView) -> Progress:
    faults = dict(progress.faults)
    for check in part.checks:
        if not check.ok:
            before = faults.get(check.check)
            ids = (*(before.ids if before else ()), *check.ids)
            faults[check.check.value] = Fault(
                count=check.count + (before.count if before else 0),
                ids=ids[:IDS_KEPT],
                message=check.message or "",
                remedy=check.remedy or "",
            )
    return replace(
        progress,
        cursor=None if _beyond(progress, part.next) else part.next,
        incidents=progress.incidents + (part.incidents or 0),
        incidents_in_all=part.incidents_in_all or 0,
        entries=progress.entries + (part.entries or 0),
        entries_in_all=part.entries_in_all or 0,
        faults=faults,
    )


def _beyond(progress: Progress, cursor: str | None) -> bool:
    if cursor is None:
        return True
    kind, _, place = cursor.partition(":")
    if progress.last is None:
        return False
    return kind == "counters" or (kind == "entries" and int(place) > progress.last)


async def _enter(desk: Desk, progress: Progress) -> None:
    entry = ledger.make_entry(
        ENTRY_TYPE,
        {
            "by": progress.by,
            "started_at": progress.started_at,
            "first": progress.first,
            "last": progress.last,
            "incidents": progress.incidents,
            "entries": progress.entries,
            "found": {name: one.count for name, one in progress.faults.items()},
        },
        at=desk.world.now(),
    )
    async with desk.database.begin() as conn:
        await ledger.append(conn, [entry])
    desk.committed()


def _unreadable() -> BadRequestError:
    return BadRequestError("This check cannot be continued. Start it again on the ledger's page.")

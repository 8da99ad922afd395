"""What a caller keeps as proof that the ledger has its post or answer."""

from noticebus.contracts.base import Published


class Receipt(Published):
    """Points at the ledger entry. `leaf_hash` and `signature` are null until they are computed."""

    entry_id: str
    leaf_hash: str | None
    signature: str | None

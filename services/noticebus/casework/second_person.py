"""The second person: what one may not do alone takes another account, under another name."""

from typing import Protocol

from noticebus.access.principals import Principal
from noticebus.ids import ActorId


class Asked(Protocol):
    """What somebody has asked for: who, by the account and by name."""

    @property
    def requested_by(self) -> ActorId: ...

    @property
    def by_name(self) -> str: ...


def is_second_person(asked: Asked, principal: Principal, *, name: str) -> bool:
    """Say whether somebody may confirm a request: by another key and under another name."""
    return principal.id != asked.requested_by and _same(name) != _same(asked.by_name)


def _same(name: str) -> str:
    return " ".join(name.split()).casefold()

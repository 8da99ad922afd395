"""Passwords: argon2id with bounded work, the rules a new one must keep, and one-time ones.

What is stored of a one-time password says until when it opens, and that it opens only the page on
which its holder chooses another.
"""

import asyncio
import datetime as dt
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from noticebus.access.common_passwords import COMMON
from noticebus.access.keyring import base64url
from noticebus.errors import Detail, InvalidError, RateLimitedError

# NIST SP 800-63B-4, section 3.1.1.2: 15 characters where a password is the only factor, no rules
# of composition, no change without a reason, and a list of what is tried first.
LENGTH_MIN = 15
LENGTH_MAX = 200
ONE_TIME_FOR = dt.timedelta(hours=72)
AT_ONCE_MAX = 2  # 64 MiB each
WAITING_MAX = 32
_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read for another
_GROUPS, _GROUP = 5, 4  # 99 bits
_ONCE = "once"
_OWN_WORDS = ("noticebus", "notice", "password", "operator", "supervisor", "administrator", "bus")
_OTHER_SIGNS_MIN = 8  # beside the product's and the login's own words
_DIFFERENT_MIN = 5
_WORD_MIN = 3
_NO_SIGN = re.compile(r"[\W_]+")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What comparing a password found. `fresh` is its hash under the parameters of today."""

    matches: bool
    one_time: bool = False
    fresh: str | None = None


def name_of(stored: str | None) -> str:
    """Name a password by what is stored of it: what is given for it ends with the next one."""
    return hashlib.sha256((stored or "").encode()).hexdigest()[:32]


class Passwords:
    """Hashes and compares, two at a time: a burst of tries waits, and a longer one is refused."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        # RFC 9106, section 4: the second recommended parameters (64 MiB, 3 passes, 4 lanes).
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._inside = 0
        self._nobodys = _hash_of_nobody(self._hasher)

    async def hash(self, password: str) -> str:
        """Hash a password for storing."""
        return await self._work(lambda: self._hasher.hash(normal(password)))

    async def hash_one_time(self, password: str, *, now: dt.datetime) -> str:
        """Hash a password that opens for `ONE_TIME_FOR`, and only to choose another."""
        until = int((now + ONE_TIME_FOR).timestamp())
        return f"{_ONCE}:{until}:{await self.hash(password)}"

    async def verify(self, stored: str | None, password: str, *, now: dt.datetime) -> Verdict:
        """Compare; where nothing is stored the same work is done, and nothing matches."""
        until, hashed = _parts(stored or self._nobodys)
        typed = normal(password[: LENGTH_MAX + 1])
        matches = await self._work(lambda: self._matches(hashed, typed))
        lives = until is None or now.timestamp() < until
        if not (matches and lives and stored):
            return Verdict(matches=False)
        if until is None and self._hasher.check_needs_rehash(hashed):
            return Verdict(matches=True, fresh=await self.hash(password))
        return Verdict(matches=True, one_time=until is not None)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, do: Callable[[], T]) -> T:
        if self._inside >= WAITING_MAX:
            raise RateLimitedError(
                "Many people are signing in at this moment. Wait half a minute, then try again."
            )
        self._inside += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(do)
        finally:
            self._inside -= 1


def new_one_time_password() -> str:
    """Make a password to be read to somebody: five groups of four signs."""
    return "-".join("".join(secrets.choice(_SIGNS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def check_new_password(password: str, *, own: Iterable[str]) -> None:
    """Raise InvalidError with what to change. `own` are the login and the name of its owner."""
    if (fault := _fault(normal(password), own=own)) is not None:
        raise InvalidError(fault, details=(Detail(pointer="/password", message=fault),))


def normal(password: str) -> str:
    """Write a password as it is hashed: composed (NFC; RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def _fault(password: str, *, own: Iterable[str]) -> str | None:
    if len(password) < LENGTH_MIN:
        return (
            f"The password has {len(password)} characters and needs {LENGTH_MIN}."
            " Four or five words that have nothing to do with each other are easy to keep in mind."
        )
    if len(password) > LENGTH_MAX:
        return f"The password has {len(password)} characters; {LENGTH_MAX} are enough. Shorten it."
    folded = password.casefold()
    if _NO_SIGN.sub("", folded) in COMMON or len(set(folded)) < _DIFFERENT_MIN:
        return "This password is among those that are tried first. Choose words of your own."
    words = (*_OWN_WORDS, *(part for text in own for part in _NO_SIGN.split(text.casefold())))
    for word in sorted((one for one in words if len(one) >= _WORD_MIN), key=len, reverse=True):
        folded = folded.replace(word, "")
    if len(folded) < _OTHER_SIGNS_MIN or len(set(folded)) < _DIFFERENT_MIN:
        return (
            "This password is little more than your own name or that of the bus."
            " Add words that nobody would look for."
        )
    return None


def _parts(stored: str) -> tuple[int | None, str]:
    """Part what is stored into until when it opens, where it opens once, and the hash."""
    if not stored.startswith(f"{_ONCE}:"):
        return None, stored
    _, until, hashed = stored.split(":", 2)
    return int(until), hashed


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """Write a hash that no password has, at the cost of every other."""
    salt, digest = (
        base64url(secrets.token_bytes(length)).replace("-", "+").replace("_", "/")
        for length in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"

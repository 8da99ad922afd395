"""Passwords: which are taken, how they are hashed, and how much of that happens at once."""

import asyncio
import datetime as dt
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from noticebus.access.common_passwords import COMMON
from noticebus.access.passwords import (
    AT_ONCE_MAX,
    LENGTH_MAX,
    LENGTH_MIN,
    WAITING_MAX,
    Passwords,
    check_new_password,
    new_one_time_password,
)
from noticebus.errors import InvalidError, RateLimitedError

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WITHIN_S = 30
OWN = ("dana.reyes@agency.gov", "Dana Reyes")


async def test_parameters_are_the_second_that_rfc_9106_recommends() -> None:
    stored = await Passwords().hash("vier Enten rudern")
    found = extract_parameters(stored)
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (
        Type.ID,
        64 * 1024,
        3,
        4,
    )
    assert (found.salt_len, found.hash_len) == (16, 32)


@pytest.mark.parametrize(
    "password",
    [
        "vier Enten rudern",
        "               a b c d",
        "пароль из пяти слов",
        "🦆🦢🐥🐣🐧🐔🦉🦅🦆🦢🐥🐣🐧🐔🦉🦅",
        "#$%^&*()_+{}|:?><~",
        "7391 0462 8853 1279",
        "x" + "ab1 C" * 30,
    ],
)
def test_any_signs_make_a_password_that_is_long_enough(password: str) -> None:
    check_new_password(password, own=OWN)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "has 0 characters"),
        ("fourteen signs", "has 14 characters"),
        ("ab1 C" * 41, "has 205 characters"),
        ("aaaaaaaaaaaaaaaaaaaa", "tried first"),
        ("abababababababab", "tried first"),
        ("The Quick Brown Fox!", "tried first"),
        ("correct horse battery staple", "tried first"),
        ("noticebus-2026-noticebus-2026", "your own name"),
        ("password!!!!!!!!!!!", "your own name"),
        ("Dana.Reyes@agency.gov", "your own name"),
        ("danareyesdanareyes1", "your own name"),
        ("Supervisor Password 1", "your own name"),
    ],
)
def test_what_is_short_or_tried_first_is_refused_and_says_why(password: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as refused:
        check_new_password(password, own=OWN)
    assert password == "" or password not in refused.value.message


def test_every_common_password_is_long_enough_to_need_the_list_and_written_as_it_is_compared() -> (
    None
):
    assert {one for one in COMMON if len(one) < LENGTH_MIN} == set()
    for one in COMMON:
        with pytest.raises(InvalidError):
            check_new_password(one, own=())


def test_one_time_passwords_pass_the_rules_and_differ() -> None:
    made = {new_one_time_password() for _ in range(100)}
    assert len(made) == 100
    for one in made:
        check_new_password(one, own=OWN)
        assert not set(one) & set("ilo01")


async def test_no_more_than_two_are_compared_at_once_and_a_flood_is_refused() -> None:
    class Slow(PasswordHasher):
        at_once = most = 0
        lock = threading.Lock()
        entered, go = threading.Semaphore(0), threading.Event()

        def verify(self, *_: object) -> bool:  # type: ignore[override]
            with self.lock:
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            self.entered.release()
            self.go.wait(WITHIN_S)
            with self.lock:
                self.at_once -= 1
            return False

    hasher = Slow(time_cost=1, memory_cost=64, parallelism=1)
    passwords = Passwords(hasher)
    async with asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(passwords.verify(None, "x", now=NOW)) for _ in range(WAITING_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(RateLimitedError):
            await passwords.verify(None, "x", now=NOW)
        for _ in range(AT_ONCE_MAX):  # else none may overlap another
            assert await asyncio.to_thread(hasher.entered.acquire, timeout=WITHIN_S)
        hasher.go.set()
    assert not any(one.result().matches for one in waiting)
    assert hasher.most == AT_ONCE_MAX
    assert not (await passwords.verify(None, "x", now=NOW)).matches


@pytest.mark.parametrize("stored", ["", "garbage", "$argon2id$v=19$m=64,t=1,p=1$AA$AA"])
async def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not (await Passwords().verify(stored, stored, now=NOW)).matches


async def test_password_over_the_limit_is_not_the_one_it_begins_with() -> None:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    whole = "ab1 C" * (LENGTH_MAX // 5)
    stored = await passwords.hash(whole)
    assert (await passwords.verify(stored, whole, now=NOW)).matches
    assert not (await passwords.verify(stored, whole + "x", now=NOW)).matches

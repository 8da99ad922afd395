"""What the bus hands over gathers while nobody is free to claim it."""

import asyncio

from noticebus.bus.port import Received, Shard
from noticebus.dispatcher.handed import TOGETHER_MAX, Handed
from noticebus.ids import DeliveryId, NoticeId


def a_shard(name: str, deliveries: int) -> Received:
    async def done() -> None:
        """Be forgotten."""

    ids = tuple(DeliveryId(f"dlv_{name}_{number}") for number in range(deliveries))
    return Received(shard=Shard(notice_id=NoticeId(name), number=0, delivery_ids=ids), done=done)


def names(taken: list[Received]) -> list[str]:
    return [one.shard.notice_id for one in taken]


async def test_what_has_gathered_is_taken_together_in_its_order() -> None:
    handed = Handed()
    for name in ("a", "b", "c"):
        handed.put(a_shard(name, 2))

    assert names(handed.take()) == ["a", "b", "c"]
    assert handed.take() == []


async def test_no_more_is_taken_together_than_one_claim_takes_and_no_shard_is_parted() -> None:
    handed = Handed()
    for name in ("a", "b", "c"):
        handed.put(a_shard(name, TOGETHER_MAX - 1))

    assert names(handed.take()) == ["a", "b"]
    assert names(handed.take()) == ["c"]


async def test_who_waits_is_woken_by_the_next_one_and_only_then() -> None:
    handed = Handed()
    woken: list[str] = []

    async def wait(name: str) -> None:
        await handed.wait()
        woken.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait("first"))
        await asyncio.sleep(0)
        assert woken == []
        handed.put(a_shard("a", 1))
    handed.take()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait("second"))
        await asyncio.sleep(0)
        assert woken == ["first"]
        handed.put(a_shard("b", 1))
    assert woken == ["first", "second"]

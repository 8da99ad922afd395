"""What is in flight, and what has been claimed and is about to be: together they are bounded."""

import asyncio
import contextlib

from noticebus.dispatcher.slots import PATIENCE_S, Room


async def waits(room: Room) -> bool:
    """Tell whether a claim would wait now."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(room.wait())
        await asyncio.sleep(0)
        found = not waiting.done()
        waiting.cancel()
    return found


async def test_a_claim_waits_while_the_room_is_full() -> None:
    room = Room(2)
    room.take()
    one_in = await waits(room)
    room.take()
    two_in = await waits(room)
    room.give_back()

    assert (one_in, two_in, await waits(room)) == (False, True, False)


async def test_a_batch_that_is_still_being_read_counts_as_if_it_were_in() -> None:
    """Else claims would run ahead of reads that are slow, without a bound."""
    room = Room(500)

    with room.expecting(500):
        while_read = await waits(room)

    assert (while_read, await waits(room)) == (True, False)


async def test_whoever_waits_goes_on_as_soon_as_a_batch_comes_to_nothing() -> None:
    room = Room(1)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        with room.expecting(1):
            waiting = tasks.create_task(room.wait())
            await asyncio.sleep(0)

    assert waiting.done()


async def test_a_claim_waits_while_it_is_crowded() -> None:
    crowd = [1]
    room = Room(500, crowded=lambda: bool(crowd))
    room.take()
    while_crowded = await waits(room)
    crowd.clear()
    room.give_back()

    assert (while_crowded, await waits(room)) == (True, False)


async def test_a_crowd_that_ends_elsewhere_lets_claims_go_on() -> None:
    crowd = [1]
    room = Room(500, crowded=lambda: bool(crowd))

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(room.wait())
        await asyncio.sleep(0)
        crowd.clear()
        room.look_again()

    assert waiting.done()


async def test_a_claim_waits_for_a_crowd_no_longer_than_its_patience() -> None:
    """The crowd may be of an endpoint that the claim does not concern (I12)."""
    room = Room(500, crowded=lambda: True)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with asyncio.timeout(30):
        await room.wait()

    assert loop.time() - began >= PATIENCE_S


async def test_of_several_claims_that_wait_for_a_crowd_one_goes_at_a_time() -> None:
    room = Room(500, crowded=lambda: True)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(room.wait())

    assert loop.time() - began >= 3 * PATIENCE_S


async def test_a_claim_waits_as_long_as_nothing_more_can_be_recorded() -> None:
    behind = [1]
    room = Room(500, held_up=lambda: bool(behind))

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(room.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * PATIENCE_S):
                await asyncio.shield(waiting)
        waited = not waiting.done()
        behind.clear()
        room.look_again()

    assert waited


async def test_a_claim_that_waits_for_room_looks_only_when_something_changes() -> None:
    """However long it has waited: else it would go round and round behind a slow recorder."""
    looks = list[int]()

    def held_up() -> bool:
        looks.append(1)
        return True

    room = Room(500, held_up=held_up)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(room.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * PATIENCE_S):
                await asyncio.shield(waiting)
        room.look_again()
        await asyncio.sleep(0)
        waiting.cancel()

    assert len(looks) <= 2

"""What is in flight, and what has been claimed and is about to be: together they are bounded."""

import asyncio

from noticebus.dispatcher.slots import Room


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

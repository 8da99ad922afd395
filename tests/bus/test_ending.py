"""Stopping a client that stumbles must not stop the loop that wants to connect again."""

import asyncio
import datetime as dt

import pytest
from aiokafka.errors import KafkaConnectionError

from noticebus.bus.ending import ending

LIMIT = dt.timedelta(seconds=5)


@pytest.mark.parametrize("error", [KafkaConnectionError(), TimeoutError()])
async def test_what_the_client_stumbles_over_is_passed_over(error: Exception) -> None:
    async with ending(LIMIT):
        raise error


async def test_client_that_does_not_end_is_left_at_the_limit() -> None:
    async with asyncio.timeout(30), ending(dt.timedelta(milliseconds=10)):
        await asyncio.Event().wait()


async def test_cancellation_of_a_foreign_task_is_not_taken_for_ours() -> None:
    async with ending(LIMIT):
        raise asyncio.CancelledError


async def test_our_own_cancellation_passes() -> None:
    async def end() -> None:
        async with ending(LIMIT):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(end())
        await asyncio.sleep(0)
        task.cancel()

    assert task.cancelled()

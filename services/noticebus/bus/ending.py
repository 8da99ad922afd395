"""Stop a client of aiokafka, whatever state the broker and the client are in."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator

import structlog
from aiokafka.errors import KafkaError

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def ending(limit: dt.timedelta) -> AsyncIterator[None]:
    """Give the block at most `limit`; what Kafka's client stumbles over is noted and passed over.

    With the broker away, aiokafka lets the cancellation of tasks of its own escape. Taken for ours,
    it would end the loop that wanted to connect again, without a word. Our own passes.
    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except (KafkaError, TimeoutError) as error:
        log.info("bus.ending_failed", reason=type(error).__name__)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise

"""Puts an event on the topic of an agency that consumes Kafka.

The broker is the operator's own, so whatever it does is our fault, never the recipient's; and what
it has taken is delivered.
"""

import asyncio
import datetime as dt
import hashlib

from noticebus.bus.port import CONTENT_TYPE, Bus
from noticebus.contracts.vocabulary import Fault, Outcome, Status
from noticebus.domain.delivery import AttemptResult
from noticebus.errors import UnavailableError
from noticebus.store.deliveries import Delivery


async def send_to_topic(
    bus: Bus, delivery: Delivery, *, body: bytes, status: Status | None
) -> AttemptResult:
    """Send once and say what came of it. Raises nothing for what the broker does."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    error = ""
    try:
        await bus.send_to_agency(
            delivery.agency_id,
            key=delivery.incident_id or delivery.subject,
            value=body,
            headers=headers_of(delivery, status=status),
        )
    except UnavailableError as away:
        error = f"{str(away).rstrip('.')}. It is tried again by itself."
    return AttemptResult(
        outcome=Outcome.FAILED if error else Outcome.DELIVERED,
        fault=Fault.OURS if error else None,
        error=error,
        body_digest=hashlib.sha256(body).hexdigest(),
        duration=dt.timedelta(seconds=loop.time() - started),
    )


def headers_of(delivery: Delivery, *, status: Status | None) -> dict[str, str]:
    """Say what a consumer must know before it reads the body.

    `exercise` is true for everything that has not happened, tests included (I9); `ce_id` is the
    same at every repeat (I3).
    """
    real = status in {None, Status.ACTUAL}
    return {
        "content-type": CONTENT_TYPE,
        "ce_id": delivery.id,
        "exercise": "false" if real else "true",
    }

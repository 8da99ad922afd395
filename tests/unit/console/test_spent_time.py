"""Where an attempt's time went, drawn and said."""

import datetime as dt

from noticebus.console.spent_time import spent_time
from noticebus.contracts.vocabulary import Outcome
from noticebus.ids import DeliveryId
from noticebus.store.deliveries import Attempt

AT = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)


def attempt(duration_ms: int, **spent: int) -> Attempt:
    return Attempt(
        delivery_id=DeliveryId("dlv_1"),
        number=1,
        started_at=AT,
        finished_at=AT,
        outcome=Outcome.DELIVERED,
        fault=None,
        status_code=200,
        body_digest="",
        response_excerpt="",
        error="",
        duration_ms=duration_ms,
        **spent,  # type: ignore[arg-type]  # four numbers
    )


def test_every_phase_and_the_rest_follow_each_other_and_fill_the_bar() -> None:
    spent = spent_time(attempt(400, dns_ms=0, connect_ms=20, tls_ms=40, first_byte_ms=320))

    assert spent is not None
    assert spent.said == "name 0 ms, connect 20 ms, TLS 40 ms, first byte 320 ms, in all 400 ms"
    assert [(one.key, one.x, one.width) for one in spent.stretches] == [
        ("connect", 0, 5),
        ("tls", 5, 10),
        ("first-byte", 15, 80),
        ("rest", 95, 5),
    ]


def test_connection_that_was_open_is_said_and_what_nobody_timed_has_no_bar() -> None:
    reused = spent_time(attempt(9, first_byte_ms=9))

    assert reused is not None
    assert reused.said == "first byte 9 ms, in all 9 ms; the connection was open already"
    assert len(reused.stretches) == 1
    assert spent_time(attempt(9)) is None

import datetime as dt
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import generate_latest

from harness import run
from noticebus.telemetry import Metrics, configure_logging

CANARY = "Maria Example, 12 Elm Street, born 2014-03-02"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Configure logging onto a buffer and put everything back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(log_format="json", stream=stream)
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)
    logging.getLogger("noticebus").setLevel(logging.NOTSET)
    logging.getLogger("uvicorn.access").disabled = False
    structlog.reset_defaults()
    run.write_plain_logs()


def test_a_fact_under_an_allowed_key_is_logged(output: io.StringIO) -> None:
    structlog.get_logger("noticebus.test").info("delivery.failed", delivery_id="dlv_1", status=503)

    line = json.loads(output.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "delivery.failed",
        "level": "info",
        "delivery_id": "dlv_1",
        "status": 503,
    }


def test_bound_ids_are_on_every_line(output: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger("noticebus.test").warning("delivery.failed")

    assert json.loads(output.getvalue())["request_id"] == "req_1"


def test_an_unknown_key_is_dropped_and_counted(output: io.StringIO) -> None:
    structlog.get_logger("noticebus.test").info("delivery.failed", name=CANARY, headline=CANARY)

    assert "Elm" not in output.getvalue()
    assert json.loads(output.getvalue())["dropped"] == 2


def test_an_event_made_of_a_sentence_is_refused(output: io.StringIO) -> None:
    structlog.get_logger("noticebus.test").info(f"could not reach {CANARY}")

    assert "Elm" not in output.getvalue()
    assert json.loads(output.getvalue())["event"] == "log.event_refused"


def test_a_traceback_shows_types_and_frames_but_no_message(output: io.StringIO) -> None:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        structlog.get_logger("noticebus.test").exception("delivery.broke")

    assert "Elm" not in output.getvalue()
    shown = json.loads(output.getvalue())["exception"]
    assert "builtins.RuntimeError" in shown
    assert "builtins.ValueError" in shown
    assert "test_telemetry.py" in shown


def test_every_member_of_a_group_of_exceptions_is_shown(output: io.StringIO) -> None:
    group = ExceptionGroup(CANARY, [KeyError(CANARY), OSError(CANARY)])

    structlog.get_logger("noticebus.test").error("worker.ended", exc_info=group)

    shown = json.loads(output.getvalue())["exception"]
    assert "builtins.KeyError" in shown
    assert "builtins.OSError" in shown
    assert "Elm" not in shown


def test_a_library_is_named_but_not_its_arguments(output: io.StringIO) -> None:
    logging.getLogger("some.library").error("failed to send %s", CANARY)

    line = json.loads(output.getvalue())
    assert line["event"] == "library.spoke"
    assert line["logger"] == "some.library"
    assert line["reason"] == "failed to send %s"
    assert line["level"] == "error"
    assert "Elm" not in output.getvalue()


def test_a_librarys_exception_is_shown_without_its_message(output: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("some.library").exception("failed")

    assert "builtins.ValueError" in output.getvalue()
    assert "Elm" not in output.getvalue()


def test_a_very_long_value_is_cut(output: io.StringIO) -> None:
    structlog.get_logger("noticebus.test").info("delivery.failed", reason="x" * 10_000)

    assert len(output.getvalue()) < 500


def test_the_console_form_is_for_people() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level

    configure_logging(log_format="console", stream=stream)
    structlog.get_logger("noticebus.test").warning("delivery.failed", status=503)
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()
    run.write_plain_logs()

    assert "delivery.failed" in stream.getvalue()
    assert "503" in stream.getvalue()


def test_metrics_have_one_prefix_and_carry_what_was_counted() -> None:
    metrics = Metrics.create()

    metrics.count_delivery("webhook", "delivered", dt.timedelta(milliseconds=12))
    metrics.count_step("on_duty")
    metrics.observe_answer(dt.timedelta(minutes=7))

    text = generate_latest(metrics.registry).decode()
    assert 'noticebus_deliveries_total{channel="webhook",outcome="delivered"} 1.0' in text
    assert 'noticebus_delivery_duration_seconds_bucket{le="0.025"} 1.0' in text
    assert 'noticebus_escalations_total{level="on_duty"} 1.0' in text
    assert 'noticebus_ack_latency_seconds_bucket{le="600.0"} 1.0' in text
    assert all(line.startswith(("#", "noticebus_")) for line in text.splitlines())


def test_two_systems_in_one_process_count_apart() -> None:
    one, other = Metrics.create(), Metrics.create()

    one.count_step("head")

    assert "noticebus_escalations_total{" not in generate_latest(other.registry).decode()

"""What the bus tells its operators: logs as facts, and metrics.

A log line is an event (constant, dotted, past tense) and facts under keys that `KEYS` allows.
Names, addresses and the text of notices have no key, so they cannot reach the log.
"""

import datetime as dt
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

KEYS = frozenset(
    {
        "event", "level", "timestamp", "logger", "exception", "dropped",
        # which
        "acknowledgement_id", "agency_id", "api_key_id", "contact_id", "delivery_id", "entry_id",
        "incident_id", "notice_id", "obligation_id", "policy_id", "question_id", "request_id",
        "responsibility_id", "session_id", "subscription_id", "user_id", "revision", "version",
        "sequence", "index", "shard",
        # what
        "attempt", "attempts", "cause", "channel", "class", "code", "fault", "kind", "method",
        "outcome", "reason", "remedy", "role", "route", "setting", "state", "status", "step",
        "group", "offset", "partition", "topic", "process_id", "port",
        # how much
        "batch", "bytes", "claimed", "count", "delay_s", "duration_ms", "given_up", "lag", "late_s",
        "limit", "offered", "published", "queued", "recipients", "released", "retry_after_s",
        "rows", "shards", "statements", "waited_s",
    }
)  # fmt: skip
TEXT_MAX = 200  # longer is prose, and prose may be somebody's
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_FRAMES_MAX = 20
_CHAIN_MAX = 5

# The deadlines of the default policies, and a day.
LATENCY_BUCKETS_S = (300, 600, 900, 1200, 1800, 2700, 3600, 7200, 14400, 28800, 86400)
DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)


def configure_logging(
    *, log_format: str, level: str = "info", stream: TextIO | None = None
) -> None:
    """Send all logs to `stream` (stderr), as `json` or for a `console`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        show_exception,
        keep_allowed,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[name_library, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _renderer(log_format),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("noticebus").setLevel(level.upper())
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # it repeats itself; the bus says it once
    logging.getLogger("uvicorn.access").disabled = True  # it would write the tokens under /a/


def keep_allowed(
    _logger: object, _method: str, facts: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop every key not in `KEYS` and every event that is not a constant, and say how many."""
    kept = {key: _short(value) for key, value in facts.items() if key in KEYS or key[0] == "_"}
    if _EVENT.fullmatch(str(facts["event"])) is None:
        kept["event"] = "log.event_refused"
    if len(kept) < len(facts):
        kept["dropped"] = len(facts) - len(kept)
    return kept


def show_exception(
    _logger: object, _method: str, facts: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace an exception by its types and frames: its message may quote a notice."""
    error = facts.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        facts["exception"] = "\n".join(_frames(error))
    return facts


def name_library(
    _logger: object, _method: str, facts: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Turn a library's log record into a fact: who spoke, not what it quoted."""
    record: logging.LogRecord = facts["_record"]
    facts["event"] = "library.spoke"
    facts["logger"] = record.name
    facts["reason"] = str(record.msg).split("\n", 1)[0]  # the template, never its arguments
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The process's figures for Prometheus, without ids or names in labels.

    Nothing of exercises and tests is counted (I9): obligations, answers, steps nor attempts.
    """

    registry: CollectorRegistry
    obligations_open: Gauge
    obligations_overdue: Gauge
    oldest_overdue: Gauge
    answer_latency: Histogram
    deliveries: Counter
    delivery_duration: Histogram
    escalations: Counter
    dispatcher_last_tick: Gauge
    ledger_sequence: Gauge
    watch: "Watch"
    pressure: "Pressure"
    endpoints: Gauge

    @classmethod
    def create(cls) -> "Metrics":
        """Build the figures on a registry of their own, so that two systems fit one process."""
        to = CollectorRegistry()
        return cls(
            registry=to,
            obligations_open=Gauge(
                "noticebus_obligations_open",
                "Obligations by state",
                ["state"],
                registry=to,
            ),
            obligations_overdue=Gauge(
                "noticebus_obligations_overdue", "Open obligations past due_at", registry=to
            ),
            oldest_overdue=Gauge(
                "noticebus_oldest_overdue_seconds", "Age of the oldest overdue one", registry=to
            ),
            answer_latency=Histogram(
                "noticebus_ack_latency_seconds",
                "From the start of a round to the answer that closed it",
                buckets=LATENCY_BUCKETS_S,
                registry=to,
            ),
            deliveries=Counter(
                "noticebus_deliveries_total",
                "Attempts by channel and outcome",
                ["channel", "outcome"],
                registry=to,
            ),
            delivery_duration=Histogram(
                "noticebus_delivery_duration_seconds",
                "Length of one attempt",
                buckets=DURATION_BUCKETS_S,
                registry=to,
            ),
            escalations=Counter(
                "noticebus_escalations_total",
                "Escalation steps fired, by whom they reach",
                ["level"],
                registry=to,
            ),
            dispatcher_last_tick=Gauge(
                "noticebus_dispatcher_last_tick_timestamp_seconds",
                "When the dispatcher last looked for due deliveries",
                registry=to,
            ),
            ledger_sequence=Gauge(
                "noticebus_ledger_sequence", "Greatest index the sequencer has given", registry=to
            ),
            watch=Watch.create(to),
            pressure=Pressure.create(to),
            endpoints=Gauge(
                "noticebus_endpoints",
                "Endpoints of active subscriptions by how they do",
                ["state"],
                registry=to,
            ),
        )

    def count_delivery(self, channel: str, outcome: str, duration: dt.timedelta) -> None:
        """Count one attempt and its length."""
        self.deliveries.labels(channel=channel, outcome=outcome).inc()
        self.delivery_duration.observe(duration.total_seconds())

    def count_step(self, level: str) -> None:
        """Count one escalation step, by whom it reaches."""
        self.escalations.labels(level=level).inc()

    def observe_answer(self, latency: dt.timedelta) -> None:
        """Note how long an obligation waited for the answer that closed it."""
        self.answer_latency.observe(latency.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How much this process takes on while the database bears it, and what it turns away."""

    claim_size: Gauge
    claims_at_once: Gauge
    intake_waiting: Gauge
    intake_committing: Gauge
    refused: Counter

    @classmethod
    def create(cls, to: CollectorRegistry) -> "Pressure":
        """Build the figures on `to`."""
        return cls(
            claim_size=Gauge(
                "noticebus_dispatcher_claim_size",
                "Deliveries the sweep claims at a time; halved while the database is slow",
                registry=to,
            ),
            claims_at_once=Gauge(
                "noticebus_dispatcher_claims_at_once",
                "Claims that may run at once; halved while the database is slow",
                registry=to,
            ),
            intake_waiting=Gauge(
                "noticebus_intake_waiting", "Notices that wait for their batch", registry=to
            ),
            intake_committing=Gauge(
                "noticebus_intake_committing", "Notices in the batch being stored", registry=to
            ),
            refused=Counter(
                "noticebus_intake_refused_total",
                "Notices refused with 503 before they waited in vain, by reason",
                ["reason"],
                registry=to,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What watches the bus, in figures: the auditor's looks and the pings to the outside."""

    findings: Gauge
    last_look: Gauge
    last_ping: Gauge
    failures: Counter

    @classmethod
    def create(cls, to: CollectorRegistry) -> "Watch":
        """Build the figures on `to`."""
        return cls(
            findings=Gauge(
                "noticebus_audit_findings",
                "What the auditor's last look found, by check; 0 is good",
                ["check"],
                registry=to,
            ),
            last_look=Gauge(
                "noticebus_audit_last_look_timestamp_seconds",
                "When the auditor of this process last looked",
                registry=to,
            ),
            last_ping=Gauge(
                "noticebus_deadman_last_ping_timestamp_seconds",
                "When the dead-man address last took a ping",
                registry=to,
            ),
            failures=Counter(
                "noticebus_deadman_failures_total",
                "Pings that the dead-man address did not take",
                registry=to,
            ),
        )

    def show(self, found: Mapping[str, int], *, at: dt.datetime) -> None:
        """Show what each check of the auditor found, and when it looked."""
        for check, count in found.items():
            self.findings.labels(check=check).set(count)
        self.last_look.set(at.timestamp())


def _renderer(log_format: str) -> structlog.typing.Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_MAX and "\n" not in value:
        return value[:TEXT_MAX] + "…"
    return value


def _frames(error: BaseException) -> Iterator[str]:
    """Walk an exception, its causes and its group, outermost first, bounded."""
    chain: list[BaseException] = [error]
    for current in chain:  # grows as it goes
        if len(chain) <= _CHAIN_MAX:
            chain.extend(getattr(current, "exceptions", ()))
            cause = current.__cause__ or current.__context__
            chain.extend([cause] if cause is not None else [])
        yield f"{type(current).__module__}.{type(current).__qualname__}"
        for frame in traceback.extract_tb(current.__traceback__, limit=-_FRAMES_MAX):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"

"""How to reach Apache Kafka and what its topics are like, and aiokafka's arguments from that."""

import datetime as dt
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from noticebus.errors import InvalidError
from noticebus.ids import AgencyId

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

REQUEST_TIMEOUT = dt.timedelta(
    seconds=15
)  # longer than a rebalance, which a join request waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """Everything an operator sets about Kafka. The defaults suit one broker on this machine."""

    bootstrap: str = "127.0.0.1:9092"
    client_id: str = "noticebus"
    prefix: str = "noticebus"  # of topics and the group, for clusters shared with others

    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None  # the system's authorities when absent
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None

    partitions: int = 12  # the most dispatchers that can share the work
    replication: int = 1  # production: 3
    min_insync: int = 1  # production: 2
    notices_retention: dt.timedelta = dt.timedelta(days=1)  # the sweep has delivered long before
    events_retention: dt.timedelta = dt.timedelta(days=30)

    @property
    def notices_topic(self) -> str:
        return f"{self.prefix}.notices.v1"

    @property
    def events_topic(self) -> str:
        return f"{self.prefix}.events.v1"

    def agency_topic(self, agency_id: AgencyId) -> str:
        """Name the topic that one agency reads."""
        return f"{self.prefix}.agency.{agency_id}.v1"

    @property
    def group(self) -> str:
        return f"{self.prefix}-dispatcher"


class Connection(TypedDict, total=False):
    """The arguments that aiokafka's producer, consumer and administration client share."""

    bootstrap_servers: list[str]
    client_id: str
    request_timeout_ms: int
    security_protocol: str
    ssl_context: ssl.SSLContext
    sasl_mechanism: str
    sasl_plain_username: str
    sasl_plain_password: str


def connect_with(options: KafkaOptions) -> Connection:
    """Turn options into aiokafka's arguments, refusing at once what cannot work."""
    arguments = Connection(
        bootstrap_servers=[host.strip() for host in options.bootstrap.split(",")],
        client_id=options.client_id,
        request_timeout_ms=int(REQUEST_TIMEOUT.total_seconds() * 1000),
        security_protocol=options.security_protocol,
    )
    if options.security_protocol in {"SSL", "SASL_SSL"}:
        arguments["ssl_context"] = _tls(options)
    if options.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
        if not options.sasl_username or not options.sasl_password:
            raise InvalidError(
                f"Kafka's security protocol {options.security_protocol} signs in, but user name or"
                " password is missing: set both.",
                code="bad-setting",
            )
        arguments["sasl_mechanism"] = options.sasl_mechanism
        arguments["sasl_plain_username"] = options.sasl_username
        arguments["sasl_plain_password"] = options.sasl_password
    return arguments


def _tls(options: KafkaOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ssl_cafile)
        if options.ssl_certfile is not None:
            context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile)
    except OSError as error:  # of which ssl.SSLError is one
        raise InvalidError(
            f"Kafka's TLS files cannot be read ({error}):"
            " check the paths of authority, certificate and key.",
            code="bad-setting",
        ) from error
    return context

"""Why no broker can be reached, in words: aiokafka's own error says only that none can."""

import asyncio
import datetime as dt
import socket
import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)

from noticebus.bus.options import KafkaOptions, connect_with
from noticebus.bus.publisher import LinkLostError

LOOK_TIMEOUT = dt.timedelta(seconds=3)

_REMEDY_OF_USER = (
    "set kafka_username and kafka_password to a user of the broker's, and kafka_sasl_mechanism to"
    " the mechanism that the user was made for"
)
_REMEDY_OF_CERTIFICATE = (
    "set kafka_ca_path to the authority that signed the broker's certificate, and name the broker"
    " in kafka_bootstrap as its certificate does"
)
_REMEDY_OF_TLS = (
    "see that the port is the one for kafka_security, and that kafka_certificate_path is signed by"
    " an authority that the broker trusts"
)
_REMEDY_OF_SILENCE = (
    "check the address and that the broker runs, that the port is the one for kafka_security, and"
    " that kafka_certificate_path is set where the broker asks for a certificate"
)

# The first that fits is said; the last fits whatever is left.
_SAID: tuple[tuple[type[Exception], str, str], ...] = (
    (
        SaslAuthenticationFailed,
        "does not know this user name with this password",
        _REMEDY_OF_USER,
    ),
    (
        UnsupportedSaslMechanismError,
        "does not offer the mechanism in kafka_sasl_mechanism",
        "set it to one that the broker's listener enables",
    ),
    (
        ssl.SSLCertVerificationError,
        "shows a certificate that cannot be verified",
        _REMEDY_OF_CERTIFICATE,
    ),
    (ssl.SSLError, "does not agree on TLS", _REMEDY_OF_TLS),
    (
        UnknownTopicOrPartitionError,
        "does not have the bus's topic, or does not show it to this user",
        "run `noticebus kafka init`, and let the user read and write what it makes",
    ),
    (
        socket.gaierror,
        "has a name that this machine cannot resolve",
        "check the names in kafka_bootstrap",
    ),
    (Exception, "did not answer", _REMEDY_OF_SILENCE),
)


async def find_cause(options: KafkaOptions, error: Exception) -> Exception:
    """Connect once more to the first broker, and give what goes wrong; `error` if nothing does."""
    arguments = connect_with(options)
    host, _, port = arguments.pop("bootstrap_servers")[0].rpartition(":")
    try:
        async with asyncio.timeout(LOOK_TIMEOUT.total_seconds()):
            connection = await create_conn(host.strip("[]"), int(port or 0), **arguments)
            connection.close()
    except (KafkaError, OSError, ValueError) as cause:  # TimeoutError is an OSError
        return cause
    return error


async def lost(options: KafkaOptions, error: Exception) -> LinkLostError:
    """Make of an error the loss of a link, with the reason that aiokafka kept to itself."""
    if isinstance(error, KafkaConnectionError):
        error = await find_cause(options, error)
    _, remedy = explain(options, error)
    return LinkLostError(type(error).__name__, remedy=f"see to the broker: {remedy}")


def explain(options: KafkaOptions, error: Exception) -> tuple[str, str]:
    """Say in words what is wrong and what to do about it, each without a full stop."""
    for kind, what, remedy in _SAID:
        if isinstance(error, kind):
            name = type(error).__name__
            return f"Kafka at {options.bootstrap} {what} ({name})", remedy
    raise AssertionError("the last fits everything")

"""Kafka's settings as aiokafka's arguments."""

import ssl
from pathlib import Path

import pytest

from noticebus.bus.kafka import KafkaBus
from noticebus.bus.options import KafkaOptions, connect_with
from noticebus.errors import InvalidError


def test_plain_connection_carries_neither_secrets_nor_tls() -> None:
    arguments = connect_with(KafkaOptions(bootstrap="a:1, b:2"))

    assert arguments["bootstrap_servers"] == ["a:1", "b:2"]
    assert arguments["security_protocol"] == "PLAINTEXT"
    assert "ssl_context" not in arguments
    assert "sasl_mechanism" not in arguments


def test_sasl_over_tls_verifies_the_broker_and_signs_in() -> None:
    options = KafkaOptions(security_protocol="SASL_SSL", sasl_username="bus", sasl_password="pw")

    arguments = connect_with(options)

    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert arguments["sasl_plain_username"] == "bus"
    assert arguments["sasl_plain_password"] == "pw"
    assert arguments["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert arguments["ssl_context"].check_hostname


def test_password_is_not_shown() -> None:
    assert "hush" not in repr(KafkaOptions(sasl_password="hush"))


def test_sasl_without_a_password_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidError, match="set both"):
        KafkaBus(KafkaOptions(security_protocol="SASL_PLAINTEXT", sasl_username="bus"))


@pytest.mark.parametrize(
    "options",
    [
        KafkaOptions(security_protocol="SSL", ssl_cafile=Path("absent.pem")),
        KafkaOptions(security_protocol="SSL", ssl_certfile=Path("absent.pem")),
    ],
)
def test_tls_file_that_cannot_be_read_is_refused_at_the_start(options: KafkaOptions) -> None:
    with pytest.raises(InvalidError, match="check the paths"):
        KafkaBus(options)


def test_prefix_names_topics_and_group() -> None:
    options = KafkaOptions(prefix="state.noticebus")

    assert options.notices_topic == "state.noticebus.notices.v1"
    assert options.events_topic == "state.noticebus.events.v1"
    assert options.group == "state.noticebus-dispatcher"

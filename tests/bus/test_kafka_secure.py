"""TLS and SASL against a real broker: what is right carries a shard, what is wrong says what is."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import kafka
from harness.authority import Authority, Identity
from harness.bused import until_bus
from harness.ports import free_port
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import running, split
from noticebus.bus.topics import TopicState, init_topics
from noticebus.cli import examination
from noticebus.cli.examination import State
from noticebus.errors import UnavailableError
from noticebus.ids import new_delivery_id, new_notice_id
from noticebus.ports import kafka_options
from noticebus.settings import Settings

USER, PASSWORD = "noticebus", "a long password of the test"
PROPERTIES = """listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{controller},\
SASL_SSL://127.0.0.1:{signed_in},SSL://127.0.0.1:{mutual}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},SASL_SSL://127.0.0.1:{signed_in},\
SSL://127.0.0.1:{mutual}
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.certificate.chain={certificate}
ssl.keystore.key={key}
ssl.truststore.type=PEM
ssl.truststore.certificates={trusted}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A broker that asks who is there, and what belongs to it."""

    signed_in: str  # where SASL_SSL is spoken
    mutual: str  # where TLS with a client's certificate is spoken
    authority: Path
    stranger: Path  # another authority
    client: Identity
    folder: Path

    def settings(self, **changes: object) -> Settings:
        """Give settings that are right, with `changes`."""
        right = {
            "data_dir": self.folder,
            "kafka_bootstrap": self.signed_in,
            "kafka_security": "SASL_SSL",
            "kafka_username": USER,
            "kafka_password": PASSWORD,
            "kafka_ca_path": self.authority,
            "kafka_replication": 1,
            "kafka_partitions": 1,
        }
        return Settings.model_validate(right | changes)


@contextlib.asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[Guarded]:
    """Lend such a broker, its certificates made a moment ago."""
    authority, stranger = Authority(folder, "authority"), Authority(folder, "stranger")
    broker, client = authority.identity("broker"), authority.identity("client")
    controller, signed_in, mutual = (free_port() for _ in range(3))
    more = PROPERTIES.format(
        controller=controller,
        signed_in=signed_in,
        mutual=mutual,
        certificate=in_a_line(broker.certificate),
        key=in_a_line(broker.key),
        trusted=in_a_line(authority.path),
    )
    async with kafka.private(more=more, users={USER: PASSWORD}):
        yield Guarded(
            signed_in=f"127.0.0.1:{signed_in}",
            mutual=f"127.0.0.1:{mutual}",
            authority=authority.path,
            stranger=stranger.path,
            client=client,
            folder=folder,
        )


def in_a_line(pem: Path) -> str:
    """Write a PEM file as the value of one of Java's properties."""
    return pem.read_text().strip().replace("\n", "\\n")


async def carries(options: KafkaOptions) -> bool:
    """Send a shard to oneself."""
    (shard,) = split(new_notice_id(), [new_delivery_id()])
    async with running(KafkaBus(options)) as bus, bus.consume() as arriving:
        bus.offer([shard])
        received = await anext(arriving)
        await received.done()
        return received.shard == shard


async def complaints(settings: Settings) -> tuple[str, str]:
    """Give what `noticebus kafka init` says, and the doctor: cause and remedy of each."""
    with pytest.raises(UnavailableError) as said:
        await init_topics(kafka_options(settings))
    state, cause, remedy = await examination.CHECKS["bus"](settings)
    assert state is State.FAIL
    return str(said.value), f"{cause}. {remedy}"


@pytest.mark.slow(reason="a broker starts")
async def test_tls_and_sasl_carry_a_shard_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    async with guarded(tmp_path) as broker:
        right = kafka_options(broker.settings())
        made = await init_topics(right)
        assert [one.state for one in made] == [TopicState.MADE] * 2
        assert await carries(right)
        state, found, _ = await examination.CHECKS["bus"](broker.settings())
        assert (state, found) == (State.OK, f"{broker.signed_in}, topics present")

        wrong: dict[str, dict[str, object]] = {
            "does not know this user name": {"kafka_password": "not it"},
            "certificate that cannot be verified": {"kafka_ca_path": broker.stranger},
            "does not offer the mechanism": {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
            "did not answer": {"kafka_security": "SSL", "kafka_bootstrap": broker.mutual},
        }
        for cause, setting in wrong.items():
            for said in await complaints(broker.settings(**setting)):
                assert cause in said
                assert "kafka_" in said.partition(cause)[2], "the setting to change is named"
                assert "not it" not in said

        refused = KafkaBus(kafka_options(broker.settings(kafka_password="not it")))
        async with running(refused):
            await until_bus(refused, lambda one: not one.healthy())
            (fault,) = refused.faults()
        assert "SaslAuthenticationFailed" in fault
        assert "set kafka_username and kafka_password" in fault

        mutual = dataclasses.replace(
            kafka_options(broker.settings(kafka_security="SSL", kafka_bootstrap=broker.mutual)),
            ssl_certfile=broker.client.certificate,
            ssl_keyfile=broker.client.key,
        )
        assert await carries(mutual)

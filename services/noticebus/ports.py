"""Settings become ports: the bus, the telephone, the proxy, the key, the disk, the schedules."""

import datetime as dt
from pathlib import Path

import sqlalchemy as sa
from pydantic import ValidationError

from noticebus.access.keyring import Keyring
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.memory import MemoryBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import Bus
from noticebus.clock import Clock
from noticebus.contracts.faults import details
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.dispatcher.slots import SendLimits
from noticebus.dispatcher.twilio import TwilioTelephone
from noticebus.domain.schedules import Schedules, default_schedules, read_schedule
from noticebus.settings import SettingError, Settings
from noticebus.store.disk import Disk

KEY_FILE = "noticebus.key"


def schedules_of(settings: Settings) -> Schedules:
    """Give the retry schedules in force; SettingError says which one cannot be kept, and why."""
    found = dict(default_schedules())
    for letter, record in settings.schedules.items():
        try:
            found[NoticeClass(letter)] = read_schedule(NoticeClass(letter), record)
        except ValidationError as error:
            first = details(error, prefix=f"/schedules/{letter}")[0]
            where = first.pointer.strip("/").replace("/", ".")
            raise SettingError(f"{where}: {first.message}.") from None
    return found


def disk_of(settings: Settings, machine: Clock) -> Disk | None:
    """Watch the disk of the embedded profile's file; a database server watches its own."""
    url = sa.make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return None
    folder = Path(url.database or "").absolute().parent
    return Disk(folder, reserve_mb=settings.disk_reserve_mb, machine=machine)


def load_keyring(settings: Settings) -> Keyring:
    """Take the root secret from the settings, or from a file of mode 0600 made at first start."""
    if settings.secret_key is not None:
        return Keyring.from_setting(settings.secret_key.get_secret_value())
    return Keyring.load_or_create(Path(settings.data_dir) / KEY_FILE)


def make_bus(settings: Settings) -> Bus:
    """Choose the bus: in-process, or Apache Kafka where an address is set."""
    if settings.kafka_bootstrap is None:
        return MemoryBus()
    return KafkaBus(kafka_options(settings))


def kafka_options(settings: Settings) -> KafkaOptions:
    """Give the bus its Kafka settings."""
    password = settings.kafka_password
    return KafkaOptions(
        bootstrap=settings.kafka_bootstrap or "",
        security_protocol=settings.kafka_security,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_username,
        sasl_password=None if password is None else password.get_secret_value(),
        ssl_cafile=settings.kafka_ca_path,
        ssl_certfile=settings.kafka_certificate_path,
        ssl_keyfile=settings.kafka_key_path,
        prefix=settings.kafka_prefix,
        partitions=settings.kafka_partitions,
        replication=settings.kafka_replication,
        min_insync=min(2, settings.kafka_replication),
        events_retention=dt.timedelta(hours=settings.kafka_retention_hours),
    )


def telephone_of(settings: Settings) -> TwilioTelephone | None:
    """Give the telephone provider, where one is configured."""
    account, token = settings.telephone_account, settings.telephone_token
    if account is None or token is None or settings.telephone_from is None:
        return None
    return TwilioTelephone(
        url=settings.telephone_url,
        account=account.get_secret_value(),
        token=token.get_secret_value(),
        number=settings.telephone_from,
        base_url=settings.base_url,
        limits=SendLimits(request=dt.timedelta(seconds=settings.request_timeout_s)),
    )


def proxy_of(settings: Settings) -> ForwardProxy | None:
    """Give the proxy that deliveries to endpoints go through, where one is configured."""
    if settings.egress_proxy_url is None:
        return None
    return ForwardProxy.from_setting(settings.egress_proxy_url, past=settings.egress_no_proxy)

"""A certificate authority of a test, and what it issues: servers for 127.0.0.1 and for a name."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from noticebus.clock import SystemClock

LONG_AGO = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)  # before the years that tests play in
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate_pem: str
    key_pem: str


class Authority:
    """Issues certificates, and makes the contexts of servers and clients that trust it."""

    def __init__(self, name: str = "Test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._own = (
            _builder(self._name, issuer=self._name, key=self._key, until=_in_years())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, SHA256())
        )

    @property
    def pem(self) -> str:
        """Give the authority's own certificate."""
        return self._own.public_bytes(Encoding.PEM).decode("ascii")

    def issue(self, name: str, *, until: dt.datetime | None = None) -> Issued:
        """Issue a certificate for 127.0.0.1, ::1 and the host `name`, good for servers and clients.

        It begins in 2015, before the years that tests play in.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName(
            [
                x509.DNSName(name),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                x509.IPAddress(ipaddress.ip_address("::1")),
            ]
        )
        made = (
            _builder(_name(name), issuer=self._name, key=key, until=until or _in_years())
            .add_extension(alternatives, critical=False)
            .sign(self._key, SHA256())
        )
        return Issued(
            certificate_pem=made.public_bytes(Encoding.PEM).decode("ascii"),
            key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(
                "ascii"
            ),
        )

    def serving(
        self, folder: Path, *, name: str = "endpoint.test", asks_clients: bool = False
    ) -> ssl.SSLContext:
        """Make a server's context; `asks_clients` lets in only whom it has certified."""
        issued = self.issue(name)
        path = folder / f"{name}.pem"
        path.write_text(issued.certificate_pem + issued.key_pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        if asks_clients:
            context.load_verify_locations(cadata=self.pem)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def trusting(self) -> ssl.SSLContext:
        """Make a client's context that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.pem)


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(until)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _in_years() -> dt.datetime:
    return SystemClock().now() + 3650 * DAY

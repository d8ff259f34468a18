"""Certificates for tests, made on the spot: a private authority, and one certificate for each way to be wrong."""

from __future__ import annotations

import datetime
import hashlib
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key in one PEM file."""

    file: Path
    sha256: str

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


class Certificates:
    """Files in `folder` for localhost and 127.0.0.1, one for each way to be wrong; the authority is in ca_file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("mailrelay test authority")
        now = datetime.datetime.now(datetime.timezone.utc)
        authority = (
            _builder(self._name, self._name, self._key, now - DAY, now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.good = self._issue("good", now - DAY, now + DAY)
        self.expired = self._issue("expired", now - 3 * DAY, now - DAY)
        self.not_yet_valid = self._issue("not-yet-valid", now + DAY, now + 3 * DAY)
        self.wrong_name = self._issue("wrong-name", now - DAY, now + DAY, names=("mail.example.org",))
        self.self_signed = self._issue("self-signed", now - DAY, now + DAY, self_signed=True)

    def _issue(
        self,
        label: str,
        begin: datetime.datetime,
        end: datetime.datetime,
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        self_signed: bool = False,
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0])
        issuer, issuer_key = (subject, key) if self_signed else (self._name, self._key)
        certificate = (
            _builder(subject, issuer, key, begin, end)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        file = self.folder / f"{label}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        return Certificate(file, hashlib.sha256(der).hexdigest())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )

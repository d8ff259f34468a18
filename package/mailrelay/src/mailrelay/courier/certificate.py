"""TLS as a smarthost's settings want it, and certificates for people: whose, by whom, until when, which fingerprint.

Trust is OpenSSL's business; here a setting becomes a context, and an OpenSSL error a cause. Imports ssl, which costs
megabytes: smarthost imports this module only where TLS is used.
"""

from __future__ import annotations

import hashlib
import ssl

from mailrelay.core.text import printable
from mailrelay.courier.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailrelay.config.settings import Smarthost

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_CAUSES = {9: "cert-not-yet-valid", 10: "cert-expired", 62: "cert-wrong-name", 64: "cert-wrong-name"}
_NAMES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU", b"\x55\x04\x06": "C"}
_SUBJECT_ALT_NAME = b"\x55\x1d\x11"


def context(smarthost: Smarthost, *, trust: bool = True) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that trusts what the settings ask for. Raise Failure 'ca-file'."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if not (trust and smarthost.verify) or smarthost.fingerprint:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    elif smarthost.ca_file:
        # A CA file may hold the server's own certificate, or one made by hand: no chain up to a root, no strict form.
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            tls.load_verify_locations(cafile=smarthost.ca_file)
        except OSError as error:
            text = f"{smarthost.ca_file}: {error.strerror or 'not a file of certificates'}"
            raise Failure("certificate", "ca-file", text) from None
    else:
        tls.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return tls


def failure(error: OSError) -> Failure:
    """Return what the error of a handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _CAUSES.get(error.verify_code, "cert-untrusted")
        return Failure("certificate", cause, error.verify_message)
    if broke_off(error):
        return Failure("tls", "lost", f"the server closed the connection during the TLS handshake ({_words(error)})")
    return Failure("tls", "tls-protocol", _words(error))


def broke_off(error: OSError) -> bool:
    """Return whether the connection ended, which says nothing of the TLS that the server speaks."""
    return isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or not isinstance(error, ssl.SSLError)


def _words(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else error.strerror or type(error).__name__


def describe(der: bytes) -> dict[str, str]:
    """Return subject, issuer, names, not_before, not_after, sha256 (64 hex digits); leave out what cannot be read."""
    facts = {"sha256": hashlib.sha256(der).hexdigest()}
    try:
        facts.update(_facts(der))
    except (IndexError, ValueError, StopIteration, RuntimeError):
        pass
    return facts


def _facts(der: bytes) -> dict[str, str]:
    """Read RFC 5280 4.1: Certificate > TBSCertificate > version? serial algorithm issuer validity subject key ..."""
    fields = list(_items(next(_items(next(_items(der))[1]))[1]))
    if fields[0][0] == 0xA0:
        del fields[0]
    validity = list(_items(fields[3][1]))
    facts = {
        "subject": _name(fields[4][1]),
        "issuer": _name(fields[2][1]),
        "not_before": _time(*validity[0]),
        "not_after": _time(*validity[1]),
    }
    for tag, content in fields:
        if tag == 0xA3:
            facts["names"] = ", ".join(_alternative_names(content))
    return facts


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the (tag, content) pairs that DER `data` consists of."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        yield tag, data[at : at + length]
        at += length


def _name(data: bytes) -> str:
    parts = []
    for _, attributes in _items(data):
        for _, attribute in _items(attributes):
            (_, oid), (_, value) = list(_items(attribute))[:2]
            if oid in _NAMES:
                parts.append(f"{_NAMES[oid]}={printable(value)}")
    return ", ".join(parts)


def _time(tag: int, value: bytes) -> str:
    text = printable(value)
    if tag == 23:  # UTCTime: two digits of the year
        text = ("20" if text[:2] < "50" else "19") + text
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]} UTC"


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for _, extension in _items(next(_items(extensions))[1]):
        parts = list(_items(extension))
        if parts[0][1] == _SUBJECT_ALT_NAME:
            for tag, value in _items(next(_items(parts[-1][1]))[1]):
                if tag == 0x82:
                    yield printable(value)
                elif tag == 0x87:
                    yield ".".join(map(str, value)) if len(value) == 4 else value.hex(":", 2)

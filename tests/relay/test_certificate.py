"""Certificates for people: read right, and nothing in one makes the reading fail."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.courier.certificate import describe, failure
from tests.support.certificates import Certificates


@pytest.fixture(scope="module")
def der(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file: Path = Certificates(tmp_path_factory.mktemp("certificates")).good.file
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)


def test_the_facts_are_those_that_the_library_sees(der: bytes) -> None:
    certificate = x509.load_der_x509_certificate(der)
    facts = describe(der)
    assert facts["subject"] == "CN=localhost"
    assert facts["issuer"] == "CN=mailrelay test authority"
    assert facts["names"] == "localhost, 127.0.0.1"
    assert facts["not_before"] == f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    assert facts["not_after"] == f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol"),
        ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "TLS/SSL connection has been closed (EOF)"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_handshake_that_breaks_off_is_lost_by_whatever_error_this_python_tells_it(error: OSError) -> None:
    found = failure(error)
    assert (found.stage, found.cause) == ("tls", "lost")


@given(st.integers(0, 10000), st.binary(min_size=1, max_size=4), st.booleans())
def test_a_damaged_certificate_is_described_as_far_as_it_goes(der: bytes, at: int, junk: bytes, cut: bool) -> None:
    at %= len(der)
    facts = describe(der[:at] if cut else der[:at] + junk + der[at + len(junk) :])
    assert len(facts["sha256"]) == 64
    assert all(text.isprintable() for text in facts.values())


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_fail(data: bytes) -> None:
    assert describe(data)["sha256"]

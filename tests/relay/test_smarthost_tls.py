"""TLS to a provider: what is trusted, what is refused and why, and that nothing is said in the clear."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from mailrelay.courier.failure import Step
from mailrelay.courier.smarthost import SmarthostConnection
from tests.relay.sending import PASSWORD, USERS, deliver, failure_of, mail, smarthost
from tests.support.certificates import Certificates
from tests.support.scripted_provider import Drop, Hang, Inject, ScriptedProvider


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("tls", ["starttls", "tls"])
class TestTls:
    def test_a_good_certificate(self, certificates: Certificates, tls: str, localhost: None) -> None:
        steps: list[Step] = []
        with ScriptedProvider(tls=tls, certificate=certificates.good, users=USERS) as provider:
            for host in ("127.0.0.1", "localhost"):
                options = smarthost(
                    provider, host=host, username="user", password=PASSWORD, ca_file=str(certificates.ca_file)
                )
                assert deliver(options, [mail(), mail()], on_step=steps.append)[1].delivered
            assert provider.messages[0].tls in ("TLSv1.2", "TLSv1.3")
            assert provider.violations == []
        detail = next(step.detail for step in steps if step.stage == "certificate")
        assert (detail["subject"], detail["issuer"]) == ("CN=localhost", "CN=mailrelay test authority")
        assert detail["names"] == "localhost, 127.0.0.1"
        assert detail["sha256"] == certificates.good.sha256

    @pytest.mark.parametrize(
        ("which", "cause"),
        [
            ("expired", "cert-expired"),
            ("not_yet_valid", "cert-not-yet-valid"),
            ("wrong_name", "cert-wrong-name"),
            ("self_signed", "cert-untrusted"),
        ],
    )
    def test_a_bad_certificate_is_refused_by_its_cause_before_anything_is_said(
        self, certificates: Certificates, tls: str, which: str, cause: str
    ) -> None:
        certificate = getattr(certificates, which)
        with ScriptedProvider(tls=tls, certificate=certificate, users=USERS) as provider:
            host = smarthost(provider, username="user", password=PASSWORD, ca_file=str(certificates.ca_file))
            failure = failure_of(host)
            assert (failure.stage, failure.cause) == ("certificate", cause)
            assert failure.detail["sha256"] == certificate.sha256
            assert not provider.count("auth")
            assert not provider.count("mail")

    def test_an_authority_that_is_not_ours_is_not_trusted(self, certificates: Certificates, tls: str) -> None:
        with ScriptedProvider(tls=tls, certificate=certificates.good) as provider:
            assert failure_of(smarthost(provider)).cause == "cert-untrusted"

    def test_the_servers_own_certificate_can_be_the_ca_file(self, certificates: Certificates, tls: str) -> None:
        for certificate in (certificates.self_signed, certificates.good):
            with ScriptedProvider(tls=tls, certificate=certificate) as provider:
                assert deliver(smarthost(provider, ca_file=str(certificate.file)), [mail()])[0].delivered

    def test_a_fingerprint_stands_for_chain_name_and_dates(self, certificates: Certificates, tls: str) -> None:
        for certificate in (certificates.wrong_name, certificates.expired, certificates.self_signed):
            with ScriptedProvider(tls=tls, certificate=certificate) as provider:
                host = smarthost(provider, fingerprint=certificate.sha256)
                assert deliver(host, [mail()])[0].delivered

    def test_another_fingerprint_is_refused(self, certificates: Certificates, tls: str) -> None:
        with ScriptedProvider(tls=tls, certificate=certificates.good, users=USERS) as provider:
            host = smarthost(
                provider,
                fingerprint=certificates.expired.sha256,
                ca_file=str(certificates.ca_file),
                username="user",
                password=PASSWORD,
            )
            failure = failure_of(host)
            assert (failure.stage, failure.cause) == ("certificate", "cert-fingerprint")
            assert certificates.good.sha256 in failure.text
            assert not provider.count("auth")

    def test_verify_off_takes_any_certificate(self, certificates: Certificates, tls: str) -> None:
        with ScriptedProvider(tls=tls, certificate=certificates.expired) as provider:
            assert deliver(smarthost(provider, verify=False), [mail()])[0].delivered

    def test_a_ca_file_that_is_none(self, certificates: Certificates, tls: str, tmp_path: Path) -> None:
        empty = tmp_path / "empty.pem"
        empty.touch()
        for file in (empty, tmp_path / "missing"):
            with ScriptedProvider(tls=tls, certificate=certificates.good) as provider:
                failure = failure_of(smarthost(provider, ca_file=str(file)))
                assert (failure.stage, failure.cause) == ("certificate", "ca-file")

    def test_a_handshake_that_hangs_or_breaks(self, certificates: Certificates, tls: str) -> None:
        for action, cause in ((Hang(), "timeout"), (Drop(), "lost")):
            with ScriptedProvider({"tls": action}, tls=tls, certificate=certificates.good) as provider:
                failure = failure_of(smarthost(provider, timeout=0.2))
                assert (failure.stage, failure.cause) == ("tls", cause)


class TestStarttls:
    def test_stripped_starttls_sends_nothing(self, certificates: Certificates) -> None:
        for options in ({"advertise_starttls": False}, {"script": {"starttls": "454 4.7.0 not now"}}):
            with ScriptedProvider(
                tls="starttls",
                certificate=certificates.good,
                users=USERS,
                **options,
            ) as provider:
                failure = failure_of(smarthost(provider, username="user", password=PASSWORD))
                assert (failure.stage, failure.cause) == ("starttls", "no-starttls")
                assert not provider.count("auth")
                assert not provider.count("mail")

    def test_what_is_injected_before_the_handshake_is_never_believed(self, certificates: Certificates) -> None:
        fake = b"250-fake\r\n250 AUTH LOGIN\r\n235 welcome\r\n250 ok\r\n250 ok\r\n354 go\r\n250 delivered\r\n"
        for data in (fake, b"250 x\r\n", b"\x16\x03\x03"):
            with ScriptedProvider(
                {"starttls": Inject(data)}, tls="starttls", certificate=certificates.good, users=USERS
            ) as provider:
                host = smarthost(
                    provider, username="user", password=PASSWORD, ca_file=str(certificates.ca_file), timeout=3
                )
                with SmarthostConnection(host, b"r") as up:
                    assert "SIZE" in up.dialogue.session.opening.extensions
                    assert [str(outcome.message) for _, outcome in up.deliver([mail()])] == ["250 2.0.0 queued"]
                assert provider.messages[0].tls

    def test_a_plain_server_on_a_tls_port_and_the_other_way_round(self, certificates: Certificates) -> None:
        with ScriptedProvider() as provider:
            failure = failure_of(smarthost(provider, tls="tls"))
            assert (failure.stage, failure.cause) == ("tls", "tls-protocol")
        with ScriptedProvider(tls="tls", certificate=certificates.good) as provider:
            failure = failure_of(smarthost(provider, tls="starttls", timeout=0.3))
            assert (failure.stage, failure.cause) == ("banner", "tls-protocol")
        with ScriptedProvider({"connect": Hang()}) as provider:
            failure = failure_of(smarthost(provider, tls="starttls", timeout=0.3))
            assert (failure.stage, failure.cause) == ("banner", "timeout")

    def test_a_slow_plain_server_that_hangs_up_on_whoever_speaks_first_is_not_taken_for_one_of_tls(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                client, _ = server.accept()
                with client:
                    client.recv(4096)

            thread = threading.Thread(target=serve)
            thread.start()
            failure = failure_of(smarthost(port=server.getsockname()[1], tls="starttls", timeout=0.3))
            thread.join()
        assert (failure.stage, failure.cause) == ("banner", "timeout")

    def test_tls_below_1_2_is_refused(self, certificates: Certificates) -> None:
        with ScriptedProvider(tls="tls", certificate=certificates.good) as provider:
            assert provider.context
            provider.context.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning):
                provider.context.minimum_version = ssl.TLSVersion.TLSv1
                provider.context.maximum_version = ssl.TLSVersion.TLSv1_1
            assert failure_of(smarthost(provider, tls="tls", verify=False)).stage == "tls"

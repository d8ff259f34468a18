"""The relay between real clients (swaks, smtplib, smtp-source) and a real provider (Postfix with TLS and SASL)."""

from __future__ import annotations

import email
import email.policy
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from forge.servers import postfix
from tests.support.relay import Relay
from tests.support.waiting import wait


def config(provider: postfix.Provider, tls: str = "starttls", **options: str) -> str:
    port = provider.starttls_port if tls == "starttls" else provider.tls_port
    values = {
        "host": provider.host,
        "port": str(port),
        "tls": tls,
        "family": "ipv4",
        "username": provider.username,
        "password": provider.password,
        "ca_file": str(provider.ca_file),
        **options,
    }
    lines = [f"\toption {name} '{value}'\n" for name, value in values.items() if value]
    return "\nconfig smarthost 'provider'\n" + "".join(lines)


@pytest.fixture
def relay(provider: postfix.Provider) -> Iterator[Relay]:
    with Relay("option retry_min '1'\nlist alias 'root=owner@example.org'", config(provider)) as found:
        yield found


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5"])
def test_mail_arrives_over_tls_with_a_login(provider: postfix.Provider, tls: str, auth: str) -> None:
    with Relay("", config(provider, tls, auth=auth)) as relay:
        queue_id = relay.send(b"Subject: Alarm\r\n\r\npump 3\r\n")
        [mail] = provider.wait_for(1)
        assert (mail.envelope_from, mail.recipients) == ("plc@example.net", ("owner@example.org",))
        assert "TLSv1" in mail.received and f"Authenticated sender: {provider.username}" in mail.received
        message = parsed(mail.raw)
        assert message["Subject"] == "Alarm" and message["From"] == "plc@example.net"
        assert message["To"] == "owner@example.org"
        assert queue_id in message["Message-ID"] and message["Date"]
        assert message.get_content() == "pump 3\n"
        assert provider.password not in relay.log()


def test_swaks(relay: Relay, provider: postfix.Provider) -> None:
    swaks = shutil.which("swaks")
    assert swaks, "swaks is one of the packages of ./inv test"
    for i, options in enumerate((["--pipeline"], ["--protocol", "SMTP"], ["--data", "Subject: dots\n\n.\n..\n.x\n"])):
        argv = [swaks, "--server", f"127.0.0.1:{relay.port}", "--from", "a@example.net", "--to", "b@example.org"]
        result = subprocess.run([*argv, *options], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        mail = provider.wait_for(i + 1)[-1]
    assert mail.body.startswith(b".\n..\n.x\n")


def test_smtplib_with_attachments_and_umlauts(relay: Relay, provider: postfix.Provider) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Pumpe <plc@example.net>", "b@example.org", "Störung an Tür 3"
    message.set_content("Grüße\n.\nvon der Pumpe\n")
    message.add_attachment(bytes(range(256)) * 1000, maintype="image", subtype="jpeg", filename="bild.jpg")
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=20) as client:
        client.send_message(message)
        client.sendmail("a@example.net", ["c@example.org", "root"], "Subject: plain\n\nx")
    first, second = provider.wait_for(2)
    arrived = parsed(first.raw)
    assert arrived["Subject"] == "Störung an Tür 3" and arrived["From"] == "Pumpe <plc@example.net>"
    body = arrived.get_body()
    assert body is not None and body.get_content() == "Grüße\n.\nvon der Pumpe\n"
    assert next(arrived.iter_attachments()).get_content() == bytes(range(256)) * 1000
    assert second.recipients == ("c@example.org", "owner@example.org")


def test_smtp_source(relay: Relay, provider: postfix.Provider) -> None:
    for disconnect in ([], ["-d"]):
        argv = [*provider.tool("smtp-source"), *disconnect, "-s", "10", "-m", "50", "-l", "2000"]
        argv += ["-f", "a@example.net", "-t", "b@example.org", f"127.0.0.1:{relay.port}"]
        subprocess.run(argv, check=True, timeout=60, capture_output=True)
    provider.wait_for(100, 60)
    wait(lambda: relay.queue() == [], "the queue is empty")


def test_the_provider_goes_and_comes_back_and_nothing_is_missing(relay: Relay, provider: postfix.Provider) -> None:
    provider.stop()
    ids = [relay.send(b"Subject: %d\r\n\r\nx\r\n" % i) for i in range(30)]
    assert relay.queue() == sorted(ids)
    assert "cause=refused" in relay.wait_log("smarthost-failed")
    provider.start()
    relay.flush()
    mails = provider.wait_for(30, 60)
    assert sorted(int(parsed(mail.raw)["Subject"]) for mail in mails) == list(range(30))


def test_a_certificate_that_nobody_vouches_for_gets_no_login(provider: postfix.Provider) -> None:
    with Relay("", config(provider, ca_file="")) as relay:
        relay.send()
        assert "cause=cert-untrusted" in relay.wait_log("smarthost-failed")
        assert relay.queue("failed") == [] and provider.messages() == []


def test_a_wrong_password_is_told_in_plain_words(provider: postfix.Provider) -> None:
    with Relay("", config(provider, password="wrong-Xyzzy")) as relay:
        relay.send()
        assert "cause=login-refused" in relay.wait_log("smarthost-failed")
        assert "wrong-Xyzzy" not in relay.log()
        wait(lambda: (relay.status().get("last_failure") or {}).get("advice"), "status says what to change")

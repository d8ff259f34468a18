"""The provider that the other tests rely on keeps the promises of a strict one, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from forge.core.paths import ROOT
from forge.servers import postfix
from tests.support.waiting import wait

HELLO = "controllino.example"


@pytest.fixture
def trusting(provider: postfix.Provider) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(provider.ca_file))


@pytest.fixture
def plain(provider: postfix.Provider) -> Iterator[smtplib.SMTP]:
    """A session on the STARTTLS port, before TLS."""
    with smtplib.SMTP(provider.host, provider.starttls_port, timeout=10) as session:
        session.ehlo(HELLO)
        yield session


@pytest.fixture
def secure(provider: postfix.Provider, trusting: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    """A session on the TLS port, before any login."""
    with smtplib.SMTP_SSL(provider.host, provider.tls_port, timeout=10, context=trusting) as session:
        session.ehlo(HELLO)
        yield session


def test_offers_no_login_and_takes_no_mail_before_starttls(plain: smtplib.SMTP) -> None:
    assert plain.has_extn("starttls")
    assert not plain.has_extn("auth")
    assert plain.docmd("AUTH", "PLAIN AGEAYg==")[0] in (503, 530)
    assert plain.mail("plc@example.org")[0] == 530


def test_takes_mail_after_starttls_and_login(
    provider: postfix.Provider, plain: smtplib.SMTP, trusting: ssl.SSLContext
) -> None:
    plain.starttls(context=trusting)
    plain.ehlo(HELLO)
    plain.login(provider.username, provider.password)
    long = b"x" * 5000
    plain.sendmail("plc@example.org", ["owner@example.net"], b"From: plc\r\n\r\n..dot\r\n" + long + b"\r\n")
    (mail,) = provider.wait_for(1)
    assert (mail.envelope_from, mail.recipients) == ("plc@example.org", ("owner@example.net",))
    assert mail.raw == b"From: plc\n\n..dot\n" + long + b"\n", "nothing is added to it"
    assert "TLSv1.3" in mail.received
    assert f"Authenticated sender: {provider.username}" in mail.received
    assert f"sasl_username={provider.username}" in provider.log


def test_refuses_a_wrong_password(provider: postfix.Provider, secure: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        secure.login(provider.username, provider.password + "x")


def test_refuses_mail_without_a_login(secure: smtplib.SMTP) -> None:
    secure.mail("plc@example.org")
    assert secure.rcpt("owner@example.net")[0] == 554


def test_refuses_to_be_greeted_as_localhost(provider: postfix.Provider, trusting: ssl.SSLContext) -> None:
    with smtplib.SMTP_SSL(provider.host, provider.tls_port, timeout=10, context=trusting) as session:
        session.ehlo("localhost")
        session.login(provider.username, provider.password)
        session.mail("plc@example.org")
        code, text = session.rcpt("owner@example.net")
        assert (code, b"localhost" in text) == (554, True)


def test_refuses_a_bare_line_feed(provider: postfix.Provider, secure: smtplib.SMTP) -> None:
    secure.login(provider.username, provider.password)
    secure.mail("plc@example.org")
    secure.rcpt("owner@example.net")
    assert secure.docmd("DATA")[0] == 354
    secure.send(b"Subject: x\r\n\r\none\ntwo\r\n.\r\n")
    assert secure.getreply()[0] == 550
    assert provider.messages() == []


def test_certificate_holds_for_its_own_authority_alone(provider: postfix.Provider) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        smtplib.SMTP_SSL(provider.host, provider.tls_port, timeout=10, context=ssl.create_default_context())


def test_one_mail_to_several_people_is_one_and_two_mails_are_two(
    provider: postfix.Provider, secure: smtplib.SMTP
) -> None:
    secure.login(provider.username, provider.password)
    people = ["a@example.net", "b@example.org", "c@example.com"]
    for text in ("first", "second"):
        secure.sendmail("", people, f"Subject: {text}\r\n\r\nsame\r\n")
    mails = provider.wait_for(2)
    assert [(mail.envelope_from, list(mail.recipients), mail.header) for mail in mails] == [
        ("", people, b"Subject: first\n"),
        ("", people, b"Subject: second\n"),
    ]


def test_refuses_connections_while_it_is_down_and_keeps_its_ports(provider: postfix.Provider) -> None:
    provider.stop()
    for port in (provider.starttls_port, provider.tls_port):
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP(provider.host, port, timeout=5)
    provider.start()
    smtplib.SMTP(provider.host, provider.starttls_port, timeout=10).close()


def test_says_what_came_when_mail_does_not_arrive(provider: postfix.Provider) -> None:
    with pytest.raises(ForgeError, match="0 of 1 mails arrived"):
        provider.wait_for(1, timeout=0.05)


@pytest.mark.parametrize("ending", ["exit", "error", "interrupt", "kill"])
def test_leaves_no_process_and_no_folder_however_its_caller_ends(
    running_provider: postfix.Provider, ending: str
) -> None:
    script = """
        import os, signal, sys
        from forge.servers.postfix import Provider
        with Provider() as provider:
            print(provider.folder, provider.pid, flush=True)
            sys.stdin.readline()
            if sys.argv[1] == "error":
                raise RuntimeError
    """
    caller = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), ending],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert caller.stdout and caller.stdin
    folder, pid = caller.stdout.readline().split()
    assert Path(folder).is_dir() and Path(f"/proc/{pid}").exists()
    if ending == "interrupt":
        os.killpg(caller.pid, signal.SIGINT)  # as the terminal does: to the whole group, the holder too
    elif ending == "kill":
        caller.kill()
    caller.communicate("\n")
    wait(lambda: not (Path(folder).exists() or Path(f"/proc/{pid}").exists()), f"{folder} and process {pid} are gone")
